"""What a token's text is made of, for wrapping: words, spaces, tabs, newlines and wide characters.

A language model has a limited vocabulary, so what a text is made of is found once and remembered: that is
most of what makes wrapping fast.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple

from rich.cells import cell_len, split_graphemes

from app.commands.terminal import harmless

JOINER = "\u200d"
"""Joins two emoji to one."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_PARTS = re.compile(r"\n|\t| +|[^\n\t ]+")
_LONG = 64
"""Texts longer than this are no tokens and not remembered."""


class Kind(Enum):
    """How an atom behaves at the end of a line."""

    WORD = auto()
    """Stays with its neighbours."""
    WIDE = auto()
    """Two cells; a line may end before and after it."""
    MARK = auto()
    """Belongs to the character before, in whatever token that is."""
    SPACE = auto()
    TAB = auto()
    NEWLINE = auto()


class Atom(NamedTuple):
    """A part of a token's text."""

    kind: Kind
    raw: str
    """As the model wrote it, but always something that UTF-8 can hold."""
    shown: str
    """As a terminal is given it: as many characters as `raw`. A tab's depends on where it stands."""
    width: int
    """In cells."""


def visible(text: str) -> str:
    """Return text with all that a terminal might obey, or cannot be sent, made visible."""
    return _SURROGATE.sub("\ufffd", harmless(text))


def atoms(text: str) -> tuple[Atom, ...]:
    """Return what a text is made of."""
    return _remembered(text) if len(text) <= _LONG else _divide(text)


def _divide(text: str) -> tuple[Atom, ...]:
    found: list[Atom] = []
    for match in _PARTS.finditer(text):
        raw = match.group()
        if raw == "\n":
            found.append(Atom(Kind.NEWLINE, raw, "", 0))
        elif raw == "\t":
            found.append(Atom(Kind.TAB, raw, "", 0))
        elif raw[0] == " ":
            found.append(Atom(Kind.SPACE, raw, raw, len(raw)))
        elif raw.isascii() and raw.isprintable():
            found.append(Atom(Kind.WORD, raw, raw, len(raw)))
        else:
            found += _characters(_SURROGATE.sub("\ufffd", raw))
    return tuple(found)


_remembered = lru_cache(maxsize=1 << 16)(_divide)


def _characters(raw: str) -> list[Atom]:
    """Divide a word that holds more than ASCII, so that no mark parts from its character."""
    shown = visible(raw)
    found: list[Atom] = []
    word = 0
    spans, _ = split_graphemes(shown)
    for start, end, _ in spans:
        width = cell_len(shown[start:end])
        kind = Kind.WIDE if width > 1 else Kind.MARK if width == 0 and start == 0 else Kind.WORD
        if kind is not Kind.WORD:
            if word < start:
                found.append(_word(raw[word:start], shown[word:start]))
            found.append(Atom(kind, raw[start:end], shown[start:end], width))
            word = end
    if word < len(raw):
        found.append(_word(raw[word:], shown[word:]))
    return found


def _word(raw: str, shown: str) -> Atom:
    return Atom(Kind.WORD, raw, shown, cell_len(shown))
