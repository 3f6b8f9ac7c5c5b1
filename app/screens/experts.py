"""The experts of the session, live: asked for twice a second while the screen is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Label, Static

from app.expert_view import expert_page
from app.key_hints import key_line
from app.widgets.key_line import KeyLine

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from app.chat import Chat
    from engine.experts import ExpertUse

ASK_EVERY_SECONDS = 0.5


class ExpertsScreen(ModalScreen[None]):
    """The page of `app.expert_view`, kept up to date."""

    CSS_PATH = "page.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,x", "leave", "back", id="experts.leave"),
        Binding("f4", "pause", "pause", id="experts.pause"),
    ]

    def __init__(self, chat: Chat) -> None:
        super().__init__()
        self._chat = chat
        self._shown: ExpertUse | None = None

    def compose(self) -> ComposeResult:
        with Vertical(classes="page"):
            yield Label("Experts of this session", classes="page-title")
            with VerticalScroll(classes="page-scroll"):
                yield Static("Asking the engine.", id="experts-text", classes="page-text")
            line = key_line(self, "↑ ↓ scroll", ("experts.pause", "pause"), ("experts.leave", "back"))
            yield KeyLine(line, classes="page-keys")

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
        self._chat.ask_experts()
        self.set_interval(ASK_EVERY_SECONDS, self._look)

    def on_resize(self, _event: events.Resize) -> None:
        self.call_after_refresh(self._show)

    def action_leave(self) -> None:
        """Close."""
        self.dismiss(None)

    def action_pause(self) -> None:
        """Pause the reply, or go on: what is in memory stands still with it."""
        self._chat.tuning.pause(on=not self._chat.tuning.paused)

    def _look(self) -> None:
        if self._chat.experts != self._shown:
            self._show()
        self._chat.ask_experts()

    def _show(self) -> None:
        use = self._shown = self._chat.experts
        if use is not None:
            scroll = self.query_one(VerticalScroll)
            page = expert_page(use, scroll.scrollable_content_region.width)
            self.query_one("#experts-text", Static).update(page)
