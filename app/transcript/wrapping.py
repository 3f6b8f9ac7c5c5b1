"""Tokens to lines: words move together however many tokens they are made of, and appending costs the tail.

A word that is wider than a line is broken; what would be the leading space of a wrapped line is dropped, and
kept in the line's `ending`, so that the raw text can always be put together again. Marks (accents, joiners)
stand with the character before them, even where the model gave them a token of their own; such a token, like
one without any text (half a character), has a piece without text, which keeps its place for the cursor.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from rich.cells import cell_len

from app.transcript.atoms import JOINER, Atom, Kind, atoms
from app.transcript.pieces import Line, Piece, fitting, last_shown, merged, split

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TAB_STOP = 4
LEAST_WIDTH = 2
"""One wide character must fit."""


class Wrapped:
    """Token texts wrapped to a width; there is always a last line, which may be empty."""

    def __init__(self, width: int, texts: Iterable[str] = ()) -> None:
        self.width = max(LEAST_WIDTH, width)
        self._texts: list[str] = []
        self._offsets: list[int] = []
        """Where in the joined text each token begins."""
        self._length = 0
        self._closed: list[Line] = []
        self._firsts: list[int] = []
        self._reset(0)
        self.extend(texts)

    def _reset(self, start: int) -> None:
        """Begin an empty line. Once it is full, all that is in it fits, except for spaces at its end."""
        self._start = start
        self._placed: list[Piece] = []
        self._placed_width = 0
        self._spaces: list[Piece] = []
        """After what is placed; dropped if the word goes to the next line."""
        self._spaces_width = 0
        self._word: list[Piece] = []
        self._word_width = 0
        self._word_is_wide = False
        self._open: Line | None = None

    @property
    def token_count(self) -> int:
        """How many tokens there are."""
        return len(self._texts)

    @property
    def line_count(self) -> int:
        """How many lines there are."""
        return len(self._closed) + 1

    @property
    def lines(self) -> Sequence[Line]:
        """All lines."""
        return [*self._closed, self.line(len(self._closed))]

    def line(self, index: int) -> Line:
        """Return one line."""
        if index < len(self._closed):
            return self._closed[index]
        if self._open is None:
            self._open = self._last_line()
        return self._open

    def line_of(self, token: int) -> int:
        """Return the line on which a token begins to be seen."""
        found = None
        for index in range(max(0, bisect_left(self._firsts, token) - 1), self.line_count):
            line = self.line(index)
            if line.first > token:
                break
            pieces = [piece for piece in line.pieces if piece.token == token]
            if any(piece.text for piece in pieces):
                return index
            if pieces and found is None:
                found = index
        return len(self._closed) if found is None else found

    def extend(self, texts: Iterable[str]) -> int:
        """Append tokens; return the first line that may have changed."""
        changed = len(self._closed)
        self._open = None
        for text in texts:
            token = len(self._texts)
            self._texts.append(text)
            self._offsets.append(self._length)
            self._length += len(text)
            self._add(token, text)
        return changed

    def truncate(self, token_count: int) -> int:
        """Keep so many tokens; return the first line that may have changed."""
        if token_count >= len(self._texts):
            return len(self._closed)
        # The break before a line hangs on that line's first word, so what ends within a line is wrapped anew
        # from the beginning of the one before it.
        index = max(0, bisect_left(self._firsts, token_count) - 2)
        start = self._closed[index].start if index < len(self._closed) else 0
        first = self._closed[index].first if index < len(self._closed) else 0
        texts = self._texts[first:token_count]
        skipped = start - self._offsets[first]
        del self._closed[index:], self._firsts[index:], self._texts[token_count:]
        self._length = self._offsets[token_count]
        del self._offsets[token_count:]
        self._reset(start)
        for token, text in enumerate(texts, first):
            self._add(token, text[skipped:])
            skipped = 0
        return index

    def _add(self, token: int, text: str) -> None:
        if not text:
            self._hold_place(token)
            return
        for atom in atoms(text):
            kind = atom.kind
            if kind is Kind.WORD:
                if self._word_is_wide:
                    self._place_word()
                self._word.append(Piece(token, atom.shown, atom.raw))
                self._word_width += atom.width
                if self._placed_width + self._spaces_width + self._word_width > self.width:
                    self._fit()
            elif kind is Kind.SPACE:
                self._place_word()
                self._spaces.append(Piece(token, atom.shown, atom.raw))
                self._spaces_width += atom.width
            elif kind is Kind.NEWLINE:
                self._place_word()
                dropped = self._place_spaces()
                self._placed.append(Piece(token, "", ""))
                self._close(dropped + atom.raw)
            elif kind is Kind.TAB:
                self._place_word()
                width = TAB_STOP - (self._placed_width + self._spaces_width) % TAB_STOP
                self._spaces.append(Piece(token, " " * width, atom.raw))
                self._spaces_width += width
            elif kind is Kind.MARK or self._joins():
                self._attach(token, atom)
            else:
                self._place_word()
                self._word.append(Piece(token, atom.shown, atom.raw))
                self._word_width = atom.width
                self._word_is_wide = True
                self._fit()

    def _hold_place(self, token: int) -> None:
        (self._word or self._spaces or self._placed).append(Piece(token, "", ""))

    def _joins(self) -> bool:
        return any(piece.text for piece in self._word) and last_shown(self._word).text.endswith(JOINER)

    def _attach(self, token: int, atom: Atom) -> None:
        """Put a mark to the character before, whichever token that is of."""
        if not any(piece.text for piece in self._word):
            if not self._spaces_width or last_shown(self._spaces).raw == "\t":  # nothing to stand on
                self._word.append(Piece(token, atom.shown, atom.raw))
                self._fit()
                return
            self._take_last_space()
        index = self._word.index(last_shown(self._word))
        base = self._word[index]
        text = base.text + atom.shown
        self._word_width += cell_len(text) - cell_len(base.text)
        self._word[index] = Piece(base.token, text, base.raw + atom.raw)
        self._word.append(Piece(token, "", ""))
        self._fit()

    def _take_last_space(self) -> None:
        """Let the last space begin the word: a mark stands on it."""
        index = self._spaces.index(last_shown(self._spaces))
        space, after = self._spaces[index], self._spaces[index + 1 :]
        taken = space
        del self._spaces[index:]
        if len(space.text) > 1:
            self._spaces.append(Piece(space.token, space.text[:-1], space.raw[:-1]))
            taken = Piece(space.token, " ", " ")
        self._spaces_width -= len(taken.text)
        self._word = [taken, *after, *self._word]
        self._word_width += len(taken.text)

    def _place_word(self) -> None:
        """Put the word on the line: it is complete, and it fits."""
        if self._word:
            self._placed += self._spaces
            self._placed += self._word
            self._placed_width += self._spaces_width + self._word_width
            self._spaces, self._spaces_width = [], 0
            self._word, self._word_width, self._word_is_wide = [], 0, False

    def _place_spaces(self) -> str:
        """Put spaces that no word follows on the line, as many as fit; return the others."""
        placed, dropped = fitting(self._spaces, self.width - self._placed_width)
        self._placed += placed
        self._spaces, self._spaces_width = [], 0
        return dropped

    def _fit(self) -> None:
        """Close lines until the word fits."""
        while self._placed_width + self._spaces_width + self._word_width > self.width:
            if self._placed_width or self._spaces_width > self.width // 2:
                follows = self._word[0].token
                self._placed += [Piece(p.token, "", "") for p in self._spaces if p.token != follows]
                dropped = "".join(piece.raw for piece in self._spaces)
                self._spaces, self._spaces_width = [], 0
                self._close(dropped)
            else:
                self._break_word()

    def _break_word(self) -> None:
        """Fill the line, on which nothing but an indent stands, with the word's beginning."""
        room = self.width - self._spaces_width
        self._placed += self._spaces
        self._spaces, self._spaces_width = [], 0
        for index, piece in enumerate(self._word):
            width = cell_len(piece.text)
            if width <= room:
                self._placed.append(piece)
                room -= width
                continue
            head, tail = split(piece, room)
            if head.text:
                self._placed.append(head)
            self._word = [tail, *self._word[index + 1 :]]
            break
        self._word_width = sum(cell_len(piece.text) for piece in self._word)
        self._close("")

    def _close(self, ending: str) -> None:
        pieces = merged(self._placed)
        first = pieces[0].token if pieces else self._word[0].token
        self._closed.append(Line(pieces, ending, self._start, first))
        self._firsts.append(first)
        self._start += sum(len(piece.raw) for piece in pieces) + len(ending)
        self._placed, self._placed_width = [], 0

    def _last_line(self) -> Line:
        if self._word:
            pieces, dropped = [*self._placed, *self._spaces, *self._word], ""
        else:
            spaces, dropped = fitting(self._spaces, self.width - self._placed_width)
            pieces = [*self._placed, *spaces]
        first = pieces[0].token if pieces else len(self._texts)
        return Line(merged(pieces), dropped, self._start, first)
