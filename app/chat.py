"""A chat in progress: the conversation, the backend that answers, and what follows from each piece of news.

No terminal in here: the screen calls `pump` thirty times a second and shows what has changed; tests drive the
same object without one. Every verb may be used at any time, and says by a notice where it has no place.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Protocol

from app.backends.base import (
    CacheKept,
    CacheRecalled,
    ComparisonNews,
    ExpertsSeen,
    LaneEvent,
    Loaded,
    Loading,
    Lost,
    Measured,
    Memory,
    Refused,
    Said,
    Trimmed,
    WiringFound,
    WiringProgress,
)
from app.chat_cache import ChatCache
from app.chat_state import Changed as Changed  # with the chat, as everybody who shows one needs them
from app.chat_state import ChangeQueue
from app.chat_state import Status as Status
from app.chat_trials import ChatTrials
from app.conversation import Conversation, Exchange
from app.figures import Figures
from app.tuning import Tuning
from engine.events import Finished, FinishReason, Header, Verified

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from app.backends.base import Backend, News
    from engine.events import Event
    from engine.experts import ExpertUse
    from engine.options import Mode

COUNTED_AT_ONCE = 500
"""Rounds of a resumed chat that a `pump` counts: a few milliseconds."""


class Record(Protocol):
    """Where a chat is kept as it grows: a session's file, or nowhere."""

    def system(self, text: str) -> None: ...
    def user(self, text: str) -> None: ...
    def event(self, event: Event) -> None: ...
    def ask(self, mode: Mode, depth: int) -> None: ...
    def cut(self, exchanges: int) -> None: ...
    def trimmed(self, turns: int) -> None: ...


class Chat(ChatTrials):
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
        super().__init__()
        self._changed = ChangeQueue()
        self.backend = backend
        self.record = record
        self.conversation = conversation or Conversation()
        self.figures = Figures()
        self.status = Status.LOADING
        self.loading: Loading | None = None
        self.loaded: Loaded | None = None
        self.memory: Memory | None = None
        self.experts: ExpertUse | None = None
        """As they were when they were last asked for."""
        self.tuning = Tuning(backend, options or {}, pace, self._notice, self._ask, self._touched)
        self.cache = ChatCache(backend)
        self._reply_was_left = False
        """Whether the reply under way belongs to a chat that was left: what comes of it belongs nowhere."""
        self._waiting_prompt: str | None = None
        self._unrecorded_ask: tuple[Mode, int] | None = None
        self._uncounted = _rounds(tuple(self.conversation.exchanges))

    @property
    def context_used(self) -> int:
        """Tokens of the last prompt and its reply."""
        last = self.conversation.last
        if last is None or last.reply.prefilled is None:
            return 0
        return last.reply.prefilled.prompt_tokens + len(last.reply.tokens)

    @property
    def busy(self) -> bool:
        """Whether a reply, a measurement or a comparison is under way."""
        return self.status in (Status.REPLYING, Status.MEASURING, Status.COMPARING)

    def start(self) -> None:
        """Load the model."""
        self.backend.start()
        self.tuning.start()

    def close(self) -> None:
        """End the backend."""
        self.backend.close()

    def pump(self) -> Changed:
        """Apply what has happened since the last call."""
        for news in self.backend.drain():
            self._take(news)
        self._count(COUNTED_AT_ONCE)
        return self._changed.taken()

    # What the user says

    def say(self, text: str) -> None:
        """Ask for a reply; while the model still loads, or is measured, as soon as that is over."""
        if not self.backend.is_live:
            self._notice("This is a recording: it plays, but it cannot answer. Start draftscope to chat.")
        elif self.status is Status.REPLYING:
            self._notice("The reply is still being written: press esc to stop it first.")
        elif self.status is Status.LOST:
            self._waiting_prompt = text
            self.restart()
        elif self.status is Status.READY:
            self._say(text)
        else:
            if self.busy:
                self.backend.cancel()
            self._waiting_prompt = text
            self._changed.state = True

    def regenerate(self) -> None:
        """Ask the last prompt again; when sampling, with the next seed."""
        last = self.conversation.last
        if last is None or self.status is not Status.READY:
            self._notice("There is no finished reply to write anew.")
            return
        finished = last.reply.finished
        complete = finished is not None and finished.reason in (FinishReason.STOP, FinishReason.LENGTH)
        if self.tuning.options.temperature == 0 and complete:
            self._notice("Greedy decoding has one answer: set a temperature (/temperature 0.8) for another.")
            return
        if self.tuning.options.temperature > 0:
            self.tuning.change({"seed": self.tuning.options.seed + 1})
        self._cut(len(self.conversation.exchanges) - 1)
        self._say(last.user)

    def take_back(self) -> str | None:
        """Return the last prompt for editing and take it out of the chat, its reply as well."""
        last = self.conversation.last
        if last is None or self.busy:
            self._notice("Press esc first: it is busy." if last else "There is no prompt to edit yet.")
            return None
        self._cut(len(self.conversation.exchanges) - 1)
        return last.user

    def stop(self) -> bool:
        """End what is under way, or take back a prompt that waits; returns whether there was anything."""
        if self._waiting_prompt is not None:
            self._waiting_prompt = None
            self._notice("The waiting prompt was taken back.")
            return True
        if not self.busy:
            return False
        if self.tuning.paused:
            self.tuning.pause(on=False)
        self.backend.cancel()
        return True

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
        self.stop()
        self._reply_was_left = self.status is Status.REPLYING
        self.comparison = None
        self.cache.belongs_to(cache)
        if self.status not in (Status.LOADING, Status.LOST):
            self.cache.recall()
        self.record = record
        self.conversation = conversation or Conversation(system=self.conversation.system)
        self.figures = Figures()
        self._uncounted = _rounds(tuple(self.conversation.exchanges))
        self._changed.whole = self._changed.state = True

    def set_system(self, text: str) -> None:
        """Set the system prompt, for the next reply on."""
        self.conversation.system = text
        if self.record:
            self.record.system(text)
        self._notice("The system prompt holds from the next reply on." if text else "No system prompt.")

    def ask_experts(self) -> None:
        """Ask the engine which experts it has used and holds, if there is one that can tell."""
        if self.backend.is_live and self.status not in (Status.LOADING, Status.LOST):
            self.backend.experts()

    # What comes of it

    def _say(self, text: str) -> None:
        self.conversation.exchanges.append(Exchange(text))
        if self.record:
            self.record.user(text)
        self.status, self.comparison = Status.REPLYING, None
        self._changed.whole = self._changed.state = True
        self.backend.generate(self.conversation.messages(), self.tuning.wanted)

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

    def _cut(self, exchanges: int) -> None:
        del self.conversation.exchanges[exchanges:]
        self.comparison = None
        if self.record:
            self.record.cut(exchanges)
        self._changed.whole = True

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
            case LaneEvent() | Measured() | ComparisonNews():
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
            self.figures.observe(event, last.reply.round_depth)
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
        self.loaded, self.loading = loaded, None
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
        self.tuning.paused = self._reply_was_left = False
        if self.comparison is not None:
            self.comparison.end(lost.message)
        self.cache.lost()
        self._notice(lost.message)

    def _ready(self) -> None:
        if self.status is Status.LOST:
            return
        self.status = Status.READY
        waiting, self._waiting_prompt = self._waiting_prompt, None
        if waiting is not None:
            self._say(waiting)

    def _count(self, most: int | None = None) -> None:
        """Count rounds of a chat that was resumed, so many at the most."""
        for event, depth in islice(self._uncounted, most):
            self.figures.observe(event, depth)
            self._changed.state = True

    def _touched(self) -> None:
        self._changed.state = True

    def _notice(self, text: str) -> None:
        self._changed.notices.append(text)


def _rounds(exchanges: Iterable[Exchange]) -> Iterator[tuple[Verified, int]]:
    """Yield every round of the exchanges, with the depth that was asked for."""
    for exchange in exchanges:
        yield from zip(exchange.reply.rounds, exchange.reply.depths(), strict=True)
