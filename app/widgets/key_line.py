"""The keys of a page, in a line at its foot: where that is narrow they stand closer, and none is cut off."""

from __future__ import annotations

from pathlib import Path

from textual.content import Content
from textual.widget import Widget

_GAPS = ("   ", "  ", " ")


class KeyLine(Widget):
    """The line; what it says has three spaces between its pieces."""

    DEFAULT_CSS = Path(__file__).with_suffix(".tcss").read_text(encoding="utf-8")

    def __init__(self, text: str, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._pieces = text.split(_GAPS[0])

    def render(self) -> Content:
        """Draw it in the room that there is."""
        lines = [Content(gap.join(self._pieces)) for gap in _GAPS]
        width = self.content_size.width
        return next((line for line in lines if line.cell_length <= width), lines[-1])
