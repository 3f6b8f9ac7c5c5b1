"""What a chat decodes for its figures' sake: its depths are measured, lanes compared. A part of `Chat`.

Measuring is a comparison like any other, of the last prompt at each depth: it only shows elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.backends.base import ChatMessage, ComparisonNews, WiringFound, WiringProgress
from app.chat_state import Status
from app.lanes_run import LanesRun
from app.transcript.atoms import visible
from engine.lanes import Lane, LanesFinished
from engine.options import Mode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.backends.base import Backend, Loaded
    from app.chat_cache import ChatCache
    from app.chat_state import ChangeQueue
    from app.conversation import Conversation
    from app.figures import Figures
    from app.tuning import Tuning
    from engine.lab.results import WiringReport

_LOADING = "The model is still loading: wait until it is ready."
MEASURED_TOKENS = 64
MEASURED_DEPTH = 4
"""Measuring goes to this depth, or to the one that is set, if that is deeper."""
MEASURED_REPEATS = 2
"""The least that says by how much figures scatter."""
COMPARED_TOKENS = 64
COMPARED_REPEATS = 2


class ChatTrials:
    """See the module."""

    backend: Backend
    conversation: Conversation
    figures: Figures
    tuning: Tuning
    cache: ChatCache
    status: Status
    loaded: Loaded | None
    _changed: ChangeQueue

    def __init__(self) -> None:
        self.comparison: LanesRun | None = None
        """The last one, until the chat goes on."""
        self.wiring: WiringReport | None = None
        """What the wiring lab has found of this checkpoint."""
        self.wiring_progress: WiringProgress | None = None
        """While the lab is at work."""
        self.measurement: LanesRun | None = None
        """While depths are measured, and the chat that asked for it is open."""

    @property
    def last_prompt(self) -> str:
        """What the user has said last, in one line; empty where nothing was said."""
        last = self.conversation.last
        return "" if last is None else visible(last.user.replace("\n", " ")).strip()

    @property
    def drafter(self) -> Mode:
        """Who drafts in a lane that is named by its depth alone: whoever does in the chat."""
        mode = self.tuning.options.mode
        if mode not in (Mode.ORDINARY, Mode.AUTO):
            return mode
        loaded = self.loaded
        return Mode.default(
            has_mtp=loaded is None or loaded.has_mtp,
            has_draft_model=loaded is not None and loaded.has_draft_model,
        )

    def measure(self) -> None:
        """Decode the last reply's beginning again at each depth."""
        last = self.conversation.last
        if not self.backend.is_live:
            self._notice("This is a recording: nothing can be measured. Start draftscope to chat.")
        elif (refused := self._objection_to_work()) is not None:
            self._notice(refused)
        elif last is None or not last.reply.tokens:
            self._notice("There is no reply to measure with yet: ask something first.")
        else:
            self.status = Status.MEASURING
            self._changed.state = True
            deepest = max(MEASURED_DEPTH, self.tuning.options.depth)
            lanes = tuple(Lane(self.drafter, depth) for depth in range(deepest + 1))
            count = min(MEASURED_TOKENS, len(last.reply.tokens))
            options = self.tuning.options.changed({"max_tokens": count})
            self.measurement = LanesRun(self.last_prompt, lanes, options, MEASURED_REPEATS)
            messages = self.conversation.messages()
            self.backend.compare(messages, lanes, count, MEASURED_REPEATS, self.tuning.wanted)

    def compare(
        self,
        prompt: str,
        lanes: Sequence[Lane],
        *,
        max_tokens: int = COMPARED_TOKENS,
        repeats: int = COMPARED_REPEATS,
    ) -> bool:
        """Decode a reply to the prompt in every lane; False, and a notice, if that has no place.

        The chat's last prompt comes with all that was said before it, another one stands alone.
        """
        refused = self._objection_to(prompt, lanes)
        if refused is not None:
            self._notice(refused)
            return False
        prompt = prompt.strip()
        is_last = prompt == self.last_prompt
        messages = self.conversation.messages() if is_last else (ChatMessage("user", prompt),)
        if not is_last:
            self.cache.strayed()
        self.status = Status.COMPARING
        self._changed.state = True
        options = self.tuning.options.changed({"max_tokens": max_tokens})
        self.comparison = LanesRun(prompt, lanes, options, repeats)
        self.backend.compare(messages, lanes, max_tokens, repeats, self.tuning.wanted)
        return True

    def find_wiring(self) -> bool:
        """Have the lab find out how the MTP layer is wired; False, and a notice, if that has no place."""
        refused = self._objection_to_work()
        if refused is not None:
            self._notice(refused)
            return False
        self.status = Status.MEASURING
        self.wiring_progress = WiringProgress(0, 1, "beginning")
        self.cache.strayed()
        self._changed.state = True
        self.backend.wiring()
        return True

    def _wired(self, news: WiringProgress | WiringFound) -> None:
        """Apply news of the wiring lab."""
        if isinstance(news, WiringProgress):
            self.wiring_progress = news
            return
        self.wiring_progress = None
        self.wiring = news.report or self.wiring
        if self.status is Status.MEASURING:
            self._ready()

    def _objection_to(self, prompt: str, lanes: Sequence[Lane]) -> str | None:
        if not self.backend.is_live:
            return "This is a recording: nothing can be compared. Start draftscope to chat."
        refused = self._objection_to_work()
        if refused is not None or self.loaded is None:
            return refused or _LOADING
        if not prompt.strip():
            return "There is nothing to compare with: type a prompt."
        loaded = {"has_mtp": self.loaded.has_mtp, "has_draft_model": self.loaded.has_draft_model}
        return next((each for lane in lanes if (each := lane.mode.objection(**loaded))), None)

    def _objection_to_work(self) -> str | None:
        """Why the engine can do nothing else now."""
        match self.status:
            case Status.READY:
                return None
            case Status.LOADING:
                return _LOADING
            case Status.LOST:
                return "The engine is gone: /restart in the chat brings it back."
            case Status.COMPARING:
                return "A comparison is under way: esc stops it."
            case Status.MEASURING:
                return "A measurement is under way: esc stops it in the chat."
            case Status.REPLYING:
                return "A reply is under way: esc stops it in the chat."

    def _trial(self, news: ComparisonNews) -> None:
        """Apply news of a measurement or a comparison."""
        is_measuring = self.status is Status.MEASURING
        run = self.measurement if is_measuring else self.comparison
        last = news.news if isinstance(news.news, LanesFinished) else None
        if run is not None and not run.is_over:
            run.take(news.news)
            if is_measuring or last is not None:
                run.tell(self.figures)
        if last is not None and self.status in (Status.COMPARING, Status.MEASURING):
            if is_measuring and last.message is not None:
                self._notice(last.message)
            self.measurement = None
            self._ready()

    def _ready(self) -> None:
        """The chat's own, in `Chat`."""
        raise NotImplementedError

    def _notice(self, text: str) -> None:
        """The chat's own, in `Chat`."""
        raise NotImplementedError
