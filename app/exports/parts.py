"""What every export of a chat needs: harmless text, whose turn it is, and a reply's figures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from app.commands.run import summary
from app.commands.terminal import harmless
from app.session_file import closing
from app.token_colours import TokenKind
from engine.decoding.counters import Counters
from engine.events import FinishReason, Origin

if TYPE_CHECKING:
    from app.conversation import PlacedToken, Reply

_NO_LETTERS = re.compile("[\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
"""Code points that UTF-8 or XML cannot hold."""

KINDS = {
    Origin.ACCEPTED: TokenKind.ACCEPTED,
    Origin.ORDINARY: TokenKind.ORDINARY,
    Origin.BONUS: TokenKind.BONUS,
    Origin.CORRECTED: TokenKind.CORRECTED,
}

LEGEND = {
    TokenKind.ACCEPTED: "accepted draft",
    TokenKind.ORDINARY: "main model",
    TokenKind.BONUS: "main model, after a whole draft",
    TokenKind.CORRECTED: "corrected",
}
"""What the colours of a finished reply mean."""


def safe(text: str) -> str:
    """Return text with everything made visible that a terminal, a browser or a parser might obey."""
    return _NO_LETTERS.sub("\ufffd", harmless(text.replace("\r\n", "\n")))


def speaker(reply: Reply) -> str:
    """Return what the model's turns are headed with."""
    return safe(reply.model) or "model"


def figures(reply: Reply) -> str:
    """Return the reply's figures in one line."""
    counters = Counters()
    for event in reply.rounds:
        counters.observe(event)
    finished = reply.finished or closing(reply)
    text = summary(reply.prefilled, finished, counters)
    if reply.finished is None:
        return f"{text} · still being written"
    if finished.reason not in (FinishReason.STOP, FinishReason.LENGTH):
        text += f" · ended: {finished.reason}"
    return text


def told(reply: Reply, placed: PlacedToken) -> str:
    """Return what is known of a token, in one line."""
    token, event = placed.token, reply.rounds[placed.round_index]
    parts = [str(token.origin)]
    if token.position:
        parts.append(f"drafted {token.position} ahead")
    if token.origin is Origin.CORRECTED and event.rejected:
        parts.append(f"in place of {safe(event.rejected[0].text)!r}")
    if token.logprob is not None:
        parts.append(f"logprob {token.logprob:.2f}")
    if token.draft_logprob is not None:
        parts.append(f"drafter's {token.draft_logprob:.2f}")
    parts.append(f"round {event.round}, {event.mode} at depth {event.depth}")
    return " · ".join(parts)
