"""The chats on disk: chosen with enter, renamed with r, deleted with d (twice, since it is for good)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList
from textual.widgets.option_list import Option

from app.commands.terminal import harmless
from app.key_hints import key_line, key_of
from engine.errors import DraftscopeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from app.session_file import SessionInfo
    from app.sessions import Sessions

TITLE_COLUMNS = 44


class SessionsScreen(ModalScreen[str | None]):
    """A list of chats; its result is the id of the one to go on with."""

    CSS_PATH = "sessions.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", id="sessions.leave"),
        Binding("r", "rename", "rename", id="sessions.rename"),
        Binding("d", "delete", "delete", id="sessions.delete"),
    ]

    def __init__(self, sessions: Sessions) -> None:
        super().__init__()
        self._sessions = sessions
        self._infos: dict[str, SessionInfo] = {}
        self._to_delete: str | None = None

    def compose(self) -> ComposeResult:
        with Vertical(id="sessions-box"):
            yield Label("Chats", id="sessions-title")
            yield OptionList(id="sessions-list")
            leave = key_of(self, "sessions.leave")
            yield Input(placeholder=f"a new title; enter keeps it, {leave} does not", id="sessions-name")
            keys = ("sessions.rename", "rename"), ("sessions.delete", "delete"), ("sessions.leave", "back")
            yield Label(key_line(self, "enter go on with it", *keys), markup=False, id="sessions-keys")

    def on_mount(self) -> None:
        self.query_one(Input).display = False
        self._fill()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)

    def on_option_list_option_highlighted(self, _event: OptionList.OptionHighlighted) -> None:
        self._to_delete = None

    def on_input_submitted(self, event: Input.Submitted) -> None:
        ident = self._chosen()
        if ident is not None and event.value.strip():
            self._try(lambda: self._sessions.rename(ident, event.value.strip()))
        self._hide_name()

    def action_leave(self) -> None:
        """Close the list, or the field for a title."""
        if self.query_one(Input).display:
            self._hide_name()
        else:
            self.dismiss(None)

    def action_rename(self) -> None:
        """Ask for a title."""
        ident = self._chosen()
        if ident is None:
            return
        name = self.query_one(Input)
        name.value, name.display = self._infos[ident].title, True
        name.focus()

    def action_delete(self) -> None:
        """Delete the chat, when asked twice."""
        ident = self._chosen()
        if ident is None:
            return
        if self._to_delete != ident:
            self._to_delete = ident
            key = key_of(self, "sessions.delete")
            said = f"Press {key} once more to delete this chat for good."
            self.notify(said, severity="warning", markup=False)
            return
        self._to_delete = None
        self._try(lambda: self._sessions.delete(ident))

    def _fill(self) -> None:
        options = self.query_one(OptionList)
        place = options.highlighted or 0
        options.clear_options()
        self._infos = {info.id: info for info in self._sessions.list()}
        options.add_options(Option(_line(info), id=info.id) for info in self._infos.values())
        if not self._infos:
            options.add_option(Option("No chat has been kept yet.", disabled=True))
        else:
            options.highlighted = min(place, len(self._infos) - 1)
        options.focus()

    def _chosen(self) -> str | None:
        options = self.query_one(OptionList)
        if options.highlighted is None:
            return None
        return options.get_option_at_index(options.highlighted).id

    def _hide_name(self) -> None:
        self.query_one(Input).display = False
        self._fill()

    def _try(self, change: Callable[[], None]) -> None:
        try:
            change()
        except DraftscopeError as error:
            self.notify(str(error), severity="error", markup=False)
        self._fill()


def _line(info: SessionInfo) -> Text:
    title = harmless(info.title or "(no title)").replace("\n", " ")
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{title[:TITLE_COLUMNS]:{TITLE_COLUMNS}}  ")
    turns = f"{info.turns} turn{'s' if info.turns != 1 else ''}"
    text.append(f"{turns:>9}  {info.tokens:>7,} tokens  {_when(info.modified)}  ", "dim")
    text.append(harmless(info.model), "dim")
    return text


def _when(moment: datetime) -> str:
    local = moment.astimezone()
    today = datetime.now().astimezone()
    return f"{local:%H:%M}     " if local.date() == today.date() else f"{local:%Y-%m-%d}"
