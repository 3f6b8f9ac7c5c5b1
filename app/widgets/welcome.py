"""What is said once, before the first reply: four lines on the colours, above the prompt.

It stands in the layout, not over it, and takes neither focus nor keys: whoever types at once types into the
prompt. The screen takes it away by `dismiss`.
"""

from __future__ import annotations

from pathlib import Path

from textual.content import Content
from textual.widgets import Static

from app.token_colours import TokenKind
from app.widgets.legend import KIND_NAMES, kind_style


class Welcome(Static, can_focus=False):
    """The four lines."""

    DEFAULT_CSS = Path(__file__).with_suffix(".tcss").read_text(encoding="utf-8")

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002  # Textual's
        super().__init__(welcome_text(), id=id, classes=classes)

    def dismiss(self) -> None:
        """Take the lines away; their room goes to the transcript."""
        self.display = False


def welcome_text() -> Content:
    """Return the four lines."""

    def word(kind: TokenKind) -> tuple[str, str]:
        return KIND_NAMES[kind], kind_style(kind)

    return Content.assemble(
        "Each token's colour says who wrote it:\n",
        word(TokenKind.ACCEPTED),
        ": guessed ahead, and the main model agreed: time saved\n",
        word(TokenKind.CORRECTED),
        ": in place of a wrong guess; ",
        word(TokenKind.ORDINARY),
        ": written without one\n",
        ("f7 and f8 change how far ahead is guessed, f1 explains the rest", "$text-muted"),
    )
