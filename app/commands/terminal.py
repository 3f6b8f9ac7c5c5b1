"""Writing to a terminal what may come from anywhere: a model, a file name, a checkpoint's own messages."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

    from rich.console import Console

PROGRESS_SECONDS = 0.1

# Escape sequences begin with a control character. Those of ASCII are shown by their pictures (␛); the C1
# range, which some terminals obey as well, has none. Newline and tab are text.
_HARMLESS = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: 0x2421,
    **dict.fromkeys(range(0x80, 0xA0), 0xFFFD),
}


# Below the line that the cursor is in, which other text is in: index (ESC D) makes room at the bottom of the
# screen without changing the column, ESC 7 and ESC 8 remember the place and go back to it.
_GO_BELOW = "\x1bD\x1b[A\x1b7\x1b[B"
_GO_BACK = "\x1b8"


def harmless(text: str) -> str:
    """Return the text with every control character made visible, so that a terminal obeys none."""
    return text.translate(_HARMLESS)


class StatusLine:
    """One line on a terminal that is replaced in place; where there is none, only what is done but once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._shown = self._below = False
        self._reported = 0.0
        self._said = ""

    def show(self, text: str, *, below: bool = False) -> None:
        """Replace the line, at most ten times a second.

        With `below` it stands under the line that the cursor is in, which stays as it is.
        """
        now = time.monotonic()
        if self._terminal and now - self._reported >= PROGRESS_SECONDS:
            self._reported = now
            if not self._shown:
                self._shown, self._below = True, below
                self._stream.write(_GO_BELOW if below else "")
            self._stream.write(f"\r\x1b[K{harmless(text)}")
            self._stream.flush()

    def clear(self) -> None:
        """Take the line away, and put the cursor where it was."""
        if self._shown:
            self._shown = False
            self._stream.write(f"\r\x1b[K{_GO_BACK if self._below else ''}")
            self._stream.flush()

    def loading(self, done_bytes: int, total_bytes: int, what: str) -> None:
        """Show how far loading has come; the engine's progress callback.

        What is done without any bytes takes long and is rare: that is said without a terminal too.
        """
        if total_bytes:
            self.show(f"loading {done_bytes / total_bytes:.0%} of {total_bytes / 1e9:,.1f} GB  {what}")
            return
        self._reported = 0.0  # nothing may follow for many seconds
        self.show(what)
        if not self._terminal and what != self._said:
            self._said = what
            print(harmless(f"draftscope: {what}"), file=self._stream, flush=True)


def output_console() -> Console:
    """Return rich's console for standard output, imported only now.

    A reader that has left ends it as it ends `print`: rich would end the program itself, as a failure.
    """
    from rich.console import Console

    class OutputConsole(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return OutputConsole(file=sys.stdout, highlight=False, markup=False, emoji=False)


def fail(sentence: str, code: int) -> int:
    """Say on standard error why a command ends; return its exit code."""
    print(harmless(f"draftscope: {sentence}"), file=sys.stderr)
    return code
