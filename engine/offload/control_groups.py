"""Limits that control groups put on this process: memory and processor time, of both versions.

A limit of any group above the process's own holds as well, so all are looked at, from the root down.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC, CGROUP = Path("/proc"), Path("/sys/fs/cgroup")
_UNLIMITED_BYTES = 1 << 60
"""Version 1 says "no limit" by a number near 2^63."""


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """A control group that limits this process's memory."""

    version: int
    limit_bytes: int
    used_bytes: int
    """The pages of files among it."""
    reclaimable_bytes: int = 0
    """Pages of files that were not used lately: the system gives them up before it refuses memory."""

    @property
    def room_bytes(self) -> int:
        """What the process may still take."""
        return max(self.limit_bytes - self.used_bytes + min(self.reclaimable_bytes, self.used_bytes), 0)


def memory_groups(proc: Path = PROC, cgroup: Path = CGROUP) -> tuple[MemoryGroup, ...]:
    """The groups that limit memory; none where the system has no such thing."""
    found = []
    for version, folder in _folders(proc, cgroup, "memory"):
        limit = _number(folder / ("memory.max" if version == 2 else "memory.limit_in_bytes"))
        used = _number(folder / ("memory.current" if version == 2 else "memory.usage_in_bytes"))
        if limit is None or used is None or limit >= _UNLIMITED_BYTES:
            continue
        name = "inactive_file" if version == 2 else "total_inactive_file"
        fields = (line.split() for line in _text(folder / "memory.stat").splitlines())
        idle = next((int(field[1]) for field in fields if field[0] == name), 0)
        found.append(MemoryGroup(version, limit, used, idle))
    return tuple(found)


def core_quota(proc: Path = PROC, cgroup: Path = CGROUP) -> float | None:
    """The least of the groups' limits of processor time, in cores; None without one."""
    quotas = []
    for version, folder in _folders(proc, cgroup, "cpu"):
        if version == 2:
            parts = _text(folder / "cpu.max").split()
        else:
            parts = [_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
        with suppress(ValueError, ZeroDivisionError):  # "max", or no such group
            quota, period = map(int, parts)
            if quota > 0:  # -1: no limit
                quotas.append(quota / period)
    return min(quotas, default=None)


def _folders(proc: Path, cgroup: Path, controller: str) -> list[tuple[int, Path]]:
    """The process's groups, each with its version, from the root down."""
    found: dict[tuple[int, Path], None] = {}
    for line in _text(proc / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        version, folder = (1, cgroup / controller) if controllers else (2, cgroup)
        found[version, folder] = None
        for part in Path(path.lstrip("/")).parts:
            folder /= part
            found[version, folder] = None
    return list(found)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:  # not Linux, or no such group
        return ""


def _number(file: Path) -> int | None:
    text = _text(file).strip()
    return int(text) if text.isdigit() else None
