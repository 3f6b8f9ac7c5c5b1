"""What the engine's process uses of the RAM, as its budget counts it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil

_STATUS = Path("/proc/self/status")


def used_bytes(status: Path = _STATUS) -> int:
    """Return RssAnon + RssShmem, pages of files being no part of a budget; all of RSS beside Linux."""
    with suppress(OSError, ValueError, IndexError):
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
        kilobytes = [int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "RssShmem:"))]
        if kilobytes:
            return sum(kilobytes) * 1024
    return int(psutil.Process().memory_info().rss)
