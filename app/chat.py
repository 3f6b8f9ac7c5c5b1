"""A chat in progress: the conversation, the backend that answers, and what follows from each piece of news.

No terminal in here: the screen calls `pump` thirty times a second and shows what has changed; tests drive the
same object without one. Every verb may be used at any time, and says by a notice where it has no place.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from app.backends.base import (
    CacheKept,
    CacheRecalled,
    ComparisonNews,
    ExpertsSeen,
    Loaded,
    Loading,
    Lost,
    Memory,
    Refused,
    Said,
    Trimmed,
    WiringFound,
    WiringProgress,
)
from app.chat_cache import ChatCache
from app.chat_prompts import ChatPrompts
from app.chat_state import Changed as Changed  # with the chat, as everybody who shows one needs them
from app.chat_state import ChangeQueue
from app.chat_state import Status as Status
from app.chat_trials import ChatTrials
from app.conversation import Conversation, Exchange
from app.figures import Figures
from app.tuning import Tuning
from engine.events import Finished, Header, Verified

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from app.backends.base import Backend, News
    from app.chat_record import Record
    from engine.events import Event
    from engine.experts import ExpertUse
    from engine.options import Mode

COUNTED_AT_ONCE = 500
"""Rounds of a resumed chat that a `pump` counts: a few milliseconds."""


class Chat(ChatPrompts, ChatTrials):
    """The chat and everything that may be done with it."""

    def __init__(
        self,
        backend: Backend,
        record: Record | None = None,
        conversation: Conversation | None = None,
        options: Mapping[str, object] | None = None,
        pace: float = 0.0,
    ) -> None:
        """`options` are those that the user wants otherwise than the checkpoint's authors."""
        ChatPrompts.__init__(self)
        ChatTrials.__init__(self)
        self._changed = ChangeQueue()
        self.backend = backend
        self.record = record
        self.conversation = conversation or Conversation()
        self.figures = Figures()
        self.status = Status.LOADING
        self.loading: Loading | None = None
        self.loaded: Loaded | None = None
        self.memory: Memory | None = None
        self.trouble: str | None = None
        """Why there is no engine, and none yet in place of the one that was lost; None where there is one."""
        self.experts: ExpertUse | None = None
        """As they were when they were last asked for."""
        self.tuning = Tuning(backend, options or {}, pace, self._notice, self._set, self._touched)
        self.cache = ChatCache(backend)
        self._unrecorded_ask: tuple[Mode, int] | None = None
        self._uncounted = _rounds(tuple(self.conversation.exchanges))

    @property
    def context_used(self) -> int:
        """Tokens of the last prompt and its reply."""
        last = self.conversation.last
        if last is None or last.reply.prefilled is None:
            return 0
        return last.reply.prefilled.prompt_tokens + len(last.reply.tokens)

    def start(self) -> None:
        """Load the model."""
        self.backend.start()
        self.tuning.start()

    def close(self) -> None:
        """End the backend."""
        self.backend.close()

    def pump(self) -> Changed:
        """Apply what has happened since the last call."""
        self._hear()
        self._count(COUNTED_AT_ONCE)
        return self._changed.taken()

    def restart(self) -> None:
        """Bring the engine back after it was lost."""
        if self.status is Status.LOST:
            self.status, self.loading = Status.LOADING, None
            self.backend.restart()
            self._changed.state = True
        else:
            self._notice("The engine is running.")

    def keep_cache(self) -> bool:
        """Have the engine's cache of a finished reply written, if it is to be; returns whether it is."""
        return self.status is Status.READY and self.cache.keep()

    def clear(
        self,
        record: Record | None,
        conversation: Conversation | None = None,
        cache: Path | None = None,
    ) -> None:
        """Go on with an empty chat, or another one, kept elsewhere; `cache` is where its own is."""
        self._give_back()
        self.stop_editing()
        self.stop()
        self._reply_was_left = self.status is Status.REPLYING
        self.measurement = None
        self._unrecorded_ask = None
        self.comparison = None
        self.cache.belongs_to(cache)
        if self.status not in (Status.LOADING, Status.LOST):
            self.cache.recall()
        self.record = record if self.backend.is_live else None
        if conversation is None and self.record and self.conversation.system:
            self.record.system(self.conversation.system)
        self.conversation = conversation or Conversation(system=self.conversation.system)
        self.figures = Figures()
        self._uncounted = _rounds(tuple(self.conversation.exchanges))
        self._changed.whole = self._changed.state = True

    def ask_experts(self) -> None:
        """Ask the engine which experts it has used and holds, if there is one that can tell."""
        if self.backend.is_live and self.status not in (Status.LOADING, Status.LOST):
            self.backend.experts()

    # What comes of it

    def _hear(self) -> None:
        for news in self.backend.drain():
            self._take(news)

    def _set(self, mode: Mode, depth: int) -> None:
        """Mode and depth were set: rounds that are done by now were not asked for so."""
        self._hear()
        self._ask(mode, depth)

    def _ask(self, mode: Mode, depth: int) -> None:
        last = self.conversation.last
        if last is None or self.status is not Status.REPLYING or last.reply.options is None:
            return
        if self._reply_was_left:
            return
        if (mode, depth) == (last.reply.asked_mode, last.reply.asked_depth):
            return
        if last.reply.ghosts:
            self._unrecorded_ask = mode, depth  # holds after the round that is being verified
        elif self.record:
            self.record.ask(mode, depth)
        last.reply.ask(mode, depth)
        self._changed.tail = True

    def _take(self, news: News) -> None:
        self._changed.state = True
        match news:
            case Loading():
                self.loading = news
            case Loaded():
                self._loaded(news)
            case Memory():
                self.memory = news
            case Trimmed():
                self._trimmed(news.turns)
            case ComparisonNews():
                self._trial(news)
            case ExpertsSeen():
                self.experts = news.use
            case WiringProgress() | WiringFound():
                self._wired(news)
            case CacheKept():
                self.cache.ended()
            case CacheRecalled():
                pass  # the next reply's Prefilled says what it was worth
            case Refused():
                if news.command == "keep_cache":
                    self.cache.ended(news.message)
                elif news.command == "wiring":
                    self._wired(WiringFound(None))
                self._notice(news.message)
            case Lost():
                self._lost(news)
            case Said():
                self.conversation.exchanges.append(Exchange(news.text))
                self._changed.whole = True
            case _:
                self._event(news)

    def _event(self, event: Event) -> None:
        if self._reply_was_left:
            if isinstance(event, Finished):
                self._reply_was_left = False
                self._ready()
            return
        last = self.conversation.last
        if last is None or (last.reply.finished is not None and isinstance(event, Header)):
            last = Exchange("")  # a trace of a reply whose prompt it does not hold
            self.conversation.exchanges.append(last)
            self._changed.whole = True
        if isinstance(event, Verified):
            self._count()  # what came before it, first
            at_full_speed = not (self.tuning.pace or self.tuning.paused)
            self.figures.observe(event, last.reply.round_depth, at_full_speed=at_full_speed)
            self.cache.grew()
        last.reply.take(event)
        self._changed.tail = True
        if self.record:
            self.record.event(event)
        match event:
            case Header():
                self.status = Status.REPLYING
                if self.backend.is_live:  # what was set since the reply was asked for
                    self._ask(self.tuning.options.mode, self.tuning.options.depth)
            case Verified() if self.record and self._unrecorded_ask:
                self.record.ask(*self._unrecorded_ask)
                self._unrecorded_ask = None
            case Finished():
                self._unrecorded_ask = None
                self._ready()

    def _loaded(self, loaded: Loaded) -> None:
        self.loaded, self.loading, self.trouble = loaded, None, None
        self.tuning.loaded(loaded)
        for warning in loaded.warnings:
            self._notice(warning)
        self.cache.recall()
        self._ready()

    def _trimmed(self, turns: int) -> None:
        last = self.conversation.last
        if last is not None and self.status is Status.REPLYING and not self._reply_was_left:
            last.trimmed_turns = turns
            if self.record:
                self.record.trimmed(turns)
            self._changed.whole = True

    def _lost(self, lost: Lost) -> None:
        self.status, self.loading, self.memory, self.wiring_progress = Status.LOST, None, None, None
        self._reply_was_left = self.is_stopping = False
        self.measurement = None
        self.tuning.lost()
        if self.comparison is not None:
            self.comparison.end(lost.message)
        self.cache.lost()
        self.trouble = lost.message
        self._notice(lost.message)
        self._give_back()

    def _ready(self) -> None:
        if self.status is Status.LOST:
            return
        self.status, self.is_stopping = Status.READY, False
        waiting, self._waiting_prompt = self._waiting_prompt, None
        if waiting is not None:
            self._say(waiting)

    def _count(self, most: int | None = None) -> None:
        """Count rounds of a chat that was resumed, so many at the most."""
        for event, depth in islice(self._uncounted, most):
            self.figures.observe(event, depth, at_full_speed=False)
            self._changed.state = True

    def _touched(self) -> None:
        self._changed.state = True

    def _notice(self, text: str) -> None:
        self._changed.notices.append(text)


def _rounds(exchanges: Iterable[Exchange]) -> Iterator[tuple[Verified, int]]:
    """Yield every round of the exchanges, with the depth that was asked for."""
    for exchange in exchanges:
        yield from zip(exchange.reply.rounds, exchange.reply.depths(), strict=True)
