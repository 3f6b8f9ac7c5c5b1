"""Rows to strips of coloured segments, one segment a token; the cursor and the selection come on top."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from app.token_colours import POSITION_ATTRIBUTES, SURPRISE_ATTRIBUTES, TokenKind
from app.transcript.rows import GUTTER, Look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from app.transcript.rows import Row

_POSITIONS = frozenset(look for look in Look if look.startswith("position-"))
_SECOND_CHANNELS: Mapping[Look, str] = {
    **{Look(kind): kind.attributes for kind in TokenKind},
    **dict.fromkeys(_POSITIONS, POSITION_ATTRIBUTES),
    **{Look(f"surprise-{step}"): attributes for step, attributes in enumerate(SURPRISE_ATTRIBUTES)},
}
"""What tells kinds of token apart where colours do not."""


class Painter:
    """The styles of a theme, and painting with them."""

    def __init__(self, base: Style, component: Callable[[str], Style]) -> None:
        """`component` returns the style of a component class."""
        self.base = base
        self._looks = {
            look: base + component(look.component) + Style.parse(_SECOND_CHANNELS.get(look, ""))
            for look in Look
        }

    def style(self, look: Look) -> Style:
        """Return what a kind of text looks like."""
        return self._looks[look]

    def strip(self, row: Row, cursor: int | None = None) -> Strip:
        """Paint a row; `cursor` is the token that the cursor is on, if it is in this row's reply."""
        segments = [Segment(row.mark.ljust(GUTTER), self._looks[Look.MARK])]
        on_cursor = self._looks[Look.CURSOR]
        has_cursor = cursor is not None and any(span.token == cursor for span in row.spans)
        without_text = has_cursor and not any(span.text for span in row.spans if span.token == cursor)
        for text, _, look, token in row.spans:
            style = self._looks[look] if isinstance(look, Look) else self.base + look
            if has_cursor and token == cursor:
                segments.append(Segment(" " if without_text else text, style + on_cursor))
                without_text = False
            elif text:
                segments.append(Segment(text, style))
        return Strip(segments, sum(cell_len(segment.text) for segment in segments))


def selected(strip: Strip, start: int, end: int, style: Style) -> Strip:
    """Return the strip with a style over some of its characters; an end of -1 is that of the strip."""
    return Strip(_selected(strip, start, end, style), strip.cell_length)


def _selected(strip: Iterable[Segment], start: int, end: int, style: Style) -> Iterable[Segment]:
    position = 0
    for text, own, _ in strip:
        first = max(0, start - position)
        last = len(text) if end == -1 else max(first, min(len(text), end - position))
        over = style if own is None else own + style
        for part, look in ((text[:first], own), (text[first:last], over), (text[last:], own)):
            if part:
                yield Segment(part, look)
        position += len(text)
