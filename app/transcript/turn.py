"""An exchange as rows: what the user said, the reply, and what is to be said about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

from app.standstill import standstill
from app.transcript.atoms import visible
from app.transcript.body import Body
from app.transcript.rows import GUTTER, SPARE, Look, Row, Span
from app.transcript.wrapping import Wrapped
from engine.events import FinishReason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.conversation import Exchange, Reply
    from app.transcript.views import View

_ENDS = {
    FinishReason.CANCELLED: "stopped",
    FinishReason.LENGTH: "ended at the longest reply allowed; /max_tokens sets it",
    FinishReason.CONTEXT: "ended here: the context is full",
}


class Turn:
    """The rows of one exchange."""

    def __init__(self, exchange: Exchange, width: int, *, is_first: bool, folds: bool) -> None:
        """`width` is that of the whole transcript."""
        self.exchange = exchange
        self.reply = exchange.reply
        self._width = max(1, width - GUTTER - SPARE)
        self._is_first = is_first
        self._said = self._head_said()
        self._head = self._lay_head()
        self.body = Body(exchange.reply, self._width, folds=folds)
        self._noted = note_of(exchange.reply)
        self._foot = self._lay_foot()

    @property
    def height(self) -> int:
        """Rows."""
        return len(self._head) + self.body.height + len(self._foot)

    def shows(self, exchange: Exchange) -> bool:
        """Whether these are this exchange's rows; its reply may have been replaced."""
        return exchange is self.exchange and exchange.reply is self.reply

    def update(self) -> int | None:
        """Take up what the exchange has become; return the first row that may have changed."""
        said, noted = self._head_said(), note_of(self.reply)
        changed = self.body.update()
        if changed is not None:
            changed += len(self._head)
        if noted != self._noted:
            self._noted = noted
            self._foot = self._lay_foot()
            foot = len(self._head) + self.body.height
            changed = foot if changed is None else min(changed, foot)
        if said != self._said:
            self._said = said
            self._head = self._lay_head()
            changed = 0
        return changed

    def row(self, index: int, view: View) -> Row:
        """Return one row."""
        index -= len(self._head)
        if index < 0:
            return self._head[index]
        if index < self.body.height:
            return self.body.row(index, view)
        return self._foot[index - self.body.height]

    def row_of(self, token: int) -> int | None:
        """Return the row on which a token begins; None where it is not shown."""
        row = self.body.row_of(token)
        return None if row is None else row + len(self._head)

    def _head_said(self) -> tuple[str, str, int]:
        return self.reply.model, _first_token(self.reply), self.exchange.trimmed_turns

    def _lay_head(self) -> list[Row]:
        model, first_token, trimmed = self._said
        rows: list[Row] = [] if self._is_first else [Row()]
        if trimmed:
            turns = "turn" if trimmed == 1 else "turns"
            note = f"{trimmed} oldest {turns} left out: the context is full"
            rows += [*self._wrapped(note, Look.NOTE), Row()]
        if self.exchange.user:  # a trace may not hold it
            rows += [self._label("You"), *self._wrapped(self.exchange.user, Look.USER), Row()]
        rows.append(self._label(visible(model) or "model", first_token))
        return rows

    def _lay_foot(self) -> list[Row]:
        text, look = self._noted
        return self._wrapped(text, look) if text else []

    def _label(self, name: str, note: str = "") -> Row:
        name = " ".join(name.split())
        if cell_len(name) > self._width:
            name = set_cell_size(name, self._width - 1) + "…"
        spans = [Span(name, name, Look.LABEL)]
        if note and cell_len(name) + 2 + len(note) <= self._width:
            spans.append(Span(f"  {note}", "", Look.NOTE))
        return Row(tuple(spans))

    def _wrapped(self, text: str, look: Look) -> list[Row]:
        lines: Sequence[Row] = [
            Row(tuple(Span(piece.text, piece.raw, look) for piece in line.pieces), line.ending)
            for line in Wrapped(self._width, [text]).lines
        ]
        return [*lines[:-1], Row(lines[-1].spans)]


def note_of(reply: Reply) -> tuple[str, Look]:
    """Return what is said under a reply, which may be nothing."""
    finished = reply.finished
    if finished is not None:
        if finished.reason is FinishReason.ERROR:
            return finished.message or "The reply ended in an error.", Look.ERROR
        return _ENDS.get(finished.reason, ""), Look.NOTE
    if reply.waiting is not None:
        return f"{standstill(reply.waiting)} · {reply.waiting.seconds:.0f} s", Look.NOTE
    if reply.prefilling is not None:
        state = reply.prefilling
        read = f" · {_amount(state.bytes_read)} read" if state.bytes_read else ""
        return f"reading the prompt · layer {state.layer} of {state.layers}{read}", Look.NOTE
    return "", Look.NOTE


def _amount(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def _first_token(reply: Reply) -> str:
    """Return how long the first token took, from the prompt on."""
    if reply.prefilled is None or not reply.rounds or reply.rounds[0].round != 0:
        return ""
    return f"first token {reply.prefilled.seconds + reply.rounds[0].verify_seconds:.2f} s"
