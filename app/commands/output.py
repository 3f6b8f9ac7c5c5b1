"""What `draftscope run` writes to standard output: text, token ids, or events as JSON lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

from app.commands.terminal import harmless
from engine.event_json import to_json
from engine.events import Verified

if TYPE_CHECKING:
    from typing import TextIO

    from engine.events import Event


class Output(Protocol):
    """Takes a reply's events, the header first."""

    @property
    def in_line(self) -> bool:
        """Whether the last line that was written is to be continued."""

    def take(self, event: Event) -> None: ...
    def end(self) -> None: ...


class TextOutput:
    """The reply's text as its rounds are verified, ended by a newline.

    On a terminal control characters are made visible; into a pipe or a file the text goes as it is.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._last = "\n"

    @property
    def in_line(self) -> bool:
        return not self._last.endswith("\n")

    def take(self, event: Event) -> None:
        if isinstance(event, Verified):
            text = "".join(token.text for token in event.tokens)
            self._write(harmless(text) if self._terminal else text)

    def end(self) -> None:
        if self.in_line:
            self._write("\n")

    def _write(self, text: str) -> None:
        if text:
            self._stream.write(text)
            self._stream.flush()
            self._last = text


class IdsOutput:
    """Token ids, separated by commas as `--ids` takes them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._any = False

    @property
    def in_line(self) -> bool:
        return self._any

    def take(self, event: Event) -> None:
        if isinstance(event, Verified):
            for token in event.tokens:
                self._stream.write(f",{token.id}" if self._any else str(token.id))
                self._any = True
            self._stream.flush()

    def end(self) -> None:
        if self._any:
            self._stream.write("\n")
            self._stream.flush()


class JsonOutput:
    """Every event, one a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def in_line(self) -> bool:
        return False

    def take(self, event: Event) -> None:
        self._stream.write(json.dumps(to_json(event), allow_nan=False) + "\n")
        self._stream.flush()

    def end(self) -> None:
        pass
