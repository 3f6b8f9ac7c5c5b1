"""What a wrapped line is made of, and how a piece of it is cut or joined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import split_graphemes

if TYPE_CHECKING:
    from collections.abc import Sequence


class Piece(NamedTuple):
    """What a line shows of a token."""

    token: int
    text: str
    """As it is shown."""
    raw: str
    """As the model wrote it: as many characters as `text`, except that a tab is one."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line: its pieces have the width it was wrapped to at most."""

    pieces: tuple[Piece, ...]
    ending: str
    """What of the raw text lies between this line and the next: dropped spaces, a newline."""
    start: int
    """Where in the joined raw text it begins."""
    first: int
    """Its first token, or the one that follows where it has none."""

    @property
    def text(self) -> str:
        """All of it, as it is shown."""
        return "".join(piece.text for piece in self.pieces)


def last_shown(pieces: Sequence[Piece]) -> Piece:
    """Return the last piece that has a text; there must be one."""
    return next(piece for piece in reversed(pieces) if piece.text)


def merged(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Join neighbours of one token; tabs stay alone: they alone differ in length from what they show."""
    joined: list[Piece] = []
    for piece in pieces:
        if joined and joined[-1].token == piece.token:
            last = joined[-1]
            if not piece.text:
                continue
            if piece.raw != "\t" and last.raw != "\t":
                joined[-1] = Piece(last.token, last.text + piece.text, last.raw + piece.raw)
                continue
        joined.append(piece)
    return tuple(joined)


def fitting(spaces: Sequence[Piece], room: int) -> tuple[list[Piece], str]:
    """Cut spaces to a width, and return what was cut off as well; every token keeps a piece."""
    kept: list[Piece] = []
    dropped = ""
    for piece in spaces:
        width = len(piece.text)
        cut = width if width <= room else 0 if piece.raw == "\t" else room
        if dropped:
            cut = 0
        room -= cut
        kept.append(piece if cut == width else Piece(piece.token, piece.text[:cut], piece.raw[:cut]))
        dropped += "" if cut == width else piece.raw[cut:]
    return kept, dropped


def split(piece: Piece, room: int) -> tuple[Piece, Piece]:
    """Cut a piece at a width, between two characters."""
    cut = room
    if not piece.text.isascii():
        spans, _ = split_graphemes(piece.text)
        cut = len(piece.text)
        for start, _, width in spans:
            if width > room:
                cut = start
                break
            room -= width
    return (
        Piece(piece.token, piece.text[:cut], piece.raw[:cut]),
        Piece(piece.token, piece.text[cut:], piece.raw[cut:]),
    )
