"""Where tokens are on the rows of a layout: under the mouse, a line further, within a selection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from app.transcript.rows import GUTTER
from app.transcript.views import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from textual.selection import Selection

    from app.transcript.layout import Layout, Place
    from app.transcript.rows import Row


class Places:
    """Finds tokens by rows and columns; columns are cells after the gutter."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def _row(self, y: int) -> Row:
        return self._layout.row(y, View.PLAIN)  # where tokens are does not hang on their colours

    def hit(self, y: int, column: int) -> Place | None:
        """Return the token that is shown at a cell."""
        if 0 <= y < self._layout.height:
            for span in self._row(y).spans:
                width = cell_len(span.text)
                if 0 <= column < width:
                    return None if span.token is None else (self._layout.locate(y)[0], span.token)
                column -= width
        return None

    def in_row(self, y: int, column: int) -> Place | None:
        """Return the token at a column, or the one before it, or the row's first."""
        found: int | None = None
        for span in self._row(y).spans:
            if span.token is not None and (found is None or column >= 0):
                found = span.token
            column -= cell_len(span.text)
        return None if found is None else (self._layout.locate(y)[0], found)

    def line_further(self, place: Place, step: int) -> Place | None:
        """Return the token above (-1) or below (1) a token."""
        row = self._layout.row_of(place)
        if row is None:
            return None
        column = 0
        for span in self._row(row).spans:
            if span.token == place[1]:
                break
            column += cell_len(span.text)
        rows = range(row + 1, self._layout.height) if step > 0 else range(row - 1, -1, -1)
        return self._first(place, (self.in_row(y, column) for y in rows))

    def rows_of(self, place: Place) -> Iterator[int]:
        """Yield the rows that a token is on."""
        row = self._layout.row_of(place)
        if row is None:
            return
        yield row
        for y in range(row + 1, self._layout.height):
            if all(span.token != place[1] for span in self._row(y).spans):
                return
            yield y

    def first_in(self, top: int, height: int) -> Place | None:
        """Return the first token of these rows."""
        rows = range(top, min(top + height, self._layout.height))
        return self._first(None, (self.in_row(y, 0) for y in rows))

    def last_in(self, top: int, height: int) -> Place | None:
        """Return the last token of these rows."""
        for y in range(min(top + height, self._layout.height) - 1, top - 1, -1):
            tokens = [span.token for span in self._row(y).spans if span.token is not None]
            if tokens:
                return self._layout.locate(y)[0], tokens[-1]
        return None

    def copied(self, selection: Selection) -> str:
        """Return the raw text that is selected: lines that were only wrapped are one."""
        first = selection.start.y if selection.start is not None else 0
        last = selection.end.y if selection.end is not None else self._layout.height - 1
        last = min(last, self._layout.height - 1)
        found: list[str] = []
        for y in range(max(0, first), last + 1):
            row, span = self._row(y), selection.get_span(y)
            if span is not None:
                start, end = span
                found.append(row.copied(start - GUTTER, None if end == -1 else max(0, end - GUTTER)))
                found.append(row.ending if y < last else "")
        return "".join(found)

    @staticmethod
    def _first(place: Place | None, found: Iterable[Place | None]) -> Place | None:
        return next((each for each in found if each is not None and each != place), None)
