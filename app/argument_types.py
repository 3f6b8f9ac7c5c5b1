"""The command line's values: each function reads the text of one kind, or says what may stand there."""

from __future__ import annotations

import argparse

from engine.errors import shown
from engine.offload.sizes import parse_ram, parse_speed
from engine.options import MAX_DEPTH, Mode

_MOST_DIGITS = 4000
"""Python refuses longer numbers, in its own words."""


def integer(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a whole number") from None


def number(text: str) -> float:
    """Any number; what it may be is the options' to say."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a number") from None


def positive(text: str) -> int:
    """A whole number of at least 1."""
    value = _digits(text)
    if not value:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a whole number of at least 1")
    return value


def rate(text: str) -> float:
    """A number of 0 or more, such as rounds a second."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a number of 0 or more")
    return value


def token_ids(text: str) -> tuple[int, ...]:
    """Token ids, separated by commas."""
    return _list(text, "token ids such as 5,6,7")


def depths(text: str) -> tuple[int, ...]:
    """Depths to compare, separated by commas, each once."""
    found = _list(text, "depths such as 0,1,2,4")
    if max(found) > MAX_DEPTH:
        raise argparse.ArgumentTypeError(f"{shown(text)} has a depth that is not from 0 to {MAX_DEPTH}")
    return tuple(dict.fromkeys(found))


def modes(text: str) -> tuple[Mode, ...]:
    """Modes to compare, separated by commas, each once."""
    drafting = [mode for mode in Mode if mode is not Mode.ORDINARY]  # which is depth 0 of every mode
    names = [part.strip() for part in text.split(",")]
    if not all(name in drafting for name in names):
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a list of {', '.join(drafting)}")
    return tuple(dict.fromkeys(Mode(name) for name in names))


def ram(text: str) -> str:
    """A budget as the engine takes it: its share is worked out when the checkpoint is loaded."""
    parse_ram(text, available_bytes=1 << 40)
    return text


def speed(text: str) -> str:
    """A drive's speed as the engine takes it."""
    parse_speed(text)
    return text


def _list(text: str, kind: str) -> tuple[int, ...]:
    found = [value for part in text.split(",") if (value := _digits(part.strip())) is not None]
    if len(found) <= text.count(","):
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a list of {kind}")
    return tuple(found)


def _digits(text: str) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return int(text) if is_number else None
