"""The page on experts: a heat map of layers by experts, the union by width, the hottest, what is in RAM.

A cell is shaded by the share of passes that used its expert, in five steps from a letter of its own each, so
that it reads without colours; what is in RAM now is bright, the rest dim. Where a layer has more experts than
the screen has columns, a cell stands for several and shows the most used of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.experts import ExpertUse

SHADES = " ·░▒▓█"
"""Never used, then by fifths of the most used one's share."""
HOTTEST = 8
_LABEL = 6


def expert_page(use: ExpertUse, columns: int) -> Content:
    """Return the whole page for a width of so many columns."""
    if not use.layers:
        return Content("This checkpoint has no routed experts.")
    sections = [_summary(use), _heat_map(use, columns), _unions(use), _hottest(use)]
    return Content("\n\n").join(Content("\n").join(lines) for lines in sections)


def experts_a_cell(experts: int, columns: int) -> int:
    """Return how many experts one cell stands for, so that a layer fits into a line."""
    return -(-experts // max(1, columns - _LABEL))


def shade(uses: int, most: int) -> str:
    """Return the letter of a number of uses, beside the most that any expert has."""
    if not uses or not most:
        return SHADES[0]
    steps = len(SHADES) - 1
    return SHADES[1 + min(steps - 1, (uses * steps - 1) // most)]


def _summary(use: ExpertUse) -> list[Content]:
    experts = len(use.layers) * use.experts_per_layer
    lines = [
        Content(
            f"{len(use.layers)} layers of {use.experts_per_layer} experts; a token uses "
            f"{use.experts_per_token} in each."
        )
    ]
    if use.resident is None:
        lines.append(Content(f"All {experts:,} are in RAM, and stay there."))
    else:
        held = sum(map(len, use.resident))
        lines.append(Content(f"In RAM now: {held:,} of {experts:,} ({100 * held / experts:.0f} %)."))
    seen = sum(1 for row in use.uses for uses in row if uses)
    lines.append(Content(f"Used since the checkpoint was loaded: {seen:,} of {experts:,}."))
    return lines


def _heat_map(use: ExpertUse, columns: int) -> list[Content]:
    size = experts_a_cell(use.experts_per_layer, columns)
    most = max((max(row, default=0) for row in use.uses), default=0)
    several = f", {size} EXPERTS A CELL" if size > 1 else ""
    lines = [Content.styled(f"LAYERS BY EXPERTS{several}", "$text-muted")]
    for place, (layer, row) in enumerate(zip(use.layers, use.uses, strict=True)):
        held = None if use.resident is None else frozenset(use.resident[place])
        line = Content.styled(f"{layer:>4}  ", "$text-muted")
        for first in range(0, len(row), size):
            cell = range(first, min(first + size, len(row)))
            letter = shade(max(row[number] for number in cell), most)
            is_held = held is None or any(number in held for number in cell)
            line += _cell(letter, is_held)
        lines.append(line)
    lines.append(
        Content.assemble(
            ("      never ", "$text-muted"),
            (SHADES[1:], "bold $accent"),
            (" most    ", "$text-muted"),
            ("▓", "bold $accent"),
            (" in RAM   ", "$text-muted"),
            ("▓", "$text-disabled"),
            (" on disk", "$text-muted"),
        )
    )
    return lines


def _cell(letter: str, is_held: bool) -> Content:
    """An unused expert that is in RAM shows as a low dot, so that the room it takes is seen."""
    if is_held:
        return Content.styled(letter if letter != SHADES[0] else ".", "bold $accent")
    return Content.styled(letter, "$text-disabled")


def _unions(use: ExpertUse) -> list[Content]:
    lines = [Content.styled("DIFFERENT EXPERTS A LAYER, BY TOKENS IN A PASS", "$text-muted")]
    if not use.unions:
        return [*lines, Content.styled("No round was decoded yet.", "$text-disabled")]
    single = next((row.experts_per_layer for row in use.unions if row.width == 1), None)
    for row in use.unions:
        times = f"{row.experts_per_layer / single:5.2f} times one token's" if single else ""
        plural = " " if row.width == 1 else "s"
        lines.append(
            Content(
                f"{row.width:>4} token{plural} {row.experts_per_layer:6.1f}  {times:25}"
                f"{row.passes:>7,} passes"
            )
        )
    return lines


def _hottest(use: ExpertUse) -> list[Content]:
    lines = [Content.styled("MOST USED", "$text-muted")]
    found: Sequence[tuple[int, int, int]] = use.hottest(HOTTEST)
    if not found:
        return [*lines, Content.styled("Nothing was used yet.", "$text-disabled")]
    for layer, number, uses in found:
        held = use.resident is None or number in use.resident[use.layers.index(layer)]
        where = "in RAM" if held else "on disk"
        lines.append(Content(f"layer {layer:>3}, expert {number:>3}  {uses:>8,} passes  {where}"))
    return lines
