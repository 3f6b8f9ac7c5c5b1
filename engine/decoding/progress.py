"""What is said while a pass is under way: how far a prompt is, where a round stands still for the disk."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from engine.events import Prefilling, Waiting

if TYPE_CHECKING:
    from engine.events import Phase
    from engine.offload.traffic import TrafficSource

PROGRESS_SECONDS = 0.25
"""How often prefill says where it is, where its steps are quicker than that."""
WAITING_SECONDS = 1.0
"""How long a round stands still for the disk before it says so, and how often then."""


class PromptProgress:
    """Asked at every step of a prompt's pass, from its beginning on."""

    def __init__(self, weights: TrafficSource, layers: int, tokens: int) -> None:
        self._weights, self._layers, self._tokens = weights, layers, tokens
        self._began = self._reported = time.perf_counter()
        self._before = weights.traffic().bytes_read

    def __call__(self, layer: int) -> Prefilling | None:
        """What is to be said with so many layers done."""
        now = time.perf_counter()
        if now - self._reported < PROGRESS_SECONDS:
            return None
        self._reported = now
        bytes_read = self._weights.traffic().bytes_read - self._before
        return Prefilling(layer, self._layers, self._tokens, bytes_read, now - self._began)


class Standstill:
    """Asked at every step of a round's phase. It goes by the time spent waiting for reads, and by no clock: a
    phase may take long because there is much to compute.
    """

    def __init__(self, weights: TrafficSource, number: int, phase: Phase, layers: int) -> None:
        self._weights, self._number, self._phase, self._layers = weights, number, phase, layers
        self._done = 0
        self._begin = self._reported = weights.wait_seconds

    def __call__(self, layer: int) -> Waiting | None:
        """What is to be said with so many layers done."""
        waited = self._weights.wait_seconds
        if layer != self._done:
            self._done, self._begin, self._reported = layer, waited, waited
        elif waited - self._reported > WAITING_SECONDS:
            self._reported = waited
            return Waiting(self._number, layer, self._layers, waited - self._begin, self._phase)
        return None
