"""How often experts are used, and which of those in memory will be missed last.

A pass goes through the layers in a fixed cycle, and least-recently-used is at its worst there: it throws out
what the next layers are about to ask for. What counts is when an expert will be used next. A layer comes
round after d of L steps; then its expert is chosen with its own probability p, so on average it takes
d / L + 1 / p - 1 passes. The expert for which that is longest is evicted (Belady's rule, on averages).
p is a decayed share of past passes: half of it comes from the last `HALF_LIFE_PASSES` of the layer.

All experts in memory are weighed at once, as arrays: DeepSeek-V3 has 14,848, and a choice is due in every
layer of every pass.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

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

    def costs(self, keys: NDArray[np.int64], layer: int) -> NDArray[np.float64]:
        """How soon each expert [experts, 2] is missed, seen from a running layer: the lowest leaves first."""

    def findings(self) -> dict[Key, float]:
        """What is worth remembering: the share of passes that use an expert."""


class NextUse:
    """The rule above."""

    def __init__(
        self,
        layers: Iterable[int],
        per_layer: int,
        prior: float,
        remembered: Mapping[Key, float] | None = None,
    ) -> None:
        """`prior`: share of a layer's experts that a pass uses; `remembered`: what an earlier run found."""
        layers = tuple(layers)
        self._cycle = len(layers)
        self._prior = prior
        self._start = _REMEMBERED_PASSES if remembered else 0.0
        rows = max(layers) + 1
        self._place = np.full(rows, -1)
        self._place[list(layers)] = range(self._cycle)
        self._passes = np.zeros(rows)
        self._weight = np.zeros((rows, per_layer))  # [layers, experts], as of the pass in `_seen`
        self._seen = np.zeros((rows, per_layer))
        for (layer, number), share in (remembered or {}).items():
            if layer in layers and 0 <= number < per_layer:
                self._weight[layer, number] = share * _REMEMBERED_PASSES

    def used(self, layer: int, numbers: tuple[int, ...]) -> None:
        """See `Eviction`."""
        self._passes[layer] += 1
        now = self._passes[layer]
        chosen = list(numbers)
        weight, seen = self._weight[layer], self._seen[layer]
        weight[chosen] = weight[chosen] * np.exp(-_RATE * (now - seen[chosen])) + 1
        seen[chosen] = now

    def costs(self, keys: NDArray[np.int64], layer: int) -> NDArray[np.float64]:
        """Minus the passes until each expert's next use."""
        steps = (self._place[keys[:, 0]] - self._place[layer] - 1) % self._cycle + 1
        costs: NDArray[np.float64] = 1 - 1 / self.probabilities(keys) - steps / self._cycle
        return costs

    def probabilities(self, keys: NDArray[np.int64]) -> NDArray[np.float64]:
        """That a pass uses each expert [experts, 2]; drawn to the prior while little is known."""
        layers, numbers = keys[:, 0], keys[:, 1]
        kept = np.exp(-_RATE * self._passes)
        most = self._start * kept + (1 - kept) / (
            1 - math.exp(-_RATE)
        )  # the weight of one used in every pass
        age = self._passes[layers] - self._seen[layers, numbers]
        decayed = self._weight[layers, numbers] * np.exp(-_RATE * age)
        shares: NDArray[np.float64] = (decayed + _PRIOR_PASSES * self._prior) / (most[layers] + _PRIOR_PASSES)
        return shares

    def findings(self) -> dict[Key, float]:
        """The probability of every expert that was ever used: what to remember for the next run."""
        keys = np.argwhere(self._weight)
        shares = self.probabilities(keys).tolist()
        return {(layer, number): share for (layer, number), share in zip(keys.tolist(), shares, strict=True)}


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

    def costs(self, keys: NDArray[np.int64], layer: int) -> NDArray[np.float64]:
        """When each expert was last used."""
        return np.array([self._seen.get((layer, number), 0) for layer, number in keys.tolist()], np.float64)

    def findings(self) -> dict[Key, float]:
        """Nothing."""
        return {}
