"""Saying that kernels are being compiled, which takes seconds where numba does not find them in its cache.

numba tells its listeners of every pass over a function, and runs none over what it finds cached: so nothing
is said at any start but the first, and the first after an update.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from numba.core import event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Progress = Callable[[int, int, str], None]

COMPILING = "compiling kernels, once"


@contextmanager
def compiling_said(progress: Progress) -> Iterator[Progress]:
    """Yield a progress that is told, without any bytes, when a kernel has to be compiled in the meantime.

    Once for all that are compiled in a row: only what was told in between is replaced again. From any thread,
    one at a time, as progress is.
    """
    listener = _Listener(progress)
    with event.install_listener("numba:run_pass", listener):
        yield listener.tell


class _Listener(event.Listener):  # type: ignore[misc]  # numba has no types
    """Hears numba, and passes on what is told meanwhile."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.RLock()
        self._is_said = False

    def tell(self, done_bytes: int, total_bytes: int, what: str) -> None:
        """Pass on how far reading has come."""
        with self._lock:
            self._is_said = False
            self._progress(done_bytes, total_bytes, what)

    def on_start(self, _event: event.Event) -> None:
        with self._lock:
            if not self._is_said:
                self._is_said = True
                self._progress(0, 0, COMPILING)

    def on_end(self, _event: event.Event) -> None:
        pass
