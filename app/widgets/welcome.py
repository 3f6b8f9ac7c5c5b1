"""What is said once, before the first reply: four lines on the colours, above the prompt.

It stands in the layout, not over it, and takes neither focus nor keys: whoever types at once types into the
prompt. The screen takes it away by `dismiss`.
"""

from __future__ import annotations

from pathlib import Path

from textual.content import Content
from textual.widgets import Static

from app.key_hints import key_of
from app.token_colours import TokenKind
from app.widgets.legend import KIND_NAMES, kind_style


class Welcome(Static, can_focus=False):
    """The four lines."""

    DEFAULT_CSS = Path(__file__).with_suffix(".tcss").read_text(encoding="utf-8")

    def on_mount(self) -> None:
        less, more, rest = (key_of(self.screen, f"chat.{name}") for name in ("less", "more", "help"))
        depth = f"{less} and {more} change" if less and more else "/depth changes"
        self.update(welcome_text(f"{depth} how far ahead is guessed, {rest or '/help'} explains the rest"))

    def dismiss(self) -> None:
        """Take the lines away; their room goes to the transcript."""
        self.display = False


def welcome_text(keys: str) -> Content:
    """Return the four lines, of which the last says what one can press."""

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
        (keys, "$text-muted"),
    )
