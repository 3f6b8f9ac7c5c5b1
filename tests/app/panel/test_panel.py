"""The panel as it stands on the screen, wide and narrow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.widgets import Sparkline, Static

from app.figures import Figures
from app.widgets.auto_choice import choice_line
from app.widgets.bars import PositionBars, bar
from app.widgets.panel import SidePanel, experts_lines, measured_lines, speed_line
from engine.options import GenerateOptions, Mode
from tests.app.panel.made import Bare, screen_text, verified, wait_until
from tests.app.panel.test_figures import BASE, FAST, measured


def busy_figures() -> Figures:
    """Return figures of a depth-2 reply, measured at depths 0 and 1 as well."""
    figures = measured((0, BASE), (1, FAST))
    figures.observe(verified(0), 1)
    for number in range(1, 11):
        accepted = 2 if number <= 6 else 1
        event = verified(
            number,
            range(accepted + 1),
            depth=2,
            accepted=accepted,
            seconds=0.05,
            wait=0.0045,
            uses=6,
            hits=5,
            loads=1,
            read=4_200_000,
        )
        figures.observe(event, 2)
    return figures


def text_of(panel: SidePanel, ident: str) -> str:
    return str(panel.query_one(f"#{ident}", Static).visual)


@pytest.mark.parametrize("columns", [120, 80])
async def test_every_section_says_its_figures(columns):
    panel = SidePanel()
    app = Bare(panel)
    async with app.run_test(size=(columns, 45)) as pilot:
        panel.update_from(busy_figures(), GenerateOptions(depth=1), "200 MB/s")
        await pilot.pause()
        shown = screen_text(app)
        for line in (
            "52.0 tokens/s",
            "ACCEPTED BY POSITION",
            "100 %",
            "60 %",
            "2.60 tokens a pass",
            "EXPERTS AND DISK",
            "0.4 loads/token  83 % in RAM",
            "1.6 MB/token     waiting 9 %",
            "(emulated drive 200 MB/s)",
            "MEASURED",
        ):
            assert line in shown
        assert [line.split() for line in shown.splitlines() if "▸" in line] == [
            ["▸", "1", "16.0", "1.60", "6"]
        ]
        assert "Depth 1 pays: 2.00 tokens a" in shown


async def test_figures_stand_under_each_other_and_unmeasured_ones_are_dashes():
    lines = measured_lines(busy_figures().rows(GenerateOptions().mode, 2), 30).plain.splitlines()
    assert [line.split() for line in lines] == [
        ["depth", "tok/s", "×", "n"],
        ["0", "10.0", "1.00", "6"],
        ["1", "16.0", "1.60", "6"],
        ["▸", "2", "52.0", "–", "26"],
        ["3", "–", "–", "–"],
        ["4", "–", "–", "–"],
    ]
    assert {line.index(".") for line in lines[1:4]} == {lines[1].index(".")}
    assert len({len(line) for line in lines}) == 1


async def test_an_empty_panel_has_all_its_sections_and_nothing_moves_when_figures_come():
    panel = SidePanel()
    app = Bare(panel)
    headings = ("tokens/s", "ACCEPTED", "tokens a pass", "EXPERTS", "MEASURED", "depth")
    async with app.run_test(size=(100, 45)) as pilot:
        await pilot.pause()
        panel.update_from(Figures(), GenerateOptions(depth=2))
        await pilot.pause()
        before = screen_text(app).splitlines()
        assert any("– tokens/s" in line for line in before)
        assert any("Nothing is measured yet" in line for line in before)
        panel.update_from(busy_figures(), GenerateOptions(depth=2))
        await wait_until(pilot, lambda: "52.0" in screen_text(app))
        after = screen_text(app).splitlines()
        for heading in headings:
            places = [[n for n, line in enumerate(lines) if heading in line] for lines in (before, after)]
            assert places[0][0] == places[1][0], heading


async def test_the_newest_figures_are_drawn_in_the_end_however_often_they_come():
    panel = SidePanel()
    app = Bare(panel)
    drawn = 0
    async with app.run_test(size=(100, 45)) as pilot:
        await pilot.pause()
        figures = Figures()
        draw = panel._draw

        def counting(due):
            nonlocal drawn
            drawn += 1
            draw(due)

        panel._draw = counting
        for number in range(1, 51):
            figures.observe(verified(number), 0)
            panel.update_from(figures, GenerateOptions(depth=0))
        assert drawn == 1, "the rest waits"
        await wait_until(pilot, lambda: "50" in text_of(panel, "panel-measured"))
        assert drawn == 2


async def test_a_speed_at_a_pace_says_so():
    counters = busy_figures().recent
    assert speed_line(counters, 0.0, 31).plain == "52.0 tokens/s"
    assert speed_line(counters, 12.0, 31).plain == "52.0 tokens/s" + "at a pace".rjust(31 - 13)
    assert speed_line(counters, 12.0, 20).plain == "52.0 tokens/s", "a narrow one keeps the figure"


async def test_ratios_say_by_how_much_they_scatter_where_there_is_room():
    slow = [FAST[0], *(replace(event, verify_seconds=0.13) for event in FAST[1:])]
    rows = measured((0, BASE), (0, BASE), (1, FAST), (1, slow)).rows(Mode.MTP, 2)
    lines = measured_lines(rows, 28).plain.splitlines()
    assert [line.split() for line in lines[1:4]] == [
        ["0", "10.0", "1.00", "12"],
        ["1", "15.7", "1.57±.03", "12"],
        ["▸", "2", "–", "–", "–"],
    ]
    assert lines[1].index("1.00") == lines[2].index("1.57")
    assert len({len(line) for line in lines}) == 1
    assert measured_lines(rows, 24).plain.splitlines()[2].split() == ["1", "15.7", "1.57", "12"]


@pytest.mark.parametrize(
    ("values", "heading"),
    [
        ({}, "ACCEPTED BY POSITION"),
        ({"temperature": 0.8}, "COUPLED ACCEPTANCE"),
        ({"temperature": 0.8, "accept": "rejection"}, "REJECTION SAMPLING"),
    ],
)
async def test_sampling_names_its_rule(values, heading):
    panel = SidePanel()
    app = Bare(panel)
    async with app.run_test(size=(80, 40)) as pilot:
        panel.update_from(Figures(), GenerateOptions().changed(values))
        await pilot.pause()
        assert text_of(panel, "panel-acceptance").startswith(heading)


@pytest.mark.parametrize("width", [28, 30, 36])
async def test_a_narrow_panel_cuts_nothing_off(width):
    panel = SidePanel()
    app = Bare(panel)
    async with app.run_test(size=(80, 45)) as pilot:
        panel.styles.width = width
        panel.styles.padding = (1, 1)
        await pilot.pause()
        panel.update_from(busy_figures(), GenerateOptions(depth=2))
        await wait_until(pilot, lambda: "60 %" in screen_text(app))
        room = panel.query_one("#panel-speed", Static).content_size.width
        for ident in ("panel-speed", "panel-experts", "panel-measured", "panel-length"):
            assert all(len(line) <= room for line in text_of(panel, ident).splitlines())
        assert "1 ━" in screen_text(app)


async def test_a_short_panel_keeps_the_sentence_on_the_screen():
    panel = SidePanel()
    app = Bare(panel)
    async with app.run_test(size=(80, 21)) as pilot:
        panel.update_from(busy_figures(), GenerateOptions(depth=1))
        await pilot.pause()
        await wait_until(pilot, lambda: "Depth 1 pays" in screen_text(app))


def test_nothing_moving_is_dim():
    figures = Figures()
    assert {str(span.style) for span in experts_lines(figures.recent, None, 31).spans} == {"$text-disabled"}
    assert not experts_lines(busy_figures().recent, None, 31).spans


def test_a_bar_has_its_width_whatever_the_share():
    for share in (0, 0.01, 0.5, 0.525, 0.84, 1, 1.2):
        full, rest = bar(share, 20)
        assert len(full + rest) == 20
    assert bar(0, 4) == ("", "────")
    assert bar(1, 4) == ("━━━━", "")
    assert bar(0.375, 4) == ("━╸", "──")


async def test_the_sparkline_begins_at_zero_so_that_a_steady_speed_is_level():
    panel = SidePanel()
    app = Bare(panel)
    async with app.run_test(size=(80, 40)) as pilot:
        figures = Figures()
        for number in range(1, 100):
            figures.observe(verified(number, seconds=0.1 + number / 1e5), 0)
        panel.update_from(figures, GenerateOptions(depth=0))
        await pilot.pause()
        series = panel.query_one(Sparkline)
        assert series.data[0] == 0
        assert len(series.data) == series.size.width
        assert "████████" in screen_text(app)


async def test_bars_of_positions_never_drafted_are_dashes():
    panel = SidePanel()
    app = Bare(panel)
    async with app.run_test(size=(80, 40)) as pilot:
        panel.update_from(busy_figures(), GenerateOptions(depth=6))
        await pilot.pause()
        assert panel.query_one(PositionBars).shares == (1.0, 0.6, None, None, None, None)
        assert "6 ─" in screen_text(app)


@pytest.mark.parametrize("theme", ["ansi-dark", "textual-light"])
async def test_it_can_be_drawn_in_the_terminals_own_colours(theme):
    panel = SidePanel()
    app = Bare(panel)
    async with app.run_test(size=(80, 40)) as pilot:
        app.theme = theme
        panel.update_from(busy_figures(), GenerateOptions(depth=2))
        await pilot.pause()
        assert "52.0 tokens/s" in screen_text(app)


@pytest.mark.parametrize(
    ("depth", "sentence", "line"),
    [
        (None, "", "auto has not chosen a depth yet."),
        (2, "Depth 2: 2.4 tokens in 9 ms; depth 0: 1.0.", "auto chose 2: 2.4 tokens in 9 ms; depth 0: 1.0."),
        (1, "Depth 2: 2.4 tokens in 9 ms.", "auto chose 2, drafted 1: 2.4 tokens in 9 ms."),
        (3, "Depth 3 on trial: it was not measured at all.", "auto tries 3: it was not measured at all."),
        (1, "Nothing is measured yet.", "auto chose 1: nothing is measured yet."),
        (1, "", "auto chose 1."),
    ],
)
def test_what_auto_chose_is_a_sentence_with_its_figures(depth, sentence, line):
    assert choice_line(depth, sentence) == line


async def test_mode_auto_says_what_it_chose_and_its_table_is_marked():
    panel, figures = SidePanel(), Figures()
    app = Bare(panel)
    choice = "Depth 1: 1.9 tokens in 9 ms; depth 0: 1.0 tokens in 5 ms."
    async with app.run_test(size=(80, 45)) as pilot:
        panel.update_from(figures, GenerateOptions(mode=Mode.AUTO, depth=3))
        await pilot.pause()
        assert "auto has not chosen a depth" in screen_text(app)
        for number in range(1, 4):
            figures.observe(replace(verified(number, [1, 2], depth=1, mode=Mode.AUTO), choice=choice), 3)
        panel.update_from(figures, GenerateOptions(mode=Mode.AUTO, depth=3))
        await wait_until(pilot, lambda: "auto chose 1: 1.9 tokens in 9" in screen_text(app))
        lines = [line.split() for line in screen_text(app).splitlines()]
        assert ["auto", "tok/s", "×", "n"] in lines
        assert ["▸", "1", "20.0", "–", "6"] in lines
        assert ["3", "–", "–", "–"] in lines  # nobody asks it for the depth that is set
        assert "Not measured yet" in text_of(panel, "panel-why")
        panel.update_from(figures, GenerateOptions(depth=3))
        await wait_until(pilot, lambda: "auto chose" not in screen_text(app))
