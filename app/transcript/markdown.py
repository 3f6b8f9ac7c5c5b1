"""A finished reply as rendered Markdown: headings, lists, tables and code, in the colours of the theme.

Links are not made clickable: what a terminal opens would be whatever a model wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markdown import Markdown
from rich.style import Style
from rich.theme import Theme

from app.transcript.atoms import visible
from app.transcript.rows import Row, Span

if TYPE_CHECKING:
    from rich.console import Console

_PLAIN = ("paragraph", "text", "list", "item", "link", "link_url", "table.border", "s", "block_quote")
_HEADINGS = tuple(f"h{level}" for level in range(1, 8))


def render_markdown(text: str, width: int, console: Console, code: Style, *, dark: bool) -> list[Row]:
    """Render Markdown to rows of a width; `code` is the style of code in a line."""
    code_theme = "ansi_dark" if dark else "ansi_light"
    document = Markdown(visible(text), code_theme=code_theme, hyperlinks=False)
    with console.use_theme(_theme(code)):
        lines = console.render_lines(
            document, console.options.update(width=width, height=None), pad=False, new_lines=False
        )
    rows = [
        Row(
            tuple(
                Span(visible(segment.text), segment.text, segment.style or Style.null())
                for segment in line
                if segment.text and not segment.control
            )
        )
        for line in lines
    ]
    while rows and not rows[-1].text.strip():
        rows.pop()
    return rows


def _theme(code: Style) -> Theme:
    """Return Rich's Markdown styles without its own colours, which fit no theme."""
    return Theme(
        {
            **{f"markdown.{name}": Style.null() for name in _PLAIN},
            **{f"markdown.{name}": Style(bold=True) for name in _HEADINGS},
            "markdown.h1": Style(bold=True, underline=True),
            "markdown.h1.border": Style(dim=True),
            "markdown.block_quote": Style(italic=True, dim=True),
            "markdown.link": Style(underline=True),
            "markdown.link_url": Style(dim=True),
            "markdown.s": Style(strike=True),
            "markdown.code": code,
            "markdown.code_block": code,
            "markdown.hr": Style(dim=True),
            "markdown.item.bullet": Style(bold=True),
            "markdown.item.number": Style(bold=True),
            "markdown.table.border": Style(dim=True),
            "markdown.table.header": Style(bold=True),
        }
    )
