"""The kinds of token a transcript tells apart: the theme variable and the second channel of each.

A colour alone is not enough (NO_COLOR makes sky blue and amber the same grey), so every kind has attributes
that no other has. Themes name the colours; for a theme that knows nothing of tokens they are derived from
what it has, and moved away from its background until they can be read.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from textual.color import Color

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.theme import Theme

LEAST_CONTRAST = 3.0
"""Of a token's colour against the background, as WCAG has it for large or emphasised text."""

POSITIONS = 4
"""Drafts further ahead have the colour of the last."""
SURPRISES = 5
"""Steps of the logprob heat, from expected to surprising."""


class TokenKind(StrEnum):
    """What a token is to the reader."""

    ACCEPTED = "accepted"
    ORDINARY = "ordinary"
    BONUS = "bonus"
    CORRECTED = "corrected"
    REJECTED = "rejected"
    GHOST = "ghost"

    @property
    def variable(self) -> str:
        """The theme variable of its colour, without the dollar."""
        return f"tok-{self}"

    @property
    def attributes(self) -> str:
        """The second channel, as a style of Rich or Textual has it."""
        return _ATTRIBUTES[self]


_ATTRIBUTES = {
    TokenKind.ACCEPTED: "underline",
    TokenKind.ORDINARY: "none",
    TokenKind.BONUS: "bold",
    TokenKind.CORRECTED: "bold italic",
    TokenKind.REJECTED: "strike",
    TokenKind.GHOST: "dim italic",
}

POSITION_ATTRIBUTES = "underline"
"""The second channel of drafts by how far ahead they were made: all were accepted."""
SURPRISE_ATTRIBUTES = ("none", "none", "none", "bold", "bold reverse")
"""The second channel of each step of the logprob heat."""

TOKEN_KEYS: tuple[str, ...] = (
    *TokenKind,
    *(f"position-{position}" for position in range(1, POSITIONS + 1)),
    *(f"surprise-{step}" for step in range(SURPRISES)),
)
"""What a theme file's [tokens] holds; each is the variable `tok-` and its name."""


def contrast(one: Color, other: Color) -> float:
    """Return the contrast of two colours as WCAG 2 defines it, 1 to 21."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def token_defaults(theme: Theme | None = None) -> dict[str, str]:
    """Return the token variables for a theme that lacks them, from its own colours.

    For `App.get_theme_variable_defaults`, where `App.current_theme` is the theme in use; the theme's own
    variables go before these.
    """
    if theme is not None and theme.ansi:
        return _ansi_defaults()
    generated = theme.to_color_system().generate() if theme is not None else _NO_THEME
    background, foreground = Color.parse(generated["background"]), Color.parse(generated["foreground"])
    accepted, success, warning, error = (
        Color.parse(generated[name]) for name in ("primary", "success", "warning", "error")
    )
    colours = {
        "accepted": accepted,
        "ordinary": foreground,
        "bonus": success,
        "corrected": warning,
        "rejected": foreground.blend(background, 0.45),
        "ghost": foreground.blend(background, 0.4).blend(accepted, 0.4),
    }
    for position in range(1, POSITIONS + 1):
        colours[f"position-{position}"] = accepted.blend(background, 0.15 * (position - 1))
    for step in range(SURPRISES):
        share = 2 * step / (SURPRISES - 1)
        is_cool = share <= 1
        cool, warm = (foreground, warning) if is_cool else (warning, error)
        colours[f"surprise-{step}"] = cool.blend(warm, share if is_cool else share - 1)
    return {f"tok-{key}": legible(colours[key], background).hex for key in TOKEN_KEYS}


def token_colours(theme: Theme) -> Mapping[str, str]:
    """Return every token variable as it holds under a theme."""
    return {**token_defaults(theme), **{k: v for k, v in theme.variables.items() if k.startswith("tok-")}}


def legible(colour: Color, background: Color) -> Color:
    """Return the colour, moved away from the background's lightness as far as reading it needs."""
    colour = Color(colour.r, colour.g, colour.b)
    far = max((Color(0, 0, 0), Color(255, 255, 255)), key=lambda end: contrast(end, background))
    for tenth in range(11):
        moved = colour.blend(far, tenth / 10)
        if contrast(moved, background) >= LEAST_CONTRAST:
            return moved
    return far


def _luminance(colour: Color) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour.normalized
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _ansi_defaults() -> dict[str, str]:
    """Return the terminal's own colours for the kinds; it decides what they look like."""
    kinds = ("bright_blue", "default", "green", "yellow", "bright_black", "cyan")
    positions = ("bright_blue", "blue", "bright_cyan", "cyan")
    surprises = ("default", "green", "yellow", "magenta", "red")
    names = (*kinds, *positions, *surprises)
    return {f"tok-{key}": f"ansi_{name}" for key, name in zip(TOKEN_KEYS, names, strict=True)}


_NO_THEME = {
    "background": "black",
    "foreground": "white",
    "primary": "deepskyblue",
    "success": "mediumseagreen",
    "warning": "orange",
    "error": "tomato",
}
