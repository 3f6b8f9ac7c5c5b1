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
from app.widgets.key_line import KeyLine
from engine.errors import DraftscopeError, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from app.kept import Kept
    from app.session_file import SessionInfo

TITLE_COLUMNS = 44


class SessionsScreen(ModalScreen[str | None]):
    """A list of chats; its result is the id of the one to go on with."""

    CSS_PATH = "sessions.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", id="sessions.leave"),
        Binding("r", "rename", "rename", id="sessions.rename"),
        Binding("d", "delete", "delete", id="sessions.delete"),
    ]

    def __init__(self, kept: Kept) -> None:
        super().__init__()
        self._kept = kept
        self._infos: dict[str, SessionInfo] = {}
        self._to_rename: str | None = None
        self._to_delete: str | None = None

    def compose(self) -> ComposeResult:
        with Vertical(id="sessions-box"):
            yield Label("Chats", id="sessions-title")
            yield OptionList(id="sessions-list")
            leave = key_of(self, "sessions.leave")
            yield Input(placeholder=f"a new title; enter keeps it, {leave} does not", id="sessions-name")
            keys = ("sessions.rename", "rename"), ("sessions.delete", "delete"), ("sessions.leave", "back")
            yield KeyLine(key_line(self, "enter go on with it", *keys), id="sessions-keys")

    def on_mount(self) -> None:
        self.query_one(Input).display = False
        self._fill()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if event.option_id != self._to_delete:
            self._to_delete = None

    def on_input_submitted(self, event: Input.Submitted) -> None:
        ident = self._to_rename
        if ident is not None and event.value.strip():
            self._try(lambda: self._kept.rename(ident, event.value.strip()))
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
        self._to_rename = ident
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
            key, title = key_of(self, "sessions.delete"), shown(_title(self._infos[ident]))
            said = f"Press {key} once more to delete {title} for good."
            self.notify(said, severity="warning", markup=False)
            return
        title = shown(_title(self._infos[ident]))
        self.app.clear_notifications()  # it need not be pressed once more
        if self._try(lambda: self._kept.delete(ident)):
            self.notify(f"{title} is deleted.", markup=False)

    def _fill(self) -> None:
        """List the chats; the cursor stays on its chat, wherever that has gone."""
        options = self.query_one(OptionList)
        place, ident = options.highlighted or 0, self._chosen()
        self._to_delete = None
        options.clear_options()
        infos, nothing = self._listed()
        self._infos = {info.id: info for info in infos}
        options.add_options(Option(_line(info), id=info.id) for info in infos)
        if not infos:
            options.add_option(Option(Text(nothing), disabled=True))
        elif ident in self._infos:
            options.highlighted = options.get_option_index(ident)
        else:
            options.highlighted = min(place, len(infos) - 1)
        options.focus()

    def _listed(self) -> tuple[tuple[SessionInfo, ...], str]:
        """Return the chats, and what is said where there are none."""
        try:
            return self._kept.sessions.list(), "No chat has been kept yet."
        except DraftscopeError as error:
            return (), harmless(str(error))

    def _chosen(self) -> str | None:
        options = self.query_one(OptionList)
        if options.highlighted is None:
            return None
        return options.get_option_at_index(options.highlighted).id

    def _hide_name(self) -> None:
        self.query_one(Input).display = False
        self._fill()

    def _try(self, change: Callable[[], None]) -> bool:
        """Change something and list the chats anew; returns whether it went well."""
        try:
            change()
        except DraftscopeError as error:
            self.notify(str(error), severity="error", markup=False)
            return False
        finally:
            self._fill()
        return True


def _title(info: SessionInfo) -> str:
    return harmless(info.title or "(no title)").replace("\n", " ")


def _line(info: SessionInfo) -> Text:
    title = _title(info)
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
