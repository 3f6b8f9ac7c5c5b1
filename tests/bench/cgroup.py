"""A memory control group of one's own, of version 1 or 2: it makes a small machine out of a large one.

Processes are started inside, so that all they touch is charged to it, the pages of files among it. A page
that another process has brought in stays free of charge: drop those first (`memory.drop_page_cache`).
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROOT = Path("/sys/fs/cgroup")
_REMOVAL_SECONDS = 5.0


class MemoryGroup:
    """A group with a limit. Use it in a `with`; every process in it must have ended by its end."""

    def __init__(self, name: str, limit_bytes: int) -> None:
        """Raises OSError where this machine has no such groups, or they may not be written."""
        is_second = (_ROOT / "cgroup.controllers").exists()
        self._folder = (_ROOT if is_second else _ROOT / "memory") / name
        if is_second:
            # Fails where it is not needed as well: the limit's absence is what counts.
            with contextlib.suppress(OSError):
                (_ROOT / "cgroup.subtree_control").write_text("+memory")
        self._folder.mkdir(exist_ok=True)
        try:
            limit = "memory.max" if is_second else "memory.limit_in_bytes"
            # Opened for update: in this file system nothing is created, and a missing file must raise.
            with (self._folder / limit).open("r+") as file:
                file.write(str(limit_bytes))
            if is_second:
                with contextlib.suppress(OSError), (self._folder / "memory.swap.max").open("r+") as file:
                    file.write("0")
        except OSError:
            self.close()
            raise

    def command(self, arguments: Sequence[str]) -> list[str]:
        """A command that enters the group and then becomes the given one."""
        return ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self._folder / "cgroup.procs"), *arguments]

    def close(self) -> None:
        """Remove the group; a process that has just ended may hold it for a moment longer."""
        end = time.monotonic() + _REMOVAL_SECONDS
        while True:
            try:
                self._folder.rmdir()
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
            else:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
