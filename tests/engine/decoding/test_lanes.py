"""Lanes: each writes what it writes alone, in RAM and with the least budget, and the engine goes on after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine import Lane, LaneEvent, LanesFinished, LanesPlanned, LanesPrepared, load
from engine.errors import CheckpointError, UsageError
from engine.events import Finished, FinishReason, Prefilled, Verified
from engine.options import Mode
from tests.engine.decoding.conftest import CONTEXT, MODELS
from tests.engine.decoding.replies import BASE, SAMPLED, Outcome, options, plain, repetitive, reply
from tests.engine.tiny import SPECS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine import Engine
    from engine.lanes import LanesNews
    from tests.engine.tiny import TinySpec

LANES = (
    Lane(Mode.ORDINARY, 0),
    Lane(Mode.MTP, 1),
    Lane(Mode.MTP, 4),
    Lane(Mode.NGRAM, 3),
    Lane(Mode.AUTO, 0),
)


@pytest.fixture(autouse=True)
def _cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hot sets go nowhere near the user's own."""
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_: str(tmp_path / "cache"))


@pytest.fixture
def streaming(tiny: Callable[[TinySpec], Path]) -> Iterator[Callable[[str, float], Engine]]:
    """Opens a model with a share of the way from the least budget to the one that holds everything."""
    engines: list[Engine] = []

    def opened(model: str, share: float) -> Engine:
        folder = tiny(MODELS[model])
        with load(folder, context=CONTEXT, threads=1) as whole:
            least, most = whole.home.plan.least_bytes, whole.home.plan.planned_bytes
        engines.append(load(folder, ram=round(least + share * (most - least)), context=CONTEXT, threads=1))
        return engines[-1]

    yield opened
    for engine in engines:
        engine.close()


def outcomes(news: list[LanesNews]) -> dict[tuple[int, int], Outcome]:
    """Every lane's events, by lane and repeat."""
    found: dict[tuple[int, int], list[object]] = {}
    for each in news:
        if isinstance(each, LaneEvent) and each.lane is not None:
            found.setdefault((each.lane, each.repeat), []).append(each.event)
    return {place: Outcome(tuple(events)) for place, events in found.items()}  # type: ignore[arg-type]


def drafted(outcome: Outcome) -> list[tuple[int, int, list[int]]]:
    """What each round drafted, accepted and said."""
    return [(event.depth, event.accepted, [token.id for token in event.tokens]) for event in outcome.verified]


@pytest.mark.parametrize("sampling", [{}, SAMPLED["top_p"]])
def test_lanes_write_what_they_write_alone(sampling: dict[str, float], engine: Engine) -> None:
    prompt = repetitive(engine)
    news = list(engine.compare(prompt, LANES, options(**sampling), repeats=2))
    planned = news[0]
    assert isinstance(planned, LanesPlanned)
    assert planned.interleaved
    assert planned.fork_bytes > 0
    assert news[-1] == LanesFinished(complete=True)
    found = outcomes(news)
    assert sorted(found) == [(lane, repeat) for lane in range(len(LANES)) for repeat in range(2)]
    text = plain(engine, prompt, **sampling)
    for (number, _), outcome in found.items():
        lane = LANES[number]
        assert outcome.ids == text, lane
        assert outcome.finished.reason is FinishReason.LENGTH
        if lane.mode is not Mode.AUTO:
            alone = reply(engine, prompt, mode=lane.mode, depth=lane.depth, **sampling)
            assert drafted(outcome) == drafted(alone)


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_lanes_write_the_same_where_weights_move(
    share: float, model: str, engine: Engine, streaming: Callable[[str, float], Engine]
) -> None:
    prompt = repetitive(engine)
    some = streaming(model, share)
    news = list(some.compare(prompt, LANES, options(), repeats=2))
    planned = news[0]
    assert isinstance(planned, LanesPlanned)
    assert not planned.interleaved
    assert planned.fork_bytes == 0
    assert news[-1] == LanesFinished(complete=True)
    for outcome in outcomes(news).values():
        assert outcome.ids == plain(engine, prompt)


def test_alone_lanes_run_there_and_back(model: str, streaming: Callable[[str, float], Engine]) -> None:
    news = streaming(model, 0.3).compare(BASE, LANES[:3], options(max_tokens=4), repeats=2)
    finished = [
        (each.repeat, each.lane)
        for each in news
        if isinstance(each, LaneEvent) and isinstance(each.event, Finished)
    ]
    assert finished == [(0, 0), (0, 1), (0, 2), (1, 2), (1, 1), (1, 0)]


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_alone_every_lane_begins_with_the_same_in_memory(
    share: float, model: str, streaming: Callable[[str, float], Engine]
) -> None:
    engine = streaming(model, share)
    moved: dict[int | None, list[list[tuple[int, int, int]]]] = {}
    for each in engine.compare(BASE, LANES[:4], options(max_tokens=12), repeats=3):
        if isinstance(each, LaneEvent) and isinstance(each.event, Verified):
            runs = moved.setdefault(each.lane, [])
            if each.event.round == 0:
                runs.append([])
            else:
                runs[-1].append((each.event.round, each.event.expert_uses, each.event.depth))
            if each.event.round == 0:
                first = engine.home.recorded()
                assert first.store is None or len(first.store.keys) <= engine.home.plan.slots
    for runs in moved.values():
        assert runs[1:] == runs[:-1]


def test_what_was_recorded_is_in_memory_again(model: str, streaming: Callable[[str, float], Engine]) -> None:
    engine = streaming(model, 0.5)
    home = engine.home
    assert home.weights.store is not None
    reply(engine, BASE, depth=2, max_tokens=8)
    list(home.settle())
    record = home.recorded()
    assert record.store is not None
    findings = home.weights.store.findings()
    text = reply(engine, [*BASE[::-1], 33, 34], depth=4).ids
    list(home.settle())
    assert set(home.resident_experts()) != record.store.keys, "or there is nothing to restore"
    list(home.restore(record))
    again = home.recorded()
    assert again.store is not None
    assert (again.store.keys, again.streams) == (record.store.keys, record.streams)
    assert set(home.resident_experts()) == record.store.keys
    assert home.weights.store.findings() == findings
    assert reply(engine, [*BASE[::-1], 33, 34], depth=4).ids == text


def test_lanes_take_turns_round_by_round(engine: Engine) -> None:
    rounds: dict[int, int] = {}
    finished: set[int] = set()
    for each in engine.compare(BASE, LANES[:4], options()):
        if isinstance(each, LaneEvent) and each.lane is not None:
            if isinstance(each.event, Verified):
                rounds[each.lane] = each.event.round
                going = [number for lane, number in rounds.items() if lane not in finished]
                assert max(going) - min(going) <= 1
            elif isinstance(each.event, Finished):
                finished.add(each.lane)


def test_the_prompt_is_read_once(model: str, fresh: Callable[..., Engine]) -> None:
    with fresh(model) as engine:
        news = list(engine.compare(BASE, LANES[:3], options(max_tokens=6)))
    shared = [each.event for each in news if isinstance(each, LaneEvent) and each.lane is None]
    (prefilled,) = [event for event in shared if isinstance(event, Prefilled)]
    assert (prefilled.prompt_tokens, prefilled.reused_tokens) == (len(BASE), 0)
    assert not any(isinstance(event, Verified) for event in shared)
    (prepared,) = [each for each in news if isinstance(each, LanesPrepared)]
    assert prepared.prefill_seconds == prefilled.seconds
    assert prepared.catchup_seconds > 0
    for outcome in outcomes(news).values():
        assert outcome.prefilled.reused_tokens == len(BASE) - 1
        assert all(event.catchup_seconds == 0 for event in outcome.verified)


def test_every_round_says_which_experts_it_used(engine: Engine) -> None:
    news = list(engine.compare(BASE, LANES[:2], options(max_tokens=6)))
    for outcome in outcomes(news).values():
        for event in outcome.verified[1:]:
            assert event.detail is not None
            assert all(event.detail.experts)


def test_a_cancel_keeps_what_was_measured(engine: Engine) -> None:
    news: list[LanesNews] = []
    for each in engine.compare(BASE, LANES[:3], options(), repeats=3):
        news.append(each)
        if isinstance(each, LaneEvent) and isinstance(each.event, Verified) and each.event.round == 3:
            engine.controls.cancel()
    assert news[-1] == LanesFinished(complete=False)
    found = outcomes(news)
    assert sorted(found) == [(0, 0), (1, 0), (2, 0)], "no further repeat begins"
    text = plain(engine, BASE)
    for outcome in found.values():
        assert outcome.finished.reason is FinishReason.CANCELLED
        assert outcome.ids == text[: len(outcome.ids)]
    assert reply(engine, BASE).ids == text


def test_alone_a_cancel_ends_it_too(
    model: str, engine: Engine, streaming: Callable[[str, float], Engine]
) -> None:
    some = streaming(model, 0.2)
    news: list[LanesNews] = []
    for each in some.compare(BASE, LANES[:3], options(), repeats=3):
        news.append(each)
        if isinstance(each, LaneEvent) and each.lane == 1:
            some.controls.cancel()
    assert news[-1] == LanesFinished(complete=False)
    assert sorted(outcomes(news)) == [(0, 0), (1, 0)]
    assert reply(some, BASE, max_tokens=8).ids == plain(engine, BASE)[:8]


def test_the_engine_goes_on_after_it(engine: Engine) -> None:
    engine.controls.mode, engine.controls.depth = Mode.NGRAM, 5
    list(engine.compare(BASE, LANES, options(max_tokens=5)))
    assert (engine.controls.mode, engine.controls.depth) == (Mode.NGRAM, 5)
    for values in ({"depth": 0}, {"depth": 3}, {"mode": "auto"}):
        assert reply(engine, BASE, **values).ids == plain(engine, BASE)


def test_a_comparison_that_is_abandoned_leaves_the_engine_whole(engine: Engine) -> None:
    news = engine.compare(BASE, LANES, options())
    for _ in range(40):
        next(news)
    news.close()  # type: ignore[attr-defined]
    assert reply(engine, BASE, depth=4).ids == plain(engine, BASE)


def test_without_room_for_forks_lanes_run_alone(
    model: str, tiny: Callable[[TinySpec], Path], engine: Engine
) -> None:
    plan = engine.home.plan
    with load(tiny(MODELS[model]), ram=plan.planned_bytes, context=CONTEXT, threads=1) as exact:
        assert exact.home.plan.holds_everything
        news = list(exact.compare(BASE, LANES, options()))
        planned = news[0]
        assert isinstance(planned, LanesPlanned)
        assert not planned.interleaved
        assert "no room" in planned.why
        assert all(outcome.ids == plain(engine, BASE) for outcome in outcomes(news).values())


def test_a_lane_without_drafts_is_one_lane() -> None:
    assert Lane(Mode.MTP, 0) == Lane(Mode.NGRAM, 0) == Lane(Mode.ORDINARY, 5) == Lane(Mode.ORDINARY, 0)
    assert Lane(Mode.AUTO, 4) == Lane(Mode.AUTO, 0)
    assert [lane.label for lane in LANES] == ["depth 0", "mtp 1", "mtp 4", "ngram 3", "auto"]


def test_mistakes_are_refused_at_once(engine: Engine, tiny: Callable[[TinySpec], Path]) -> None:
    with pytest.raises(UsageError, match="depth must be from 0 to 8, not 9"):
        Lane(Mode.MTP, 9)
    with pytest.raises(UsageError, match="only once"):
        engine.compare(BASE, [LANES[0], Lane(Mode.MTP, 0)], options())
    with pytest.raises(UsageError, match="lanes"):
        engine.compare(BASE, [], options())
    with pytest.raises(UsageError, match="repeats"):
        engine.compare(BASE, LANES, options(), repeats=0)
    with pytest.raises(UsageError, match="empty"):
        engine.compare([], LANES, options())
    with load(tiny(SPECS["NO_MTP"]), context=96, threads=1) as without:
        for lane in (LANES[1], LANES[4]):
            with pytest.raises(CheckpointError, match="no MTP layer"):
                without.compare(BASE, [LANES[0], lane], options())
        assert list(without.compare(BASE, [LANES[0], LANES[3]], options()))[-1] == LanesFinished(True)


@pytest.mark.parametrize("sampling", [{}, *SAMPLED.values()])
def test_auto_leaves_the_text_alone_and_says_why(sampling: dict[str, float], engine: Engine) -> None:
    prompt = repetitive(engine)
    depths = set()
    for _ in range(3):
        outcome = reply(engine, prompt, mode="auto", **sampling)
        assert outcome.ids == plain(engine, prompt, **sampling)
        for event in outcome.verified[1:]:
            assert event.mode is Mode.AUTO
            assert event.choice
            depths.add(event.depth)
    assert max(depths) <= 8
    assert all(event.choice is None for event in reply(engine, prompt, depth=2).verified)


def test_auto_needs_an_mtp_layer(tiny: Callable[[TinySpec], Path]) -> None:
    with (
        load(tiny(SPECS["NO_MTP"]), context=96, threads=1) as engine,
        pytest.raises(CheckpointError, match="no MTP layer"),
    ):
        reply(engine, BASE, mode="auto")
