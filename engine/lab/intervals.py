"""How sure a difference is: paired, and resampled by whole texts, since the places of one text are alike.

Each text gives, for both sides of a pair, sums over the same places. A resample draws as many texts as there
are, with replacement, and takes the difference of the pooled means; the interval holds the middle 95 % of
`RESAMPLES` of those (Efron's percentile bootstrap, from a fixed seed).
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

RESAMPLES = 2000
_TAIL = 0.025


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference, and where it lies with 95 % confidence."""

    mean: float
    low: float
    high: float

    @property
    def is_known(self) -> bool:
        """Whether there is an interval: of one text there is none."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def is_zero(self) -> bool:
        """Whether nothing can be told apart."""
        return self.low <= 0 <= self.high

    def to_json(self) -> list[float]:
        """Return mean, low and high."""
        return [self.mean, self.low, self.high]


def paired(differences: Sequence[float], counts: Sequence[int], seed: int = 0) -> Interval:
    """Return the pooled mean of differences, summed by text over so many places each, and its interval.

    With one text there is nothing to resample, and the interval is everything.
    """
    total = sum(counts)
    mean = sum(differences) / total if total else 0.0
    if len(counts) < 2 or not total:
        return Interval(mean, float("-inf"), float("inf"))
    rng = random.Random(seed)
    texts = range(len(counts))
    found = []
    for _ in range(RESAMPLES):
        drawn = rng.choices(texts, k=len(counts))
        places = sum(counts[text] for text in drawn)
        if places:
            found.append(sum(differences[text] for text in drawn) / places)
    found.sort()
    tail = int(_TAIL * len(found))
    return Interval(mean, found[tail], found[-1 - tail])
