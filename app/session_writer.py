"""Keeping a chat as it grows: every line is on its way to the disk before the next thing happens.

The file is made when the user first says something, and locked while it is open (where the system can), so
that two processes never write one chat. When the disk is full or the folder is gone that is said once, and
the chat goes on unkept; the file ends with the last whole line.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from datetime import datetime
from typing import TYPE_CHECKING

from app.session_file import ask_line, closing, event_line, first_line, line, read_all, title_of
from engine.errors import UsageError, shown
from engine.events import Finished, Header, Verified

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO
    from pathlib import Path

    from app.conversation import Conversation
    from app.session_file import Reading
    from engine.events import Event
    from engine.options import Mode


class SessionWriter:
    """Appends to one session's file; a `Record` of the chat."""

    def __init__(self, folder: Path, model: str, notice: Callable[[str], None]) -> None:
        """Begin a session, with no file before the user has said something. `notice` gets one sentence."""
        self.model = model
        created = datetime.now().astimezone()
        self.session_id = f"{created:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        self.path = folder / f"{self.session_id}.jsonl"
        self._created = created
        self._notice = notice
        self._title = ""
        self._said = ""
        """The beginning of what the user said first."""
        self._system = ""
        self._tokens: list[int] = []
        """Of each exchange's reply."""
        self._open: FileIO | None = None
        self._is_over = False

    @classmethod
    def resume(cls, file: Path, notice: Callable[[str], None]) -> tuple[SessionWriter, Conversation]:
        """Go on with a session; UsageError if it is damaged, or open elsewhere."""
        try:
            opened = file.open("r+b", buffering=0)
        except OSError as error:
            raise UsageError(f"{shown(file)} cannot be opened: {error.strerror}.") from None
        try:
            lock(opened, file)
            reading = read_all(file)
        except BaseException:
            opened.close()
            raise
        writer = cls(file.parent, reading.info.model, notice)
        writer.session_id, writer.path, writer._created = reading.info.id, file, reading.info.created
        writer._title, writer._system = reading.given_title, reading.conversation.system
        exchanges = reading.conversation.exchanges
        writer._said = title_of(exchanges[0].user) if exchanges else ""
        writer._tokens = [len(exchange.reply.tokens) for exchange in exchanges]
        writer._open = opened
        writer._mend(reading)
        return writer, reading.conversation

    @property
    def is_open(self) -> bool:
        """Whether it has its file: not before something was said, nor after it failed or was closed."""
        return self._open is not None

    def system(self, text: str) -> None:
        """Keep a new system prompt."""
        self._system = text
        self._append(line({"system": text}))

    def user(self, text: str) -> None:
        """Keep what the user said; the first time of all, make the file."""
        if self._open is None and not self._is_over:
            self._create()
        self._said = self._said if self._tokens else title_of(text)
        self._tokens.append(0)
        self._append(line({"user": text}))

    def event(self, event: Event) -> None:
        """Keep an event of the reply."""
        if isinstance(event, Header) and not self._tokens:
            self._tokens.append(0)
        if isinstance(event, Verified) and self._tokens:
            self._tokens[-1] += len(event.tokens)
        text = event_line(event)
        if text is not None:
            self._append(text)
        if isinstance(event, Finished):
            self._total()
            self._settle()

    def ask(self, mode: Mode, depth: int) -> None:
        """Keep that mode or depth was set in mid-reply."""
        self._append(ask_line(mode, depth))

    def cut(self, exchanges: int) -> None:
        """Keep that only the first exchanges are left."""
        del self._tokens[exchanges:]
        self._said = self._said if self._tokens else ""
        self._append(line({"cut": exchanges}))
        self._total()

    def trimmed(self, turns: int) -> None:
        """Keep that the last prompt went without the oldest turns."""
        self._append(line({"trimmed": turns}))

    def rename(self, title: str) -> None:
        """Give the session a title; empty for what the user said first."""
        self._title = title
        self._total()

    def close(self) -> None:
        """Let the file go, and with it the lock."""
        if self._open is not None:
            with contextlib.suppress(OSError):
                self._open.close()
        self._open, self._is_over = None, True

    def _create(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._open = open(self.path, "x+b", buffering=0, opener=_private)  # noqa: SIM115  # stays open
        except OSError as error:
            self._fail(error.strerror)
            return
        with contextlib.suppress(UsageError):  # nobody else knows of it yet
            lock(self._open, self.path)
        self._append(first_line(self.session_id, self.model, self._created, self._title))
        if self._system:
            self._append(line({"system": self._system}))

    def _total(self) -> None:
        turns, tokens = len(self._tokens), sum(self._tokens)
        self._append(line({"title": self._title, "said": self._said, "turns": turns, "tokens": tokens}))

    def _append(self, text: bytes) -> None:
        if self._open is None:
            return
        start = self._open.seek(0, os.SEEK_END)
        try:
            rest = memoryview(text)
            while rest:
                rest = rest[self._open.write(rest) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                self._open.truncate(start)  # no half line stays, whatever comes after it
            self._fail(error.strerror)

    def _settle(self) -> None:
        """Have the reply on the disk itself, in a file that has a name."""
        if self._open is None:
            return
        try:
            os.fsync(self._open.fileno())
            is_gone = not self.path.exists()
        except OSError as error:
            self._fail(error.strerror)
            return
        if is_gone:
            self._fail("it was moved or deleted")

    def _fail(self, why: str | None) -> None:
        self.close()
        self._notice(
            f"This chat is no longer kept on disk ({shown(self.path)}: {why or 'the system refuses'}); "
            "it goes on, and /export writes it elsewhere."
        )

    def _mend(self, reading: Reading) -> None:
        """Take a torn end away, and end the reply that it was in."""
        assert self._open is not None
        try:
            if self._open.seek(0, os.SEEK_END) != reading.whole_bytes:
                self._open.truncate(reading.whole_bytes)
            self._open.seek(max(0, reading.whole_bytes - 1))
            last_byte = self._open.read(1)
        except OSError as error:
            self._fail(error.strerror)
            return
        if not last_byte:
            self._append(first_line(self.session_id, self.model, self._created))
        elif last_byte != b"\n":
            self._append(b"\n")
        last = reading.conversation.last
        if last is not None and last.reply.options is not None and not reading.was_ended:
            self.event(closing(last.reply))


def _private(path: str, flags: int) -> int:
    """Open a file that only its owner may read."""
    return os.open(path, flags, 0o600)


def lock(opened: FileIO, file: Path) -> None:
    """Have the file alone; UsageError if another process has it. A file system without locks goes without."""
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(opened.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(
            f"The chat {shown(file.stem)} is open in another draftscope: close it there, or begin a new one."
        ) from None
    except OSError:
        return
