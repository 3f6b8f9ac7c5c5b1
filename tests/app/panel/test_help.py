"""Help lists the keys as they are bound now; the legend and the welcome say what colours mean."""

from __future__ import annotations

from typing import ClassVar

import pytest
from rich.style import Style
from textual.binding import Binding
from textual.screen import Screen
from textual.widgets import Static, TextArea

from app.screens.help import DEFINITIONS, TOPICS, HelpScreen, key_rows
from app.setting_rules import View
from app.transcript.paint import Painter
from app.transcript.rows import Look
from app.widgets.legend import Legend, legend_pieces
from app.widgets.welcome import Welcome
from tests.app.panel.made import Bare, screen_text, wait_until


class Pane(Static, can_focus=True):
    BINDINGS: ClassVar = [
        *(Binding(str(n), f"depth({n})", f"depth {n}", id=f"pane.depth_{n}") for n in range(5)),
        Binding("k", "view", "view", id="pane.view"),
    ]


class Chatting(Screen[None]):
    BINDINGS: ClassVar = [
        Binding("f2", "mode", "mode", id="chat.mode"),
        Binding("f9", "nothing", "unnamed"),
    ]

    def compose(self):
        yield Pane(id="pane")
        yield TextArea(id="prompt")


async def opened(pilot, topic: str = "prompt", focus: str = "#prompt") -> str:
    """Open help and return all of its page, also what is scrolled away."""
    app = pilot.app
    below = Chatting()
    app.push_screen(below)
    await wait_until(pilot, lambda: app.screen is below and bool(below.query("#prompt")))
    below.query_one(focus).focus()
    await pilot.pause()
    screen = HelpScreen(topic)
    app.push_screen(screen)
    await wait_until(pilot, lambda: "WORDS" in text_of(screen))
    return text_of(screen)


def text_of(screen: HelpScreen) -> str:
    return "\n".join(str(static.visual) for static in screen.query("#help-text").results(Static))


def line_with(text: str, title: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.endswith(f" {title}"))


async def test_keys_come_from_what_is_bound_and_only_those_with_a_name():
    async with Bare().run_test(size=(120, 40)) as pilot:
        text = await opened(pilot)
        assert line_with(text, "mode") == ["f2", "mode"]
        assert "unnamed" not in text
        assert "Cursor" not in text, "a text area's own keys are not listed"
        assert TOPICS["prompt"] in text


async def test_rebound_keys_are_listed_as_the_user_has_them():
    app = Bare()
    async with app.run_test(size=(120, 40)) as pilot:
        app.set_keymap({"chat.mode": "f10", "pane.view": "v"})
        text = await opened(pilot)
        assert line_with(text, "mode") == ["f10", "mode"]
        assert line_with(text, "view") == ["v", "view"], "also in the pane that has no focus"


async def test_a_family_of_keys_is_one_row():
    async with Bare().run_test(size=(120, 40)) as pilot:
        text = await opened(pilot, "transcript", "#pane")
        here, _, rest = text.partition("COLOURS")
        assert "0 … 4" in here
        assert "depth 0 … depth 4" in here
        assert "OTHER PANES" not in here
        assert TOPICS["transcript"] in text
        assert "being verified" in rest


async def test_several_keys_of_one_binding_stand_together():
    app = Bare()
    async with app.run_test() as pilot:
        app.set_keymap({"chat.mode": "f2,f3"})
        below = Chatting()
        app.push_screen(below)
        await wait_until(pilot, lambda: app.screen is below)
        rows = {row.ident: row.keys for row in key_rows(app, below.active_bindings.values())}
        assert rows["chat.mode"] == "f2, f3"


@pytest.mark.parametrize("columns", [80, 120])
async def test_long_lines_are_wrapped_beside_their_word(columns):
    async with Bare().run_test(size=(columns, 30)) as pilot:
        text = await opened(pilot)
        for word, _ in DEFINITIONS:
            assert any(line.startswith(word) for line in text.splitlines())
        section = text.partition("WORDS\n")[2].partition("\n\n")[0]
        assert all(len(line) <= columns * 0.92 - 4 for line in section.splitlines())
        assert all(line.startswith(" " * 16) or line[0] != " " for line in section.splitlines())


@pytest.mark.parametrize("key", ["escape", "f1", "q"])
async def test_it_closes(key):
    app = Bare()
    async with app.run_test() as pilot:
        await opened(pilot, "no such topic")
        await pilot.press(key)
        await wait_until(pilot, lambda: isinstance(app.screen, Chatting))


@pytest.mark.parametrize("columns", [80, 120])
async def test_the_legend_names_the_origins(columns):
    legend = Legend()
    app = Bare(legend)
    async with app.run_test(size=(columns, 5)) as pilot:
        legend.styles.padding = (0, 3)
        await pilot.pause()
        line = screen_text(app).splitlines()[0].strip()
        assert line == "accepted draft   main model   corrected   rejected   being verified"
        legend.view = View.PLAIN
        await wait_until(pilot, lambda: "plain text" in screen_text(app))


@pytest.mark.parametrize("view", [View.ORIGIN, View.ALL_ORIGINS])
def test_kinds_differ_without_colours(view):
    attributes = [str(piece.spans[0].style).partition(" ")[2] for piece in legend_pieces(view)]
    assert len(set(attributes)) == len(attributes)


def test_steps_of_surprise_look_in_the_legend_as_they_do_in_the_text():
    styles = [str(piece.spans[0].style).partition(" ")[2] for piece in legend_pieces(View.SURPRISE)]
    painter = Painter(Style(), lambda _component: Style())
    for step, style in enumerate(styles):
        assert painter.style(Look(f"surprise-{step}")) == Style.parse(style or "none")
    assert styles[-1] == "bold reverse"


async def test_every_view_can_be_drawn():
    legend = Legend()
    app = Bare(legend)
    async with app.run_test(size=(100, 5)) as pilot:
        for view in View:
            legend.view = view
            await wait_until(pilot, lambda: legend_pieces(legend.view)[0].plain in screen_text(app))


async def test_the_welcome_takes_neither_focus_nor_keys_and_goes_when_told():
    welcome = Welcome()
    prompt = TextArea()
    app = Bare(welcome, prompt)
    async with app.run_test(size=(80, 24)) as pilot:
        prompt.focus()
        await wait_until(pilot, lambda: "accepted draft" in screen_text(app))
        assert welcome.size.height == 4, "four lines at 80 columns"
        await pilot.press("tab", "h", "i")
        assert not welcome.has_focus
        await pilot.click(welcome)
        assert app.focused is prompt
        welcome.dismiss()
        await wait_until(pilot, lambda: "accepted draft" not in screen_text(app))
        assert prompt.text.endswith("hi")
