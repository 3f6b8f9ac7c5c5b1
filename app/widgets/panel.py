"""The figures beside the chat: how fast, how many drafts are kept, what a token costs, what it adds up to.

Calm by construction: every section has its place from the start and is dim until it has something to say,
figures have fixed places, a line is drawn again only when it has changed, and nothing more often than four
times a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Sparkline, Static

from app.figures import Setting
from app.why import why
from app.widgets.auto_choice import choice_line
from app.widgets.bars import PositionBars, padded, percentage
from engine.options import Acceptance, GenerateOptions, Mode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.app import ComposeResult

    from app.figures import Figures, MeasuredRow
    from engine.decoding.counters import Counters

LEAST_SECONDS = 0.25
"""Between two drawings."""

BARS = 4
"""Lines kept for positions, so that what is below them stays where it is when the depth changes."""
BARS_IF_SHORT = 2
SHORT_LINES = 28
"""A panel of fewer lines does without blank ones."""
TIGHT_LINES = 22
"""One of fewer than these does without headings whose figures speak for themselves, and without the line."""

UNKNOWN = "–"
_WIDE_COLUMNS = 30
_SPREAD = 4
"""Columns of ±.04 behind a ratio."""
_LEAST_WITH_SPREAD = 27
"""Columns from which the table has room for that."""
_SENTENCES = ("panel-choice", "panel-why")
"""These wrap, so that their height is known only to the layout."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """What is on the screen, so that the same is not drawn twice."""

    figures: Figures
    version: int
    options: GenerateOptions
    disk_limit: str | None
    measure_key: str
    pace: float
    note: str | None
    columns: int
    lines: int


class SidePanel(VerticalScroll, can_focus=False):
    """The panel; give it what has changed by `update_from`, as often as one likes."""

    DEFAULT_CSS = Path(__file__).with_suffix(".tcss").read_text(encoding="utf-8")

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name
        super().__init__(id=id)
        self._asked: tuple[Figures, GenerateOptions, str | None, str, float, str | None] | None = None
        self._shown: _Shown | None = None
        self._is_resting = False
        self._texts: dict[str, Content] = {}

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel-half"):
            yield Static(id="panel-speed")
            yield Sparkline([], id="panel-series")
            yield Static(id="panel-acceptance", classes="panel-heading")
            yield PositionBars(id="panel-bars")
            yield Static(id="panel-length")
            yield Static("EXPERTS AND DISK", classes="panel-heading panel-plain")
            yield Static(id="panel-experts")
        with Vertical(classes="panel-half"):
            yield Static("MEASURED", classes="panel-heading panel-plain")
            yield Static(id="panel-measured")
            yield Static(id="panel-choice")
            yield Static(id="panel-why")

    def on_resize(self, _event: events.Resize) -> None:
        self.set_class(self.size.height < SHORT_LINES, "-short")
        self.set_class(self.size.height < TIGHT_LINES, "-tight")
        self._draw_if_changed()

    def update_from(
        self,
        figures: Figures,
        options: GenerateOptions,
        disk_limit: str | None = None,
        measure_key: str = "b",
        pace: float = 0.0,
        note: str | None = None,
    ) -> None:
        """Show the figures for the options in use.

        `disk_limit` is the speed of an emulated drive, as the user has written it; `measure_key` the key that
        begins a measurement; `pace` the rounds a second that the engine is held to; `note` is said where the
        depth in use was not measured, in place of how it could be.
        """
        self._asked = (figures, options, disk_limit, measure_key, pace, note)
        if not self._is_resting:
            self._draw_if_changed()

    def _draw_if_changed(self) -> None:
        if self._asked is None or not self.is_mounted or not self.size.width:
            return
        figures, options, disk_limit, key, pace, note = self._asked
        columns = self.query_one("#panel-speed", Static).content_size.width or self.content_size.width
        due = _Shown(
            figures,
            figures.version,
            options,
            disk_limit,
            key,
            pace,
            note,
            columns,
            self.size.height,
        )
        if due != self._shown:
            self._shown = due
            self._draw(due)
            self._is_resting = True
            self.set_timer(LEAST_SECONDS, self._rested)

    def _rested(self) -> None:
        self._is_resting = False
        self._draw_if_changed()  # what was asked for in between is not lost

    def _draw(self, due: _Shown) -> None:
        figures, options, columns = due.figures, due.options, due.columns
        recent = figures.recent
        self._put("panel-speed", speed_line(recent, due.pace, columns))
        series = self.query_one("#panel-series", Sparkline)
        series.data = _from_zero(figures.series, columns)
        self._put("panel-acceptance", Content(acceptance_heading(options, columns)))
        shares = recent.acceptance_by_position
        least = BARS_IF_SHORT if due.lines < SHORT_LINES else BARS
        bars = self.query_one(PositionBars)
        bars.shares = padded(shares, max(least, options.depth))
        self._put("panel-length", length_line(recent))
        self._put("panel-experts", experts_lines(recent, due.disk_limit, columns))
        self._put("panel-measured", measured_lines(figures.rows(options.mode, options.depth), columns))
        is_auto = options.mode is Mode.AUTO
        self.query_one("#panel-choice", Static).display = is_auto
        if is_auto:
            self._put("panel-choice", Content(choice_line(figures.auto_depth, figures.auto_choice)))
        self._put("panel-why", Content(_reason(due)))

    def _put(self, ident: str, text: Content) -> None:
        before = self._texts.get(ident)
        if before is not None and before.is_same(text):
            return
        self._texts[ident] = text
        has_grown = before is None or before.plain.count("\n") != text.plain.count("\n")
        self.query_one(f"#{ident}", Static).update(text, layout=has_grown or ident in _SENTENCES)


def _reason(due: _Shown) -> str:
    """Return why the depth in use pays or does not, as far as that can be said."""
    figures, options = due.figures, due.options
    is_known = figures.comparison(*Setting.of(options.mode, options.depth)) is not None
    return why(figures, options, due.measure_key) if is_known or due.note is None else due.note


def speed_line(counters: Counters, pace: float, columns: int) -> Content:
    """Return the speed, and at the right edge whether the engine is held back: it wakes up slower then."""
    speed = counters.tokens_per_second
    if speed is None:
        return Content.styled(f"{UNKNOWN} tokens/s", "$text-disabled")
    left = Content.assemble((f"{speed:.1f}", "bold"), " tokens/s")
    right = "at a pace" if pace else ""
    room = columns - left.cell_length - len(right)
    return Content.assemble(left, " " * room, (right, "$text-muted")) if right and room > 0 else left


def acceptance_heading(options: GenerateOptions, columns: int) -> str:
    """Return the heading, which names the rule of acceptance where it matters: when sampling."""
    if options.temperature == 0:
        return "ACCEPTED BY POSITION"
    is_coupled = options.accept is Acceptance.COUPLED
    rule = "COUPLED ACCEPTANCE" if is_coupled else "REJECTION SAMPLING"
    full = f"{rule} BY POSITION"
    return full if len(full) <= columns else rule


def length_line(counters: Counters) -> Content:
    """Return the tokens that a pass of the main model yields."""
    length = counters.mean_length
    if length is None:
        return Content.styled(f"{UNKNOWN} tokens a pass", "$text-disabled")
    return Content(f"{length:.2f} tokens a pass")


def experts_lines(counters: Counters, disk_limit: str | None, columns: int) -> Content:
    """Return what a token moves; dim where nothing moves, and where nothing is known."""
    is_wide = columns >= _WIDE_COLUMNS
    loads, hits = counters.loads_per_token, counters.hit_rate
    read, waiting = counters.bytes_per_token, counters.wait_share
    firsts = (f"{UNKNOWN if loads is None else f'{loads:.1f}'} loads/token", f"{bytes_text(read)}/token")
    room = max((17 if is_wide else 15), *(len(text) + 2 for text in firsts))
    words = ("in RAM", "waiting") if is_wide else ("RAM", "wait")
    lines = [
        f"{firsts[0]:<{room}}{percentage(hits)} {words[0]}",
        f"{firsts[1]:<{room}}{words[1]} {percentage(waiting)}",
    ]
    if disk_limit is not None:
        lines.append(f"(emulated drive {disk_limit})")
    text = "\n".join(lines)
    return Content(text) if loads or read or waiting else Content.styled(text, "$text-disabled")


def measured_lines(rows: Sequence[MeasuredRow], columns: int) -> Content:
    """Return the table; figures stand under each other by their decimal points.

    Rows of mode auto are headed so: they are by what was drafted, which nobody had asked for.
    """
    scatters = columns >= _LEAST_WITH_SPREAD and any(row.spread is not None for row in rows)
    tail = _SPREAD if scatters else 0
    spare = max(0, min(2, (columns - 23 - tail) // 3))
    widths = (7 + spare, 6 + spare + tail, 5 + spare)

    def line(depth: str, *cells: str) -> str:
        return depth.ljust(5) + "".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))

    heading = "auto" if rows and rows[0].mode is Mode.AUTO else "depth"
    lines = [Content.styled(line(heading, "tok/s", "×".ljust(1 + tail), "n"), "$text-muted")]
    for row in rows:
        speed = row.tokens_per_second
        spread = row.spread if scatters and row.depth else None  # depth 0 over itself is 1 whatever happens
        text = line(
            f"{'▸' if row.current else ' '} {row.depth}",
            UNKNOWN if speed is None else f"{speed:.1f}",
            ratio_text(row.ratio, spread) if spread else ratio_text(row.ratio).rjust(4).ljust(4 + tail),
            _count(row.tokens),
        )
        style = "bold" if row.current else "$text-disabled" if speed is None else ""
        lines.append(Content.styled(text, style))
    return Content("\n").join(lines)


def ratio_text(ratio: float | None, spread: float | None = None, unit: str = "") -> str:
    """Return a ratio, with by how much it scatters in four more columns: 1.29±.04."""
    if ratio is None:
        return UNKNOWN
    text = f"{ratio:.2f}{unit}"
    if spread is None:
        return text
    return f"{text}±{f'{spread:.2f}'.removeprefix('0') if spread < 1 else f'{spread:.1f}'}"


def _from_zero(series: Sequence[float], columns: int) -> list[float]:
    """Return one value a column, the newest at the right edge.

    The first is always 0, since a sparkline stretches from the least value to the largest, which would make
    mountains of a steady speed.
    """
    last = list(series[-max(1, columns - 1) :])
    return [0.0] * max(1, columns - len(last)) + last


def bytes_text(count: float | None) -> str:
    """Return an amount as the panel writes it."""
    if count is None:
        return f"{UNKNOWN} MB"
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.{1 if count >= 1e6 else 2}f} MB" if count else "0 MB"


def _count(tokens: int) -> str:
    if not tokens:
        return UNKNOWN
    return str(tokens) if tokens < 100_000 else f"{tokens // 1000}k"
