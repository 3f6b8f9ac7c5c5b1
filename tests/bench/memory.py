"""What a process holds of memory, and what the system's page cache holds of files."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

ALLOWANCE_BYTES = 1 << 30
"""For interpreter and libraries, above a budget."""
_STATUS = Path("/proc/self/status")
_INTERVAL_SECONDS = 0.02


def held_bytes() -> int:
    """RssAnon + RssShmem of this process: what the budget bounds, and pages of files are no part of."""
    lines = _STATUS.read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "RssShmem:"))) * 1024


class PeakMemory:
    """Looks at `held_bytes` every 20 ms, from a thread of its own, inside a `with`."""

    def __init__(self) -> None:
        self.peak_bytes = held_bytes()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_INTERVAL_SECONDS):
            self.peak_bytes = max(self.peak_bytes, held_bytes())


def drop_page_cache(files: Iterable[Path]) -> None:
    """Make the system forget what it keeps of the files; nobody may have them mapped."""
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)  # pages not yet written would stay
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
