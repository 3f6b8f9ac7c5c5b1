"""Comparing in a chat, over a backend whose news are written by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.backends.base import ChatMessage, ComparisonNews, Lost
from app.chat import Chat, Status
from engine.lanes import Lane, LanesFinished
from engine.options import Mode
from tests.app.chat.fake_backend import LOADED, FakeBackend, finished, header, prefilled, verified
from tests.app.comparing.made import BASE, BEGIN, TWO, WHOLE, fast, slow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.lanes import LanesNews


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def chat(backend: FakeBackend) -> Chat:
    chat = Chat(backend, options={"temperature": 0.5})
    backend.news.append(LOADED)
    chat.pump()
    return chat


def replied(chat: Chat, backend: FakeBackend, text: str = "why?") -> None:
    chat.say(text)
    backend.news += [header(), prefilled(), verified(0, (), "A"), finished(1)]
    chat.pump()


def told(chat: Chat, backend: FakeBackend, news: Sequence[LanesNews]) -> None:
    backend.news += map(ComparisonNews, news)
    chat.pump()


def test_the_chat_s_last_prompt_comes_with_what_was_said_before_it(chat: Chat, backend: FakeBackend) -> None:
    chat.set_system("Be brief.")
    replied(chat, backend, "first")
    replied(chat, backend, "and\nsecond")
    assert chat.last_prompt == "and second"
    assert chat.compare(" and second ", (BASE, TWO))
    [(messages, lanes, max_tokens, repeats, options)] = backend.given("compare")  # type: ignore[misc]
    assert [each.role for each in messages] == ["system", "user", "assistant", "user"]
    assert messages[-1].content == "and\nsecond"
    assert (lanes, max_tokens, repeats) == ((BASE, TWO), 64, 2)
    assert options["temperature"] == 0.5
    assert chat.status is Status.COMPARING
    assert chat.busy


def test_another_prompt_stands_alone(chat: Chat, backend: FakeBackend) -> None:
    chat.set_system("Be brief.")
    replied(chat, backend)
    chat.compare("something else", (BASE,))
    [(messages, *_)] = backend.given("compare")  # type: ignore[misc]
    assert messages == (ChatMessage("user", "something else"),)


def test_what_comes_of_it_is_the_comparison_s_and_not_the_chat_s(chat: Chat, backend: FakeBackend) -> None:
    replied(chat, backend)
    chat.compare("why?", (BASE, TWO))
    told(chat, backend, WHOLE[:-1])
    assert chat.status is Status.COMPARING
    told(chat, backend, WHOLE[-1:])
    assert chat.status is Status.READY
    assert chat.comparison is not None
    assert chat.comparison.report.ratio(1) == pytest.approx(1.5)
    assert chat.figures.ratio(Mode.MTP, 2) == pytest.approx(1.5)
    assert len(chat.conversation.exchanges) == 1
    assert len(chat.conversation.exchanges[0].reply.tokens) == 1
    assert chat.figures.chat.tokens == 0


def test_stopping_it_keeps_what_there_is(chat: Chat, backend: FakeBackend) -> None:
    chat.compare("why?", (BASE, TWO))
    told(chat, backend, [*BEGIN, *slow(0), *fast(0)[:2]])
    assert chat.stop()
    assert backend.given("cancel") == [None]
    told(chat, backend, [LanesFinished(complete=False)])
    assert chat.status is Status.READY
    assert chat.comparison is not None
    assert chat.comparison.tokens_decoded(1) == 4
    assert not chat.stop()


def test_a_prompt_ends_it_and_is_sent_afterwards(chat: Chat, backend: FakeBackend) -> None:
    chat.compare("why?", (BASE, TWO))
    told(chat, backend, BEGIN)
    chat.say("never mind")
    assert backend.given("cancel") == [None]
    assert not backend.given("generate")
    told(chat, backend, [LanesFinished(complete=False)])
    assert len(backend.given("generate")) == 1
    assert chat.status is Status.REPLYING
    assert chat.comparison is None  # the chat goes on


def test_a_lost_engine_ends_it_and_a_waiting_prompt_is_given_back(chat: Chat, backend: FakeBackend) -> None:
    chat.compare("why?", (BASE, TWO))
    told(chat, backend, [*BEGIN, *slow(0)])
    chat.say("and then?")
    backend.news += [Lost("It is gone."), ComparisonNews(LanesFinished(False, "The engine was killed."))]
    changed = chat.pump()
    assert "It is gone." in changed.notices
    assert changed.given_back == "and then?"
    assert chat.status is Status.LOST
    assert chat.comparison is not None
    assert chat.comparison.finished == LanesFinished(False, "It is gone.")
    assert not backend.given("generate")
    assert not chat.compare("why?", (BASE,))
    assert "/restart" in chat.pump().notices[0]
    chat.restart()
    backend.news.append(LOADED)
    chat.pump()
    assert not backend.given("generate")


def test_a_refused_one_says_why(chat: Chat, backend: FakeBackend) -> None:
    chat.compare("why?", (BASE, TWO))
    told(chat, backend, [LanesFinished(False, "No room.")])
    assert chat.status is Status.READY
    assert chat.comparison is not None
    assert chat.comparison.finished == LanesFinished(False, "No room.")


@pytest.mark.parametrize(
    ("lanes", "sentence"),
    [((Lane(Mode.MODEL, 1),), "--draft-model"), ((BASE, Lane(Mode.AUTO, 0)), "no MTP layer")],
)
def test_lanes_that_cannot_be_are_refused(lanes: tuple[Lane, ...], sentence: str) -> None:
    backend = FakeBackend()
    chat = Chat(backend)
    backend.news.append(type(LOADED)("moonlight", 100, has_mtp=False, options=LOADED.options))
    chat.pump()
    assert not chat.compare("why?", lanes)
    assert sentence in chat.pump().notices[0]
    assert not backend.given("compare")


def test_it_has_its_time_and_needs_a_prompt(chat: Chat, backend: FakeBackend) -> None:
    assert not chat.compare("  ", (BASE,))
    assert "type a prompt" in chat.pump().notices[0]
    chat.say("hi")
    assert not chat.compare("why?", (BASE,))
    assert "in the chat" in chat.pump().notices[0]
    backend.news += [header(), verified(0, (), "A"), finished(1)]
    chat.pump()
    assert chat.compare("why?", (BASE,))
    assert not chat.compare("why?", (BASE,))
    assert "esc stops it" in chat.pump().notices[0]
    assert not Chat(FakeBackend()).compare("why?", (BASE,))  # which still loads
    backend.is_live = False
    assert not chat.compare("why?", (BASE,))
    assert "recording" in chat.pump().notices[0]


def test_it_goes_with_the_prompt_that_is_taken_back(chat: Chat, backend: FakeBackend) -> None:
    replied(chat, backend)
    chat.compare("why?", (BASE, TWO))
    told(chat, backend, WHOLE)
    assert chat.comparison is not None
    chat.edit()
    assert chat.comparison is not None
    chat.say("how?")
    assert chat.comparison is None


def test_news_of_a_chat_that_was_left_say_nothing_in_the_next(chat: Chat, backend: FakeBackend) -> None:
    chat.compare("why?", (BASE, TWO))
    told(chat, backend, BEGIN)
    chat.clear(None)
    assert chat.comparison is None
    told(chat, backend, [*slow(0), *fast(0), LanesFinished(complete=False)])
    assert chat.comparison is None
    assert chat.status is Status.READY
    assert chat.figures.ratio(Mode.MTP, 2) is None


def test_a_depth_alone_is_of_who_drafts(chat: Chat, backend: FakeBackend) -> None:
    assert chat.drafter is Mode.MTP
    chat.tuning.change({"mode": "ngram"})
    assert chat.drafter is Mode.NGRAM
    chat.tuning.change({"mode": "auto"})
    assert chat.drafter is Mode.MTP
    backend.news.append(type(LOADED)("moonlight", 100, has_mtp=False, options=LOADED.options))
    chat.tuning.change({"mode": "ordinary"})
    chat.pump()
    assert chat.drafter is Mode.NGRAM


def test_another_prompt_leaves_no_cache_of_the_chat_to_keep(
    chat: Chat, backend: FakeBackend, tmp_path: Path
) -> None:
    chat.cache.belongs_to(tmp_path / "chat.cache")
    replied(chat, backend)
    chat.compare("why?", (BASE,))
    told(chat, backend, [LanesFinished(complete=True)])
    chat.compare("something else", (BASE,))
    told(chat, backend, [LanesFinished(complete=True)])
    assert not chat.keep_cache()
    replied(chat, backend)
    assert chat.keep_cache()


def test_a_measurement_is_in_the_table_as_it_grows_and_is_no_comparison(
    chat: Chat, backend: FakeBackend
) -> None:
    replied(chat, backend)
    chat.measure()
    [(_, lanes, max_tokens, repeats, options)] = backend.given("compare")  # type: ignore[misc]
    assert lanes == (BASE, *(Lane(Mode.MTP, depth) for depth in (1, 2, 3, 4)))
    assert (max_tokens, repeats, options) == (1, 2, {"temperature": 0.5})
    told(chat, backend, [*BEGIN, *slow(0), *fast(0, lane=2)[:2]])
    assert chat.comparison is None
    assert chat.measurement is not None
    rows = chat.figures.rows(Mode.MTP, 2)
    assert [row.tokens for row in rows] == [6, 0, 3, 0, 0]
    assert (rows[2].ratio, rows[2].spread) == (pytest.approx(1.5), None)
    told(chat, backend, [*fast(0, lane=2)[2:], *slow(1), *fast(1, lane=2), LanesFinished(True)])
    assert chat.measurement is None
    assert chat.status is Status.READY
    assert chat.figures.rows(Mode.MTP, 2)[2].spread == pytest.approx(0)


def test_a_measurement_that_cannot_be_made_says_so(chat: Chat, backend: FakeBackend) -> None:
    replied(chat, backend)
    chat.measure()
    backend.news.append(ComparisonNews(LanesFinished(False, "It has no tokenizer.")))
    assert "It has no tokenizer." in chat.pump().notices
    assert chat.status is Status.READY
