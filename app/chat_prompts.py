"""What the user says in a chat: prompts, one that waits, the last one edited or asked anew. A part of `Chat`.

Nothing that was written is lost: what cannot be asked now is given back, for the prompt's field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.chat_state import Status
from app.conversation import Exchange
from engine.events import FinishReason

if TYPE_CHECKING:
    from app.backends.base import Backend
    from app.chat_record import Record
    from app.chat_state import ChangeQueue
    from app.conversation import Conversation
    from app.lanes_run import LanesRun
    from app.tuning import Tuning

RECORDING = "This is a recording: it plays, but it cannot answer. Start draftscope to chat."
_OF_NO_MATTER = ("mode", "depth", "accept", "seed", "detail")
"""Options that do not change what greedy decoding says."""


class ChatPrompts:
    """See the module."""

    backend: Backend
    record: Record | None
    conversation: Conversation
    tuning: Tuning
    status: Status
    comparison: LanesRun | None
    _changed: ChangeQueue

    def __init__(self) -> None:
        self.is_stopping = False
        """Whether what is under way was told to end, and has not ended yet."""
        self.is_editing = False
        """Whether the next prompt takes the place of the last one, and of its reply."""
        self._waiting_prompt: str | None = None
        self._reply_was_left = False
        """Whether the reply under way belongs to a chat that was left: what comes of it belongs nowhere."""
        self._has_new_system = False
        """Whether the system prompt is another one than that of the last reply."""

    @property
    def busy(self) -> bool:
        """Whether a reply, a measurement or a comparison is under way."""
        return self.status in (Status.REPLYING, Status.MEASURING, Status.COMPARING)

    @property
    def waiting_prompt(self) -> str | None:
        """A prompt that will be asked as soon as that can be."""
        return self._waiting_prompt

    def say(self, text: str) -> bool:
        """Ask for a reply, as soon as what is under way is over; False, and a notice, if that cannot be."""
        refused = self._objection_to_prompt()
        if refused is not None:
            self._notice(refused)
            return False
        if self.status is Status.READY:
            self._say(text)
            return True
        self._waiting_prompt = text
        self._changed.state = True
        if self.status is Status.LOST:
            self.restart()
        elif self.busy and not self.is_stopping:
            self.is_stopping = True
            self.backend.cancel()
        return True

    def regenerate(self) -> None:
        """Ask the last prompt again; when sampling, with the next seed."""
        last = self.conversation.last
        refused = self._objection_to_change() or (
            "There is no reply to write anew yet." if last is None else self._why_the_same(last)
        )
        if refused is not None or last is None:
            self._notice(refused or "")
            return
        if self.tuning.options.temperature > 0:
            self.tuning.change({"seed": self.tuning.options.seed + 1})
        self._cut(len(self.conversation.exchanges) - 1)
        self._say(last.user)

    def edit(self) -> str | None:
        """Return the last prompt to be edited: the next one that is sent takes its place."""
        last = self.conversation.last
        refused = self._objection_to_change() or (None if last else "There is no prompt to edit yet.")
        if refused is not None or last is None:
            self._notice(refused or "")
            return None
        self.is_editing = True
        self._changed.state = True
        return last.user

    def stop_editing(self) -> bool:
        """Leave the last prompt and its reply as they are; returns whether they were being edited."""
        was_editing, self.is_editing = self.is_editing, False
        self._changed.state |= was_editing
        return was_editing

    def stop(self) -> bool:
        """End what is under way, or give a prompt back that waits; returns whether there was anything."""
        if self._waiting_prompt is not None:
            self._give_back()
            return True
        if not self.busy:
            return False
        if self.tuning.paused:
            self.tuning.pause(on=False)
        self.is_stopping = True
        self._changed.state = True
        self.backend.cancel()
        return True

    def set_system(self, text: str) -> None:
        """Set the system prompt, for the next reply on."""
        if not self.backend.is_live:
            self._notice(RECORDING)
            return
        self._has_new_system |= text != self.conversation.system
        self.conversation.system = text
        if self.record:
            self.record.system(text)
        self._notice("The system prompt holds from the next reply on." if text else "No system prompt.")

    def _objection_to_prompt(self) -> str | None:
        if not self.backend.is_live:
            return RECORDING
        if self._waiting_prompt is not None:
            return "A prompt is waiting already: esc gives it back."
        if self.status is Status.REPLYING and not (self.is_stopping or self._reply_was_left):
            return "The reply is still being written: press esc to stop it first."
        return None

    def _objection_to_change(self) -> str | None:
        """Why what was said cannot be changed now."""
        if not self.backend.is_live:
            return RECORDING
        if self.status is Status.LOST:
            return "The engine is gone: /restart brings it back."
        if self.status is Status.LOADING:
            return "The model is still loading: wait until it is ready."
        return "Something is under way: press esc to stop it first." if self.busy else None

    def _why_the_same(self, last: Exchange) -> str | None:
        """Why a reply would be the same again; None if it need not be."""
        finished, before = last.reply.finished, last.reply.options
        if finished is None or finished.reason not in (FinishReason.STOP, FinishReason.LENGTH):
            return None
        now = self.tuning.options
        if now.temperature > 0 or before is None or self._has_new_system:
            return None
        if before.changed({name: getattr(now, name) for name in _OF_NO_MATTER}) != now:
            return None
        return "Greedy decoding has one answer: set a temperature (/temperature 0.8) for another."

    def _say(self, text: str) -> None:
        if self.stop_editing():
            self._cut(len(self.conversation.exchanges) - 1)
        self.conversation.exchanges.append(Exchange(text))
        if self.record:
            self.record.user(text)
        self.status, self.comparison = Status.REPLYING, None
        self._has_new_system = False
        self._changed.whole = self._changed.state = True
        self.backend.generate(self.conversation.messages(), self.tuning.wanted)

    def _cut(self, exchanges: int) -> None:
        del self.conversation.exchanges[exchanges:]
        self.comparison = None
        if self.record:
            self.record.cut(exchanges)
        self._changed.whole = True

    def _give_back(self) -> None:
        """Let whoever shows the chat have the prompt that waits."""
        text, self._waiting_prompt = self._waiting_prompt, None
        if text is not None:
            self._changed.given_back = text
            self._changed.state = True

    def restart(self) -> None:
        """The chat's own, in `Chat`."""
        raise NotImplementedError

    def _notice(self, text: str) -> None:
        """The chat's own, in `Chat`."""
        raise NotImplementedError
