"""A chat as one HTML file that needs nothing else: every token coloured, and told about when pointed at."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from app.exports.palette import palette
from app.exports.parts import KINDS, LEGEND, figures, safe, speaker, told
from app.token_colours import TokenKind

if TYPE_CHECKING:
    from textual.theme import Theme

    from app.conversation import Conversation, Reply

_CSS = {
    "underline": "text-decoration: underline; text-underline-offset: 0.2em",
    "strike": "text-decoration: line-through",
    "bold": "font-weight: bold",
    "italic": "font-style: italic",
    "dim": "opacity: 0.8",
}


def html(conversation: Conversation, title: str, theme: Theme | None = None) -> str:
    """Return the chat as a page in the theme's colours."""
    name = _escaped(title)
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{name}</title>\n<style>\n{_style(theme)}</style>\n</head>\n<body>\n<main>\n<h1>{name}</h1>",
        _legend(),
    ]
    if conversation.system:
        parts.append(f"<h2>System</h2>\n<p>{_escaped(conversation.system)}</p>")
    for exchange in conversation.exchanges:
        parts.append(f"<h2>You</h2>\n<p>{_escaped(exchange.user)}</p>")
        if exchange.reply.tokens:
            parts.append(_reply(exchange.reply))
    return "\n".join(parts) + "\n</main>\n</body>\n</html>\n"


def _reply(reply: Reply) -> str:
    spans = "".join(
        f'<span class="{KINDS[placed.token.origin]}" title="{escape(told(reply, placed))}">'
        f"{_escaped(placed.token.text)}</span>"
        for placed in reply.tokens
    )
    return (
        f'<h2>{escape(speaker(reply))}</h2>\n<p>{spans}</p>\n<p class="figures">{escape(figures(reply))}</p>'
    )


def _legend() -> str:
    entries = " ".join(f'<span class="{kind}">{text}</span>' for kind, text in LEGEND.items())
    return f'<p class="legend">{entries}</p>'


def _style(theme: Theme | None) -> str:
    colours = palette(theme)
    rules = [
        f"body {{ background: {colours.background}; color: {colours.foreground}; margin: 0; "
        "font: 16px/1.6 ui-monospace, Menlo, Consolas, monospace; }",
        "main { max-width: 46em; margin: 0 auto; padding: 2em 1.2em; }",
        "h1 { font-size: 1.2em; }",
        f"h2 {{ font-size: 1em; color: {colours.muted}; margin: 2em 0 0; }}",
        "p { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0.2em 0; }",
        f".figures, .legend {{ color: {colours.muted}; font-size: 0.8em; }}",
        ".legend span { margin-right: 1.5em; }",
        "p span:hover { outline: 1px dotted; }",
    ]
    for kind in TokenKind:
        attributes = "".join(f"; {_CSS[each]}" for each in kind.attributes.split() if each in _CSS)
        rules.append(f".{kind} {{ color: {colours.kinds[kind]}{attributes}; }}")
    return "\n".join(rules) + "\n"


def _escaped(text: str) -> str:
    return escape(safe(text))
