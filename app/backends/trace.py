"""A recording read from its file: what `draftscope run --json` writes, or the file of a session.

One JSON object a line. A line with "event" is an event of the engine; of the others, which are the app's own,
"user" and "system" are read, and the rest is passed over. What a crash leaves is no error: a last line that
breaks off is left out (the trace says so), and a reply that breaks off counts as cancelled. Sessions leave
out what a round drafted, since its verification says it again; here it is put back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from app.backends.base import Said
from engine.errors import UsageError, shown
from engine.event_json import from_json
from engine.events import (
    Drafted,
    DraftedToken,
    Event,
    Finished,
    FinishReason,
    Header,
    Prefilled,
    Verified,
)

if TYPE_CHECKING:
    from pathlib import Path


TraceItem: TypeAlias = Event | Said


@dataclass(frozen=True, slots=True)
class Trace:
    """A recording."""

    items: tuple[TraceItem, ...]
    """In order; each reply is a header, other events and a finished."""
    system: str = ""
    """The last system prompt it names."""
    torn_line: int | None = None
    """The number of the last line, where it breaks off and was left out."""

    @property
    def headers(self) -> tuple[Header, ...]:
        """Of all replies; there is at least one."""
        return tuple(item for item in self.items if isinstance(item, Header))


def read_trace(path: Path) -> Trace:
    """Read a file; UsageError names it and the line that is wrong."""
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a path that no system could have
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UsageError(f"{shown(path)} cannot be read ({reason}): give the file of a recording.") from None
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    builder = _Builder()
    torn_line = None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            builder.take(line)
        except ValueError as error:
            if number == len(lines) and builder.items:
                torn_line = number  # without its newline, it was being written
                break
            raise UsageError(f"{shown(path)}, line {number}: {error}") from None
    builder.close_reply()
    if not any(isinstance(item, Header) for item in builder.items):
        raise UsageError(f"{shown(path)} holds no reply: give the file of a recording or a session.")
    return Trace(tuple(builder.items), builder.system, torn_line)


class _Builder:
    """The items so far, and whether a reply is open."""

    def __init__(self) -> None:
        self.items: list[TraceItem] = []
        self.system = ""
        self._open = False
        self._tokens, self._seconds = 0, 0.0
        self._drafted_round: int | None = None

    def take(self, line: bytes) -> None:
        """Read a line; ValueError says in one sentence what is wrong with it."""
        try:
            data = json.loads(line)
        except (ValueError, RecursionError):
            raise ValueError("It is not JSON, as every line of a recording is.") from None
        if not isinstance(data, dict):
            raise ValueError("It is not a JSON object.")
        if "event" in data:
            self._event(from_json(data))
        elif "user" in data:
            self.close_reply()
            self.items.append(Said(_text(data, "user")))
        elif "system" in data:
            self.system = _text(data, "system")

    def close_reply(self) -> None:
        """End a reply that has no end."""
        if self._open:
            self._event(Finished(FinishReason.CANCELLED, self._tokens, self._seconds))

    def _event(self, event: Event) -> None:
        if isinstance(event, Header):
            self.close_reply()
            self._tokens, self._seconds, self._drafted_round = 0, 0.0, None
        elif not self._open:
            raise ValueError(f"A {type(event).__name__.lower()} event stands outside any reply.")
        if isinstance(event, Prefilled):
            self._seconds += event.seconds
        elif isinstance(event, Drafted):
            self._drafted_round = event.round
        elif isinstance(event, Verified):
            drafts = _drafts(event)
            if drafts and event.round != self._drafted_round:
                self.items.append(Drafted(event.round, drafts))
            self._tokens += len(event.tokens)
            self._seconds += event.draft_seconds + event.verify_seconds
        self._open = not isinstance(event, Finished)
        self.items.append(event)


def _drafts(verified: Verified) -> tuple[DraftedToken, ...]:
    """What was verified: the drafts that were kept, then those that were not."""
    kept = verified.tokens[: verified.accepted]
    return (
        *(DraftedToken(token.id, token.text, token.draft_logprob) for token in kept),
        *(DraftedToken(token.id, token.text, token.draft_logprob) for token in verified.rejected),
    )


def _text(data: dict[str, object], key: str) -> str:
    value = data[key]
    if isinstance(value, str):
        return value
    raise ValueError(f"{key} must be a text, not {shown(value)}.")
