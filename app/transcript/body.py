"""A reply as rows: its tokens, with thoughts folded to one line each, or rendered Markdown in their place."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from app.transcript.rows import Look, Row, Span
from app.transcript.run import TokenRun
from app.transcript.thoughts import Thoughts
from engine.options import Mode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.conversation import Change, Reply
    from app.transcript.thoughts import Thought
    from app.transcript.views import View

FOLDED = "▸ thought"

_MARKS = {Mode.MTP: "▸", Mode.NGRAM: "▹"}


class Fold:
    """A thought in one row."""

    height = 1

    def __init__(self, tokens: int) -> None:
        unit = "token" if tokens == 1 else "tokens"
        self._text = f"{FOLDED} · {tokens:,} {unit}"

    def row(self) -> Row:
        """Return it."""
        return Row((Span(self._text, self._text, Look.NOTE),))


class Body:
    """The rows of one reply."""

    def __init__(self, reply: Reply, width: int, *, folds: bool) -> None:
        self._reply = reply
        self._width = width
        self._folds = folds
        self._thoughts = Thoughts()
        self._parts: list[TokenRun | Fold] = []
        self._starts: list[int] = []
        """The first row of each part."""
        self._rendered: tuple[Row, ...] | None = None
        self._marks: tuple[int, Change | None] = (0, None)
        self.height = 0
        self._build()

    @property
    def is_rendered(self) -> bool:
        """Whether Markdown stands in place of the tokens."""
        return self._rendered is not None

    def render(self, rows: Sequence[Row] | None) -> None:
        """Show these rows in place of the tokens, or the tokens again."""
        self._rendered = None if rows is None else tuple(rows)
        self._measure()

    def markdown(self) -> str:
        """Return the text to render: without its thoughts where they are folded."""
        text = self._reply.text
        return self._thoughts.without(text) if self._folds else text

    def update(self) -> int | None:
        """Take up what the reply has become; return the first row that may have changed."""
        reply = self._reply
        new = [placed.token.text for placed in reply.tokens[self._thoughts.token_count :]]
        if self._thoughts.extend(new) and self._folds:
            self._build()
            return 0
        last = self._parts[-1]
        assert isinstance(last, TokenRun)
        changed = last.update()
        marks = (len(reply.changes), reply.changes[-1] if reply.changes else None)
        if marks != self._marks:
            self._marks = marks
            mark_row = max(0, last.height - 1)
            changed = mark_row if changed is None else min(changed, mark_row)
        if changed is None:
            return None
        changed += self._starts[-1]
        self._measure()
        return None if self.is_rendered else changed

    def row(self, index: int, view: View) -> Row:
        """Return one row."""
        if self._rendered is not None:
            return self._rendered[index]
        number = bisect_right(self._starts, index) - 1
        part = self._parts[number]
        if isinstance(part, Fold):
            return part.row()
        row = part.row(index - self._starts[number], view)
        mark = self._mark(part, index - self._starts[number])
        return Row(row.spans, row.ending, mark) if mark else row

    def row_of(self, token: int) -> int | None:
        """Return the row on which a token begins; None where it is not shown."""
        if self._rendered is None:
            for part, start in zip(self._parts, self._starts, strict=True):
                if isinstance(part, TokenRun) and part.first <= token < part.end:
                    return start + part.row_of(token)
        return None

    def shown(self) -> list[range]:
        """Return the tokens that can be seen."""
        if self._rendered is not None:
            return []
        runs = (part for part in self._parts if isinstance(part, TokenRun))
        return [range(run.first, run.end) for run in runs if run.end > run.first]

    def _mark(self, run: TokenRun, row: int) -> str:
        is_last = run is self._parts[-1]
        mark = ""
        for change in self._reply.changes:
            in_run = run.first <= change.token_index and (is_last or change.token_index < run.end)
            if in_run and run.row_of(change.token_index) == row:
                mark = mark_of(change)
        return mark

    def _build(self) -> None:
        """Lay out all parts anew."""
        reply, width = self._reply, self._width
        if self._thoughts.token_count < len(reply.tokens):
            new = reply.tokens[self._thoughts.token_count :]
            self._thoughts.extend(placed.token.text for placed in new)
        self._parts = []
        token, skip = 0, 0
        thoughts = self._thoughts.closed if self._folds else ()
        for thought in thoughts:
            self._add_before(token, skip, thought)
            self._parts.append(Fold(self._thoughts.tokens_in(thought)))
            token, skip = self._thoughts.place(thought.end)
        last = TokenRun(reply, token, width, skip=skip, after_fold=bool(thoughts))
        last.update()
        self._parts.append(last)
        self._marks = (len(reply.changes), reply.changes[-1] if reply.changes else None)
        self._measure()

    def _add_before(self, token: int, skip: int, thought: Thought) -> None:
        """Add what stands before a thought, if there is more than space."""
        end, cut = self._thoughts.place(thought.start)
        texts = [placed.token.text for placed in self._reply.tokens[token : end + 1]]
        if texts and end < len(self._reply.tokens):
            texts[-1] = texts[-1][:cut]
            if not cut:
                texts.pop()
        if texts:
            texts[0] = texts[0][skip:]
        if "".join(texts).strip():
            self._parts.append(TokenRun.fixed(self._reply, token, texts, self._width))

    def _measure(self) -> None:
        self._starts = []
        height = 0
        for part in self._parts:
            self._starts.append(height)
            height += part.height
        self.height = height if self._rendered is None else len(self._rendered)


def mark_of(change: Change) -> str:
    """Return what stands in the gutter where drafting changed; without a drafter the depth is 0."""
    sign = _MARKS.get(change.mode)
    return f"{sign}{change.depth}" if sign else "▸0"
