"""Themes: the shipped ones can be read by everybody, and a broken file is said to be."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pytest
from textual.app import App, ComposeResult
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme
from textual.widgets import Static

from app.locations import shipped_themes_folder
from app.themes import COLOUR_KEYS, ThemeError, ThemeFolder, load_theme, shipped_themes
from app.token_colours import (
    LEAST_CONTRAST,
    TOKEN_KEYS,
    TokenKind,
    contrast,
    token_colours,
    token_defaults,
)

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED = {theme.name: theme for theme in shipped_themes()}
RGB = [theme for theme in SHIPPED.values() if not theme.ansi]


def colour(value: str | None) -> Color:
    assert value is not None
    return Color.parse(value)


def named(themes: list[Theme]) -> list[object]:
    return [pytest.param(theme, id=theme.name) for theme in themes]


def test_the_promised_themes_are_there() -> None:
    assert {"draftscope-dark", "draftscope-light", "high-contrast", "ansi"} <= set(SHIPPED)
    assert len(SHIPPED) >= 7
    assert not set(SHIPPED) & set(BUILTIN_THEMES)
    assert {theme.dark for theme in RGB} == {True, False}


def test_contrast_is_that_of_wcag() -> None:
    assert contrast(colour("black"), colour("white")) == pytest.approx(21)
    assert contrast(colour("#777777"), colour("white")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", named(RGB))
def test_shipped_themes_can_be_read(theme: Theme) -> None:
    for behind in (theme.background, theme.surface, theme.panel):
        assert contrast(colour(theme.foreground), colour(behind)) >= 4.5
    for key in TOKEN_KEYS:
        assert contrast(colour(theme.variables[f"tok-{key}"]), colour(theme.background)) >= 3.0, key


@pytest.mark.parametrize("theme", named(RGB))
def test_kinds_differ_in_colour_and_without_it(theme: Theme) -> None:
    for one, other in itertools.combinations(TokenKind, 2):
        assert theme.variables[one.variable] != theme.variables[other.variable]
        greys = [colour(theme.variables[kind.variable]).monochrome for kind in (one, other)]
        # greys that are far apart would do; the attributes do it in every theme
        assert one.attributes != other.attributes or contrast(*greys) >= 3.0


def test_attributes_are_the_promised_ones() -> None:
    assert {kind: kind.attributes for kind in TokenKind} == {
        "accepted": "underline",
        "ordinary": "none",
        "bonus": "bold",
        "corrected": "bold italic",
        "rejected": "strike",
        "ghost": "dim italic",
    }


def test_the_ansi_theme_leaves_colours_to_the_terminal() -> None:
    theme = SHIPPED["ansi"]
    assert theme.ansi
    kinds = [theme.variables[kind.variable] for kind in TokenKind]
    assert all(value.startswith("ansi_") for value in kinds)
    assert len(set(kinds)) == len(kinds)
    assert colour(theme.background).ansi == -1


@pytest.mark.parametrize("theme", named(list(BUILTIN_THEMES.values())))
def test_every_theme_of_textual_gets_token_colours(theme: Theme) -> None:
    found = token_defaults(theme)
    assert set(found) == {f"tok-{key}" for key in TOKEN_KEYS}
    if theme.ansi:
        assert all(value.startswith("ansi_") for value in found.values())
        return
    background = colour(theme.to_color_system().generate()["background"])
    for key, value in found.items():
        assert contrast(colour(value), background) >= LEAST_CONTRAST - 0.05, key


def test_without_a_theme_there_are_colours_as_well() -> None:
    assert set(token_defaults()) == {f"tok-{key}" for key in TOKEN_KEYS}


def test_a_themes_own_token_colours_go_first() -> None:
    theme = Theme("x", "red", variables={"tok-accepted": "lime", "border": "red"})
    found = token_colours(theme)
    assert found["tok-accepted"] == "lime"
    assert "border" not in found
    assert set(found) == {f"tok-{key}" for key in TOKEN_KEYS}


async def test_token_colours_reach_the_screen() -> None:
    class Painted(App[None]):
        CSS = "#one { color: $tok-accepted; } #two { color: $tok-ghost; }"

        def get_theme_variable_defaults(self) -> dict[str, str]:
            return token_defaults(self.current_theme)

        def compose(self) -> ComposeResult:
            yield Static("a", id="one")
            yield Static("b", id="two")

    app = Painted()
    async with app.run_test() as pilot:
        for theme in (*SHIPPED.values(), BUILTIN_THEMES["nord"]):
            app.register_theme(theme)
            app.theme = theme.name
            await pilot.pause()
            assert app.query_one("#one").styles.color == colour(token_colours(theme)["tok-accepted"])


# Files


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "mine.toml"
    file.write_text((shipped_themes_folder() / "dusk.toml").read_text())
    return file


def test_a_file_becomes_a_theme(file: Path) -> None:
    file.write_text(
        file.read_text() + '\n[variables]\nfooter-key-foreground = "red 50%"\nlink-style = "not bold"\n'
    )
    theme = load_theme(file)
    assert theme.name == "dusk"
    assert theme.dark
    assert theme.variables["footer-key-foreground"] == "red 50%"
    assert all(getattr(theme, key) for key in COLOUR_KEYS)
    assert {f"tok-{key}" for key in TOKEN_KEYS} <= set(theme.variables)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "dusk"', "", ["name"]),
        ('name = "dusk"', 'name = "\\u001b[2J"', ["name", "letters"]),
        ("dark = true", "", ["dark is missing"]),
        ("dark = true", 'dark = "yes"', ["dark is 'yes'"]),
        ("primary = ", 'primary = "blurple" #', ["colours.primary", "'blurple'", "no colour"]),
        ("primary = ", "primary = 7 #", ["colours.primary is 7"]),
        ("primary = ", 'primary = "#ff000080" #', ["colours.primary", "opaque"]),
        ("primary = ", 'primary = "red 50%" #', ["colours.primary", "no colour"]),
        ("primary = ", 'primary = "ansi_red" #', ["colours.primary", "ansi = true"]),
        ("primary = ", "#", ["colours.primary is missing"]),
        ("primary = ", "primari = ", ["'colours.primari'", "did you mean colours.primary?"]),
        ("ghost = ", "ghots = ", ["'tokens.ghots'", "did you mean tokens.ghost?"]),
        ("position-4 = ", "#", ["tokens.position-4 is missing"]),
        ("[tokens]", "[token]", ["'token'", "did you mean tokens?"]),
        ("[colours]", "[colours", ["not TOML"]),
        ("dark = true", "dark = true\nvariables = 3", ["variables must be a table"]),
        ("[tokens]", '[variables]\ntok-ghost = "red"\n[tokens]', ["variables.tok-ghost"]),
        ("[tokens]", '[variables]\nborder = "red; }"\n[tokens]', ["variables.border"]),
        ("[tokens]", '[variables]\nlink-style = "red"\n[tokens]', ["variables.link-style", "bold"]),
        ("[tokens]", "[variables]\nborder = 3\n[tokens]", ["variables.border", "colour"]),
    ],
)
def test_what_is_wrong_names_file_and_key(file: Path, old: str, new: str, words: list[str]) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(ThemeError) as caught:
        load_theme(file)
    for word in (str(file), *words):
        assert word in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_folder_is_looked_at_again(tmp_path: Path, file: Path) -> None:
    text = file.read_text()
    folder = ThemeFolder(tmp_path)
    (first,) = folder.changed()
    assert isinstance(first, Theme)
    assert folder.changed() == []

    file.write_text(text.replace("name", "nmae"))
    (broken,) = folder.changed()
    assert isinstance(broken, ThemeError)
    assert folder.changed() == []  # it is said once

    file.write_text(text)
    os.utime(file, ns=(1, 1))  # files saved within a clock's tick differ by something
    (again,) = folder.changed()
    assert again == first

    other = tmp_path / "other.toml"
    other.write_text(text.replace('"dusk"', '"dawn"'))
    (tmp_path / "notes.txt").write_text("no theme")
    (new,) = folder.changed()
    assert isinstance(new, Theme)
    assert new.name == "dawn"
    file.unlink()
    assert folder.changed() == []


def test_no_folder_is_no_theme(tmp_path: Path) -> None:
    assert ThemeFolder(tmp_path / "none").changed() == []
