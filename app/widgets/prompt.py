"""Where the user writes: it grows with its text, enter sends, and up and down recall what was sent before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.content import Content
from textual.message import Message
from textual.widgets import TextArea

from app.key_hints import key_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual import events
    from textual.binding import BindingType

_TAKEN = ("f6", "f7", "pageup", "pagedown")
"""Keys of a text area that mean something else on the chat screen."""


class Prompt(TextArea):
    """A text area that sends."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "send", "send", id="prompt.send", show=False),
        Binding("ctrl+j,shift+enter", "new_line", "new line", id="prompt.new_line", show=False),
        Binding("up", "earlier", "earlier prompt", id="prompt.earlier", show=False),
        Binding("down", "later", "later prompt", id="prompt.later", show=False),
        Binding("ctrl+g", "edit_outside", "in $EDITOR", id="prompt.editor", show=False),
    ]

    @dataclass
    class Sent(Message):
        """The user has finished a prompt."""

        text: str

    @dataclass
    class EditOutside(Message):
        """The user wants to go on in $EDITOR."""

        text: str

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name
        super().__init__(
            show_line_numbers=False,
            soft_wrap=True,
            tab_behavior="focus",
            highlight_cursor_line=False,
            id=id,
        )
        self.cursor_blink = False
        self._give_up(_TAKEN)
        self._sent: list[str] = []
        self._recalled: int | None = None
        self._draft = ""

    def on_mount(self) -> None:
        send = key_of(self, "prompt.send")
        self.placeholder = Content(f"Ask something ({send} sends, / begins a command)")
        for ident, keys in self.app._keymap.items():  # a text area's own go before the screen's
            if ident.startswith("chat."):
                self._give_up(keys.split(","))

    def _give_up(self, keys: Iterable[str]) -> None:
        """Leave keys to the screen, but for those that a prompt itself has by name."""
        bound = self._bindings.key_to_bindings
        for key in keys:
            if key in bound and not any(each.id for each in bound[key]):
                del bound[key]

    def remember(self, prompts: list[str]) -> None:
        """Set what up and down recall, oldest first."""
        self._sent = prompts
        self._recalled = None

    def put(self, text: str) -> None:
        """Replace the text and stand at its end; what stood there is recalled by up, and by undo."""
        unsent = self.text.strip()
        if unsent and unsent not in self._sent[-1:] and not self._is_recalled:
            self._sent.append(unsent)
        self._recalled = None
        self._show(text)

    def action_send(self) -> None:
        """Send the text, unless there is none."""
        text = self.text.strip()
        if not text:
            return
        if not self._sent or self._sent[-1] != text:
            self._sent.append(text)
        self._recalled = None
        self._show("")
        self.post_message(self.Sent(text))

    def action_new_line(self) -> None:
        """Begin a new line."""
        self.insert("\n")

    def action_earlier(self) -> None:
        """Go a line up, or from the first line to what was sent before."""
        if not self.navigator.is_first_wrapped_line(self.cursor_location) or not self._sent:
            self.action_cursor_up()
            return
        if self._recalled is None or not self._is_recalled:
            self._draft, self._recalled = self.text, len(self._sent)
        if self._recalled > 0:
            self._recalled -= 1
            self._show(self._sent[self._recalled])

    def action_later(self) -> None:
        """Go a line down, or from the last line to what was sent after."""
        is_last_line = self.navigator.is_last_wrapped_line(self.cursor_location)
        if not is_last_line or self._recalled is None or not self._is_recalled:
            self.action_cursor_down()
            return
        self._recalled += 1
        if self._recalled < len(self._sent):
            self._show(self._sent[self._recalled])
        else:
            self._recalled = None
            self._show(self._draft)

    def action_edit_outside(self) -> None:
        """Go on in $EDITOR."""
        self.post_message(self.EditOutside(self.text))

    @property
    def _is_recalled(self) -> bool:
        """Whether the text is one that was recalled, and not changed since."""
        return (
            self._recalled is not None
            and self._recalled < len(self._sent)
            and self.text == self._sent[self._recalled]
        )

    def _show(self, text: str) -> None:
        self.replace(text, (0, 0), self.document.end)
        self.move_cursor(self.document.end)

    async def _on_key(self, event: events.Key) -> None:
        # A text area would insert these. They are bindings, but none with priority: those are looked at
        # before the letters that were typed just before them have arrived here.
        if event.key in ("enter", "ctrl+j", "shift+enter"):
            event.prevent_default()
