"""What a checkpoint is made of: the tree of `draftscope inspect`, read beside the chat from headers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.containers import ScrollableContainer, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Label, Static

from app.commands.terminal import harmless
from app.key_hints import key_line
from app.locations import user_path
from app.widgets.key_line import KeyLine
from engine.errors import DraftscopeError

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType


class CheckpointScreen(ModalScreen[None]):
    """One checkpoint's tree, to scroll through."""

    CSS_PATH = "page.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (90, "-wide")]  # noqa: RUF012  # typed by Textual
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "leave", "back", id="checkpoint.leave")]

    def __init__(self, model: str) -> None:
        """`model` is a folder, or "demo"."""
        super().__init__()
        self._model = model

    def compose(self) -> ComposeResult:
        with Vertical(classes="page"):
            yield Label(Content(f"Checkpoint {harmless(self._model)}"), classes="page-title")
            with ScrollableContainer(classes="page-scroll"):
                yield Static("Reading headers.", id="checkpoint-text", classes="page-text")
            line = key_line(self, "↑ ↓ ← → scroll", ("checkpoint.leave", "back"))
            yield KeyLine(line, classes="page-keys")

    def on_mount(self) -> None:
        self.query_one(ScrollableContainer).focus()
        self.run_worker(self._read, thread=True, exclusive=True)  # a second or two for DeepSeek-V3

    def action_leave(self) -> None:
        """Close."""
        self.dismiss(None)

    def _read(self) -> None:
        text = checkpoint_text(self._model)
        self.app.call_from_thread(self._show, text)

    def _show(self, text: str) -> None:
        if self.is_mounted:
            shown = self.query_one("#checkpoint-text", Static)
            shown.set_class("\n" not in text, "-sentence")
            shown.update(Content(text))


def checkpoint_text(model: str) -> str:
    """Return the tree, or the sentence that says why there is none."""
    from app.commands.inspect_tree import tree_lines
    from engine.checkpoint.anatomy import dissect
    from engine.demo.place import DEMO, resolve

    try:
        folder = resolve(model if model == DEMO else user_path(model))
        anatomy = dissect(folder)  # first: it refuses a folder that cannot be resolved
        return "\n".join(tree_lines(DEMO if model == DEMO else folder.resolve().name, anatomy))
    except DraftscopeError as error:
        return str(error)
