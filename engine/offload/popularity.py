"""How often experts are used, and which of those in memory will be missed last.

A pass goes through the layers in a fixed cycle, and least-recently-used is at its worst there: it throws out
what the next layers are about to ask for. What counts is when an expert will be used next. A layer comes
round after d of L steps; then its expert is chosen with its own probability p, so on average it takes
d / L + 1 / p - 1 passes. The expert for which that is longest is evicted (Belady's rule, on averages).
p is a decayed share of past passes: half of it comes from the last `HALF_LIFE_PASSES` of the layer.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Key = tuple[int, int]
"""A layer and the number of an expert in it."""

HALF_LIFE_PASSES = 64.0
_RATE = math.log(2) / HALF_LIFE_PASSES
_PRIOR_PASSES = 4.0
"""What the prior weighs, in passes."""
_REMEMBERED_PASSES = 32.0
"""What an earlier run's findings weigh at first."""


class Eviction(Protocol):
    """Decides what leaves."""

    def used(self, layer: int, numbers: tuple[int, ...]) -> None:
        """A pass uses these experts of a layer."""

    def cost(self, key: Key, layer: int) -> float:
        """How soon an expert will be missed, seen from a layer being run: the lowest leaves first."""

    def findings(self) -> dict[Key, float]:
        """What is worth remembering: the share of passes that use an expert."""


class NextUse:
    """The rule above."""

    def __init__(
        self, layers: Iterable[int], prior: float, remembered: Mapping[Key, float] | None = None
    ) -> None:
        """`prior`: share of a layer's experts that a pass uses; `remembered`: what an earlier run found."""
        self._place = {layer: place for place, layer in enumerate(layers)}
        self._prior = prior
        self._passes = dict.fromkeys(self._place, 0)
        self._weight = {
            key: share * _REMEMBERED_PASSES
            for key, share in (remembered or {}).items()
            if key[0] in self._place
        }
        self._seen: dict[Key, int] = {}
        self._start = _REMEMBERED_PASSES if remembered else 0.0

    def used(self, layer: int, numbers: tuple[int, ...]) -> None:
        """See `Eviction`."""
        self._passes[layer] += 1
        now = self._passes[layer]
        for number in numbers:
            key = (layer, number)
            self._weight[key] = self._decayed(key, now) + 1
            self._seen[key] = now

    def cost(self, key: Key, layer: int) -> float:
        """Minus the passes until the expert's next use."""
        steps = (self._place[key[0]] - self._place[layer] - 1) % len(self._place) + 1
        return 1 - 1 / self.probability(key) - steps / len(self._place)

    def probability(self, key: Key) -> float:
        """That a pass uses the expert; drawn to the prior while little is known."""
        passes = self._passes[key[0]]
        kept = math.exp(-_RATE * passes)
        most = self._start * kept + (1 - kept) / (
            1 - math.exp(-_RATE)
        )  # the weight of one used in every pass
        return (self._decayed(key, passes) + _PRIOR_PASSES * self._prior) / (most + _PRIOR_PASSES)

    def findings(self) -> dict[Key, float]:
        """The probability of every expert that was ever used: what to remember for the next run."""
        return {key: self.probability(key) for key in self._weight}

    def _decayed(self, key: Key, now: int) -> float:
        weight = self._weight.get(key, 0.0)
        return weight * math.exp(-_RATE * (now - self._seen.get(key, 0)))


class LeastRecentlyUsed:
    """What others do, to be measured against."""

    def __init__(self) -> None:
        self._clock = 0
        self._seen: dict[Key, int] = {}

    def used(self, layer: int, numbers: tuple[int, ...]) -> None:
        """See `Eviction`."""
        for number in numbers:
            self._clock += 1
            self._seen[(layer, number)] = self._clock

    def cost(self, key: Key, layer: int) -> float:
        """When the expert was last used."""
        return self._seen.get(key, 0)

    def findings(self) -> dict[Key, float]:
        """Nothing."""
        return {}
