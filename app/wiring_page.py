"""What the wiring lab has found, as text for the terminal: a ranked heat map, the verdict, and a plot.

Every share is written as a number beside a letter that is the darker the larger it is, so that the map reads
without colours; nothing here depends on the terminal. No line is longer than COLUMNS, so that it reads in a
terminal of 80 and on a page within one.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from engine.lab.results import Verdict
from engine.lab.texts import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.lab.intervals import Interval
    from engine.lab.results import FarRow, WiringReport, WiringRow

COLUMNS = 72
SHADES = " ░▒▓█"
MARKS = "●▲■◆"
"""Of the plot's lines, in their order; where two fall together the first is seen."""
_PLOT_LINES = 10
_PLOT_COLUMN = 7


def wiring_page(report: WiringReport) -> str:
    """Return the whole page."""
    sections = (
        [line for sentence in (*report.verdict(), _measured_on(report)) for line in _wrapped(sentence)],
        heat_map(report.rows),
        _wrapped(
            "kept: mean number of drafts accepted a round, of 4; nats: of the text's own token under the "
            "first draft. Differences to the base are paired"
            + (
                ', with 95 % intervals over whole texts; "nats" where those tell and drafts do not.'
                if report.has_intervals
                else "."
            )
        ),
        [
            *_wrapped(
                f"How far ahead: share of {counted(report.far_places, 'place')} where all guesses up to the "
                "depth were right, with text as far as the deepest guess; the map above was measured nearer "
                "to the ends too."
            ),
            "",
            *plot(report.far),
        ],
        far_table(report.far),
    )
    return "\n\n".join("\n".join(lines) for lines in sections)


def heat_map(rows: Sequence[WiringRow]) -> list[str]:
    """Return two lines a wiring, ranked: its name, then its figures, a shaded share for each depth."""
    depths = len(rows[0].acceptance) if rows else 0
    head = "".join(f"{f'at {depth}':>7}" for depth in range(1, depths + 1))
    lines = [f"  {head}{'kept':>6} {'to the base':>14} {'nats':>7}"]
    for row in rows:
        cells = "".join(f" {shade(share)}{100 * share:3.0f} %" for share in row.acceptance)
        lines.append(row.wiring.label)
        lines.append(
            f"  {cells}{row.accepted:6.2f} {_difference(row.accepted_difference):>14}"
            f" {row.cross_entropy:7.3f} {_verdict(row)}".rstrip()
        )
    return lines


def shade(share: float) -> str:
    """Return the letter of a share, by quarters; nothing at all has none."""
    if share <= 0:
        return SHADES[0]
    return SHADES[min(len(SHADES) - 1, 1 + int(share * (len(SHADES) - 1)))]


def plot(rows: Sequence[FarRow]) -> list[str]:
    """Return the lines of a plot of acceptance against depth."""
    depths = max((len(row.acceptance) for row in rows), default=0)
    grid = [[" "] * (depths * _PLOT_COLUMN) for _ in range(_PLOT_LINES + 1)]
    for mark, row in reversed(list(zip(MARKS, rows, strict=False))):
        for place, share in enumerate(row.acceptance):
            line = _PLOT_LINES - round(share * _PLOT_LINES)
            grid[line][place * _PLOT_COLUMN + _PLOT_COLUMN // 2] = mark
    lines = []
    for number, cells in enumerate(grid):
        percent = f"{100 - 100 * number // _PLOT_LINES} %" if number % 5 == 0 else ""
        lines.append(f"{percent:>6} │{''.join(cells).rstrip()}")
    lines.append(f"       └{'─' * (depths * _PLOT_COLUMN)}")
    lines.append("        " + "".join(f"{depth:^{_PLOT_COLUMN}}" for depth in range(1, depths + 1)).rstrip())
    return lines


def far_table(rows: Sequence[FarRow]) -> list[str]:
    """Return the plot's figures in percent below their depths, each line with its mark."""
    width = max((len(row.name) for row in rows), default=0)
    depths = max((len(row.acceptance) for row in rows), default=0)
    head = "".join(f"{depth:5}" for depth in range(1, depths + 1))
    return [
        f"  {'in %':{width}}{head}",
        *(
            f"{mark} {row.name:{width}}" + "".join(f"{100 * share:5.0f}" for share in row.acceptance)
            for mark, row in zip(MARKS, rows, strict=False)
        ),
    ]


def _measured_on(report: WiringReport) -> str:
    where = f"{counted(report.places, 'place')} in {counted(report.texts, 'text')}"
    return f"Measured on {report.source}: {where}."


def _wrapped(sentence: str) -> list[str]:
    return textwrap.wrap(sentence, COLUMNS, break_on_hyphens=False)


def _difference(interval: Interval) -> str:
    if interval.mean == interval.low == interval.high == 0:
        return "±0"
    if not interval.is_known:
        return f"{interval.mean:+.2f}"
    return f"{interval.low:+.2f} to {interval.high:+.2f}"


def _verdict(row: WiringRow) -> str:
    if row.verdict in (Verdict.BASE, Verdict.UNKNOWN):
        return ""
    is_by_nats = row.verdict is not Verdict.TIED and row.accepted_difference.is_zero
    return f"{row.verdict}, nats" if is_by_nats else str(row.verdict)
