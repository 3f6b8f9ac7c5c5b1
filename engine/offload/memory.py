"""How much memory this process may still take: what the machine has left, or its control group allows."""

from __future__ import annotations

from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")
# (limit, use) of version 2, then of version 1
_GROUP_FILES = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)


def available_bytes() -> int:
    """The lesser of the machine's available memory and the control group's limit minus its use."""
    available = int(psutil.virtual_memory().available)
    for limit_file, use_file in _GROUP_FILES:
        limit, use = _number(_CGROUP / limit_file), _number(_CGROUP / use_file)
        if limit is not None and use is not None:
            available = min(available, max(limit - use, 0))
    return available


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # not Linux, no such group, or "max": no limit from here
        return None
