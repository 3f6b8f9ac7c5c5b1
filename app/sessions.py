"""The chats on disk: listed newest first, found by their id, renamed, deleted, gone on with.

A list reads the beginning and the end of each file: the writer says after every reply how long the chat is by
then, and only where that is missing (a crash in the middle of a very long reply) more of the file is read.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from app.locations import sessions_folder
from app.session_file import SESSION_VERSION, SessionInfo, created_of, title_of
from app.session_writer import SessionWriter, lock
from engine.errors import UsageError, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from app.conversation import Conversation

HEAD_BYTES = 16 << 10
TAIL_BYTES = 64 << 10


def cache_file(session_file: Path) -> Path:
    """Where the engine's cache of a chat is kept, if the user wants that: beside the chat."""
    return session_file.with_suffix(".cache")


class Sessions:
    """The folder of the chats."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or sessions_folder()

    def new(self, model: str, notice: Callable[[str], None]) -> SessionWriter:
        """Begin a chat; its file is made when something is said. `notice` hears if it can't be kept."""
        return SessionWriter(self._folder, model, notice)

    def resume(self, session_id: str, notice: Callable[[str], None]) -> tuple[SessionWriter, Conversation]:
        """Go on with a chat; UsageError if there is none of this id, or it is open elsewhere."""
        return SessionWriter.resume(self.find(session_id), notice)

    def list(self) -> tuple[SessionInfo, ...]:
        """Return all chats, the one that was last changed first; files that are none are left out."""
        return tuple(self._newest())

    def latest(self) -> SessionInfo | None:
        """Return the chat that was changed last."""
        return next(self._newest(), None)

    def find(self, session_id: str) -> Path:
        """Return the file of a chat, by its id or as much of its beginning as no other has."""
        known = {file.stem: file for file in self._files()}
        if session_id in known:
            return known[session_id]
        starting = [name for name in known if session_id and name.startswith(session_id)]
        if len(starting) == 1:
            return known[starting[0]]
        if starting:
            raise UsageError(f"{len(starting)} chats begin with {shown(session_id)}: give more of the id.")
        near = difflib.get_close_matches(session_id, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; draftscope lists them under ctrl+o."
        raise UsageError(f"There is no chat {shown(session_id)}{hint}")

    def rename(self, session_id: str, title: str) -> None:
        """Give a chat that is not open a title; the open one is renamed by its writer.

        It stays as old as it is: a new title makes it neither the first of the list nor the latest.
        """
        file = self.find(session_id)
        try:
            before = file.stat()
        except OSError as error:
            raise UsageError(f"{shown(file)} cannot be opened: {error.strerror}.") from None
        writer, _ = SessionWriter.resume(file, _refuse)
        try:
            writer.rename(title)
            with contextlib.suppress(OSError):
                os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        finally:
            writer.close()

    def delete(self, session_id: str) -> None:
        """Delete a chat that is not open, and with it the caches of chats that are gone."""
        file = self.find(session_id)
        try:
            with file.open("r+b", buffering=0) as opened:
                lock(opened, file)
            file.unlink()
            for cache in self._folder.glob("*.cache*"):  # also what was being written as an engine ended
                if not (self._folder / f"{cache.name.partition('.cache')[0]}.jsonl").exists():
                    file = cache
                    file.unlink(missing_ok=True)
        except OSError as error:
            raise UsageError(f"{shown(file)} cannot be deleted: {error.strerror}.") from None

    def _files(self) -> Sequence[Path]:
        """Return the files, the one that was last changed first."""
        try:
            entries = [file for file in self._folder.iterdir() if file.suffix == ".jsonl"]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UsageError(f"{shown(self._folder)} cannot be read: {error.strerror}.") from None
        found = []
        for file in entries:
            with contextlib.suppress(OSError):  # just deleted, or a link that leads nowhere, as editors make
                found.append((file.stat().st_mtime_ns, file.name, file))
        return [file for _, _, file in sorted(found, reverse=True)]

    def _newest(self) -> Iterator[SessionInfo]:
        for file in self._files():
            try:
                info = _summary(file)
            except OSError:  # it went away, or belongs to somebody else
                continue
            if info is not None:
                yield info


def _refuse(sentence: str) -> None:
    raise UsageError(sentence)


def _summary(file: Path) -> SessionInfo | None:
    """Return what a list shows of a session, None if the file is none."""
    with file.open("rb", buffering=0) as opened:
        state = os.fstat(opened.fileno())
        head = _object(opened.read(HEAD_BYTES).partition(b"\n")[0])
        if head is None or head.get("session") != SESSION_VERSION:
            return None
        tail_bytes, tally = TAIL_BYTES, None
        while tally is None:
            start = max(0, state.st_size - tail_bytes)
            opened.seek(start)
            tail = opened.read(state.st_size - start)
            tally = _tally(tail.split(b"\n"), is_whole=start == 0)
            tail_bytes *= 8
    modified = datetime.fromtimestamp(state.st_mtime, UTC)
    return SessionInfo(
        id=file.stem,
        file=file,
        model=str(head.get("model", "")),
        created=created_of(head, modified),
        title=tally.title or tally.said,
        turns=tally.turns,
        tokens=tally.tokens,
        modified=modified,
    )


@dataclass(slots=True)
class _Tally:
    """How long a chat is, as far as its lines were looked at."""

    title: str = ""
    said: str = ""
    """The beginning of what the user said first."""
    turns: int = 0
    tokens: int = 0


def _tally(lines: Sequence[bytes], *, is_whole: bool) -> _Tally | None:
    """Count from the writer's last total on; None if the lines, the end of a file, do not suffice."""
    for index in range(len(lines) - 1, -1, -1):
        if lines[index].startswith(b'{"title":') and (total := _total(_object(lines[index]))) is not None:
            counted = _count(total, lines[index + 1 :])
            if counted is not None:
                return counted
            break
    return _count(_Tally(), lines) if is_whole else None


def _total(data: dict[str, object] | None) -> _Tally | None:
    match data:
        case {"title": str(title), "said": str(said), "turns": int(turns), "tokens": int(tokens)}:
            return _Tally(title, said, turns, tokens)
    return None


def _count(start: _Tally, lines: Sequence[bytes]) -> _Tally | None:
    """Go on counting; None where the chat was cut to before the start."""
    new: list[int] = []
    title, said, tokens = start.title, start.said, start.tokens
    for text in lines:
        match _object(text):
            case {"title": str(given)}:
                title = given
            case {"user": str(words)}:
                said = said if start.turns or new else title_of(words)
                new.append(0)
            case {"event": "verified", "tokens": [*emitted]}:
                if new:
                    new[-1] += len(emitted)
                else:
                    tokens += len(emitted)
            case {"cut": int(left)} if 0 <= left < start.turns:
                return None
            case {"cut": int(left)} if left >= 0:  # damage is said by whoever opens the chat
                del new[left - start.turns :]
    return _Tally(title, said, start.turns + len(new), tokens + sum(new))


def _object(text: bytes) -> dict[str, object] | None:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None
