"""A conversation as rows, and where its tokens are. What did not change keeps its place."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from app.conversation import Conversation
from app.transcript.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from app.transcript.rows import Row
    from app.transcript.views import View

    Place: TypeAlias = tuple[int, int]
    """An exchange, and a token of its reply."""


class Layout:
    """The rows of a whole conversation."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.height = 0
        self._starts: list[int] = []
        """The first row of each turn."""
        self._conversation = Conversation()
        self._width = 0
        self._folds = True

    def show(self, conversation: Conversation, width: int, *, folds: bool) -> None:
        """Lay out all of it; exchanges that were shown at this width stay as they are."""
        keeps = (width, folds) == (self._width, self._folds)
        known = {id(turn.exchange): turn for turn in self.turns} if keeps else {}
        self._conversation, self._width, self._folds = conversation, width, folds
        turns: list[Turn] = []
        for exchange in conversation.exchanges:
            turn = known.get(id(exchange))
            if turn is None or not turn.shows(exchange) or turn is not self._turn(len(turns)):
                turn = Turn(exchange, width, is_first=not turns, folds=folds)
            else:
                turn.update()
            turns.append(turn)
        self.turns = turns
        self._measure(0)

    def update(self) -> int | None:
        """Take up what the last exchange has become; return the first row that may have changed."""
        exchanges = self._conversation.exchanges
        if len(exchanges) != len(self.turns) or (exchanges and not self.turns[-1].shows(exchanges[-1])):
            self.show(self._conversation, self._width, folds=self._folds)
            return 0
        if not self.turns:
            return None
        changed = self.turns[-1].update()
        if changed is None:
            return None
        self._measure(len(self.turns) - 1)
        return self._starts[-1] + changed

    def measure(self) -> None:
        """Find all rows' places again, after a turn was changed from outside."""
        self._measure(0)

    def locate(self, y: int) -> tuple[int, int]:
        """Return the turn and its row that are at a row of the whole."""
        index = bisect_right(self._starts, y) - 1
        return index, y - self._starts[index]

    def row(self, y: int, view: View) -> Row:
        """Return one row."""
        index, row = self.locate(y)
        return self.turns[index].row(row, view)

    def row_of(self, place: Place) -> int | None:
        """Return the row on which a token begins; None where it is not shown."""
        exchange, token = place
        if not 0 <= exchange < len(self.turns):
            return None
        row = self.turns[exchange].row_of(token)
        return None if row is None else self._starts[exchange] + row

    def ends_of(self, exchange: int) -> tuple[Place, Place] | None:
        """Return the first and the last token that can be seen of a reply."""
        shown = self.turns[exchange].body.shown()
        return ((exchange, shown[0][0]), (exchange, shown[-1][-1])) if shown else None

    def nearest(self, place: Place) -> Place | None:
        """Return the token itself, or one that can be seen in its stead; None where there is none at all."""
        exchange, token = place
        if 0 <= exchange < len(self.turns):
            shown = self.turns[exchange].body.shown()
            for tokens in shown:
                if token < tokens.stop:
                    return exchange, max(token, tokens.start)
            if shown:
                return exchange, shown[-1][-1]
        return None

    def beside(self, place: Place, step: int) -> Place | None:
        """Return the token that can be seen before (-1) or after (1) a place; None at the end."""
        exchange, token = place
        for index in self._onwards(exchange, step):
            shown = self.turns[index].body.shown()
            for tokens in shown if step > 0 else reversed(shown):
                if index != exchange:
                    return index, tokens[0 if step > 0 else -1]
                if step > 0 and token + 1 < tokens.stop:
                    return index, max(token + 1, tokens.start)
                if step < 0 and token - 1 >= tokens.start:
                    return index, min(token - 1, tokens.stop - 1)
        return None

    def last(self) -> Place | None:
        """Return the last token that can be seen."""
        return self.beside((len(self.turns), 0), -1)

    def _onwards(self, exchange: int, step: int) -> Iterator[int]:
        if step > 0:
            return iter(range(max(0, exchange), len(self.turns)))
        return iter(range(min(exchange, len(self.turns) - 1), -1, -1))

    def _turn(self, index: int) -> Turn | None:
        return self.turns[index] if index < len(self.turns) else None

    def _measure(self, first: int) -> None:
        height = self._starts[first] if first < len(self._starts) else 0
        if not first:
            height = 0
        del self._starts[first:]
        for turn in self.turns[first:]:
            self._starts.append(height)
            height += turn.height
        self.height = height
