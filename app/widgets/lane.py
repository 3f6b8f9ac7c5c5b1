"""One lane of a comparison: how far it is, how fast, what is accepted, and the tail of what it says.

Every figure has its place from the start; a block is drawn again only when what it shows has changed.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from app.token_colours import TokenKind
from app.transcript.atoms import visible
from app.widgets.bars import LEAST_BAR, bar, percentage
from app.widgets.legend import kind_style
from app.widgets.panel import UNKNOWN, bytes_text, ratio_text
from engine.events import Origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.lanes_run import LanesRun
    from engine.events import Token
    from engine.lanes_report import LaneRow

_LABEL, _SHARE, _SPEED, _RATIO, _READ = 10, 6, 14, 12, 15
"""Columns."""
_WASTE = 12
"""Columns that a wrapped line may leave empty."""
_KINDS = {
    Origin.ORDINARY: TokenKind.ORDINARY,
    Origin.ACCEPTED: TokenKind.ACCEPTED,
    Origin.CORRECTED: TokenKind.CORRECTED,
    Origin.BONUS: TokenKind.ORDINARY,  # as in the transcript's first view
}


@dataclass(frozen=True, slots=True)
class LaneView:
    """What a block shows."""

    label: str
    share: float
    """How much is done."""
    row: LaneRow
    text: tuple[Token, ...]
    is_best: bool

    @classmethod
    def of(cls, run: LanesRun, lane: int) -> LaneView:
        """Return a lane as it stands; which one is best is known at the end."""
        is_best = run.is_over and run.report.best == lane and run.report.best_is_clear
        return cls(
            run.lanes[lane].label, run.share(lane), run.report.row(lane), tuple(run.text(lane)), is_best
        )


class LaneBlock(Widget):
    """The block; as many lines of its text are shown as its height leaves."""

    DEFAULT_CSS = Path(__file__).with_suffix(".tcss").read_text(encoding="utf-8")

    view: reactive[LaneView | None] = reactive(None)

    def render(self) -> Content:
        """Draw the lane."""
        view, width = self.view, self.content_size.width
        if view is None or not width:
            return Content("")
        lines = [figures_line(view, width), details_line(view.row, width)]
        most = max(1, self.content_size.height - len(lines))
        tail = text_lines(view.text, width - _LABEL, most)
        lines += [Content.assemble(" " * _LABEL, line) for line in tail]
        return Content("\n").join(line.truncate(width, ellipsis=True) for line in lines)


def figures_line(view: LaneView, columns: int) -> Content:
    """Return the lane's name, its progress, and the figures by which lanes are compared."""
    row = view.row
    width = columns - _LABEL - _SHARE - _SPEED - _RATIO - _READ
    full, rest = bar(view.share, width) if width >= LEAST_BAR else ("", "")  # the percentage says it too
    cut = 1 if width < 0 else 0
    speed, ratio = row.tokens_per_second, row.ratio
    spread = row.ratio_spread or None  # that of depth 0 to itself is 0
    is_even = ratio is None or abs(ratio - 1) <= max(spread or 0, 0.005)
    colour = "" if is_even or ratio is None else "$success" if ratio > 1 else "$warning"
    return Content.assemble(
        (f"{'▸ ' if view.is_best else '  '}{view.label}".ljust(_LABEL), "bold"),
        (full, "$tok-accepted"),
        (rest, "$text-disabled"),
        percentage(view.share).rjust(_SHARE),
        f"{UNKNOWN if speed is None else f'{speed:.1f}'} tok/s".rjust(_SPEED - cut),
        (ratio_text(ratio, spread, "×").rjust(_RATIO), f"bold {colour}".strip()),
        f"{bytes_text(row.bytes_per_token)}/token".rjust(_READ - cut),
    )


def details_line(row: LaneRow, columns: int = 80) -> Content:
    """Return what a pass yields, and how often the main model agreed so far ahead; in few columns briefly."""
    length = UNKNOWN if row.mean_length is None else f"{row.mean_length:.2f}"
    shares = " ".join(f"{100 * share:.0f}" for share in row.acceptance_by_position)
    accepted = f"{shares} %" if shares else UNKNOWN
    indent = " " * _LABEL
    text = f"{indent}{length} tokens a pass   accepted by position {accepted}"
    if len(text) > columns:
        text = f"{indent}{length} a pass   accepted {accepted}"
    return Content.styled(text, "$text-muted")


def text_lines(tokens: Sequence[Token], columns: int, lines: int) -> list[Content]:
    """Return the last lines of a text, its tokens coloured by origin.

    A text that has outgrown them begins further on by half a line at a time, and stands still in between.
    """
    parts = [
        (visible(token.text.replace("\n", "⏎ ").replace("\t", " ")), kind_style(_KINDS[token.origin]))
        for token in tokens
    ]
    room, step = columns * lines - _WASTE * (lines - 1), max(1, columns // 2)
    begins = [0, *accumulate(cell_len(text) for text, _ in parts)]
    over = begins[-1] - room
    first = bisect_left(begins, -(-over // step) * step) if over > 0 else 0
    text = Content.assemble(*parts[first:])
    return text.wrap(max(1, columns))[-lines:] if text.plain else []
