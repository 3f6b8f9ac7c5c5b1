"""A session's file: one JSON object a line, in the order in which things happened, nothing ever rewritten.

    {"session":1,"id":…,"model":…,"created":…,"title":…}     the first line
    {"system":…}  {"user":…}  {"trimmed":turns}  {"ask":{"mode":…,"depth":…}}
    {"event":"header",…} … {"event":"finished",…}            the reply's events, as engine.event_json has them
    {"cut":exchanges}                                        only so many exchanges are left of the chat
    {"title":…}                                              renamed; after a reply with said, turns, tokens

Drafts before their verification, and what is said of waiting, are left out. What a crash tore off the last
line is ignored, and a reply that did not finish counts as cancelled; a damaged line elsewhere is refused by
its number.
"""

from __future__ import annotations

import gc
import json
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from app.conversation import Conversation, Exchange
from engine.errors import UsageError, shown, shown_error
from engine.event_json import from_json, to_json
from engine.events import Drafted, Finished, FinishReason, Header, Prefilling, Waiting
from engine.options import GenerateOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from app.conversation import Reply
    from engine.events import Event
    from engine.options import Mode

SESSION_VERSION = 1
TITLE_LETTERS = 60


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What a list of sessions shows of one."""

    id: str
    """The file's name without its ending, which a copy shares with no other, whatever its first line says."""
    file: Path
    model: str
    created: datetime
    title: str
    """As it was given, else the beginning of what the user said first."""
    turns: int
    """Exchanges."""
    tokens: int
    """Of all replies."""
    modified: datetime


def first_line(session_id: str, model: str, created: datetime, title: str = "") -> bytes:
    """Return the line that opens a session."""
    made = created.isoformat(timespec="seconds")
    head = {"session": SESSION_VERSION, "id": session_id, "model": model, "created": made, "title": title}
    return line(head)


def line(data: Mapping[str, object]) -> bytes:
    """Return an object as a line. It is ASCII, so that no tear is ever within a letter."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"


def event_line(event: Event) -> bytes | None:
    """Return an event's line, None for those that are left out."""
    return None if isinstance(event, (Drafted, Prefilling, Waiting)) else line(to_json(event))


def ask_line(mode: Mode, depth: int) -> bytes:
    """Return the line of a change of mode or depth in mid-reply."""
    return line({"ask": {"mode": str(mode), "depth": depth}})


def title_of(text: str) -> str:
    """Return the title that a chat has from what the user said first: its beginning, on one line."""
    words = " ".join(text[: 20 * TITLE_LETTERS].split())
    return words if len(words) <= TITLE_LETTERS else f"{words[: TITLE_LETTERS - 1].rstrip()}…"


def closing(reply: Reply) -> Finished:
    """Return the end of a reply that never came to one."""
    seconds = reply.prefilled.seconds if reply.prefilled else 0.0
    seconds += sum(each.draft_seconds + each.verify_seconds for each in reply.rounds)
    return Finished(FinishReason.CANCELLED, len(reply.tokens), seconds)


@dataclass(frozen=True, slots=True)
class Reading:
    """All that a session's file says, and what whoever goes on with it has to know."""

    info: SessionInfo
    conversation: Conversation
    """Its last reply ended."""
    given_title: str
    """Empty where none was given."""
    whole_bytes: int
    """Of the lines that were read; a torn one follows, or nothing."""
    was_ended: bool
    """Whether the last reply came to its end in the file."""


def read_session(file: Path) -> tuple[SessionInfo, Conversation]:
    """Read a session; UsageError names the file, and the line that is damaged."""
    reading = read_all(file)
    return reading.info, reading.conversation


def read_all(file: Path) -> Reading:
    """Read a session to go on with it; UsageError as for `read_session`."""
    try:
        data = file.read_bytes()
        modified = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    except OSError as error:
        raise UsageError(f"{shown(file)} cannot be read: {error.strerror}.") from None
    reader = _Reader()
    *lines, tail = data.split(b"\n")
    if not is_opening(lines[0] if lines else tail):
        raise UsageError(f"{shown(file)} is not a chat of draftscope.")
    with _nothing_to_collect():
        _take_lines(reader, lines, file)
    whole_bytes = len(data)
    try:
        reader.take(_object(tail))
    except (ValueError, UsageError):
        whole_bytes -= len(tail)  # torn off, or nothing at all
    was_ended = reader.close()
    info = reader.info(file, modified)
    return Reading(info, reader.conversation, reader.given_title, whole_bytes, was_ended)


def _take_lines(reader: _Reader, lines: Sequence[bytes], file: Path) -> None:
    together = _together(lines)
    for number, text in enumerate(lines, start=1):
        try:
            reader.take(together[number - 1] if together else _object(text))
        except (ValueError, UsageError) as error:
            raise UsageError(
                f"{shown(file)} is damaged in line {number} ({shown_error(error)}): "
                "delete the chat, or cut the file off before that line."
            ) from None


@contextmanager
def _nothing_to_collect() -> Iterator[None]:
    """Keep the collector from going, again and again, over hundreds of thousands of objects that all stay."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def is_opening(text: bytes) -> bool:
    """Whether a line opens a session, or is what a crash left of one that does."""
    start = b'{"session":'
    return text.startswith(start) or start.startswith(text)


def _together(lines: Sequence[bytes]) -> Sequence[dict[str, object]]:
    """Parse all lines at once, which takes half the time; nothing where any is not one object."""
    if not all(text.startswith(b"{") and text.endswith(b"}") for text in lines):
        return ()
    try:
        found = json.loads(b"[%s]" % b",".join(lines))
    except (ValueError, RecursionError):
        return ()
    return found if len(found) == len(lines) else ()


def _object(text: bytes) -> dict[str, object]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(data, dict):
        raise ValueError("it is not a JSON object")
    return data


class _Reader:
    """The conversation as the lines tell it."""

    def __init__(self) -> None:
        self.conversation = Conversation()
        self.given_title = ""
        self._head: Mapping[str, object] | None = None

    def take(self, data: dict[str, object]) -> None:
        """Apply a line; ValueError or UsageError says what is wrong with it."""
        if self._head is None:
            self._open(data)
            return
        if "event" in data:
            self._event(from_json(data))
            return
        match data:
            case {"user": str(text), **rest} if not rest:
                self.close()
                self.conversation.exchanges.append(Exchange(text))
            case {"system": str(text), **rest} if not rest:
                self.conversation.system = text
            case {"title": str(text)}:
                self.given_title = text
            case {"trimmed": int(turns), **rest} if not rest and turns >= 0:
                self._last().trimmed_turns = turns
            case {"cut": int(count), **rest} if not rest and 0 <= count <= len(self.conversation.exchanges):
                del self.conversation.exchanges[count:]
            case {"ask": {"mode": mode, "depth": depth, **rest}} if not rest:
                options = GenerateOptions().changed({"mode": mode, "depth": depth})
                self._last().reply.ask(options.mode, options.depth)
            case _:
                raise ValueError(f"it says nothing that this draftscope knows: {shown(next(iter(data), ''))}")

    def close(self) -> bool:
        """End the last reply where it has not ended; returns whether it had."""
        last = self.conversation.last
        if last is None or last.reply.finished is not None:
            return True
        last.reply.take(closing(last.reply))
        return False

    def info(self, file: Path, modified: datetime) -> SessionInfo:
        """Return the session's summary."""
        exchanges = self.conversation.exchanges
        head = self._head or {}
        return SessionInfo(
            id=file.stem,
            file=file,
            model=str(head.get("model", "")),
            created=created_of(head, modified),
            title=self.given_title or (title_of(exchanges[0].user) if exchanges else ""),
            turns=len(exchanges),
            tokens=sum(len(exchange.reply.tokens) for exchange in exchanges),
            modified=modified,
        )

    def _open(self, data: Mapping[str, object]) -> None:
        version = data.get("session")
        if version != SESSION_VERSION:
            raise ValueError(f"it is of version {shown(version)}, which a newer draftscope may read")
        if not isinstance(data.get("id"), str):
            raise ValueError("it has no id")
        self._head, self.given_title = data, str(data.get("title", ""))

    def _last(self) -> Exchange:
        if self.conversation.last is None:
            raise ValueError("nothing was said before it")
        return self.conversation.last

    def _event(self, event: Event) -> None:
        last = self.conversation.last
        if isinstance(event, Header) and (last is None or last.reply.finished is not None):
            last = Exchange("")  # a trace of a reply whose prompt it does not hold
            self.conversation.exchanges.append(last)
        self._last().reply.take(event)


def created_of(head: Mapping[str, object], otherwise: datetime) -> datetime:
    """Return when a session was begun."""
    try:
        made = datetime.fromisoformat(str(head.get("created")))
    except ValueError:
        return otherwise
    return made if made.tzinfo else made.replace(tzinfo=UTC)
