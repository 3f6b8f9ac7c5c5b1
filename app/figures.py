"""What was measured of the rounds seen so far: totals, a table by mode and depth, and a series over time.

Pure: no clock and no screen. Every rate is one of `Counters`, so that its definitions hold here as well. A
figure that was not measured is None; nothing is estimated. Speeds of two depths are compared between the
lanes of a measurement alone, and only over tokens that both have decoded. Rounds at a pace, and those of a
chat that was resumed, are in no row of the table: an engine that sleeps between rounds wakes up slower, and
what was decoded another day says nothing about this one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from engine.decoding.counters import Counters
from engine.lanes import Lane
from engine.options import Mode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.events import Verified
    from engine.lanes_report import LanesReport
    from engine.options import GenerateOptions

SERIES_LENGTH = 60
"""Rounds that the series of speeds goes back."""

SMOOTHED_OVER = 8
"""Rounds whose common speed is one value of the series."""

TABLE_DEPTH = 4
"""The table always has rows down to this depth, so that it does not grow while one looks."""


class Setting(NamedTuple):
    """Who drafts, and how many tokens a round."""

    mode: Mode
    depth: int

    @classmethod
    def auto(cls) -> Setting:
        """Return the setting of all rounds of mode auto, whatever depths it chose."""
        return cls(Mode.AUTO, 0)

    @classmethod
    def of(cls, mode: Mode, depth: int) -> Setting:
        """Return what mode and depth come to: depth 0 is ordinary decoding in every mode."""
        is_ordinary = mode is Mode.ORDINARY or depth == 0
        return cls(Mode.ORDINARY, 0) if is_ordinary else cls(mode, depth)


@dataclass(frozen=True, slots=True)
class MeasuredRow:
    """A line of the measured table."""

    mode: Mode
    depth: int
    tokens_per_second: float | None
    ratio: float | None
    """Of this speed to that of depth 0, over the same tokens."""
    spread: float | None
    """By how much that scattered from repeat to repeat; None where there was one."""
    tokens: int
    """How many were counted; 0 where nothing was measured."""
    current: bool
    """Whether it is the setting in use."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two lanes of one measurement, over the tokens that both have decoded."""

    depth: int
    lane: Counters
    base: Counters
    """Of depth 0, over the same tokens."""
    is_same_text: bool
    options: GenerateOptions | None
    """What the lane was decoded with, where that is known."""
    spread: float | None = None
    """By how much the ratio scattered from repeat to repeat; None where there was one."""

    @property
    def ratio(self) -> float | None:
        """The lane's speed over that of depth 0; None unless both decoded the same tokens."""
        mine, other = self.lane.tokens_per_second, self.base.tokens_per_second
        if not self.is_same_text or self.lane.tokens != self.base.tokens or not mine or not other:
            return None
        return mine / other

    @property
    def is_within_spread(self) -> bool:
        """Whether the two are as fast as one another, as far as the repeats can tell."""
        return self.ratio is not None and self.spread is not None and abs(self.ratio - 1) <= self.spread


@dataclass(frozen=True, slots=True)
class _Measurement:
    """Lanes that were decoded one beside the other, or are being decoded now."""

    report: LanesReport
    options: GenerateOptions
    """What they were decoded with, mode and depth apart."""

    def lane(self, mode: Mode, depth: int) -> int | None:
        """Return the lane of a setting, if it was among them."""
        wanted = Lane(mode, depth)
        return next((number for number, lane in enumerate(self.report.lanes) if lane == wanted), None)


class Figures:
    """All that the panel says. It takes events in their order."""

    def __init__(self) -> None:
        self.chat = Counters()
        """Everything decoded in this chat; measurements are not in it."""
        self.reply = Counters()
        """The last reply of which a round was counted."""
        self.recent = Counters()
        """Of that reply, the rounds since depth or mode last changed."""
        self.recent_setting: Setting | None = None
        """What `recent` was decoded with."""
        self.auto_depth: int | None = None
        """What mode auto drafted in its last round; None before there was one."""
        self.auto_choice = ""
        """Why, in the engine's sentence."""
        self.version = 0
        """Goes up with every change, for whoever shows these figures."""
        self._by_setting: dict[Setting, Counters] = {}
        self._series: deque[float] = deque(maxlen=SERIES_LENGTH)
        self._window: deque[Verified] = deque(maxlen=SMOOTHED_OVER)
        self._is_new_reply = True
        self._measurements: dict[Mode, _Measurement] = {}
        """The last of each mode."""

    @property
    def series(self) -> Sequence[float]:
        """Tokens per second, one smoothed value a round, the newest last."""
        return tuple(self._series)

    def observe(self, event: Verified, asked_depth: int | None, *, at_full_speed: bool = True) -> None:
        """Count a round of the chat; in the table, only where it was decoded now and `at_full_speed`.

        `asked_depth` is what had been asked for: a round that drafted less for want of drafts counts there.
        One that drafted more was begun before the depth was lowered, and counts where it was begun. Nobody
        asks mode auto for a depth: its rounds count where they drafted, and all of them are `recent`.
        """
        if event.round == 0:
            self._is_new_reply = True
            return
        is_auto = event.mode is Mode.AUTO
        depth = event.depth if asked_depth is None or is_auto else max(event.depth, asked_depth)
        setting = Setting.auto() if is_auto else Setting.of(event.mode, depth)
        if is_auto:
            self.auto_depth, self.auto_choice = event.depth, event.choice or ""
        if self._is_new_reply:
            self._is_new_reply = False
            self.reply, self.recent_setting = Counters(), None
        if setting != self.recent_setting:
            self.recent, self.recent_setting = Counters(), setting
        for counters in (self.chat, self.reply, self.recent):
            counters.observe(event)
        if at_full_speed:
            self._by_setting.setdefault(Setting.of(event.mode, depth), Counters()).observe(event)
        self._window.append(event)
        speed = _counted(self._window).tokens_per_second
        if speed is not None:
            self._series.append(speed)
        self.version += 1

    def measured(self, mode: Mode, report: LanesReport, options: GenerateOptions) -> None:
        """Let a mode's rows be these lanes', which may still grow: say it again when they have."""
        self._measurements[mode] = _Measurement(report, options)
        self.version += 1

    def comparison(self, mode: Mode, depth: int) -> Comparison | None:
        """Return how a depth measured against depth 0, or None where either was not measured."""
        found = self._measurements.get(mode)
        lane = None if found is None else found.lane(mode, depth)
        if found is None or lane is None:
            return None
        report = found.report
        mine, base = report.against_baseline(lane)
        differs = report.differs(lane)
        if not mine.tokens and not differs:
            return None
        options = report.lanes[lane].options(found.options)
        return Comparison(depth, mine, base, not differs, options, report.ratio_spread(lane))

    def ratio(self, mode: Mode, depth: int) -> float | None:
        """Return the measured ratio of a depth's speed to that of depth 0."""
        return self._ratio(mode, depth)[0]

    def rows(self, mode: Mode, depth: int) -> tuple[MeasuredRow, ...]:
        """Return the table for a mode, in which `depth` is in use; in mode auto, what it drafted last is.

        Mode auto drafts with the MTP layer, so its rows are that layer's where those were measured, and its
        own rounds of that many drafts otherwise. A row is that of the last measurement, where there is one,
        and of the chat's rounds at full speed otherwise: a ratio and the speed beside it come from the same
        rounds.
        """
        current = self.auto_depth if mode is Mode.AUTO else Setting.of(mode, depth).depth
        found = self._measurements.get(_measured_as(mode))
        lanes = () if found is None else found.report.lanes
        known = {setting.depth for setting in self._by_setting if setting.mode is mode}
        known |= {lane.depth for lane in lanes if lane.mode is _measured_as(mode)}
        deepest = max(TABLE_DEPTH, current or 0, *known)
        rows = []
        for each in range(deepest + 1):
            counters = self._row_counters(mode, each)
            speed = counters.tokens_per_second if counters.tokens else None
            ratio, spread = self._ratio(_measured_as(mode), each)
            rows.append(MeasuredRow(mode, each, speed, ratio, spread, counters.tokens, each == current))
        return tuple(rows)

    def _row_counters(self, mode: Mode, depth: int) -> Counters:
        if mode is Mode.ORDINARY and depth:  # nobody drafts at any depth: that is row 0
            return Counters()
        found = self._measurements.get(_measured_as(mode))
        lane = None if found is None else found.lane(_measured_as(mode), depth)
        if found is not None and lane is not None:
            counters = found.report.counters(lane)
            if counters.tokens:
                return counters
        return self._by_setting.get(Setting.of(mode, depth), Counters())

    def _ratio(self, mode: Mode, depth: int) -> tuple[float | None, float | None]:
        """A setting's ratio, and by how much it scatters."""
        found = self._measurements.get(mode)
        lane = None if found is None else found.lane(mode, depth)
        if found is None or lane is None:
            return None, None
        return found.report.ratio(lane), found.report.ratio_spread(lane)


def _measured_as(mode: Mode) -> Mode:
    """Whose depths are measured for a mode: auto has none of its own."""
    return Mode.MTP if mode is Mode.AUTO else mode


def _counted(rounds: Iterable[Verified]) -> Counters:
    counters = Counters()
    for event in rounds:
        counters.observe(event)
    return counters
