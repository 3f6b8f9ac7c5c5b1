"""A chat as Markdown: who said what, with a line of figures under every reply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.exports.parts import figures, safe, speaker

if TYPE_CHECKING:
    from app.conversation import Conversation


def markdown(conversation: Conversation, title: str) -> str:
    """Return the chat; what was said stays the Markdown that it is."""
    parts = [f"# {' '.join(safe(title).split())}"]
    if conversation.system:
        parts += ["## System", safe(conversation.system)]
    for exchange in conversation.exchanges:
        parts += ["## You", safe(exchange.user).strip("\n")]
        if exchange.reply.tokens:
            parts += [f"## {speaker(exchange.reply)}", _closed(safe(exchange.reply.text).strip("\n"))]
            parts.append(f"*{figures(exchange.reply)}*")
    return "\n\n".join(parts) + "\n"


def _closed(text: str) -> str:
    """Return the text, its last code fence closed if the reply ended within it."""
    fence = ""
    for line in text.split("\n"):
        start = line.lstrip()[:3]
        if not fence and start in ("```", "~~~"):
            fence = start
        elif fence and line.strip().startswith(fence) and not line.strip().strip(fence[0]):
            fence = ""
    return f"{text}\n{fence}" if fence else text
