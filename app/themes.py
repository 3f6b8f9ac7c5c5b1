"""Themes as TOML files: one function makes a Textual theme of a file, and says what is wrong with it.

A file has `name`, `dark`, a table [colours] and a table [tokens]; [variables] may set variables of Textual's
own. With `ansi = true` the colours are the terminal's (ansi_red and so on). The user's folder is looked at
every second while draftscope runs: a theme that is saved is used at once, one that is broken is said to be,
and what it was before stays.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from typing import TYPE_CHECKING

from textual.color import Color, ColorParseError
from textual.theme import Theme

from app.locations import shipped_themes_folder, user_themes_folder
from app.token_colours import TOKEN_KEYS
from app.token_colours import token_defaults as token_defaults  # what themes are completed with
from engine.errors import UsageError, shown, shown_error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

COLOUR_KEYS = (
    "primary",
    "secondary",
    "accent",
    "background",
    "surface",
    "panel",
    "foreground",
    "success",
    "warning",
    "error",
)
"""What [colours] holds, under Textual's names."""

_TOP_KEYS = ("name", "dark", "ansi", "colours", "tokens", "variables")
_NAME = re.compile(r"[\w.-]+(?: [\w.-]+)*")
_VARIABLE = re.compile(r"[a-z][a-z0-9-]*")
_PERCENT = re.compile(r" \d{1,3}%")
_STYLES = frozenset(("none", "not", "bold", "dim", "italic", "underline", "reverse", "strike"))
_ANSI_VARIABLES = {
    True: {"ansi-background": "ansi_black", "ansi-foreground": "ansi_white"},
    False: {"ansi-background": "ansi_white", "ansi-foreground": "ansi_black"},
}
"""Variables that Textual needs of themes in the terminal's colours, for dark ones and light ones."""


class ThemeError(UsageError):
    """A theme file that cannot be used; the message names the file and the key."""


def load_theme(file: Path) -> Theme:
    """Return the theme that a file describes; raises ThemeError."""
    try:
        data = tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ThemeError(f"{shown(file)} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise ThemeError(f"{shown(file)} is not TOML: {shown_error(error)}.") from None
    try:
        return _theme(data)
    except ThemeError as error:
        raise ThemeError(f"{shown(file)}: {error}") from None


def shipped_themes() -> tuple[Theme, ...]:
    """Return the themes that come with draftscope."""
    return tuple(load_theme(file) for file in sorted(shipped_themes_folder().glob("*.toml")))


class ThemeFolder:
    """The user's theme files, and which of them have changed."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or user_themes_folder()
        self._seen: dict[Path, tuple[int, int]] = {}

    def changed(self) -> list[Theme | ThemeError]:
        """Return the themes that are new or changed since the last call, and what is wrong with others."""
        found: list[Theme | ThemeError] = []
        now: dict[Path, tuple[int, int]] = {}
        for file in _toml_files(self._folder):
            try:
                state = file.stat()
            except OSError:  # it is being replaced: the next call finds it
                continue
            now[file] = (state.st_mtime_ns, state.st_size)
            if self._seen.get(file) != now[file]:
                try:
                    found.append(load_theme(file))
                except ThemeError as error:
                    found.append(error)
        self._seen = now
        return found


def _toml_files(folder: Path) -> Sequence[Path]:
    try:
        return sorted(file for file in folder.iterdir() if file.suffix == ".toml")
    except OSError:  # most users have no such folder
        return ()


def _theme(data: dict[str, object]) -> Theme:
    _check_keys("", data, _TOP_KEYS)
    name = data.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ThemeError(f"name must be a text of letters, digits, - and spaces, not {shown(name)}.")
    ansi = _flag(data, "ansi", default=False)
    colours = _colours("colours", data, COLOUR_KEYS, ansi=ansi)
    tokens = _colours("tokens", data, TOKEN_KEYS, ansi=ansi)
    dark = _flag(data, "dark")
    variables = {**(_ANSI_VARIABLES[dark] if ansi else {}), **_variables(data, ansi=ansi)}
    return Theme(
        name=name,
        dark=dark,
        ansi=ansi,
        variables={**variables, **{f"tok-{key}": value for key, value in tokens.items()}},
        **colours,  # type: ignore[arg-type]  # the keys are those of Theme's colours
    )


def _flag(data: dict[str, object], key: str, default: bool | None = None) -> bool:
    value = data.get(key, default)
    if not isinstance(value, bool):
        missing = "is missing: it" if value is None else f"is {shown(value)} but"
        raise ThemeError(f"{key} {missing} must be true or false.")
    return value


def _table(data: dict[str, object], name: str) -> dict[str, object]:
    table = data.get(name, {})
    if not isinstance(table, dict):
        raise ThemeError(f"{name} must be a table [{name}], not {shown(table)}.")
    return table


def _colours(name: str, data: dict[str, object], keys: Sequence[str], *, ansi: bool) -> dict[str, str]:
    table = _table(data, name)
    _check_keys(f"{name}.", table, keys)
    for key in keys:
        if key not in table:
            raise ThemeError(f"{name}.{key} is missing.")
    return {key: _colour(f"{name}.{key}", table[key], ansi=ansi) for key in keys}


def _check_keys(where: str, table: dict[str, object], known: Sequence[str]) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {where}{near[0]}?" if near else f"there are {', '.join(known)}."
            raise ThemeError(f"{shown(where + key)} is no key of a theme; {hint}")


def _colour(key: str, value: object, *, ansi: bool) -> str:
    try:
        colour = Color.parse(value) if isinstance(value, str) else None
    except ColorParseError:
        colour = None
    if colour is None or not isinstance(value, str):
        example = "ansi_red" if ansi else "skyblue"
        raise ThemeError(f"{key} is {shown(value)}, which is no colour: write one such as {example}.")
    if colour.a != 1:
        raise ThemeError(f"{key} is {shown(value)}: a theme's colours must be opaque.")
    if colour.ansi is not None and not ansi:
        raise ThemeError(f"{key} is {shown(value)}: the terminal's own colours need ansi = true.")
    return value


def _variables(data: dict[str, object], *, ansi: bool) -> dict[str, str]:
    """Return the variables: text styles where their name ends so, colours, perhaps with a percentage."""
    found: dict[str, str] = {}
    for key, value in _table(data, "variables").items():
        if not _VARIABLE.fullmatch(key) or key.startswith("tok-"):
            raise ThemeError(f"{shown('variables.' + key)} is no variable; tokens have theirs in [tokens].")
        if key.endswith("-style"):
            if not isinstance(value, str) or not value or not set(value.split()) <= _STYLES:
                styles = ", ".join(sorted(_STYLES))
                raise ThemeError(f"variables.{key} is {shown(value)}, but must be of the words {styles}.")
            found[key] = value
        elif isinstance(value, str):
            percent = _PERCENT.search(value)
            bare = value[: percent.start()] if percent is not None and percent.end() == len(value) else value
            _colour(f"variables.{key}", bare, ansi=ansi)
            found[key] = value
        else:
            raise ThemeError(f"variables.{key} is {shown(value)}, but must be a colour.")
    return found
