"""A chat written to a file for others: Markdown, HTML and SVG with the colours, or the trace itself.

Whatever a model or a user said is text here: control characters are made visible, and nothing of it is
markup in HTML or SVG. Only the trace, which a program reads, keeps everything as it was. No file is ever
overwritten.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import count
from typing import TYPE_CHECKING

from app.exports.html import html
from app.exports.markdown import markdown
from app.exports.svg import svg
from app.exports.trace import trace
from app.locations import exports_folder
from app.session_file import title_of
from engine.errors import UsageError, shown

if TYPE_CHECKING:
    from pathlib import Path

    from textual.theme import Theme

    from app.conversation import Conversation


class Kind(StrEnum):
    """What a chat is written as."""

    MARKDOWN = "markdown"
    HTML = "html"
    SVG = "svg"
    TRACE = "trace"

    @property
    def suffix(self) -> str:
        """How its files end."""
        return {"markdown": ".md", "html": ".html", "svg": ".svg", "trace": ".jsonl"}[self.value]


def export(
    conversation: Conversation,
    kind: Kind,
    path: Path | None = None,
    theme: Theme | None = None,
    *,
    title: str = "",
) -> Path:
    """Write the chat, and return where to: `path`, its name counted up where there is such a file.

    In a folder (without `path`, the current one) the file is named for the title, which is what the user said
    first unless it is given. The colours are the theme's, or those of the default theme. UsageError says why
    nothing was written.
    """
    exchanges = conversation.exchanges
    if not exchanges:
        raise UsageError("There is nothing to export yet.")
    title = title or title_of(exchanges[0].user) or "chat"
    match kind:
        case Kind.MARKDOWN:
            text = markdown(conversation, title)
        case Kind.HTML:
            text = html(conversation, title, theme)
        case Kind.SVG:
            text = svg(conversation, title, theme)
        case Kind.TRACE:
            text = trace(conversation, title)
    return write_new(text, title, kind.suffix, path)


def write_new(text: str, title: str, suffix: str, path: Path | None = None) -> Path:
    """Write a text to a file that is not there yet, named for the title in a folder; see `export`."""
    path = exports_folder() if path is None else path
    if path.is_dir():
        path = path / f"{_file_name(title)}{suffix}"
    try:
        return _write(path, text.encode("utf-8", "replace"))
    except OSError as error:
        raise UsageError(f"{shown(path)} cannot be written: {error.strerror}.") from None


def _write(path: Path, data: bytes) -> Path:
    for number in count(1):
        wanted = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        try:
            with wanted.open("xb") as opened:
                opened.write(data)
        except FileExistsError:
            continue
        return wanted
    raise AssertionError("counting never ends")


def _file_name(title: str) -> str:
    letters = "".join(letter if letter.isalnum() else "-" for letter in title.lower())
    return "-".join(part for part in letters.split("-") if part)[:40].rstrip("-") or "chat"
