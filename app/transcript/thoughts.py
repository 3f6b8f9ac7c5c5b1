"""Finding what a reply thinks aloud: text between think tags, which may be split over tokens anywhere.

Prompts of reasoning checkpoints often end with the opening tag, so that the reply holds the closing one
alone: then its beginning is the thought.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

OPENING = "<think>"
CLOSING = "</think>"


@dataclass(frozen=True, slots=True)
class Thought:
    """A thought that is complete, as characters of the reply; the tags are part of it."""

    start: int
    end: int


class Thoughts:
    """The thoughts of a reply that may still grow; reading on costs only what is new."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.closed: list[Thought] = []
        self._offsets: list[int] = [0]
        """Where each token begins, and where the last one ends."""
        self._open: int | None = None
        self._rest = ""
        """The end of the text: it may be the beginning of a tag."""
        self.extend(texts)

    @property
    def token_count(self) -> int:
        """How many tokens were read."""
        return len(self._offsets) - 1

    def extend(self, texts: Iterable[str]) -> bool:
        """Read more tokens; return whether a thought was closed."""
        new = list(texts)
        read_from = self._offsets[-1] - len(self._rest)
        for text in new:
            self._offsets.append(self._offsets[-1] + len(text))
        text = self._rest + "".join(new)
        before, position = len(self.closed), 0
        while True:
            closing = text.find(CLOSING, position)
            opening = text.find(OPENING, position) if self._open is None else -1
            if opening >= 0 and (closing < 0 or opening < closing):
                self._open = read_from + opening
                position = opening + len(OPENING)
            elif closing >= 0:
                self._close(read_from + closing + len(CLOSING))
                position = closing + len(CLOSING)
            else:
                break
        self._rest = text[max(position, len(text) - len(CLOSING) + 1) :]
        return len(self.closed) > before

    def _close(self, end: int) -> None:
        start = self._open
        if start is None and not self.closed:
            start = 0
        if start is not None:
            self.closed.append(Thought(start, end))
        self._open = None

    def place(self, character: int) -> tuple[int, int]:
        """Return the token that a character is in, and where in it."""
        token = bisect_right(self._offsets, character) - 1
        return token, character - self._offsets[token]

    def tokens_in(self, thought: Thought) -> int:
        """Return how many tokens begin in a thought."""
        return bisect_left(self._offsets, thought.end) - bisect_left(self._offsets, thought.start)

    def without(self, text: str) -> str:
        """Return the text of all tokens with the thoughts left out."""
        position = 0
        found: list[str] = []
        for thought in self.closed:
            found.append(text[position : thought.start])
            position = thought.end
            while text[position : position + 1] == "\n":
                position += 1
        return "".join([*found, text[position:]])
