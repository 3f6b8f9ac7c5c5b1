"""Which depth is fastest now: what mode auto asks before a round, and after every draft of it.

A round of depth k is expected to yield E(k) = 1 + a_1 + a_1 a_2 + ... tokens, a_i being how often the i-th
draft is accepted once those before it were, and to take C(k) = T(k + 1) + k d seconds, T(w) for a pass of
width w and d for a draft (see `round_costs`). The rate to beat is R = max E(k) / C(k). While a round is
drafted, another draft pays if the tokens that it and its successors are expected to add outweigh R times the
seconds that they take, given how sure the drafter was so far; deciding so earns at least R (Dinkelbach). It
looks at drafts that will be verified only, and so changes the law of no text.

What is not visited is forgotten, so other depths are tried now and then. What trying may lose is bounded by a
share of the time. Pure: no clock is read here, seconds come in with every round.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.decoding.round_costs import STALE_ROUNDS, DecayedMean, RoundCosts
from engine.options import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Sequence

ACCEPTANCE_HALF_LIFE = 96.0
"""Rounds after which an accepted or rejected draft counts half."""
TRYING_SHARE = 0.02
"""Of the time, what trying other depths may lose."""
_FIRST_ACCEPTANCE = 0.7
"""Of the first draft, until anything is known."""
_HOPELESS = 0.5
"""A depth that would not pay at this share of its cost, were every draft accepted, is not tried..."""
_FORGOTTEN_ROUNDS = 256
"""...unless it was not measured for so long."""
_BELIEVED = 2.0
"""A round is not taken to have lasted more than so many times what was expected."""
_SURE = (0.3, 0.5, 0.7, 0.85, 0.95)
"""Where the classes of the drafter's own probability part."""


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

    _costs: RoundCosts = field(default_factory=RoundCosts)
    _accepted: list[DecayedMean] = field(
        default_factory=lambda: [
            DecayedMean(_FIRST_ACCEPTANCE, ACCEPTANCE_HALF_LIFE, 3.0) for _ in range(MAX_DEPTH)
        ]
    )
    """Of a draft at this position, given that those before it were."""
    _sureness: list[DecayedMean] = field(
        default_factory=lambda: [
            DecayedMean(min(middle / 0.75, 1.25), ACCEPTANCE_HALF_LIFE * 4, 2.0)
            for middle in (0.15, 0.4, 0.6, 0.78, 0.9, 0.98)
        ]
    )
    """For drafts of like probability, how much more often than others at their position they are accepted."""
    _credit: float = 0.0
    """Seconds that may still be lost by trying."""
    _choice: Choice | None = None
    """Of the round under way."""
    _seconds: tuple[float, ...] = ()
    """C by depth. This and what follows is worked out once a round, when no clock is running."""
    _tokens: tuple[float, ...] = ()
    """E by depth."""
    _rates: tuple[float, ...] = ()
    _best: float = 0.0
    """R."""

    def choose(self, most: int = MAX_DEPTH) -> Choice:
        """Say what the next round is to draft, of at most `most` tokens."""
        self._choice = self._chosen(min(most, MAX_DEPTH))
        return self._choice

    def pays(self, probabilities: Sequence[float], most: int = MAX_DEPTH) -> bool:
        """Whether another draft pays after those made, whose probabilities under the drafter these are."""
        made = len(probabilities)
        if made >= most or not self._rates:
            return False
        path = 1.0
        for position, probability in enumerate(probabilities):
            likely = self._accepted[position].value * self._sureness[_class_of(probability)].value
            path *= min(likely, 1.0)
        gain = 0.0
        for position in range(made, most):
            path *= self._acceptance(position)
            gain += path
            if gain > self._best * (self._seconds[position + 1] - self._seconds[made]):
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
        seconds = draft_seconds + verify_seconds
        if self._seconds:  # a machine that stalls earns and loses nothing
            seconds = min(seconds, _BELIEVED * self._seconds[drafted])
        choice, self._choice = self._choice, None
        if choice is not None:  # what others chose earns nothing
            self._credit += TRYING_SHARE * seconds
        if choice is not None and choice.is_trial and self._best:
            self._credit -= max(seconds - self._tokens[drafted] / self._best, 0.0)
        self._costs.observe(drafted, draft_seconds if by_mtp else None, verify_seconds)
        if by_mtp:
            self._observe_drafts(drafted, accepted, probabilities)
        self._seconds = self._costs.by_depth()
        self._tokens = tuple(self._expected_tokens(depth) for depth in range(MAX_DEPTH + 1))
        self._rates = tuple(
            tokens / seconds for tokens, seconds in zip(self._tokens, self._seconds, strict=True)
        )
        self._best = max(self._rates)
        self._credit = min(self._credit, 2 * max(self._seconds))  # what was saved up when all was slower

    def _observe_drafts(self, drafted: int, accepted: int, probabilities: Sequence[float] | None) -> None:
        now = self._costs.rounds
        for position in range(min(accepted + 1, drafted)):
            was_accepted = position < accepted
            mean = self._accepted[position]
            if not mean.known:
                mean.value = self._acceptance(position)
            if probabilities is not None and mean.value > 0.05:
                sureness = self._sureness[_class_of(probabilities[position])]
                sureness.add(was_accepted / mean.value, now)
            mean.add(float(was_accepted), now)

    def _acceptance(self, position: int) -> float:
        """How often the draft after `position` others is accepted if they were; like the last one known."""
        while position and not self._accepted[position].known:
            position -= 1
        return self._accepted[position].value

    def _expected_tokens(self, depth: int) -> float:
        """E(depth)."""
        tokens = path = 1.0
        for position in range(depth):
            path *= self._acceptance(position)
            tokens += path
        return tokens

    def _chosen(self, most: int) -> Choice:
        if not self._costs.is_known(1) and most:
            return Choice(1, most, is_trial=True, reason="Nothing is measured yet: one draft to begin with.")
        if not self._costs.is_known(0):
            return Choice(
                0, most, is_trial=True, reason="What a pass costs without drafts is not measured yet."
            )
        planned = max(range(most + 1), key=lambda depth: (self._rates[depth], -depth))
        tried = self._worth_trying(planned, most)
        if tried is not None:
            since = f"for {self._costs.age(tried)} rounds" if self._costs.is_known(tried) else "at all"
            return Choice(
                tried, most, is_trial=True, reason=f"Depth {tried} on trial: it was not measured {since}."
            )
        return Choice(planned, most, is_trial=False, reason=self._reason(planned))

    def _worth_trying(self, planned: int, most: int) -> int | None:
        """A depth that was not measured lately, the older and cheaper the sooner, once it can be afforded."""
        found, found_loss, most_worth = None, 0.0, 0.0
        for depth in range(most + 1):
            age, seconds = self._costs.age(depth), self._seconds[depth]
            is_hopeless = (depth + 1) / self._best < _HOPELESS * seconds and age < _FORGOTTEN_ROUNDS
            if depth == planned or age < STALE_ROUNDS or is_hopeless:
                continue
            loss = max(seconds - self._tokens[depth] / self._best, TRYING_SHARE * seconds)
            if age / loss > most_worth:
                found, found_loss, most_worth = depth, loss, age / loss
        return found if found_loss <= self._credit else None

    def _reason(self, depth: int) -> str:
        other = 0 if depth else max(range(1, MAX_DEPTH + 1), key=lambda each: self._rates[each])
        return f"Depth {depth}: {self._expected(depth)}; depth {other}: {self._expected(other)}."

    def _expected(self, depth: int) -> str:
        return f"{self._tokens[depth]:.2f} tokens in {1000 * self._seconds[depth]:.3g} ms"


def _class_of(probability: float) -> int:
    return sum(probability >= edge for edge in _SURE)
