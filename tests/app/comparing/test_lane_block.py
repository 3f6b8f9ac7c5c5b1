"""A lane's block: its figures in their places, its text's tail in the transcript's colours."""

from __future__ import annotations

from itertools import pairwise

import pytest
from rich.cells import cell_len

from app.widgets.lane import LaneBlock, LaneView, details_line, figures_line, text_lines
from engine.events import Origin, Token
from tests.app.comparing.made import BEGIN, WHOLE, fast, run_of, slow, taken
from tests.app.panel.made import Bare, screen_text, styles_of


def token(text: str, origin: Origin = Origin.ORDINARY) -> Token:
    return Token(1, text, origin, 0, None, None)


@pytest.mark.parametrize("columns", [73, 110])
def test_figures_keep_their_places_from_unknown_to_known(columns: int) -> None:
    nothing, all_of_it = taken(run_of(), BEGIN), taken(run_of(), WHOLE)
    lines = [
        figures_line(LaneView.of(run, lane), columns).plain for run in (nothing, all_of_it) for lane in (0, 1)
    ]
    assert lines[1].split() == ["mtp", "2", lines[1].split()[2], "0", "%", "–", "tok/s", "–", "–", "MB/token"]
    assert lines[3].split()[-6:] == ["%", "15.0", "tok/s", "1.50×", "0.00", "MB/token"]
    assert {cell_len(line) for line in lines} == {columns}
    assert len({line.index("tok/s") for line in lines}) == 1
    assert ["▸" in line for line in lines] == [False, False, False, True]


def test_the_best_is_named_at_the_end_alone() -> None:
    run = taken(run_of(), WHOLE[:-1])
    assert run.report.best == 1
    assert not LaneView.of(run, 1).is_best


def test_a_ratio_is_green_above_one_and_amber_below() -> None:
    run = taken(run_of(), WHOLE)
    assert "bold $success" in styles_of(figures_line(LaneView.of(run, 1), 80), "1.50×")
    assert "bold" in styles_of(figures_line(LaneView.of(run, 0), 80), "1.00×")


def test_what_a_pass_yields_and_what_is_accepted() -> None:
    run = taken(run_of(), WHOLE)
    assert details_line(run.report.row(1)).plain.split() == (
        ["3.00", "tokens", "a", "pass", "accepted", "by", "position", "100", "100", "%"]
    )
    assert details_line(run.report.row(0)).plain.split()[-1] == "–"
    assert details_line(run_of().report.row(0)).plain.split()[0] == "–"


def test_in_few_columns_no_figure_is_cut_off() -> None:
    run = taken(run_of(), WHOLE)
    figures = figures_line(LaneView.of(run, 1), 55).plain
    assert figures.split() == ["▸", "mtp", "2", "100", "%", "15.0", "tok/s", "1.50×", "0.00", "MB/token"]
    assert cell_len(figures) <= 55
    details = details_line(run.report.row(1), 45).plain
    assert details.split() == ["3.00", "a", "pass", "accepted", "100", "100", "%"]


def test_a_text_that_grows_stands_still_for_half_a_line_at_a_time() -> None:
    said, starts = [], []
    for number in range(60):
        said.append(token(f" w{number:02}"))
        [line] = text_lines(said, 40, 1)
        assert line.cell_length <= 40
        assert line.plain.endswith(f" w{number:02}")
        starts.append(line.plain[:4])
    moves = [one != two for one, two in pairwise(starts)]
    assert 0 < sum(moves) <= 60 * 4 / 20


@pytest.mark.parametrize("lines", [1, 2])
def test_no_line_is_too_wide_and_nothing_reaches_the_terminal(lines: int) -> None:
    said = [token(text) for text in (" \x1b[31m", "half \ud83d", "の海" * 30, "\n", "\tx", "a" * 200, " end")]
    found = text_lines(said, 30, lines)
    assert len(found) <= lines
    assert all(line.cell_length <= 30 for line in found)
    assert not any(code in line.plain for line in found for code in "\x1b\n\t\ud83d")
    assert found[-1].plain.endswith("end")
    assert text_lines([], 30, lines) == []


def test_tokens_have_the_colours_of_the_transcript() -> None:
    said = [token(" own"), token(" drafted", Origin.ACCEPTED), token(" instead", Origin.CORRECTED)]
    said.append(token(" extra", Origin.BONUS))
    [line] = text_lines(said, 60, 1)
    assert styles_of(line, "drafted") == {"$tok-accepted underline"}
    assert styles_of(line, "instead") == {"$tok-corrected bold italic"}
    assert styles_of(line, "extra") == styles_of(line, "own") == {"$tok-ordinary"}


async def test_it_draws_only_what_has_changed() -> None:
    drawn = []

    class Counting(LaneBlock):
        def render(self):
            drawn.append(self.view)
            return super().render()

    block, run = Counting(), taken(run_of(), [*BEGIN, *slow(0)])
    app = Bare(block)
    async with app.run_test(size=(80, 10)) as pilot:
        block.view = LaneView.of(run, 1)
        await pilot.pause()
        before = len(drawn)
        taken(run, slow(1))  # the other lane
        block.view = LaneView.of(run, 1)
        await pilot.pause()
        assert len(drawn) == before
        taken(run, fast(0))
        block.view = LaneView.of(run, 1)
        await pilot.pause()
        assert len(drawn) > before
        assert "15.0 tok/s" in screen_text(app)
