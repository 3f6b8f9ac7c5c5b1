"""A child process that speaks in lines: commands go in, lines come out, neither side waits for the other.

Three threads: one writes what is sent, one takes the lines, one keeps the end of standard error, so that
no pipe ever fills and nothing reaches the terminal. The child has a session of its own: ctrl+c in the
terminal is not for it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING

from app.commands.terminal import harmless

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

END_SECONDS = 1.0
"""How long it may take to end by itself."""

_KILL = 9  # SIGKILL, also on systems that have none

_KEPT_ERRORS = 20
_ERROR_BYTES = 4096
"""Longer lines of standard error are cut: progress bars may never end theirs."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child ended."""

    status: int
    """Exit status; negative: the signal that killed it."""
    errors: tuple[str, ...]
    """Its last lines on standard error, without control characters."""
    fell_silent: bool = False
    """It closed its output and lived on, until it was ended for that."""

    @property
    def was_killed(self) -> bool:
        """Whether it got the signal by which a system makes room in its memory."""
        return self.status == -_KILL and not self.fell_silent

    @property
    def sentence(self) -> str:
        """What is known, as the beginning of a sentence about it."""
        if self.fell_silent:
            return f"fell silent{self._last_words()}"
        if self.was_killed:
            return "was killed by signal 9, probably because memory ran out"
        if self.status < 0:
            return f"was killed by signal {-self.status}{_signal_name(-self.status)}{self._last_words()}"
        return f"ended with exit status {self.status}{self._last_words()}"

    def _last_words(self) -> str:
        return f" ({self.errors[-1].rstrip('.')})" if self.errors else ""


class Child:
    """One process. `on_line` and `on_end` are called by its threads, and no more once it is let go."""

    def __init__(
        self,
        command: Sequence[str],
        on_line: Callable[[Child, bytes], None],
        on_end: Callable[[Child, Ending], None],
    ) -> None:
        """Start it. Raises OSError."""
        self._on_line, self._on_end = on_line, on_end
        self._let_go = threading.Event()
        self._commands: SimpleQueue[bytes | None] = SimpleQueue()
        self._errors: deque[str] = deque(maxlen=_KEPT_ERRORS)
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=os.name == "posix",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin is not None
        assert stdout is not None
        assert stderr is not None
        self._error_reader = _thread("engine errors", self._keep_errors, stderr)
        self._threads = (
            _thread("engine commands", self._write, stdin),
            self._error_reader,
            _thread("engine lines", self._read, stdout),
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, command: Mapping[str, object]) -> None:
        """Write a line soon; one that has ended is not written to."""
        self._commands.put(json.dumps(command).encode() + b"\n")

    def kill(self) -> None:
        """End it now; it is heard no more."""
        self._let_go.set()
        self._commands.put(None)
        self._process.kill()

    def close(self) -> None:
        """Ask it to quit, and end it if it does not within a second; no process is left afterwards."""
        self._let_go.set()
        self.send({"command": "quit"})
        self._commands.put(None)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(END_SECONDS)

    def _write(self, pipe: IO[bytes]) -> None:
        with suppress(OSError), pipe:  # it has ended, which its reader finds out
            while (data := self._commands.get()) is not None:
                while data:
                    data = data[pipe.write(data) :]

    def _read(self, pipe: IO[bytes]) -> None:
        with suppress(OSError), pipe, os.fdopen(pipe.fileno(), "rb", closefd=False) as lines:
            for line in lines:
                if not self._let_go.is_set():
                    self._on_line(self, line)
        fell_silent = False
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:  # it speaks no more, so it is of no use
            fell_silent = True
            self._process.kill()
        status = self._process.wait()
        self._commands.put(None)
        self._error_reader.join(END_SECONDS)
        if not self._let_go.is_set():
            self._on_end(self, Ending(status, tuple(self._errors), fell_silent))

    def _keep_errors(self, pipe: IO[bytes]) -> None:
        with suppress(OSError), pipe, os.fdopen(pipe.fileno(), "rb", closefd=False) as lines:
            while line := lines.readline(_ERROR_BYTES):
                text = harmless(line.decode("utf-8", "replace").replace("\t", " ")).strip()
                if text:
                    self._errors.append(text[:160])


def _signal_name(number: int) -> str:
    try:
        return f", {signal.Signals(number).name}"
    except ValueError:
        return ""


def _thread(name: str, run: Callable[[IO[bytes]], None], pipe: IO[bytes]) -> threading.Thread:
    thread = threading.Thread(target=run, args=(pipe,), name=name, daemon=True)
    thread.start()
    return thread
