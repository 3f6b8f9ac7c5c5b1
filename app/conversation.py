"""A chat as it stands: what the user said, and every token of every reply with the round it came from.

The one source of truth of the screen, of session files and of exports: each shows it, none keeps its own.
It is changed by `take` alone, which applies an event, so that a session read back from its file is the very
conversation that was written.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.backends.base import ChatMessage
from engine.events import Drafted, Finished, FinishReason, Header, Prefilled, Prefilling, Verified, Waiting

if TYPE_CHECKING:
    from engine.events import DraftedToken, Event, RejectedToken, Token
    from engine.options import GenerateOptions, Mode


@dataclass(frozen=True, slots=True)
class PlacedToken:
    """A token of the text and where it came from."""

    token: Token
    round_index: int
    """Into the reply's `rounds`."""


@dataclass(frozen=True, slots=True)
class Change:
    """Depth or mode changed in mid-reply, before this token."""

    token_index: int
    """The first one decoded so."""
    mode: Mode
    depth: int


@dataclass(slots=True)
class Reply:
    """The model's turn, complete or growing."""

    options: GenerateOptions | None = None
    model: str = ""
    tokens: list[PlacedToken] = field(default_factory=list)
    rounds: list[Verified] = field(default_factory=list)
    ghosts: tuple[DraftedToken, ...] = ()
    """The drafts being verified now."""
    struck: tuple[RejectedToken, ...] = ()
    """The drafts that the last round rejected; they stand for a moment."""
    changes: list[Change] = field(default_factory=list)
    prefilling: Prefilling | None = None
    """While the prompt is being read."""
    prefilled: Prefilled | None = None
    waiting: Waiting | None = None
    """While a round stands still for the disk."""
    finished: Finished | None = None
    asked_depth: int | None = None
    """The depth asked for the rounds to come, for `changes`; a round may draft fewer."""
    asked_mode: Mode | None = None
    ghosts_are_older: bool = False
    """Whether `asked_mode` and `asked_depth` were set while drafts stood that were drafted otherwise."""

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(placed.token.text for placed in self.tokens)

    @property
    def has_failed(self) -> bool:
        """Whether it ended in an error before its first token: nothing was said, so there is no turn."""
        finished = self.finished
        return not self.tokens and finished is not None and finished.reason is FinishReason.ERROR

    @property
    def ids(self) -> tuple[int, ...]:
        """Of all its tokens."""
        return tuple(placed.token.id for placed in self.tokens)

    @property
    def round_depth(self) -> int | None:
        """The depth asked for the round under way; None where it is an older one that is not known."""
        return None if self.ghosts_are_older else self.asked_depth

    def depths(self) -> list[int]:
        """The depth that each round was asked to draft, as far as it is known; else what it drafted."""
        depth = None if self.options is None else self.options.depth
        changes = deque(self.changes)
        found, tokens = [], 0
        for each in self.rounds:
            while changes and changes[0].token_index <= tokens:
                depth = changes.popleft().depth
            found.append(each.depth if depth is None else max(depth, each.depth))
            tokens += len(each.tokens)
        return found

    def ask(self, mode: Mode, depth: int) -> None:
        """Depth or mode was set while this reply grows: mark it before the next token, once."""
        if (mode, depth) == (self.asked_mode, self.asked_depth):
            return
        self.asked_mode, self.asked_depth = mode, depth
        if self.ghosts:  # they are verified first
            self.ghosts_are_older = True
        elif self.tokens:
            self._mark()

    def _mark(self) -> None:
        assert self.asked_mode is not None
        assert self.asked_depth is not None
        if self.changes and self.changes[-1].token_index == len(self.tokens):
            self.changes.pop()
        self.changes.append(Change(len(self.tokens), self.asked_mode, self.asked_depth))

    def take(self, event: Event) -> None:
        """Apply an event of this reply."""
        match event:
            case Header():
                self.options, self.model = event.options, event.model
                self.asked_mode, self.asked_depth = event.options.mode, event.options.depth
            case Prefilling():
                self.prefilling = event
            case Prefilled():
                self.prefilled, self.prefilling = event, None
            case Waiting():
                self.waiting = event
            case Drafted():
                self.ghosts, self.struck, self.waiting = event.tokens, (), None
            case Verified():
                self.rounds.append(event)
                index = len(self.rounds) - 1
                self.tokens += [PlacedToken(token, index) for token in event.tokens]
                self.ghosts, self.struck, self.waiting = (), event.rejected, None
                if self.ghosts_are_older:
                    self.ghosts_are_older = False
                    self._mark()
            case Finished():
                self.finished, self.prefilling, self.waiting = event, None, None
                self.ghosts, self.struck = (), ()


@dataclass(slots=True)
class Exchange:
    """What the user said, and the reply to it."""

    user: str
    reply: Reply = field(default_factory=Reply)
    trimmed_turns: int = 0
    """How many of the oldest turns the context no longer held when this was asked."""


@dataclass(slots=True)
class Conversation:
    """A chat."""

    system: str = ""
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def last(self) -> Exchange | None:
        """The newest exchange."""
        return self.exchanges[-1] if self.exchanges else None

    def messages(self, upto: int | None = None) -> tuple[ChatMessage, ...]:
        """The prompt for the reply to exchange `upto` (the last one): everything before its reply.

        Without those that failed: one that was too long would push the others out of the context for ever.
        """
        count = len(self.exchanges) if upto is None else upto + 1
        found = [ChatMessage("system", self.system)] if self.system else []
        for number, exchange in enumerate(self.exchanges[:count]):
            reply, is_asked = exchange.reply, number == count - 1
            if is_asked or not reply.has_failed:
                found.append(ChatMessage("user", exchange.user))
            if not is_asked and not reply.has_failed:
                found.append(ChatMessage("assistant", reply.text, reply.ids))
        return tuple(found)
