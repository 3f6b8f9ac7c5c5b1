"""The scripted engine: well-formed, deterministic, and as obedient as a real one."""

from __future__ import annotations

from itertools import pairwise, product
from typing import TYPE_CHECKING

import pytest

from app.backends.base import (
    Backend,
    ChatMessage,
    ComparisonNews,
    Loaded,
    Loading,
    Lost,
    Refused,
    Trimmed,
)
from app.backends.scripted import ScriptedBackend
from app.backends.scripted_text import script
from engine.decoding.counters import Counters
from engine.event_json import from_json, to_json
from engine.events import Drafted, Finished, FinishReason, Header, Origin, Verified
from engine.lanes import Lane, LaneEvent, LanesFinished, LanesPlanned, LanesPrepared
from engine.lanes_report import LanesReport
from engine.options import MAX_DEPTH, Mode
from tests.app.backends.waiting import only

if TYPE_CHECKING:
    from app.backends.base import News

HELLO = (ChatMessage("user", "hello"),)


def loaded(**scripted: object) -> ScriptedBackend:
    backend = ScriptedBackend(**scripted)  # type: ignore[arg-type]
    backend.start()
    assert only(list(backend.drain()), Loading)
    assert only(list(backend.drain()), Loaded)
    return backend


def drains(backend: Backend, most: int = 10_000) -> list[list[News]]:
    """Drain until nothing more happens."""
    heard: list[list[News]] = []
    for _ in range(most):
        news = list(backend.drain())
        if not news:
            return heard
        heard.append(news)
    raise AssertionError("it never ends")


def reply(
    backend: ScriptedBackend, *, messages: tuple[ChatMessage, ...] = HELLO, **options: object
) -> list[News]:
    backend.generate(messages, options)
    return [news for heard in drains(backend) for news in heard]


def text(news: list[News]) -> str:
    return "".join(token.text for each in only(news, Verified) for token in each.tokens)


def test_it_says_what_it_is() -> None:
    backend: Backend = ScriptedBackend()
    backend.start()
    backend.drain()
    (ready,) = only(list(backend.drain()), Loaded)
    assert ready.model == "scripted"
    backend.generate(HELLO, {})
    assert only(list(backend.drain()), Header)[0].model == "scripted"


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("depth", [0, 1, 3, 8])
def test_every_round_is_well_formed(mode: Mode, depth: int) -> None:
    news = reply(loaded(reply_tokens=200), mode=mode, depth=depth, detail=True)
    ghosts: Drafted | None = None
    for number, event in enumerate(only(news, Verified)):
        assert event.round == number
    for event in news:
        if isinstance(event, (Header, Drafted, Verified, Finished)):
            assert from_json(to_json(event)) == event
        if isinstance(event, Drafted):
            assert ghosts is None
            ghosts = event
        elif isinstance(event, Verified):
            drafts = () if ghosts is None else ghosts.tokens
            ghosts = None
            kept = event.tokens[: event.accepted]
            assert [each.id for each in drafts] == [each.id for each in (*kept, *event.rejected)]
            most = {Mode.ORDINARY: 0, Mode.AUTO: MAX_DEPTH}.get(mode, depth)  # auto asks nobody
            assert event.depth == len(drafts) <= most
            assert (event.choice is not None) == (mode is Mode.AUTO and event.round > 0)
            assert [each.origin for each in kept] == [Origin.ACCEPTED] * len(kept)
            assert [each.position for each in kept] == list(range(1, len(kept) + 1))
            for own in event.tokens[event.accepted :]:
                origins = (
                    (Origin.CORRECTED if event.rejected else Origin.BONUS) if drafts else Origin.ORDINARY
                )
                assert own.origin is origins
            assert event.expert_uses == event.expert_hits + event.expert_loads
            assert event.detail is not None
            assert len(event.detail.tokens) == len(event.tokens)
    assert only(news, Finished)[0].reason is FinishReason.STOP
    assert only(news, Finished)[0].tokens == 200


def test_drafts_are_news_before_their_verification() -> None:
    backend = loaded()
    backend.generate(HELLO, {"depth": 2})
    for heard in drains(backend):
        for drafted in only(heard, Drafted):
            verified = only(heard, Verified)
            assert all(each.round < drafted.round for each in verified)
    assert not backend.drain()


def test_the_text_is_the_same_at_every_depth_and_another_with_another_seed() -> None:
    texts = {text(reply(loaded(), depth=depth)) for depth in range(9)}
    assert len(texts) == 1
    assert text(reply(loaded(seed=1))) not in texts
    assert text(reply(loaded(), temperature=0.8, seed=3)) != text(reply(loaded(), temperature=0.8, seed=4))
    assert reply(loaded(), depth=3) == reply(loaded(), depth=3)


def test_the_text_holds_what_is_awkward_on_a_terminal() -> None:
    spoken = [token.text for token in script("x", 200)]
    joined = "".join(spoken)
    for awkward in ("\t", "\n", "\r", "\x1b", "東京", "\u0301", "🌊", "\u202e"):
        assert awkward in joined
    assert all(after for before, after in pairwise(spoken[:-1]) if not before)
    for count in range(1, 120):  # cut anywhere, it never ends with half a character
        tokens = script("x", count)
        assert len(tokens) == count
        assert count < 2 or tokens[-2].text


def test_drafts_are_right_as_often_as_asked() -> None:
    counters = Counters()
    for event in only(reply(loaded(reply_tokens=6000, context=10_000), depth=4, max_tokens=6000), Verified):
        counters.observe(event)
    for measured, asked in zip(counters.acceptance_by_position, (0.8, 0.55, 0.35, 0.25), strict=True):
        assert measured == pytest.approx(asked, abs=0.06)


def test_a_drain_does_as_many_rounds_as_asked() -> None:
    backend = loaded(rounds_per_drain=5)
    backend.generate(HELLO, {})
    backend.drain()
    backend.drain()
    assert len(only(list(backend.drain()), Verified)) == 5


def test_depth_and_mode_hold_from_the_next_round() -> None:
    backend = loaded()
    backend.generate(HELLO, {"depth": 1})
    for _ in range(3):
        backend.drain()
    backend.change({"depth": 3, "mode": "ngram"})
    (under_way,) = only(list(backend.drain()), Verified)
    (after,) = only(list(backend.drain()), Verified)
    assert (under_way.depth, under_way.mode) == (1, Mode.MTP)
    assert (after.depth, after.mode) == (3, Mode.NGRAM)


def test_pause_stands_still_and_step_does_one_round() -> None:
    backend = loaded()
    backend.pause(on=True)
    backend.generate(HELLO, {"depth": 2})
    backend.drain()
    assert only(list(backend.drain()), Verified)[0].round == 0
    assert not backend.drain()
    backend.step()
    assert [type(each) for each in backend.drain()] == [Drafted]
    assert [type(each) for each in backend.drain()] == [Verified]
    assert not backend.drain()
    backend.pause(on=False)
    assert backend.drain()


def test_the_clock_and_the_pace_decide_where_they_are_given() -> None:
    now = 0.0
    backend = loaded(rounds_per_second=10, clock=lambda: now)
    backend.generate(HELLO, {})
    backend.drain()
    backend.drain()
    assert not backend.drain()
    now = 0.35
    assert len(only(list(backend.drain()), Verified)) == 3
    backend.change({"pace": 2})
    now = 0.8
    assert not backend.drain()
    now = 0.9
    assert len(only(list(backend.drain()), Verified)) == 1


@pytest.mark.parametrize(
    ("scripted", "options", "reason", "tokens"),
    [
        ({}, {"max_tokens": 7}, FinishReason.LENGTH, 7),
        ({"context": 20}, {}, FinishReason.CONTEXT, 15),
        ({"reply_tokens": 1}, {}, FinishReason.STOP, 1),
    ],
)
def test_a_reply_ends_where_it_must(
    scripted: dict[str, object], options: dict[str, object], reason: FinishReason, tokens: int
) -> None:
    news = reply(loaded(**scripted), depth=4, **options)
    (finished,) = only(news, Finished)
    assert (finished.reason, finished.tokens) == (reason, tokens)
    assert sum(len(each.tokens) for each in only(news, Verified)) == tokens


def test_cancel_ends_all_that_was_asked_for() -> None:
    backend = loaded()
    backend.generate(HELLO, {})
    for _ in range(4):
        backend.drain()
    backend.generate(HELLO, {})
    backend.compare(HELLO, LANES, 8, 1, {})
    backend.cancel()
    news = list(backend.drain())
    assert [each.reason for each in only(news, Finished)] == [FinishReason.CANCELLED] * 2
    assert only(news, Finished)[0].tokens > 1
    assert [each.news for each in only(news, ComparisonNews)] == [LanesFinished(complete=False)]
    assert not backend.drain()


LANES = (Lane(Mode.ORDINARY, 0), Lane(Mode.MTP, 2), Lane(Mode.AUTO, 0))


def compared(backend: ScriptedBackend) -> tuple[LanesReport, list[object]]:
    """What a comparison measured, and all that it said."""
    news = [each.news for heard in drains(backend) for each in only(heard, ComparisonNews)]
    report = LanesReport(LANES)
    for each in news:
        if isinstance(each, LaneEvent):
            report.observe(0, each)
    return report, list(news)


def test_comparing_decodes_the_chat_s_own_text_in_every_lane() -> None:
    backend = loaded()
    said = text(reply(backend))
    backend.change({"depth": 7, "pace": 0.001})
    backend.compare(HELLO, LANES, 32, 2, {})
    report, news = compared(backend)
    assert isinstance(news[0], LanesPlanned)
    assert (news[0].lanes, news[0].repeats) == (LANES, 2)
    assert sum(isinstance(each, LanesPrepared) for each in news) == 1
    assert news[-1] == LanesFinished(complete=True)
    for lane, repeat in product(range(3), range(2)):
        events = report.events(lane, 0, repeat)
        assert sum(len(each.tokens) for each in events) == 32
        assert said.startswith("".join(token.text for each in events for token in each.tokens))
    assert report.identical_text
    assert {each.depth for each in report.events(1, 0, 0)[1:-1]} == {2}
    assert report.ratio(1) == report.ratio(2)  # it always chooses 2
    assert 1 < (report.ratio(1) or 0) < 3


def test_a_comparison_is_the_same_when_it_is_made_again() -> None:
    def made(seed: int) -> list[object]:
        backend = loaded(seed=seed)
        backend.compare(HELLO, LANES, 16, 1, {})
        return compared(backend)[1]

    assert made(3) == made(3)
    assert made(3) != made(4)


def test_a_comparison_that_is_cancelled_refused_or_lost_ends_once() -> None:
    backend = loaded(lose_after_rounds=5)
    backend.compare(HELLO, LANES, 32, 1, {})
    backend.drain()
    backend.cancel()
    assert compared(backend)[1] == [LanesFinished(complete=False)]
    backend.compare((ChatMessage("user", "word " * 5000),), LANES, 32, 1, {})
    assert "context" in str(compared(backend)[1][-1])
    backend.compare(HELLO, LANES, 32, 1, {})
    news = [each for heard in drains(backend) for each in heard]
    assert isinstance(news[-2], Lost)
    assert isinstance(news[-1], ComparisonNews)
    assert not news[-1].news.complete  # type: ignore[union-attr]
    backend.compare(HELLO, LANES, 32, 1, {})
    assert "restart it" in str(compared(backend)[1])


def test_bad_settings_are_refused() -> None:
    backend = loaded(has_mtp=False)
    backend.change({"depth": 99})
    backend.change({"pace": -1.0})
    backend.change({"mode": "mtp"})
    assert [each.command for each in only(list(backend.drain()), Refused)] == ["set"] * 3
    assert only(reply(backend, depth=99), Finished)[0].reason is FinishReason.ERROR
    assert only(reply(backend), Header)[0].options.mode is Mode.NGRAM


def test_a_full_context_drops_the_oldest_turns() -> None:
    long = " ".join(["word"] * 20)
    chat = (ChatMessage("user", long), ChatMessage("assistant", long), ChatMessage("user", "and now?"))
    news = reply(loaded(context=60), messages=chat)
    assert news[0] == Trimmed(1)
    assert "context holds 20" in str(
        only(reply(loaded(context=20), messages=(ChatMessage("user", long),)), Finished)[0].message
    )


def test_a_scripted_failure_ends_one_reply() -> None:
    backend = loaded(fail_after_rounds=3)
    news = reply(backend, depth=0)
    assert only(news, Finished)[0].reason is FinishReason.ERROR
    assert only(news, Finished)[0].tokens == 4
    assert only(reply(backend, depth=0), Finished)[0].reason is FinishReason.STOP


def test_a_scripted_loss_ends_the_reply_and_restart_brings_it_back() -> None:
    backend = loaded(lose_after_rounds=3)
    news = reply(backend, depth=0)
    assert [type(each) for each in news[-2:]] == [Finished, Lost]
    backend.generate(HELLO, {})
    assert only(list(backend.drain()), Finished)[0].reason is FinishReason.ERROR
    backend.restart()
    assert only([each for heard in drains(backend) for each in heard], Loaded)
    assert only(reply(backend), Finished)[0].reason is FinishReason.STOP
