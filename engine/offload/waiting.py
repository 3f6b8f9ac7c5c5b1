"""Standing still for a read: measured, and interrupted often enough that a cancel is noticed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.offload.reader import Read, Reader
    from engine.offload.traffic import TrafficCounter

HEARTBEAT_SECONDS = 0.2


def wait_for_any(reader: Reader, counter: TrafficCounter, reads: Sequence[Read]) -> Iterator[None]:
    """Return once one of the reads is settled; yields every fifth of a second until then, and once it is.

    So it yields for every read that was waited for: many short waits are as good a chance to cancel as a long
    one. Where the reader was closed it yields as well, so that the cancel that came before is noticed first.
    """
    while not any(read.settled for read in reads):
        began = time.perf_counter()
        reader.wait(reads, HEARTBEAT_SECONDS)
        counter.wait_seconds += time.perf_counter() - began
        yield
    if reader.closed:
        yield
