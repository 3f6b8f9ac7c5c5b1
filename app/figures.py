"""What was measured of the rounds seen so far: totals, a table by mode and depth, and a series over time.

Pure: no clock and no screen. Every rate is one of `Counters`, so that its definitions hold here as well. A
figure that was not measured is None; nothing is estimated. Speeds of two depths are compared between the
lanes of a measurement alone, and only over tokens that both have decoded.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from engine.decoding.counters import Counters
from engine.events import Header, Verified
from engine.options import Mode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.events import Event
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

    @property
    def ratio(self) -> float | None:
        """The lane's speed over that of depth 0; None unless both decoded the same tokens."""
        mine, other = self.lane.tokens_per_second, self.base.tokens_per_second
        if not self.is_same_text or self.lane.tokens != self.base.tokens or not mine or not other:
            return None
        return mine / other


@dataclass(slots=True)
class _Lane:
    """A reply decoded at one depth to be measured."""

    options: GenerateOptions | None = None
    rounds: list[Verified] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    total: Counters = field(default_factory=Counters)

    def add(self, event: Verified) -> None:
        self.rounds.append(event)
        self.ids += [token.id for token in event.tokens]
        self.total.observe(event)

    def up_to(self, tokens: int) -> Counters:
        """Count whole rounds, as many as fit into so many counted tokens."""
        if tokens >= self.total.tokens:
            return self.total
        counters = Counters()
        for event in self.rounds:
            if event.round and counters.tokens + len(event.tokens) > tokens:
                break
            counters.observe(event)
        return counters


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
        self._measurements: dict[Mode, dict[int, _Lane]] = {}
        """The last measurement of each mode, by depth."""
        self._under_way: dict[int, _Lane] | None = None
        """The measurement that lanes are added to; None until one begins."""

    @property
    def series(self) -> Sequence[float]:
        """Tokens per second, one smoothed value a round, the newest last."""
        return tuple(self._series)

    def observe(self, event: Verified, asked_depth: int | None) -> None:
        """Count a round of the chat.

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
        totals = self._by_setting.setdefault(Setting.of(event.mode, depth), Counters())
        for counters in (self.chat, self.reply, self.recent, totals):
            counters.observe(event)
        self._window.append(event)
        speed = _counted(self._window).tokens_per_second
        if speed is not None:
            self._series.append(speed)
        self.version += 1

    def begin_measuring(self) -> None:
        """Expect lanes that have nothing to do with earlier ones."""
        self._under_way = None

    def observe_lane(self, depth: int, event: Event) -> None:
        """Take an event of a measurement, whose lanes are told apart by their depth."""
        if isinstance(event, Header):
            if self._under_way is not None and depth in self._under_way:
                self._under_way = None  # the same depth again is another measurement
            self._lanes(event.options.mode)[depth] = _Lane(event.options)
        elif isinstance(event, Verified):
            self._lanes(event.mode).setdefault(depth, _Lane()).add(event)
        else:
            return
        self.version += 1

    def comparison(self, mode: Mode, depth: int) -> Comparison | None:
        """Return how a depth measured against depth 0, or None where either was not measured."""
        lanes = self._measurements.get(mode, {})
        base, lane = lanes.get(0), lanes.get(depth)
        if base is None or lane is None:
            return None
        mine = lane.up_to(base.total.tokens)
        other = base.up_to(mine.tokens)
        if not mine.tokens or not other.tokens:
            return None
        is_same = all(one == two for one, two in zip(base.ids, lane.ids, strict=False))
        return Comparison(depth, mine, other, is_same, lane.options)

    def ratio(self, mode: Mode, depth: int) -> float | None:
        """Return the measured ratio of a depth's speed to that of depth 0."""
        found = self.comparison(mode, depth)
        return None if found is None else found.ratio

    def rows(self, mode: Mode, depth: int) -> tuple[MeasuredRow, ...]:
        """Return the table for a mode, in which `depth` is in use; in mode auto, what it drafted last is.

        Mode auto drafts with the MTP layer, so its rows are that layer's where those were measured, and its
        own rounds of that many drafts otherwise. A row is that of the last measurement, where there is one,
        and of all rounds of the chat otherwise: a ratio and the speed beside it come from the same rounds.
        """
        current = self.auto_depth if mode is Mode.AUTO else Setting.of(mode, depth).depth
        lanes = self._measurements.get(_measured_as(mode), {})
        known = {setting.depth for setting in self._by_setting if setting.mode is mode} | set(lanes)
        deepest = max(TABLE_DEPTH, current or 0, *known)
        rows = []
        for each in range(deepest + 1):
            counters = self._row_counters(mode, each)
            speed = counters.tokens_per_second if counters.tokens else None
            ratio = self.ratio(_measured_as(mode), each)
            rows.append(MeasuredRow(mode, each, speed, ratio, counters.tokens, each == current))
        return tuple(rows)

    def _row_counters(self, mode: Mode, depth: int) -> Counters:
        if mode is Mode.ORDINARY and depth:  # nobody drafts at any depth: that is row 0
            return Counters()
        lane = self._measurements.get(_measured_as(mode), {}).get(depth)
        if lane is not None and lane.total.tokens:
            return lane.total
        return self._by_setting.get(Setting.of(mode, depth), Counters())

    def _lanes(self, mode: Mode) -> dict[int, _Lane]:
        if self._under_way is None:
            self._under_way = self._measurements[mode] = {}
        return self._under_way


def _measured_as(mode: Mode) -> Mode:
    """Whose depths are measured for a mode: auto has none of its own."""
    return Mode.MTP if mode is Mode.AUTO else mode


def _counted(rounds: Iterable[Verified]) -> Counters:
    counters = Counters()
    for event in rounds:
        counters.observe(event)
    return counters
