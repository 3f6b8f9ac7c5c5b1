"""A thin bar for each draft position: how often the main model agreed that far ahead.

What was accepted is drawn heavy and the rest of the bar light, so that a bar can be read without colours.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.geometry import Size

LEAST_BAR = 4
"""Columns."""

_LABEL, _PERCENT = 2, 6


class PositionBars(Widget):
    """The bars, `1 ━━━━━━──── 84 %` a line; positions of which nothing is known are dim."""

    DEFAULT_CSS = Path(__file__).with_suffix(".tcss").read_text(encoding="utf-8")
    COMPONENT_CLASSES: ClassVar[set[str]] = {"bars--full", "bars--rest", "bars--percent"}

    shares: reactive[tuple[float | None, ...]] = reactive((), layout=True)
    """For each position, accepted / drafted; None where nothing was drafted."""

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return max(1, len(self.shares))

    def render(self) -> Content:
        """Draw one line a position."""
        names = {"full": "bars--full", "rest": "bars--rest", "percent": "bars--percent"}
        styles = {part: self.get_visual_style(name) for part, name in names.items()}
        width = max(LEAST_BAR, self.content_size.width - _LABEL - _PERCENT)
        lines = []
        for position, share in enumerate(self.shares, start=1):
            full, rest = bar(share or 0.0, width)
            percent = f"{percentage(share):>{_PERCENT}}"
            known = "percent" if share is not None else "rest"
            lines.append(
                Content.assemble(
                    (f"{position} ", styles[known]),
                    (full, styles["full"]),
                    (rest, styles["rest"]),
                    (percent, styles[known]),
                )
            )
        return Content("\n").join(lines)


def bar(share: float, width: int) -> tuple[str, str]:
    """Return a bar's heavy part and its light part; together they have `width` columns."""
    halves = round(min(max(share, 0.0), 1.0) * width * 2)
    full = "━" * (halves // 2) + "╸" * (halves % 2)
    return full, "─" * (width - len(full))


def percentage(share: float | None) -> str:
    """Return a share as the panel writes it."""
    return "–" if share is None else f"{share * 100:.0f} %"


def padded(shares: Sequence[float], rows: int) -> tuple[float | None, ...]:
    """Return the shares with as many unknown ones after them as it takes to fill the rows."""
    return (*shares, *[None] * (rows - len(shares)))
