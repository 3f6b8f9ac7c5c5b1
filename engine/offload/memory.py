"""How much memory this process may still take: what the machine has left, or its control groups allow."""

from __future__ import annotations

import psutil

from engine.offload.control_groups import memory_groups


def available_bytes() -> int:
    """The lesser of the machine's available memory and what every control group leaves."""
    rooms = (group.room_bytes for group in memory_groups())
    return min((int(psutil.virtual_memory().available), *rooms))
