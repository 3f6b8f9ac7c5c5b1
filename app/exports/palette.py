"""A theme's colours as pictures and pages take them: plain red, green and blue.

The terminal's own colours are known to the terminal alone, so a chat under an ANSI theme is exported in those
of the default theme.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.color import Color

from app.locations import shipped_themes_folder
from app.settings import Settings
from app.themes import load_theme
from app.token_colours import TokenKind, token_colours

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.theme import Theme


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours in hexadecimal notation."""

    background: str
    foreground: str
    muted: str
    """For headings and figures."""
    kinds: Mapping[TokenKind, str]


def palette(theme: Theme | None) -> Palette:
    """Return the theme's colours."""
    if theme is None or theme.ansi:
        theme = load_theme(shipped_themes_folder() / f"{Settings().theme}.toml")
    generated = theme.to_color_system().generate()
    background, foreground = Color.parse(generated["background"]), Color.parse(generated["foreground"])
    tokens = token_colours(theme)
    return Palette(
        background=background.hex6,
        foreground=foreground.hex6,
        muted=foreground.blend(background, 0.35).hex6,
        kinds={kind: Color.parse(tokens[kind.variable]).hex6 for kind in TokenKind},
    )
