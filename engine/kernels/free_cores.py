"""How many threads to use just now: fewer while threads of this process wait for a core.

When another process keeps a core busy, a product over all threads ends with the one that had to wait for its
turn, and a call that one thread does alone is both quicker and steadier. Linux says for every thread how long
it was ready to run and had no core; from that, not from the clock, the number of threads is taken. The number
never changes a result: sums have one order.

Threads wait a little for one another's sake as well, the more of them there are, and to look at many takes
long: so what counts as crowded grows with their number, and many are looked at less often.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_SECONDS = 0.05
"""How long the threads are watched before their number may change: a dozen time slices."""
RETRY_SECONDS = 2.0
"""How long fewer threads are used before one more is tried: a fortieth of the time is lost to trying."""
CROWDED_SHARE = 0.25
"""Waiting in a window, all threads together and beside what they wait anyhow, from which fewer are used. Two
threads and a busy neighbour on two cores wait 0.6 of a window; alone they wait less than 0.01."""
USUAL_SHARE = 0.01
"""Of a window that each thread may wait with no neighbour there: twice what was seen of two threads alone. It
was not measured where there are many."""
STEP_THREADS = 32
"""With each so many threads more, a window and its step grow by their own size: so threads are given up or
tried as quickly, whatever their number, and no larger part of the time goes into looking at them."""
_LONGEST_LINE = 200


def waiting_nanoseconds() -> int | None:
    """How long this process's threads have waited for a core in all; None where the system does not say."""
    total = 0
    try:
        with os.scandir("/proc/self/task") as tasks:
            for task in tasks:
                with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
                    total += int(_line_of(f"{task.path}/schedstat").split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return total


def _line_of(file: str) -> bytes:
    """What a file of one short line says; a file object would take twice as long."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        return os.read(descriptor, _LONGEST_LINE)
    finally:
        os.close(descriptor)


class FreeCores:
    """Watches how long threads wait for a core, and says how many to use."""

    def __init__(self, most: int, waiting: Callable[[], int | None] = waiting_nanoseconds) -> None:
        self._most = most
        self._waiting = waiting
        self._threads = most
        self._step = max(1, -(-most // STEP_THREADS))
        """Threads given up or tried at once."""
        self._window = self._step * WINDOW_SECONDS
        self._retry = self._step * RETRY_SECONDS
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
        crowded = CROWDED_SHARE + USUAL_SHARE * self._threads
        if seconds > 4 * self._window:  # there was nothing to do for a while: this window says nothing
            pass
        elif (waited - self._before) * 1e-9 > crowded * seconds:
            self._threads, self._calm_since = max(self._threads - self._step, 1), now
        elif self._threads < self._most and now - self._calm_since >= self._retry:
            self._threads, self._calm_since = min(self._threads + self._step, self._most), now
        self._since, self._before, self._due = now, waited, now + self._window
        return self._threads
