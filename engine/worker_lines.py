"""The worker's two pipes: commands in, JSON lines out.

Standard output belongs to the protocol alone: its descriptor is moved away, and what libraries print goes
to standard error. Lines are written by a thread of their own, so that the engine never waits for a reader.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Mapping


class LineWriter:
    """JSON lines to a stream, in the order they were sent, from whichever thread."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lines: SimpleQueue[bytes | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="worker lines", daemon=True)
        self._thread.start()

    def send(self, line: Mapping[str, object]) -> None:
        """Write a line soon; returns at once."""
        self._lines.put(json.dumps(line, allow_nan=False).encode() + b"\n")

    def close(self, seconds: float) -> None:
        """Write what was sent, in at most so many seconds."""
        self._lines.put(None)
        self._thread.join(seconds)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._stream.write(line)
                self._stream.flush()
            except OSError:  # nobody reads any more, so nobody is worked for
                os._exit(0)


def take_standard_pipes() -> tuple[BinaryIO, LineWriter]:
    """Return the commands' stream and the lines' writer; print() goes to standard error from here on."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    commands, lines = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123  # a descriptor is wanted
        os.dup2(nothing.fileno(), 0)
    return os.fdopen(commands, "rb"), LineWriter(os.fdopen(lines, "wb"))
