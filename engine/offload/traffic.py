"""What moving weights cost: counted where it happens, read as differences between two moments."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from engine.offload.reader import Reader


@dataclass(frozen=True, slots=True)
class Traffic:
    """Sums since the weights were loaded, or the difference of two such sums."""

    wait_seconds: float = 0.0
    """The model stood still for reads."""
    expert_uses: int = 0
    """Experts that passes used, each once a pass and layer."""
    expert_hits: int = 0
    """Of those, the ones that were in memory, or already on their way, when they were asked for."""
    expert_loads: int = 0
    """Of those, the ones whose read began only then."""
    prefetch_used: int = 0
    """Hits that were hits because they had been guessed."""
    prefetch_wasted: int = 0
    """Guesses that were dropped or evicted without having been used."""
    bytes_read: int = 0

    def __sub__(self, earlier: Traffic) -> Traffic:
        return Traffic(*(getattr(self, each.name) - getattr(earlier, each.name) for each in fields(Traffic)))

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(Traffic)))


class TrafficSource(Protocol):
    """Whoever moves weights."""

    @property
    def wait_seconds(self) -> float:
        """Of the sums so far; asked for at every step of a pass, so it makes nothing else up."""

    def traffic(self) -> Traffic:
        """The sums so far."""


@dataclass(frozen=True, slots=True)
class SharedTraffic:
    """Several that move weights for one reply."""

    sources: tuple[TrafficSource, ...]
    """At least one."""

    @property
    def wait_seconds(self) -> float:
        """See `TrafficSource`."""
        return sum(source.wait_seconds for source in self.sources)

    def traffic(self) -> Traffic:
        """The sums of all."""
        first, *others = (source.traffic() for source in self.sources)
        return sum(others, first)


class NoTraffic:
    """Everything is in memory."""

    wait_seconds = 0.0

    def traffic(self) -> Traffic:
        """See `TrafficSource`."""
        return Traffic()


class TrafficCounter:
    """Counts for one reader and whoever waits for it."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.wait_seconds = 0.0
        self.expert_uses = self.expert_hits = self.expert_loads = 0
        self.prefetch_used = self.prefetch_wasted = 0

    def traffic(self) -> Traffic:
        """See `TrafficSource`."""
        return Traffic(
            self.wait_seconds,
            self.expert_uses,
            self.expert_hits,
            self.expert_loads,
            self.prefetch_used,
            self.prefetch_wasted,
            self._reader.bytes_read,
        )
