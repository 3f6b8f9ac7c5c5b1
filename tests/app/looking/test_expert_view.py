"""The page on experts: every expert has its place and its shade, and fits whatever the width."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from textual.content import Content

from app.expert_view import SHADES, expert_page, experts_a_cell, shade
from engine.experts import ExpertUse, UnionRow

if TYPE_CHECKING:
    from collections.abc import Sequence

USE = ExpertUse(
    layers=(1, 2),
    experts_per_layer=6,
    experts_per_token=2,
    uses=((0, 5, 10, 0, 1, 0), (4, 0, 0, 0, 0, 7)),
    unions=(UnionRow(1, 40, 2.0), UnionRow(3, 7, 4.5)),
    resident=((0, 1), (5,)),
)


def rows(use: ExpertUse, columns: int) -> Sequence[str]:
    """The heat map's lines, without their labels."""
    lines = expert_page(use, columns).plain.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("LAYERS"))
    return [line[6:] for line in lines[first + 1 : first + 1 + len(use.layers)]]


def test_each_expert_has_a_cell() -> None:
    assert rows(USE, 80) == [".▒█ · ", "░    ▓"]


def test_a_cell_stands_for_several_where_there_is_no_room() -> None:
    assert experts_a_cell(256, 106) == 3
    assert rows(USE, 9) == ["▒█·", "░ ▓"]
    assert "2 EXPERTS A CELL" in expert_page(USE, 9).plain


def test_figures_are_those_of_the_engine() -> None:
    page = expert_page(USE, 80).plain
    assert "In RAM now: 3 of 12 (25 %)." in page
    assert "Used since the checkpoint was loaded: 5 of 12." in page
    assert "   3 tokens    4.5   2.25 times one token's" in page
    assert "layer   1, expert   2        10 passes  on disk" in page
    assert "layer   2, expert   5         7 passes  in RAM" in page


def test_where_nothing_moves_nothing_is_dim() -> None:
    use = ExpertUse((0,), 3, 1, ((0, 1, 2),), (), None)
    page = expert_page(use, 40)
    assert "All 3 are in RAM, and stay there." in page.plain
    assert "No round was decoded yet." in page.plain
    assert rows(use, 40) == [".▒█"]


def test_without_experts_it_says_so() -> None:
    assert expert_page(ExpertUse((), 0, 0, (), (), None), 40) == Content(
        "This checkpoint has no routed experts."
    )


@given(uses=st.integers(0, 10**6), most=st.integers(0, 10**6))
def test_shades_rise_with_use(uses: int, most: int) -> None:
    uses = min(uses, most)
    place = SHADES.index(shade(uses, most))
    assert (place == 0) == (uses == 0)
    assert place <= SHADES.index(shade(most, most))
    if uses:
        assert SHADES.index(shade(uses - 1, most)) <= place
    if most:
        assert shade(most, most) == SHADES[-1]


@given(experts=st.integers(1, 300), columns=st.integers(7, 200))
def test_a_layer_fits_into_a_line(experts: int, columns: int) -> None:
    use = ExpertUse((3,), experts, 1, (tuple(range(experts)),), (), None)
    (row,) = rows(use, columns)
    assert len(row) <= columns - 6
    assert len(row) == -(-experts // experts_a_cell(experts, columns))
