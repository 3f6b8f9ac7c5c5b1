"""A line of the transcript before it has colours: what it says, and of what kind and token each part is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rich.style import Style

GUTTER = 3
"""Cells at the left, where a change of depth is marked."""
SPARE = 1
"""Cells at the right that text leaves free: the cursor stands there on a token without text."""


class Look(StrEnum):
    """A kind of text; its component class is `transcript--` and this."""

    ACCEPTED = "accepted"
    ORDINARY = "ordinary"
    BONUS = "bonus"
    CORRECTED = "corrected"
    REJECTED = "rejected"
    GHOST = "ghost"
    POSITION_1 = "position-1"
    POSITION_2 = "position-2"
    POSITION_3 = "position-3"
    POSITION_4 = "position-4"
    POSITION_5 = "position-5"
    POSITION_6 = "position-6"
    POSITION_7 = "position-7"
    POSITION_8 = "position-8"
    SURPRISE_0 = "surprise-0"
    SURPRISE_1 = "surprise-1"
    SURPRISE_2 = "surprise-2"
    SURPRISE_3 = "surprise-3"
    SURPRISE_4 = "surprise-4"
    USER = "user"
    LABEL = "label"
    NOTE = "note"
    ERROR = "error"
    MARK = "mark"
    CURSOR = "cursor"
    CODE = "code"
    """In rendered Markdown."""

    @property
    def component(self) -> str:
        """Its component class."""
        return f"transcript--{self}"


class Span(NamedTuple):
    """A part of a row."""

    text: str
    raw: str
    """What copying it gives: as many characters as `text`, or any number where it is copied as a whole."""
    look: Look | Style
    token: int | None = None
    """Into the reply's tokens."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line."""

    spans: tuple[Span, ...] = ()
    ending: str = "\n"
    """What copying gives between this row and the next."""
    mark: str = ""
    """In the gutter."""

    @property
    def text(self) -> str:
        """What it says, without the gutter."""
        return "".join(span.text for span in self.spans)

    def copied(self, start: int, end: int | None) -> str:
        """Return the raw text between two of its characters; None is its end."""
        found: list[str] = []
        position = 0
        for span in self.spans:
            length = len(span.text)
            first = min(max(0, start - position), length)
            last = length if end is None else min(max(0, end - position), length)
            if first < last:
                whole = first == 0 and last == length
                if whole or len(span.raw) == length:
                    found.append(span.raw if whole else span.raw[first:last])
                else:  # part of a tab
                    found.append(span.text[first:last])
            position += length
        return "".join(found)
