"""How far training is, in seconds trained, and what follows from it.

A step counts at most three times the running median: a process that was stopped for an hour (SIGSTOP, a
suspended machine) has lost no training.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import median

_LONGEST_STEP = 3.0
_STEPS_KEPT = 51
_HOLD = 0.35
"""Share of the budget at the full rate; after it a cosine to the floor."""
_FLOOR = 0.02
_LAMBDA_TURN = 0.6


class TrainedClock:
    """Seconds of training."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self._recent: deque[float] = deque(maxlen=_STEPS_KEPT)

    def count(self, seconds: float) -> float:
        """Add a step's duration as far as it is credible; returns what was counted."""
        counted = min(seconds, _LONGEST_STEP * median(self._recent)) if self._recent else seconds
        self._recent.append(counted)
        self.seconds += counted
        return counted


def ramp(step: int, steps: int) -> float:
    """The first steps' factor, up to 1."""
    return min(1.0, (step + 1) / steps)


def rate_factor(step: int, fraction: float) -> float:
    """The learning rates' factor on a step of the corpus, `fraction` of the budget trained."""
    if fraction < _HOLD:
        return ramp(step, 30)
    cosine = 0.5 * (1 + math.cos(math.pi * (min(fraction, 1.0) - _HOLD) / (1 - _HOLD)))
    return ramp(step, 30) * max(_FLOOR, cosine)


def mtp_weight(fraction: float) -> float:
    """Lambda: 0.3, then 0.2, as V3 lowered it (0.3 for 10 T tokens, 0.1 for the last 4.8 T)."""
    return 0.3 if fraction < _LAMBDA_TURN else 0.2
