"""A comparison as it stands: which lanes, how they are measured, how far each has come, and what it says.

Pure: no clock and no screen. Every figure is the report's; what is here beside it is what a reader follows
while it grows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.events import Finished, FinishReason, Prefilled, Prefilling, Verified, Waiting
from engine.lanes import LaneEvent, LanesFinished, LanesPlanned, LanesPrepared
from engine.lanes_report import LanesReport
from engine.options import Mode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.figures import Figures
    from engine.events import Token
    from engine.lanes import Lane, LanesNews
    from engine.options import GenerateOptions

_WHOLE = (FinishReason.STOP, FinishReason.LENGTH, FinishReason.CONTEXT)
"""Why a lane ends that has come to its end."""


class LanesRun:
    """See the module. It is changed by `take` and `end` alone."""

    def __init__(self, prompt: str, lanes: Sequence[Lane], options: GenerateOptions, repeats: int) -> None:
        """`prompt` is what the user has typed; mode and depth of the options give way to each lane's."""
        self.prompt = prompt
        self.lanes = tuple(lanes)
        self.options = options
        self.repeats = repeats
        self.report = LanesReport(lanes)
        self.planned: LanesPlanned | None = None
        self.prefilling: Prefilling | None = None
        """While the prompt is being read."""
        self.waiting: Waiting | None = None
        """While the drafters that lanes share stand still for the disk."""
        self.prepared: LanesPrepared | None = None
        self.finished: LanesFinished | None = None
        self.repeat = 0
        """The last that anything was heard of."""
        self.version = 0
        """Goes up with every change, for whoever shows this."""
        self._shares: list[list[float]] = [[0.0] * repeats for _ in self.lanes]
        """Of each lane and repeat, how much is done."""
        self._texts: list[tuple[int, list[Token]]] = [(0, []) for _ in self.lanes]
        """Of each lane, the last repeat it began and what that says so far."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.finished is not None

    @property
    def share_done(self) -> float:
        """How much of it all is done, by tokens."""
        return sum(map(self.share, range(len(self.lanes)))) / len(self.lanes)

    def share(self, lane: int) -> float:
        """Return how much of a lane is done, over all repeats."""
        return sum(self._shares[lane]) / self.repeats

    def text(self, lane: int) -> Sequence[Token]:
        """Return what a lane says, in the last repeat that it began."""
        return self._texts[lane][1]

    def tokens_decoded(self, lane: int) -> int:
        """Return how many tokens were decoded, the first ones of every repeat among them."""
        return sum(
            len(event.tokens)
            for repeat in range(self.repeats)
            for event in self.report.events(lane, 0, repeat)
        )

    @property
    def is_comparable(self) -> bool:
        """Whether two lanes at least have said anything, so that their texts can be compared."""
        return sum(self.tokens_decoded(lane) > 0 for lane in range(len(self.lanes))) > 1

    def take(self, news: LanesNews) -> None:
        """Apply what has happened; nothing counts after the end."""
        if self.is_over:
            return
        self.version += 1
        match news:
            case LanesPlanned():
                self.planned = news
            case LanesPrepared():
                self.prepared, self.prefilling, self.waiting = news, None, None
            case LanesFinished():
                self.finished, self.prefilling, self.waiting = news, None, None
            case LaneEvent(lane=None):
                self._read_prompt(news)
            case LaneEvent(lane=int() as lane):
                self._take_event(lane, news)

    def end(self, message: str | None = None) -> None:
        """The engine is gone: what was measured stays."""
        self.take(LanesFinished(complete=False, message=message))

    def tell(self, figures: Figures) -> None:
        """Let the chat's own table have what is measured, where depth 0 is measured as well."""
        if self.report.baseline is None or not self.is_comparable:
            return
        for mode in {lane.mode for lane in self.lanes} - {Mode.ORDINARY, Mode.AUTO}:
            figures.measured(mode, self.report, self.options)  # depth 0 is everybody's, auto has no depths

    def _read_prompt(self, news: LaneEvent) -> None:
        if isinstance(news.event, Prefilling):
            self.prefilling = news.event
        elif isinstance(news.event, Prefilled):
            self.prefilling = None
        elif isinstance(news.event, Waiting):
            self.waiting = news.event

    def _take_event(self, lane: int, news: LaneEvent) -> None:
        event, repeat = news.event, news.repeat
        if not (lane < len(self.lanes) and repeat < self.repeats):
            return
        self.report.observe(0, news)
        self.repeat = repeat
        if self._texts[lane][0] != repeat:
            self._texts[lane] = repeat, []
        if isinstance(event, Verified):
            self._texts[lane][1].extend(event.tokens)
            share = len(self._texts[lane][1]) / self.options.max_tokens
            self._shares[lane][repeat] = min(share, 1.0)
        elif isinstance(event, Finished) and event.reason in _WHOLE:
            self._shares[lane][repeat] = 1.0
