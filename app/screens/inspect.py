"""The inspector beside the transcript: one token's page; left and right turn to the tokens next to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Label

from app.key_hints import key_line, key_of
from app.widgets.inspector import Inspector

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from app.conversation import Conversation

Place = tuple[int, int]
"""Which exchange, and which token of its reply."""


class InspectScreen(ModalScreen[Place]):
    """Looks at a token; its result is the place that was looked at last."""

    CSS_PATH = "inspect.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", id="inspect.leave"),
        Binding("f6", "leave", "back", id="inspect.toggle"),
        Binding("left", "move(-1)", "token before", id="inspect.before", priority=True),
        Binding("right", "move(1)", "token after", id="inspect.after", priority=True),
    ]

    def __init__(
        self, conversation: Conversation, place: Place, moved: Callable[[Place], None] | None = None
    ) -> None:
        """`moved` is told of every token that is turned to, so that the transcript's cursor can follow."""
        super().__init__()
        self._conversation = conversation
        self._moved = moved
        self.place = place

    def compose(self) -> ComposeResult:
        with Vertical(id="inspect-box"):
            yield Inspector(id="inspect-token")
            turning = f"{key_of(self, 'inspect.before')} {key_of(self, 'inspect.after')}".strip()
            line = key_line(self, f"{turning} token", "↑ ↓ scroll", ("inspect.leave", "back"))
            yield Label(line, markup=False, id="inspect-keys")

    def on_mount(self) -> None:
        self.query_one(Inspector).focus()
        self._show()

    def action_leave(self) -> None:
        """Close."""
        self.dismiss(self.place)

    def action_move(self, step: int) -> None:
        """Turn to the next token of the chat, or to the one before; at its ends, stay."""
        exchange, token = self.place
        place = self._neighbour(step) if token < self._count(exchange) else None
        if place is not None:
            self.place = place
            if self._moved is not None:
                self._moved(place)
        self._show()

    def _neighbour(self, step: int) -> Place | None:
        exchange, token = self.place
        exchanges = self._conversation.exchanges
        if 0 <= token + step < self._count(exchange):
            return exchange, token + step
        exchange += step
        while 0 <= exchange < len(exchanges):
            count = self._count(exchange)
            if count:
                return exchange, 0 if step > 0 else count - 1
            exchange += step
        return None

    def _count(self, exchange: int) -> int:
        exchanges = self._conversation.exchanges
        return len(exchanges[exchange].reply.tokens) if 0 <= exchange < len(exchanges) else 0

    def _show(self) -> None:
        exchange, token = self.place
        if token >= self._count(exchange):  # taken out of the chat meanwhile
            self.dismiss(self.place)
            return
        inspector = self.query_one(Inspector)
        inspector.show(self._conversation.exchanges[exchange].reply, token)
        inspector.scroll_home(animate=False)
