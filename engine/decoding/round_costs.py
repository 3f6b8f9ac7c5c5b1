"""What a round of each depth costs: decayed means of what rounds have cost, which follow a machine's changes.

Seconds are noisy to one side: now and then they are many, for reasons of the machine's, and never too few. So
a single high value is believed in part only. A width that was not measured lately is taken to have become
slower or faster along with those that were, and no less than narrower passes have taken since; one that was
never measured is judged by its neighbours, a little too well, so that one that may pay gets measured.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.options import MAX_DEPTH

HALF_LIFE = 24.0
"""Rounds after which a measured cost counts half."""
STALE_ROUNDS = 16
"""What was measured later than this is new."""

_OPTIMISM = 0.5
"""The share of the last known slope with which an unknown, wider pass is expected to cost more."""
_HICCUP = 2.0
"""A cost is not taken to have become more than so many times what it was..."""
_HICCUPS = 2
"""...unless that happens more often than so in a row."""
_FEW = 2.0
"""Of so few observations a cost is the least, not the mean."""
_LEAST_SECONDS = 1e-9


@dataclass(slots=True)
class DecayedMean:
    """A mean in which what lies long ago counts little, and never so little that one more value decides."""

    value: float
    half_life: float
    least: float
    """What all of the past together weighs at least, in observations."""
    weight: float = 0.0
    at: int = 0
    known: bool = False

    def weight_at(self, now: int) -> float:
        """What all of it weighs after so many rounds."""
        kept: float = 2.0 ** (-(now - self.at) / self.half_life)
        return self.weight * kept

    def add(self, value: float, now: int) -> None:
        """Take a value that was observed in this round."""
        self.weight = max(self.weight_at(now), self.least) + 1
        self.value += (value - self.value) / self.weight
        self.at, self.known = now, True


@dataclass(slots=True)
class Cost(DecayedMean):
    """A mean of seconds, which now and then are many for reasons of the machine's, and never too few."""

    value: float = 0.0
    half_life: float = HALF_LIFE
    least: float = 0.5
    pace: float = 1.0
    """How slow the machine was when this was measured last."""
    hiccups: int = 0
    """In a row."""

    def add(self, value: float, now: int) -> None:
        """Take so many seconds, or what can be believed of them."""
        most = _HICCUP * self.value
        if not self.known or (value < self.value and self.weight_at(now) < _FEW):
            self.value = value
        elif value > most and self.hiccups < _HICCUPS:
            self.hiccups += 1
            value = most
        else:
            self.hiccups = 0
        DecayedMean.add(self, value, now)


@dataclass(slots=True)
class RoundCosts:
    """T(w), the seconds of a pass of width w, and d, those of a draft."""

    rounds: int = 0
    _passes: list[Cost] = field(default_factory=lambda: [Cost() for _ in range(MAX_DEPTH + 1)])
    """By drafts: the width is one more."""
    _step: Cost = field(default_factory=Cost)
    _pace: float = 1.0
    """How slow the machine is: what all widths have in common, changed by those that are measured."""

    def is_known(self, drafts: int) -> bool:
        """Whether a pass over so many drafts was ever measured."""
        return self._passes[drafts].known

    def age(self, drafts: int) -> int:
        """Rounds since it was measured, or since the first one."""
        return self.rounds - self._passes[drafts].at

    def observe(self, drafts: int, draft_seconds: float | None, verify_seconds: float) -> None:
        """Learn from a round; `draft_seconds` is None where the drafts came from elsewhere."""
        self.rounds += 1
        cost = self._passes[drafts]
        weights = sum(each.weight_at(self.rounds) for each in self._passes)
        share = cost.weight_at(self.rounds) / weights if weights else 0.0
        before = cost.value = self._now(cost)
        cost.add(max(verify_seconds, _LEAST_SECONDS), self.rounds)
        if before > 0:  # as far as passes like this are what is run, the machine has become so much slower
            self._pace *= (cost.value / before) ** share
        cost.pace = self._pace
        if drafts and draft_seconds is not None:
            self._step.value = self._now(self._step)
            self._step.add(draft_seconds / drafts, self.rounds)
            self._step.pace = self._pace

    def by_depth(self) -> tuple[float, ...]:
        """C(0), C(1), ..., the seconds of a round with so many drafts."""
        step = self._now(self._step)
        return tuple(self._pass_seconds(drafts) + drafts * step for drafts in range(MAX_DEPTH + 1))

    def _now(self, cost: Cost) -> float:
        """What was measured, had the machine been as slow as it is now."""
        return cost.value * self._pace / cost.pace

    def _pass_seconds(self, drafts: int) -> float:
        """T(drafts + 1), measured or judged by its neighbours."""
        passes = self._passes
        if passes[drafts].known:
            return self._bounded(drafts)
        below = next((each for each in range(drafts - 1, -1, -1) if passes[each].known), None)
        above = next((each for each in range(drafts + 1, len(passes)) if passes[each].known), None)
        if below is None:
            return _LEAST_SECONDS if above is None else self._now(passes[above])
        here = self._now(passes[below])
        if above is not None:
            share = (drafts - below) / (above - below)
            return here + share * (self._now(passes[above]) - here)
        before = next((each for each in range(below - 1, -1, -1) if passes[each].known), None)
        slope = 0.0 if before is None else (here - self._now(passes[before])) / (below - before)
        return here + _OPTIMISM * max(slope, 0.0) * (drafts - below)

    def _bounded(self, drafts: int) -> float:
        """What was measured for a width, within what other widths have shown since.

        A wider pass takes no less, and no more than several narrow ones in its place.
        """
        own = self._passes[drafts]
        seconds = self._now(own)
        for other, cost in enumerate(self._passes):
            if cost.at <= own.at:
                continue
            if other > drafts:
                seconds = min(seconds, self._now(cost))
            elif cost.at > own.at + STALE_ROUNDS:
                seconds = min(seconds, self._now(cost) * -(-(drafts + 1) // (other + 1)))
        narrower = [self._now(each) for each in self._passes[:drafts] if each.at > own.at]
        return max(seconds, *narrower) if narrower else seconds
