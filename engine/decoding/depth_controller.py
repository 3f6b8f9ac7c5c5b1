"""Which depth is fastest now: what mode auto asks before a round, and after every draft of it.

A round of depth k is expected to yield E(k) = 1 + a_1 + a_1 a_2 + ... tokens, a_i being how often the i-th
draft is accepted once those before it were, and to take C(k) = T(k + 1) + k d seconds, T(w) for a pass of
width w and d for a draft. All of them are decayed means of what was measured; a width without a measurement
is judged by its neighbours, a little too well, so that one that may pay gets measured. The rate to beat is
R = max E(k) / C(k). While a round is drafted another draft pays if the tokens that it and its successors are
expected to add outweigh R times the seconds that they take, given how sure the drafter was so far (Dinkelbach:
this earns at least R). That looks at drafts already made only, and so changes the law of no text.

What is not visited is forgotten, so other depths are tried now and then. What trying may lose is bounded by a
share of the time. Pure: no clock is read here, seconds come in with every round.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.options import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Sequence

COST_HALF_LIFE = 24.0
"""Rounds after which a measured cost counts half."""
ACCEPTANCE_HALF_LIFE = 96.0
"""Rounds after which an accepted or rejected draft counts half."""
TRYING_SHARE = 0.02
"""Of the time, what trying other depths may lose."""
STALE_ROUNDS = 16
"""A depth that was measured later than this need not be tried."""

_FIRST_ACCEPTANCE = 0.7
"""Of the first draft, until anything is known."""
_OPTIMISM = 0.5
"""The share of the last known slope with which an unknown, wider pass is expected to cost more."""
_FORGOTTEN_ROUNDS = 256
"""After so many rounds even a depth is tried that could not have paid with every draft accepted."""
_HICCUP = 4.0
"""So many times what was expected is no measurement, unless it happens twice in a row."""
_SURE = (0.3, 0.5, 0.7, 0.85, 0.95)
"""Where the classes of the drafter's own probability part."""


@dataclass(slots=True)
class _Mean:
    """A mean in which what lies long ago counts little, and never so little that one more value decides."""

    value: float
    half_life: float
    least: float
    """What all of the past together weighs at least, in observations."""
    weight: float = 0.0
    at: int = 0
    known: bool = False
    pace: float = 1.0
    """How slow the machine was when a cost was measured last."""

    def weight_at(self, now: int) -> float:
        return self.weight * 2.0 ** (-(now - self.at) / self.half_life)

    def add(self, value: float, now: int) -> None:
        self.weight = max(self.weight_at(now), self.least) + 1
        self.value += (value - self.value) / self.weight
        self.at, self.known = now, True


@dataclass(frozen=True, slots=True)
class Choice:
    """What a round is to draft."""

    depth: int
    """Drafts to make: exactly so many if `is_trial`, otherwise what is expected to be best so far."""
    most: int
    """The most that may be drafted."""
    is_trial: bool
    """Whether this is to learn something: then nothing ends the drafting early."""
    reason: str
    """One sentence with the numbers."""


@dataclass(slots=True)
class DepthController:
    """See the module. One for an engine: it goes on learning from reply to reply, in every mode."""

    _rounds: int = 0
    _passes: list[_Mean] = field(
        default_factory=lambda: [_Mean(0.0, COST_HALF_LIFE, 0.5) for _ in range(MAX_DEPTH + 1)]
    )
    """Seconds of a pass by its drafts: width is one more."""
    _hiccups: list[bool] = field(default_factory=lambda: [False] * (MAX_DEPTH + 1))
    _step: _Mean = field(default_factory=lambda: _Mean(0.0, COST_HALF_LIFE, 0.5))
    """Seconds of a draft."""
    _accepted: list[_Mean] = field(
        default_factory=lambda: [_Mean(_FIRST_ACCEPTANCE, ACCEPTANCE_HALF_LIFE, 3.0) for _ in range(MAX_DEPTH)]
    )
    """Of a draft at this position, given that those before it were."""
    _sureness: list[_Mean] = field(
        default_factory=lambda: [
            _Mean(min(middle / 0.75, 1.25), ACCEPTANCE_HALF_LIFE * 4, 2.0)
            for middle in (0.15, 0.4, 0.6, 0.78, 0.9, 0.98)
        ]
    )
    """For drafts of like probability, how much more often than others at their position they are accepted."""
    _credit: float = 0.0
    """Seconds that may still be lost by trying."""
    _pace: float = 1.0
    """How slow the machine is: what all widths' costs have in common, changed by those that are measured."""
    _trial: Choice | None = None

    def choose(self, most: int = MAX_DEPTH) -> Choice:
        """Say what the next round is to draft, of at most `most` tokens."""
        self._trial = None
        most = min(most, MAX_DEPTH)
        if not self._passes[1].known and most:
            return self._try(1, most, "Nothing is measured yet: one draft to begin with.")
        if not self._passes[0].known:
            return self._try(0, most, "What a pass costs without drafts is not measured yet.")
        planned = max(range(most + 1), key=lambda depth: (self.rate(depth), -depth))
        tried = self._worth_trying(planned, most)
        if tried is not None:
            age = self._rounds - self._passes[tried].at
            since = f"for {age} rounds" if self._passes[tried].known else "at all"
            return self._try(tried, most, f"Depth {tried} on trial: it was not measured {since}.")
        return Choice(planned, most, is_trial=False, reason=self._reason(planned))

    def pays(self, probabilities: Sequence[float], most: int = MAX_DEPTH) -> bool:
        """Whether another draft pays after those made, whose probabilities under the drafter these are."""
        made = len(probabilities)
        if made >= most:
            return False
        path = 1.0
        for position, probability in enumerate(probabilities):
            likely = self._accepted[position].value * self._sureness[_class_of(probability)].value
            path *= min(likely, 1.0)
        best = self.best_rate()
        gain = 0.0
        for position in range(made, most):
            path *= self.acceptance(position)
            gain += path
            if gain > best * (self.seconds(position + 1) - self.seconds(made)):
                return True
        return False

    def observe(
        self,
        drafted: int,
        accepted: int,
        draft_seconds: float,
        verify_seconds: float,
        probabilities: Sequence[float] | None = None,
        *,
        by_mtp: bool = True,
    ) -> None:
        """Learn from a round. Of one that the MTP layer did not draft, only what its pass cost."""
        self._rounds += 1
        now = self._rounds
        self._credit += TRYING_SHARE * (draft_seconds + verify_seconds)
        if self._trial is not None and self._trial.depth == drafted:
            lost = draft_seconds + verify_seconds - self.expected_tokens(drafted) / (self.best_rate() or 1.0)
            self._credit -= max(lost, 0.0)
        self._trial = None
        self._observe_pass(drafted, verify_seconds, now)
        if not by_mtp or not drafted:
            return
        self._step.value = self._now(self._step)
        self._step.add(draft_seconds / drafted, now)
        self._step.pace = self._pace
        for position in range(min(accepted + 1, drafted)):
            was_accepted = position < accepted
            mean = self._accepted[position]
            if not mean.known:
                mean.value = self.acceptance(position)
            if probabilities is not None and mean.value > 0.05:
                sureness = self._sureness[_class_of(probabilities[position])]
                sureness.add(was_accepted / mean.value, now)
            mean.add(float(was_accepted), now)

    def acceptance(self, position: int) -> float:
        """How often the draft after `position` others is accepted if they were; unknown: as the one before."""
        while position and not self._accepted[position].known:
            position -= 1
        return self._accepted[position].value

    def expected_tokens(self, depth: int) -> float:
        """E(depth)."""
        tokens = path = 1.0
        for position in range(depth):
            path *= self.acceptance(position)
            tokens += path
        return tokens

    def seconds(self, depth: int) -> float:
        """C(depth)."""
        return self._pass_seconds(depth) + depth * self._now(self._step)

    def rate(self, depth: int) -> float:
        """Tokens a second expected of a depth."""
        seconds = self.seconds(depth)
        return self.expected_tokens(depth) / seconds if seconds > 0 else 0.0

    def best_rate(self) -> float:
        """R: that of the best depth."""
        return max(self.rate(depth) for depth in range(MAX_DEPTH + 1))

    def _observe_pass(self, drafted: int, seconds: float, now: int) -> None:
        mean = self._passes[drafted]
        is_hiccup = mean.known and seconds > _HICCUP * mean.value and not self._hiccups[drafted]
        self._hiccups[drafted] = is_hiccup
        if not is_hiccup:
            if not mean.known:
                mean.value, mean.pace = seconds, self._pace
            share = mean.weight_at(now) / (sum(each.weight_at(now) for each in self._passes) or 1.0)
            before = mean.value = self._now(mean)
            mean.add(seconds, now)
            if before > 0:
                self._pace *= (mean.value / before) ** share
            mean.pace = self._pace

    def _now(self, mean: _Mean) -> float:
        """What was measured, had the machine been as slow as it is now."""
        return mean.value * self._pace / mean.pace

    def _pass_seconds(self, drafts: int) -> float:
        """T(drafts + 1), measured or judged by its neighbours."""
        passes = self._passes
        own = passes[drafts]
        if own.known:
            # A wider pass takes no less: so one measured since says how much, or how little, it takes now.
            value = self._now(own)
            most = min((self._now(each) for each in passes[drafts + 1 :] if each.at > own.at), default=value)
            least = max((self._now(each) for each in passes[:drafts] if each.at > own.at), default=value)
            return max(min(value, most), least)
        below = next((each for each in range(drafts - 1, -1, -1) if passes[each].known), None)
        above = next((each for each in range(drafts + 1, len(passes)) if passes[each].known), None)
        if below is None:
            return 0.0 if above is None else self._now(passes[above])
        here = self._now(passes[below])
        if above is not None:
            share = (drafts - below) / (above - below)
            return here + share * (self._now(passes[above]) - here)
        before = next((each for each in range(below - 1, -1, -1) if passes[each].known), None)
        slope = 0.0 if before is None else (here - self._now(passes[before])) / (below - before)
        return here + _OPTIMISM * max(slope, 0.0) * (drafts - below)

    def _worth_trying(self, planned: int, most: int) -> int | None:
        """A depth that was not measured lately and can be afforded: the older and the cheaper the sooner."""
        best = self.best_rate()
        found, most_worth = None, 0.0
        for depth in range(most + 1):
            age = self._rounds - self._passes[depth].at
            seconds = self.seconds(depth)
            is_hopeless = (depth + 1) / best < _OPTIMISM * seconds and age < _FORGOTTEN_ROUNDS
            if depth == planned or age < STALE_ROUNDS or is_hopeless:
                continue
            loss = max(seconds - self.expected_tokens(depth) / best, TRYING_SHARE * seconds)
            worth = age / loss
            if loss <= self._credit and worth > most_worth:
                found, most_worth = depth, worth
        return found

    def _try(self, depth: int, most: int, reason: str) -> Choice:
        self._trial = Choice(depth, most, is_trial=True, reason=reason)
        return self._trial

    def _reason(self, depth: int) -> str:
        other = 0 if depth else max(range(1, MAX_DEPTH + 1), key=self.rate)
        return f"Depth {depth}: {self._expected(depth)}; depth {other}: {self._expected(other)}."

    def _expected(self, depth: int) -> str:
        return f"{self.expected_tokens(depth):.2f} tokens in {1000 * self.seconds(depth):.3g} ms"


def _class_of(probability: float) -> int:
    return sum(probability >= edge for edge in _SURE)
