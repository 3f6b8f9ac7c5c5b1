"""A stretch of a reply's tokens as rows, with what stands among them for a moment.

The tokens that are text for good come first; after them, laid out anew whenever the round changes, the drafts
that were struck, the token that replaced them, and the drafts being verified.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from app.transcript.rows import Look, Row, Span
from app.transcript.views import look_of
from app.transcript.wrapping import Wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.conversation import Reply
    from app.transcript.views import View


class _Passing(NamedTuple):
    """Something after the tokens that are there for good."""

    text: str
    look: Look
    """Of a draft."""
    token: int | None = None
    """Where it is a token of the reply."""


class TokenRun:
    """The tokens from `first` on, up to the reply's end, or to the end of a stretch that never changes."""

    def __init__(
        self, reply: Reply, first: int, width: int, *, skip: int = 0, after_fold: bool = False
    ) -> None:
        """`skip` characters of the first token belong to what is before; no blank line follows a fold."""
        self._reply = reply
        self.first = first
        self._skip = skip
        self._blank = after_fold
        self._wrapped = Wrapped(width)
        self._settled = 0
        """Tokens that are there for good."""
        self._passing: tuple[_Passing, ...] = ()

    @classmethod
    def fixed(cls, reply: Reply, first: int, texts: Iterable[str], width: int) -> TokenRun:
        """Return a run of these texts, which will never be updated."""
        run = cls(reply, first, width)
        run._wrapped.extend(texts)
        run._settled = run._wrapped.token_count
        return run

    @property
    def height(self) -> int:
        """Rows; a last line that no token is on yet is not one."""
        count = self._wrapped.line_count
        return count if self._wrapped.line(count - 1).pieces else count - 1

    @property
    def end(self) -> int:
        """The token after the last."""
        return self.first + self._settled + sum(item.token is not None for item in self._passing)

    def update(self) -> int | None:
        """Take up what the reply has become; return the first row that may have changed."""
        settled = self._settled_now()
        if settled == self._settled and self._passing_now(settled) == self._passing:
            return None
        changed = self._wrapped.truncate(self._settled)
        changed = min(changed, self._wrapped.extend(self._settle(settled)))
        self._passing = self._passing_now(settled)
        self._wrapped.extend(item.text for item in self._passing)
        return changed

    def _settled_now(self) -> int:
        reply = self._reply
        tokens = max(0, len(reply.tokens) - self.first)
        stands_after_struck = reply.struck and reply.rounds[-1].tokens and tokens > self._settled
        return tokens - 1 if stands_after_struck else tokens

    def _passing_now(self, settled: int) -> tuple[_Passing, ...]:
        reply = self._reply
        passing = [_Passing(draft.text, Look.REJECTED) for draft in reply.struck]
        for token in range(self.first + settled, len(reply.tokens)):
            text = self._text(token)
            passing.append(_Passing(text.lstrip("\n") if self._blank else text, Look.ORDINARY, token))
        passing += [_Passing(ghost.text, Look.GHOST) for ghost in reply.ghosts]
        return tuple(passing)

    def _settle(self, settled: int) -> list[str]:
        begin, self._settled = self._settled, settled
        texts = [self._text(token) for token in range(self.first + begin, self.first + settled)]
        for index, text in enumerate(texts):
            if not self._blank:
                break
            texts[index] = text.lstrip("\n")
            self._blank = not texts[index]
        return texts

    def _text(self, token: int) -> str:
        text = self._reply.tokens[token].token.text
        return text[self._skip :] if token == self.first else text

    def _item(self, token: int) -> int:
        """Return the wrapped item that is a token of the reply, or what comes after all of them."""
        local = token - self.first
        if local < self._settled:
            return local
        for index, item in enumerate(self._passing):
            if item.token == token:
                return self._settled + index
        ghosts = (index for index, item in enumerate(self._passing) if item.look is Look.GHOST)
        return self._settled + next(ghosts, len(self._passing))

    def row_of(self, token: int) -> int:
        """Return the row on which a token begins, or on which one that is to come will."""
        return min(self._wrapped.line_of(self._item(token)), max(0, self.height - 1))

    def row(self, index: int, view: View) -> Row:
        """Return one row, without its mark."""
        line = self._wrapped.line(index)
        spans = []
        for piece in line.pieces:
            token, look = self._origin(piece.token, view)
            spans.append(Span(piece.text, piece.raw, look, token))
        return Row(tuple(spans), line.ending if index < self.height - 1 else "\n")

    def _origin(self, item: int, view: View) -> tuple[int | None, Look]:
        token: int | None = self.first + item
        if item >= self._settled:
            passing = self._passing[item - self._settled]
            token = passing.token
            if token is None:
                return None, passing.look
        assert token is not None
        return token, look_of(self._reply.tokens[token].token, view)
