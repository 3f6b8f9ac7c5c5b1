"""The wiring lab beside the chat: its progress, then what it has found of this checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Label, Static

from app.commands.terminal import harmless
from app.exports import write_new
from app.key_hints import key_line, key_of
from app.widgets.bars import bar
from app.widgets.key_line import KeyLine
from app.wiring_page import wiring_page
from engine.errors import UsageError

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from app.chat import Chat

LOOK_EVERY_SECONDS = 0.25
_BAR_CELLS = 40


class WiringScreen(ModalScreen[None]):
    """See the module."""

    CSS_PATH = "page.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "stop, then back", id="wiring.leave"),
        Binding("s", "write_svg", "write the plot as SVG", id="wiring.svg"),
        Binding("r", "again", "measure again", id="wiring.again"),
    ]

    def __init__(self, chat: Chat) -> None:
        super().__init__()
        self._chat = chat
        self._shown = ""

    def compose(self) -> ComposeResult:
        with Vertical(classes="page"):
            yield Label("How the MTP layer is wired, and how far ahead it guesses", classes="page-title")
            with VerticalScroll(classes="page-scroll"):
                yield Static(id="wiring-text", classes="page-text")
            keys = (
                ("wiring.svg", "plot as SVG"),
                ("wiring.again", "again"),
                ("wiring.leave", "stop, then back"),
            )
            yield KeyLine(key_line(self, "↑ ↓ scroll", *keys), classes="page-keys")

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
        self.set_interval(LOOK_EVERY_SECONDS, self._look)
        self._look()

    def action_leave(self) -> None:
        """Stop the lab, or close."""
        if self._chat.wiring_progress is not None:
            self._chat.stop()
        else:
            self.dismiss(None)

    def action_again(self) -> None:
        """Measure once more."""
        self._chat.find_wiring()

    def action_write_svg(self) -> None:
        """Write the plot into the current folder."""
        from app.wiring_svg import far_svg

        report = self._chat.wiring
        if report is None:
            self.notify("There is nothing to write yet.")
            return
        try:
            file = write_new(far_svg(report), "draftscope-wiring", ".svg", Path())
        except UsageError as error:
            self.notify(str(error), severity="warning", markup=False)
            return
        self.notify(f"Written to {file}.", markup=False)

    def _look(self) -> None:
        text = self._text()
        if text != self._shown:
            self._shown = text
            self.query_one("#wiring-text", Static).update(Content(text))

    def _text(self) -> str:
        progress, report = self._chat.wiring_progress, self._chat.wiring
        if progress is not None:
            full, rest = bar(progress.done / max(progress.total, 1), _BAR_CELLS)
            return f"{full}{rest}  {harmless(progress.what)}"
        if report is None:
            again = key_of(self, "wiring.again") or "/wiring"
            return f"It was stopped before anything was found; {again} begins again."
        return harmless_lines(wiring_page(report))


def harmless_lines(text: str) -> str:
    """Return a text whose control characters, but for its line ends, are made visible."""
    return "\n".join(map(harmless, text.splitlines()))
