"""A slower drive, emulated: reads wait as long as they would have taken.

Every second of use adds a rate's worth of bytes to a bucket that holds a moment's worth; a read takes its
bytes out, and waits until they are there. Over any longer stretch the rate is kept exactly.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Throttle:
    """Shared by all threads that read from one drive."""

    def __init__(
        self,
        bytes_per_second: float,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.bytes_per_second = bytes_per_second
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._free_at = clock()

    def take(self, size: int) -> None:
        """Wait until the drive would have delivered `size` bytes, behind all that was asked for before."""
        with self._lock:
            begin = max(self._free_at, self._clock())
            self._free_at = begin + size / self.bytes_per_second
            until = self._free_at
        pause = until - self._clock()
        if pause > 0:
            self._sleep(pause)
