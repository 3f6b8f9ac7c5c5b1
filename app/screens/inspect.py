"""The inspector: one token's page, beside the transcript or, where that is too narrow, below it.

It is a part of the chat screen and no page over it, so that the text wraps in the room that is left and the
token can always be seen. Which token that is the transcript's cursor says.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.containers import Vertical

from app.key_hints import key_line, key_of
from app.widgets.inspector import Inspector
from app.widgets.key_line import KeyLine

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from app.conversation import Conversation
    from app.transcript.layout import Place


class InspectPane(Vertical):
    """The page, with its keys; `show` turns to a token."""

    DEFAULT_CSS = Path(__file__).with_suffix(".tcss").read_text(encoding="utf-8")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "screen.leave_inspector", "back", id="inspect.leave", show=False),
        # A page that scrolls has its own idea of these.
        Binding(
            "left", "screen.look_beside(-1)", "token before", id="inspect.before", show=False, priority=True
        ),
        Binding(
            "right", "screen.look_beside(1)", "token after", id="inspect.after", show=False, priority=True
        ),
        Binding(
            "ctrl+home", "screen.look_at_end(0)", "first token", id="inspect.first", show=False, priority=True
        ),
        Binding(
            "ctrl+end", "screen.look_at_end(1)", "last token", id="inspect.last", show=False, priority=True
        ),
    ]

    def __init__(
        self,
        conversation: Conversation,
        place: Place,
        *,
        is_live: bool = True,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self._is_live = is_live
        self._shown = conversation, place

    def compose(self) -> ComposeResult:
        yield Inspector(is_live=self._is_live, id="inspect-token")
        turning = f"{key_of(self, 'inspect.before')} {key_of(self, 'inspect.after')}".strip()
        ends = f"{key_of(self, 'inspect.first')} {key_of(self, 'inspect.last')}".strip()
        pieces = [f"{keys} {what}" for keys, what in ((turning, "token"), (ends, "ends")) if keys]
        line = key_line(self, *pieces, "↑ ↓ scroll", ("inspect.leave", "back"))
        yield KeyLine(line, id="inspect-keys")

    def on_mount(self) -> None:
        self.show(*self._shown)

    def on_resize(self, _event: events.Resize) -> None:
        self.show(*self._shown)

    def show(self, conversation: Conversation, place: Place) -> bool:
        """Show a token as it is now; returns whether it is there."""
        is_other = self._shown[0] is not conversation or self._shown[1] != place
        self._shown = conversation, place
        exchange, token = place
        if exchange >= len(conversation.exchanges):
            return False
        reply = conversation.exchanges[exchange].reply
        if token >= len(reply.tokens):
            return False
        inspector = self.query_one(Inspector)
        inspector.show(reply, token)
        if is_other:
            self.to_top()
        return True

    def to_top(self) -> None:
        """Show the page from its first line on."""
        self.query_one(Inspector).scroll_home(animate=False, force=True)
