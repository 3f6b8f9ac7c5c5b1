"""How many threads to use just now: fewer while threads of this process wait for a core.

When another process keeps a core busy, a product over all threads ends with the one that had to wait for its
turn, and a call that one thread does alone is both quicker and steadier. Linux says for every thread how long
it was ready to run and had no core; from that, not from the clock, the number of threads is taken. The number
never changes a result: sums have one order.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_SECONDS = 0.05
"""How long the threads are watched before their number may change: a dozen time slices."""
RETRY_SECONDS = 2.0
"""How long fewer threads are used before one more is tried: a fortieth of the time is lost to trying."""
CROWDED_SHARE = 0.25
"""Waiting in a window, all threads together, from which one thread fewer is used. Two threads and a busy
neighbour on two cores wait 0.6 of a window; alone they wait less than 0.01."""


def waiting_nanoseconds() -> int | None:
    """How long this process's threads have waited for a core in all; None where the system does not say."""
    total = 0
    try:
        for task in Path("/proc/self/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
                total += int((task / "schedstat").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return total


class FreeCores:
    """Watches how long threads wait for a core, and says how many to use."""

    def __init__(self, most: int, waiting: Callable[[], int | None] = waiting_nanoseconds) -> None:
        self._most = most
        self._waiting = waiting
        self._threads = most
        self._since = self._due = self._calm_since = 0.0
        self._before = waiting() if most > 1 else None

    def threads(self, now: float) -> int:
        """Threads to use now; `now` in seconds, never falling. Costs next to nothing inside a window."""
        if now < self._due or self._before is None:
            return self._threads
        waited = self._waiting()
        if waited is None:
            return self._threads
        seconds = now - self._since
        if seconds > 4 * WINDOW_SECONDS:  # there was nothing to do for a while: this window says nothing
            pass
        elif (waited - self._before) * 1e-9 > CROWDED_SHARE * seconds:
            self._threads, self._calm_since = max(self._threads - 1, 1), now
        elif self._threads < self._most and now - self._calm_since >= RETRY_SECONDS:
            self._threads, self._calm_since = self._threads + 1, now
        self._since, self._before, self._due = now, waited, now + WINDOW_SECONDS
        return self._threads
