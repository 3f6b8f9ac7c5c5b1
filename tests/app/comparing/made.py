"""Comparisons made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.lanes_run import LanesRun
from engine.events import Finished, FinishReason, Prefilled, Prefilling
from engine.lanes import Lane, LaneEvent, LanesFinished, LanesPlanned, LanesPrepared
from engine.options import GenerateOptions, Mode
from tests.app.panel.made import verified

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.lanes import LanesNews

BASE, TWO = Lane(Mode.ORDINARY, 0), Lane(Mode.MTP, 2)
TOKENS = 7
PLANNED = LanesPlanned((BASE, TWO), 2, True, "This is why.", 0)


def run_of(lanes: Sequence[Lane] = (BASE, TWO), repeats: int = 2, **options: object) -> LanesRun:
    return LanesRun("why?", lanes, GenerateOptions(max_tokens=TOKENS).changed(options), repeats)


def slow(repeat: int, first: int = 0) -> list[LanesNews]:
    """Depth 0: seven tokens, of which six count, 10 a second."""
    events = [verified(number, [first + number], mode=Mode.ORDINARY) for number in range(TOKENS)]
    return [*(LaneEvent(0, repeat, event) for event in events), done(0, repeat)]


def fast(repeat: int, lane: int = 1, mode: Mode = Mode.MTP) -> list[LanesNews]:
    """Depth 2: the same tokens, three a round of 0.2 s: 15 a second."""
    events = [
        verified(0, [0], mode=Mode.ORDINARY),
        verified(1, [1, 2, 3], depth=2, seconds=0.2, mode=mode, read=600),
        verified(2, [4, 5, 6], depth=2, seconds=0.2, mode=mode, read=600),
    ]
    return [*(LaneEvent(lane, repeat, event) for event in events), done(lane, repeat)]


def done(lane: int, repeat: int, reason: FinishReason = FinishReason.LENGTH) -> LaneEvent:
    return LaneEvent(lane, repeat, Finished(reason, TOKENS, 1.0))


BEGIN: list[LanesNews] = [
    PLANNED,
    LaneEvent(None, 0, Prefilling(3, 61, 9, 0, 0.1)),
    LaneEvent(None, 0, Prefilled(9, 0, 0.25)),
    LanesPrepared(0.25, 0.5),
]
WHOLE: list[LanesNews] = [*BEGIN, *slow(0), *fast(0), *fast(1), *slow(1), LanesFinished(complete=True)]


def taken(run: LanesRun, news: Sequence[LanesNews]) -> LanesRun:
    for each in news:
        run.take(each)
    return run
