"""A chat as a trace: the very form that sessions have on disk, which `draftscope replay` plays."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from app.session_file import ask_line, event_line, first_line, line
from engine.events import Header

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.conversation import Conversation, Reply
    from engine.events import Event


def trace(conversation: Conversation, title: str, session_id: str = "export") -> str:
    """Return the chat as JSON lines."""
    exchanges = conversation.exchanges
    model = next((exchange.reply.model for exchange in exchanges if exchange.reply.model), "")
    lines = [first_line(session_id, model, datetime.now().astimezone(), title)]
    if conversation.system:
        lines.append(line({"system": conversation.system}))
    for exchange in exchanges:
        lines.append(line({"user": exchange.user}))
        if exchange.trimmed_turns:
            lines.append(line({"trimmed": exchange.trimmed_turns}))
        lines += _reply(exchange.reply)
    return b"".join(lines).decode("ascii")


def _reply(reply: Reply) -> Iterator[bytes]:
    """Return the reply's events, and its changes of mode and depth where they were made."""
    changes = {change.token_index: change for change in reply.changes}
    if reply.options is not None:
        yield from _lines(Header(reply.model, reply.options))
    yield from _lines(reply.prefilled)
    done = 0
    for event in reply.rounds:
        if done in changes:
            change = changes.pop(done)
            yield ask_line(change.mode, change.depth)
        yield from _lines(event)
        done += len(event.tokens)
    for change in changes.values():
        yield ask_line(change.mode, change.depth)
    yield from _lines(reply.finished)


def _lines(event: Event | None) -> Iterator[bytes]:
    text = event_line(event) if event is not None else None
    if text is not None:
        yield text
