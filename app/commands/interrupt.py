"""Ctrl+c while an engine decodes: what is under way ends between two layers, and what there is stays."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.surface import ControlsSurface

INTERRUPTED = 130
"""Exit code after ctrl+c, as shells have it."""


@contextmanager
def interrupt_cancels(controls: ControlsSurface) -> Iterator[None]:
    """Make the first ctrl+c a cancel; a second one ends the program at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what signals do
        return

    def interrupt(_signal: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        controls.cancel()

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
