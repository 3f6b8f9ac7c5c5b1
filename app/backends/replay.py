"""A recording played as if it happened now: no model, no process, no thread.

Its own clock is that of the engine that was recorded: how long a prompt was read, a round drafted and
verified. Waiting between rounds (pace, pause) is in no recording, and so can be done anew: pause, step and
pace work here as they do on a live engine. Nothing else can be changed, and nothing asked.
"""

from __future__ import annotations

import math
import time
from collections import deque
from typing import TYPE_CHECKING

from app.backends.base import ComparisonNews, Loaded, News, Refused, Said
from app.backends.trace import read_trace
from engine.events import (
    Drafted,
    Finished,
    FinishReason,
    Header,
    Phase,
    Prefilled,
    Prefilling,
    Verified,
    Waiting,
)
from engine.lanes import LanesFinished
from engine.options import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from app.backends.base import ChatMessage
    from app.backends.trace import Trace, TraceItem
    from engine.lanes import Lane

READING_SECONDS = 1.0
"""Between a reply and the next prompt, so that one sees where it ended."""

_ONLY_PLAYS = "This is a recording: it plays what it holds. Start draftscope without replay to chat."


class ReplayBackend:
    """See the module. `drain` says what has come due; whoever never drains hears nothing."""

    def __init__(
        self,
        trace_file: Path,
        *,
        speed: float = 1.0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Read the file. `speed` 2 plays twice as fast, 0 all at once. Raises UsageError."""
        self._trace = read_trace(trace_file)
        self._delays = tuple(_delays(self._trace.items))
        self._speed, self._clock = speed, clock
        self._news: deque[News] = deque()
        self._next = 0
        self._started = False
        self._torn_is_said = self._trace.torn_line is None
        self._at = 0.0
        """When the last item was due."""
        self._round_at = -math.inf
        """When the last round began."""
        self._pace = 0.0
        self._paused = False
        self._steps = 0
        self._tokens, self._seconds = 0, 0.0
        """Of the reply under way."""

    @property
    def is_live(self) -> bool:
        """It only plays."""
        return False

    @property
    def trace(self) -> Trace:
        """All that is played."""
        return self._trace

    @property
    def has_ended(self) -> bool:
        """Whether all of it has been played."""
        return self._started and self._next == len(self._trace.items)

    def start(self) -> None:
        """Begin to play, with Loaded: its context is 0, which a recording does not tell."""
        if self._started:
            return
        self._started, self._at = True, self._clock()
        header = self._trace.headers[0]
        has_mtp = any(header.options.mode is Mode.MTP for header in self._trace.headers)
        self._news.append(Loaded(header.model, 0, has_mtp, header.options))

    def drain(self) -> Sequence[News]:
        """Return what has come due since the last call, in order."""
        if self._started:
            self._advance(self._clock())
        if self.has_ended and not self._torn_is_said:
            self._torn_is_said = True
            torn = (
                f"The recording breaks off here, in the middle of line {self._trace.torn_line} of its file."
            )
            self._news.append(Refused(None, torn))
        return [self._news.popleft() for _ in range(len(self._news))]

    def generate(self, messages: Sequence[ChatMessage], options: Mapping[str, object]) -> None:
        """Refuse: nobody is there to reply."""
        self._news.append(Refused("generate", _ONLY_PLAYS))

    def change(self, values: Mapping[str, object]) -> None:
        """Set `pace`; everything else is as it was recorded."""
        pace = values.get("pace")
        if isinstance(pace, (int, float)):
            self._pace = max(float(pace), 0.0)
        if set(values) - {"pace"}:
            self._news.append(Refused("set", "This is a recording: depth and options are as it was made."))

    def cancel(self) -> None:
        """End the reply under way, and go on behind it."""
        end = self._end_of_reply()
        if end is not None:
            self._next, self._at = end + 1, self._clock()
            self._news.append(Finished(FinishReason.CANCELLED, self._tokens, self._seconds))

    def pause(self, on: bool) -> None:
        """Stand still before the next round, or go on."""
        self._paused, self._steps = on, 0

    def step(self) -> None:
        """Play one round while paused."""
        if self._paused:
            self._steps += 1

    def compare(
        self,
        messages: Sequence[ChatMessage],
        lanes: Sequence[Lane],
        max_tokens: int,
        repeats: int,
        options: Mapping[str, object],
    ) -> None:
        """Refuse: there is nothing to compare."""
        self._news.append(ComparisonNews(LanesFinished(complete=False, message=_ONLY_PLAYS)))

    def wiring(self) -> None:
        """Do nothing: a recording has no layer to run."""

    def experts(self) -> None:
        """Do nothing: a recording has no experts in memory."""

    def keep_cache(self, path: Path) -> None:
        """Do nothing: a recording has no cache."""

    def recall_cache(self, path: Path) -> None:
        """Do nothing: a recording has no cache."""

    def restart(self) -> None:
        """Do nothing: a recording is never lost."""

    def close(self) -> None:
        """Stop playing."""
        self._next = len(self._trace.items)

    def _advance(self, now: float) -> None:
        while self._next < len(self._trace.items):
            item = self._trace.items[self._next]
            begins_round = self._begins_round(item)
            if begins_round and self._paused and not self._steps:
                self._at = now  # what follows is not late when it goes on
                return
            due = self._at + self._delays[self._next] / self._speed if self._speed else self._at
            if begins_round and self._pace:
                due = max(due, self._round_at + 1 / self._pace)
            if now < due:
                return
            if begins_round:
                self._round_at = due
                self._steps -= 1 if self._paused else 0
            self._at = due
            self._next += 1
            self._count(item)
            self._news.append(item)

    def _begins_round(self, item: TraceItem) -> bool:
        """Whether an engine would look at pause and pace before this; round 0 belongs to the prompt."""
        if not isinstance(item, (Drafted, Waiting, Verified)) or item.round == 0:
            return False
        before = self._trace.items[self._next - 1]
        return not (isinstance(before, (Drafted, Waiting)) and before.round == item.round)

    def _end_of_reply(self) -> int | None:
        """Where the reply under way ends; None between replies."""
        if self._next == 0 or isinstance(self._trace.items[self._next - 1], (Finished, Said)):
            return None
        items = self._trace.items
        return next(
            (index for index in range(self._next, len(items)) if isinstance(items[index], Finished)), None
        )

    def _count(self, item: TraceItem) -> None:
        if isinstance(item, Header):
            self._tokens, self._seconds = 0, 0.0
        elif isinstance(item, Prefilled):
            self._seconds = item.seconds
        elif isinstance(item, Verified):
            self._tokens += len(item.tokens)
            self._seconds += item.draft_seconds + item.verify_seconds


def _delays(items: Sequence[TraceItem]) -> list[float]:
    """For each item, the seconds since the one before it."""
    delays = [0.0] * len(items)
    prefilled_for = 0.0
    for index, item in enumerate(items):
        match item:
            case Said() if index:
                delays[index] = READING_SECONDS
            case Header():
                prefilled_for = 0.0
            case Prefilling() | Prefilled():
                delays[index] = max(item.seconds - prefilled_for, 0.0)
                prefilled_for = max(prefilled_for, item.seconds)
            case Verified():
                _spread(items, index, item, delays)
    return delays


def _spread(items: Sequence[TraceItem], index: int, verified: Verified, delays: list[float]) -> None:
    """Place a round's drafts after its drafting, and its waits within what it was doing."""
    first = index
    while (
        first
        and isinstance(before := items[first - 1], (Drafted, Waiting))
        and before.round == verified.round
    ):
        first -= 1
    left = max(verified.draft_seconds + verified.catchup_seconds, 0.0)  # of drafting, then of verifying
    verifying = max(verified.verify_seconds, 0.0)
    for place in range(first, index):
        item = items[place]
        if isinstance(item, Waiting):
            if item.phase is Phase.VERIFYING:
                left, verifying = left + verifying, 0.0
            delays[place] = min(1.0, max(item.seconds, 0.0), left)
            left -= delays[place]
        else:
            delays[place], left = left, 0.0
    delays[index] = left + verifying
