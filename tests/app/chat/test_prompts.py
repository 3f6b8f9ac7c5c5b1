"""What the user says when it cannot be asked at once: nothing that was written is lost, nothing cut early."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.backends.base import ComparisonNews, Loading, Lost
from app.chat import Chat, Status
from app.sessions import Sessions
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
from tests.app.chat.test_chat import Lines, backend, chat, replied
from tests.app.comparing.made import BEGIN, fast, slow

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["backend", "chat"]  # fixtures


def asked(backend: FakeBackend) -> list[str]:
    """The last words of every prompt that was asked for."""
    return [messages[-1].content for messages, _ in backend.given("generate")]  # type: ignore[misc]


def replying(chat: Chat, backend: FakeBackend) -> None:
    """Be in mid-reply."""
    chat.say("one")
    backend.news += [header(), prefilled(), verified(0, (), "A")]
    chat.pump()


def test_in_mid_reply_a_prompt_is_refused_and_after_esc_it_waits(chat: Chat, backend: FakeBackend) -> None:
    replying(chat, backend)
    assert not chat.say("two")
    assert "esc" in chat.pump().notices[0]
    assert chat.stop()
    assert chat.is_stopping
    assert chat.say("two")
    assert chat.waiting_prompt == "two"
    assert asked(backend) == ["one"]
    backend.news.append(finished(1, FinishReason.CANCELLED))
    chat.pump()
    assert asked(backend) == ["one", "two"]
    assert not chat.is_stopping
    assert chat.waiting_prompt is None
    assert len(backend.given("cancel")) == 1


def test_a_prompt_in_a_new_chat_waits_for_the_end_of_the_reply_that_was_left(
    chat: Chat, backend: FakeBackend
) -> None:
    replying(chat, backend)
    chat.clear(Lines())
    assert chat.say("two")
    backend.news += [verified(1, (), "B"), finished(2, FinishReason.CANCELLED)]
    chat.pump()
    assert asked(backend) == ["one", "two"]
    assert [exchange.user for exchange in chat.conversation.exchanges] == ["two"]


def test_one_prompt_waits_and_a_second_is_refused() -> None:
    backend = FakeBackend()
    chat = Chat(backend)
    chat.start()
    backend.news.append(Loading("model.safetensors", 1, 10))
    chat.pump()
    assert chat.say("first")
    assert not chat.say("second")
    assert "waiting" in chat.pump().notices[0]
    backend.news.append(LOADED)
    chat.pump()
    assert asked(backend) == ["first"]


def test_a_prompt_that_waits_is_given_back_by_esc_by_a_new_chat_and_by_the_end_of_the_engine(
    chat: Chat, backend: FakeBackend
) -> None:
    replied(chat, backend)
    for end in (chat.stop, lambda: chat.clear(Lines()), lambda: backend.news.append(Lost("It is gone."))):
        replied(chat, backend)
        chat.measure()
        assert chat.say("the prompt that waits")
        chat.pump()
        end()
        assert chat.pump().given_back == "the prompt that waits"
        assert chat.pump().given_back is None
        backend.news.append(ComparisonNews(LanesFinished(complete=False)))
        chat.pump()
        assert "the prompt that waits" not in asked(backend)
    assert chat.status is Status.LOST


def test_editing_cuts_nothing_before_the_edited_prompt_is_sent(chat: Chat, backend: FakeBackend) -> None:
    replied(chat, backend, "one")
    replied(chat, backend, "two")
    assert isinstance(chat.record, Lines)
    kept = len(chat.record.lines)
    assert chat.edit() == "two"
    assert chat.is_editing
    assert chat.stop_editing()
    assert not chat.stop_editing()
    assert len(chat.conversation.exchanges) == 2
    assert len(chat.record.lines) == kept
    chat.edit()
    chat.say("three")
    assert [exchange.user for exchange in chat.conversation.exchanges] == ["one", "three"]
    assert chat.record.lines[kept:] == [("cut", 1), ("user", "three")]
    assert not chat.is_editing


def test_editing_ends_with_the_chat(chat: Chat, backend: FakeBackend) -> None:
    replied(chat, backend, "one")
    chat.edit()
    chat.clear(Lines())
    chat.say("two")
    assert [exchange.user for exchange in chat.conversation.exchanges] == ["two"]


def test_a_new_chat_keeps_the_system_prompt_on_disk_as_well(tmp_path: Path) -> None:
    sessions, backend = Sessions(tmp_path), FakeBackend()
    first = sessions.new("m", print)
    chat = Chat(backend, first)
    chat.start()
    backend.news.append(LOADED)
    chat.pump()
    chat.set_system("Be brief.")
    replied(chat, backend)
    first.close()
    second = sessions.new("m", print)
    chat.clear(second)
    replied(chat, backend, "again")
    second.close()
    _, conversation = sessions.resume(second.session_id, print)
    assert conversation.system == chat.conversation.system == "Be brief."


@pytest.mark.parametrize("what", ["max_tokens", "system", "nothing", "depth"])
def test_a_reply_is_written_anew_where_it_need_not_be_the_same(
    what: str, chat: Chat, backend: FakeBackend
) -> None:
    chat.say("hi")
    backend.news += [header(), prefilled(), verified(0, (), "A"), finished(1, FinishReason.LENGTH)]
    chat.pump()
    if what == "system":
        chat.set_system("Answer in French.")
    elif what != "nothing":
        chat.tuning.change({what: 7})
    chat.regenerate()
    notices = chat.pump().notices
    assert len(backend.given("generate")) == (2 if what in ("max_tokens", "system") else 1)
    assert any("one answer" in notice for notice in notices) == (what in ("nothing", "depth"))


def test_why_nothing_can_be_measured_is_said(chat: Chat, backend: FakeBackend) -> None:
    replied(chat, backend)
    chat.measure()
    chat.measure()
    assert "A measurement is under way" in chat.pump().notices[0]
    assert not chat.find_wiring()
    assert "esc stops it" in chat.pump().notices[0]
    backend.news.append(Lost("It is gone."))
    chat.pump()
    chat.measure()
    assert "/restart" in chat.pump().notices[0]
    assert not chat.find_wiring()
    assert "/restart" in chat.pump().notices[0]


def test_without_an_engine_nothing_is_written_anew_or_edited(chat: Chat, backend: FakeBackend) -> None:
    replied(chat, backend)
    backend.news.append(Lost("It is gone."))
    chat.pump()
    chat.regenerate()
    assert "/restart" in chat.pump().notices[0]
    assert chat.edit() is None
    assert "/restart" in chat.pump().notices[0]
    assert len(chat.conversation.exchanges) == 1


def test_what_was_asked_in_a_chat_that_was_left_is_not_kept_in_the_next(
    chat: Chat, backend: FakeBackend
) -> None:
    chat.say("one")
    backend.news += [header(), prefilled(), verified(0, (), "A"), drafted(1, " b")]
    chat.pump()
    chat.tuning.set_depth(5)
    chat.clear(fresh := Lines())
    chat.tuning.set_depth(1)
    backend.news += [verified(1, (" b",), " c"), finished(3, FinishReason.CANCELLED)]
    chat.pump()
    chat.say("two")
    backend.news += [header(depth=1), prefilled(), verified(0, (), "A"), verified(1, (" b",), " c")]
    chat.pump()
    assert "ask" not in fresh.names()


def test_lanes_of_a_chat_that_was_left_are_not_figures_of_the_next(chat: Chat, backend: FakeBackend) -> None:
    replied(chat, backend)
    chat.measure()
    backend.news += map(ComparisonNews, [*BEGIN, *slow(0)])
    chat.pump()
    chat.clear(Lines())
    backend.news += map(ComparisonNews, [*fast(0), LanesFinished(complete=False)])
    chat.pump()
    assert not any(row.tokens for row in chat.figures.rows(Mode.MTP, 1))
    assert chat.status is Status.READY
    replied(chat, backend)
    chat.measure()
    backend.news += map(ComparisonNews, [*BEGIN, *slow(0), *fast(0)])
    chat.pump()
    assert chat.figures.rows(Mode.MTP, 1)[0].tokens == 6


def test_rounds_that_were_done_before_a_change_are_not_counted_under_it(
    chat: Chat, backend: FakeBackend
) -> None:
    chat.say("hi")
    backend.news += [header(depth=1), prefilled(), verified(0, (), "A")]
    chat.pump()
    chat.tuning.set_depth(1)
    backend.news += [each for n in range(1, 4) for each in (drafted(n, " b"), verified(n, (" b",), " c"))]
    chat.tuning.set_depth(4)
    chat.pump()
    tokens = {row.depth: row.tokens for row in chat.figures.rows(Mode.MTP, 4)}
    assert (tokens[1], tokens[4]) == (6, 0)
    assert [change.token_index for change in chat.conversation.exchanges[0].reply.changes][-1] == 7


def test_a_pause_while_loading_holds_from_the_first_round() -> None:
    backend = FakeBackend()
    chat = Chat(backend)
    chat.start()
    chat.tuning.pause(on=True)
    chat.tuning.step()
    assert backend.given("pause") == backend.given("step") == []
    backend.news.append(LOADED)
    chat.pump()
    assert backend.given("pause") == [True]
    backend.news.append(Lost("It is gone."))
    chat.pump()
    assert not chat.tuning.paused


@pytest.mark.parametrize("pace", [float("nan"), -3.0, float("inf")])
def test_a_pace_that_is_none_is_refused(pace: float, chat: Chat, backend: FakeBackend) -> None:
    assert not chat.tuning.set_pace(pace)
    assert chat.tuning.pace == 0
    assert "pace" in chat.pump().notices[0]
    assert {"pace": pace} not in backend.given("change")


class Recording(FakeBackend):
    """What plays, and cannot answer."""

    is_live = False


def test_a_recording_is_left_as_it_is() -> None:
    backend = Recording()
    chat = Chat(backend)
    chat.start()
    backend.news += [LOADED, header(), prefilled(), verified(0, (), "A"), finished(1, FinishReason.CANCELLED)]
    chat.pump()
    assert not chat.say("hello")
    chat.regenerate()
    chat.set_system("Be brief.")
    assert chat.edit() is None
    assert not chat.tuning.set_depth(4)
    assert all("recording" in notice for notice in chat.pump().notices)
    assert len(chat.conversation.exchanges) == 1
    assert chat.status is Status.READY
    assert backend.given("generate") == []
    chat.clear(lines := Lines())
    backend.news += [header(), verified(0, (), "A"), finished(1)]
    chat.pump()
    assert lines.lines == []
