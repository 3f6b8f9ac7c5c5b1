"""The chat without a terminal: what it sends on, and what it makes of the news."""

from __future__ import annotations

import pytest

from app.backends.base import ComparisonNews, Loading, Lost, Refused, Trimmed
from app.chat import Chat, Status
from app.conversation import Change
from engine.events import FinishReason
from engine.lanes import LanesFinished
from engine.options import Mode
from tests.app.chat.fake_backend import (
    LOADED,
    FakeBackend,
    drafted,
    finished,
    header,
    prefilled,
    verified,
)


class Lines:
    """A record that a test reads."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, object]] = []

    def __getattr__(self, name: str):  # type: ignore[no-untyped-def]
        return lambda *values: self.lines.append((name, values[0] if len(values) == 1 else values))

    def names(self) -> list[str]:
        return [name for name, _ in self.lines]


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def chat(backend: FakeBackend) -> Chat:
    made = Chat(backend, Lines())
    made.start()
    backend.news.append(LOADED)
    made.pump()
    return made


def replied(chat: Chat, backend: FakeBackend, text: str = "hi") -> None:
    """Ask and have a reply of four tokens."""
    chat.say(text)
    backend.news += [
        header(),
        prefilled(),
        verified(0, (), "A"),
        drafted(1, " b", " c"),
        verified(1, (" b", " c"), " d"),
        finished(4),
    ]
    chat.pump()


def test_a_prompt_while_loading_is_asked_once_loaded() -> None:
    backend = FakeBackend()
    chat = Chat(backend)
    chat.start()
    backend.news.append(Loading("model.safetensors", 1, 10))
    chat.pump()
    chat.say("early")
    assert chat.status is Status.LOADING
    assert not backend.given("generate")
    backend.news.append(LOADED)
    assert chat.pump().whole
    [(messages, _)] = backend.given("generate")  # type: ignore[misc]
    assert messages[-1].content == "early"
    assert chat.status is Status.REPLYING


def test_a_reply_is_kept_and_counted(chat: Chat, backend: FakeBackend) -> None:
    replied(chat, backend)
    assert chat.status is Status.READY
    last = chat.conversation.last
    assert last is not None
    assert last.reply.text == "A b c d"
    assert chat.context_used == 14
    assert isinstance(chat.record, Lines)
    assert chat.record.names() == ["user", *["event"] * 6]


def test_settings_go_along_and_are_named_when_refused(chat: Chat, backend: FakeBackend) -> None:
    assert chat.tuning.change({"temperature": 0.8})
    assert not chat.tuning.change({"temperature": -1})
    assert "temperature" in chat.pump().notices[0]
    chat.say("hi")
    [(_, options)] = backend.given("generate")  # type: ignore[misc]
    assert options == {"temperature": 0.8}


def test_depth_changes_at_once_and_is_marked_after_the_round_under_way(
    chat: Chat, backend: FakeBackend
) -> None:
    chat.say("hi")
    backend.news += [header(), prefilled(), verified(0, (), "A"), drafted(1, " b", " c")]
    chat.pump()
    chat.tuning.set_depth(4)
    assert backend.given("change")[-1] == {"depth": 4}
    reply = chat.conversation.last.reply  # type: ignore[union-attr]
    backend.news.append(verified(1, (" b",), " x", (" c",)))
    chat.pump()
    assert reply.changes == [Change(3, Mode.MTP, 4)]
    assert isinstance(chat.record, Lines)
    assert chat.record.lines[-1] == ("ask", (Mode.MTP, 4))
    assert chat.record.names()[-2] == "event"


def test_stop_cancels_and_goes_on_from_a_pause(chat: Chat, backend: FakeBackend) -> None:
    assert not chat.stop()
    chat.say("hi")
    chat.tuning.pause(on=True)
    assert chat.stop()
    assert backend.given("pause") == [True, False]
    assert backend.given("cancel") == [None]
    backend.news += [header(), finished(0, FinishReason.CANCELLED)]
    chat.pump()
    assert chat.status is Status.READY


def test_greedy_has_one_answer_and_sampling_takes_the_next_seed(chat: Chat, backend: FakeBackend) -> None:
    replied(chat, backend)
    chat.regenerate()
    assert "one answer" in chat.pump().notices[0]
    assert len(backend.given("generate")) == 1
    chat.tuning.change({"temperature": 1.0, "seed": 5})
    chat.regenerate()
    (messages, options) = backend.given("generate")[-1]  # type: ignore[misc]
    assert options["seed"] == 6
    assert [message.content for message in messages] == ["hi"]
    assert len(chat.conversation.exchanges) == 1


def test_a_lost_engine_leaves_the_chat_and_comes_back(chat: Chat, backend: FakeBackend) -> None:
    chat.say("hi")
    backend.news += [header(), verified(0, (), "A"), finished(1, FinishReason.ERROR), Lost("It is gone.")]
    assert "It is gone." in chat.pump().notices
    assert chat.status is Status.LOST
    assert chat.conversation.last.reply.text == "A"  # type: ignore[union-attr]
    chat.say("and now?")
    assert backend.given("restart") == [None]
    backend.news.append(LOADED)
    chat.pump()
    assert len(backend.given("generate")) == 2


def test_measuring_asks_for_every_depth_and_a_prompt_ends_it(chat: Chat, backend: FakeBackend) -> None:
    chat.measure()
    assert "no reply" in chat.pump().notices[0]
    replied(chat, backend)
    chat.measure()
    [(_, lanes, tokens, *_)] = backend.given("compare")  # type: ignore[misc]
    assert ([lane.depth for lane in lanes], tokens) == ([0, 1, 2, 3, 4], 4)
    chat.say("never mind")
    assert backend.given("cancel") == [None]
    assert len(backend.given("generate")) == 1
    backend.news.append(ComparisonNews(LanesFinished(complete=False)))
    chat.pump()
    assert len(backend.given("generate")) == 2


def test_what_is_refused_and_what_is_left_out_is_said(chat: Chat, backend: FakeBackend) -> None:
    chat.say("hi")
    backend.news += [Trimmed(3), Refused("set", "No.")]
    assert chat.pump().notices == ("No.",)
    assert chat.conversation.last.trimmed_turns == 3  # type: ignore[union-attr]


def test_a_mode_that_the_checkpoint_lacks_is_refused() -> None:
    backend = FakeBackend()
    chat = Chat(backend)
    backend.news.append(type(LOADED)("moonlight", 100, has_mtp=False, options=LOADED.options))
    chat.pump()
    assert not chat.tuning.change({"mode": "mtp"})
    assert "no MTP layer" in chat.pump().notices[0]
    chat.tuning.cycle_mode()
    assert chat.tuning.options.mode is not Mode.MTP


def test_a_second_model_drafts_only_where_one_was_loaded() -> None:
    backend = FakeBackend()
    chat = Chat(backend)
    assert not chat.tuning.change({"mode": "model"})
    assert "--draft-model" in chat.pump().notices[0]
    options = LOADED.options.changed({"mode": "model"})
    backend.news.append(type(LOADED)("both", 100, has_mtp=True, options=options, has_draft_model=True))
    chat.pump()
    seen = {chat.tuning.options.mode}
    for _ in range(4):
        chat.tuning.cycle_mode()
        seen.add(chat.tuning.options.mode)
    assert seen == set(Mode)
    chat.tuning.cycle_mode()
    assert chat.tuning.options.mode is Mode.MODEL


def test_rounds_of_a_resumed_chat_are_counted_once_and_before_new_ones(
    chat: Chat, backend: FakeBackend
) -> None:
    replied(chat, backend)
    resumed_backend = FakeBackend()
    resumed = Chat(resumed_backend, conversation=chat.conversation)
    assert resumed.figures.chat.rounds == 0
    resumed_backend.news.append(LOADED)
    resumed.pump()
    assert resumed.figures.chat.rounds == 1
    replied(resumed, resumed_backend)
    resumed.pump()
    assert resumed.figures.chat.rounds == 2
    assert resumed.figures.chat.tokens == 6
