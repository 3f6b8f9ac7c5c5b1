"""What each setting may be: a rule a key, which returns the value as it is held or says what is allowed.

How a reply is decoded is judged by the engine's own options, amounts and speeds by its own parsers.
"""

from __future__ import annotations

import difflib
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from engine.errors import UsageError, shown
from engine.offload.sizes import parse_ram, parse_speed
from engine.options import GenerateOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class View(StrEnum):
    """What the colours of the tokens say."""

    ORIGIN = "origin"
    ALL_ORIGINS = "all-origins"
    POSITION = "position"
    SURPRISE = "surprise"
    PLAIN = "plain"


class ShowPanel(StrEnum):
    """When the figures stand beside the chat."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class Animations(StrEnum):
    """How much may move on the screen, in Textual's own words."""

    NONE = "none"
    BASIC = "basic"
    FULL = "full"


def checked(key: str, value: object, where: str) -> object:
    """Return a setting's value as Settings holds it; UsageError, opened by `where`, if it cannot be meant."""
    rule = RULES.get(key)
    if rule is None:
        raise UsageError(f"{where}: there is no setting {shown(key)}{nearest(key)}")
    try:
        return rule(key, value)
    except UsageError as error:
        sentence = str(error)
        if not sentence.startswith(key):
            sentence = f"{key}: {sentence}"
        raise UsageError(f"{where}: {sentence}") from None


def nearest(key: object) -> str:
    """Return the end of a sentence about an unknown key: what was meant, or what there is."""
    near = difflib.get_close_matches(str(key), RULES, n=1)
    return f"; did you mean {near[0]}?" if near else f"; the settings are {', '.join(RULES)}."


def _option(key: str, value: object) -> object:
    return getattr(GenerateOptions().changed({key: value}), key)


def _text(key: str, value: object) -> str:
    if isinstance(value, str):
        return value
    raise UsageError(f"{key} must be a text, not {shown(value)}.")


def _name(key: str, value: object) -> str:
    text = _text(key, value)
    if text.strip():
        return text
    raise UsageError(f"{key} must be a name, not an empty text.")


def _ram(key: str, value: object) -> str:
    text = _text(key, value)
    parse_ram(text, available_bytes=1 << 40)  # its share is worked out when the checkpoint is loaded
    return text


def _speed(key: str, value: object) -> str:
    text = _text(key, value)
    parse_speed(text)
    return text


def _pace(key: str, value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1e6:
        return float(value)
    raise UsageError(f"{key} must be 0 (full speed) or rounds a second, at most 1000000, not {shown(value)}.")


def _count(key: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise UsageError(f"{key} must be a whole number of at least 1, not {shown(value)}.")


def _flag(key: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise UsageError(f"{key} must be true or false, not {shown(value)}.")


def _member_of(kind: type[StrEnum]) -> Callable[[str, object], StrEnum]:
    def member(key: str, value: object) -> StrEnum:
        if isinstance(value, str) and value in set(kind):
            return kind(value)
        raise UsageError(f"{key} must be one of {', '.join(kind)}, not {shown(value)}.")

    return member


def _keys(key: str, value: object) -> Mapping[str, str]:
    if isinstance(value, dict):
        return MappingProxyType({ident: key_checked(ident, each) for ident, each in _flat(value)})
    raise UsageError(f'{key} must be a table, [keys] with lines "chat.less" = "f9", not {shown(value)}.')


def key_checked(ident: str, value: object) -> str:
    """Return the key that something is bound to; UsageError if it cannot be one."""
    if isinstance(value, str) and value.strip():
        return value
    raise UsageError(f"keys: {shown(ident)} must be a key such as f9 or ctrl+l, not {shown(value)}.")


def _flat(table: dict[str, object], prefix: str = "") -> list[tuple[str, object]]:
    """Return the ids of a table; chat.less without quotes is a table within a table to TOML."""
    found: list[tuple[str, object]] = []
    for name, value in table.items():
        found += _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)]
    return found


RULES: dict[str, Callable[[str, object], object]] = {
    "theme": _name,
    "view": _member_of(View),
    "pace": _pace,
    **dict.fromkeys(("depth", "mode", "accept", "temperature", "top_p", "top_k", "min_p", "seed"), _option),
    "max_tokens": _option,
    "system": _text,
    "ram": _ram,
    "context": _count,
    "threads": _count,
    "disk_limit": _speed,
    "readers": _count,
    "draft_model": _name,
    **dict.fromkeys(("direct", "keep_cache", "markdown", "first_run_help"), _flag),
    "show_panel": _member_of(ShowPanel),
    "animations": _member_of(Animations),
    "keys": _keys,
}


_FLAGS = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)
_INTEGERS = ("depth", "top_k", "seed", "max_tokens", "context", "threads", "readers")
_NUMBERS = ("pace", "temperature", "top_p", "min_p")


def from_text(key: str, text: str) -> object:
    """Return what a text of the environment means; the text itself where it means nothing, to be refused."""
    try:
        if key in _INTEGERS:
            return int(text)
        if key in _NUMBERS:
            return float(text)
    except ValueError:
        return text
    if RULES[key] is _flag:
        return _FLAGS.get(text.lower(), text)
    return text
