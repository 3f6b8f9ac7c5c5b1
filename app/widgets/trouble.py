"""What is wrong while there is no engine, and what to do: above the prompt, until an engine is there again.

It stands in the layout, as long as it holds: a notice is gone before one has come back to the terminal.
"""

from __future__ import annotations

from pathlib import Path

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from app.commands.terminal import harmless

RESTART = "/restart tries again; for another model, leave with ctrl+q and start draftscope chat FOLDER."


class Trouble(Widget):
    """The block; empty, and nowhere, while all is well."""

    DEFAULT_CSS = Path(__file__).with_suffix(".tcss").read_text(encoding="utf-8")

    reason: reactive[str | None] = reactive(None, layout=True)
    """Why there is no engine, in a sentence; None where there is one."""
    is_loading: reactive[bool] = reactive(False, layout=True)
    """Whether another one is on its way."""

    def watch_reason(self, reason: str | None) -> None:
        self.display = reason is not None

    def render(self) -> Content:
        """Say it."""
        if self.reason is None:
            return Content("")
        advice = "The engine is being started again." if self.is_loading else RESTART
        return Content.assemble(harmless(self.reason), "\n", (advice, "$text-muted"))
