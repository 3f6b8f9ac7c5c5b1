"""How far ahead a layer can guess, as an SVG that reads on light and on dark paper."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.lab.results import FarRow, WiringReport

_WIDTH, _HEIGHT = 720, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 48, 104
_COLOURS = (("#0f7b6c", "#4fd1bd"), ("#b3541e", "#f0a070"), ("#5b5b9e", "#a9a9f0"), ("#666666", "#bbbbbb"))
"""Of the lines, on light and on dark paper."""
_DASHES = ("", "7 5", "2 5", "10 4 2 4")
"""A second channel, for eyes and printers without colours."""


def far_svg(report: WiringReport) -> str:
    """Return the picture."""
    depths = max((len(row.acceptance) for row in report.far), default=1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="system-ui, sans-serif" font-size="13">',
        _style(),
        f'<rect class="paper" width="{_WIDTH}" height="{_HEIGHT}"/>',
        f'<text class="ink" x="{_LEFT}" y="26" font-size="15">All guesses up to a depth right, '
        f"{report.far_places:,} places ({escape(report.model)})</text>",
    ]
    for tenth in range(0, 11, 2):
        y = _y(tenth / 10)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y}" x2="{_WIDTH - _RIGHT}" y2="{y}"/>')
        parts.append(f'<text class="ink" x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{tenth * 10} %</text>')
    for depth in range(1, depths + 1):
        x = _x(depth, depths)
        parts.append(f'<text class="ink" x="{x}" y="{_y(0) + 20}" text-anchor="middle">{depth}</text>')
    for number, row in enumerate(report.far):
        parts += _line(number, row, depths)
    return "\n".join([*parts, "</svg>", ""])


def _line(number: int, row: FarRow, depths: int) -> list[str]:
    points = [(_x(place, depths), _y(share)) for place, share in enumerate(row.acceptance, start=1)]
    path = " ".join(f"{x},{y}" for x, y in points)
    dots = "".join(f'<circle class="fill{number}" cx="{x}" cy="{y}" r="3.5"/>' for x, y in points)
    y = _HEIGHT - _BOTTOM + 48 + 18 * number
    return [
        f'<polyline class="line{number}" points="{path}"/>{dots}',
        f'<line class="line{number}" x1="{_LEFT}" y1="{y - 4}" x2="{_LEFT + 36}" y2="{y - 4}"/>',
        f'<text class="ink" x="{_LEFT + 46}" y="{y}">{escape(row.name)}: {_shares(row.acceptance)}</text>',
    ]


def _shares(acceptance: Sequence[float]) -> str:
    return " ".join(f"{100 * share:.0f}" for share in acceptance) + " %"


def _style() -> str:
    def rules(dark: bool) -> str:
        ink, paper, grid = ("#e6e6e6", "#14171a", "#333a40") if dark else ("#222222", "#ffffff", "#dddddd")
        lines = "".join(
            f".line{number}{{stroke:{pair[dark]};stroke-width:2.5;fill:none;"
            f"stroke-dasharray:{dash or 'none'}}}"
            f".fill{number}{{fill:{pair[dark]}}}"
            for number, (pair, dash) in enumerate(zip(_COLOURS, _DASHES, strict=True))
        )
        return f".ink{{fill:{ink}}}.paper{{fill:{paper}}}.grid{{stroke:{grid}}}{lines}"

    return f"<style>{rules(False)}@media (prefers-color-scheme: dark){{{rules(True)}}}</style>"


def _x(depth: int, depths: int) -> float:
    room = _WIDTH - _LEFT - _RIGHT
    return round(_LEFT + room * (depth - 0.5) / depths, 1)


def _y(share: float) -> float:
    return round(_TOP + (1 - share) * (_HEIGHT - _TOP - _BOTTOM), 1)
