"""The app: it brings settings, themes, sessions, a chat and its screen together, and nothing more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import App, SystemCommand

from app.exports import export
from app.screens.chat import ChatScreen
from app.themes import ThemeFolder, shipped_themes, token_defaults
from app.verbs import VERBS
from engine.errors import DraftscopeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from textual.screen import Screen

    from app.chat import Chat
    from app.exports import Kind
    from app.kept import Kept
    from app.sessions import Sessions
    from app.settings import Settings

THEMES_EVERY_SECONDS = 1.0


class DraftscopeApp(App[None]):
    """The chat in a terminal."""

    TITLE = "draftscope"
    CSS_PATH = "main.tcss"
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_DISPLAY = "ctrl+p"

    def __init__(
        self,
        chat: Chat,
        settings: Settings,
        kept: Kept,
        notices: list[str],
        themes: ThemeFolder | None = None,
    ) -> None:
        """`kept` is where the chat is kept on disk, which says in `notices` if it cannot be; `themes` are the
        user's own, watched."""
        super().__init__()
        self.chat = chat
        self.settings = settings
        self.kept = kept
        self._notices = notices
        self._theme_folder = themes
        self.chat_screen = ChatScreen(chat, self)
        for theme in shipped_themes():
            self.register_theme(theme)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Return colours of tokens for themes that know nothing of them."""
        return token_defaults(self.current_theme)

    def on_mount(self) -> None:
        self._load_user_themes()
        chosen = self.settings.theme
        if chosen in self.available_themes:
            self.theme = chosen
        else:
            self.notify(f"There is no theme {chosen!r}; /theme lists them.", severity="warning", markup=False)
        if self.settings.keys:
            self.set_keymap(dict(self.settings.keys))
        self.push_screen(self.chat_screen)
        self.chat.start()
        if self._theme_folder is not None:
            self.set_interval(THEMES_EVERY_SECONDS, self._load_user_themes)

    def on_unmount(self) -> None:
        self.chat.close()
        self.kept.close()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer every verb; those that need more put their beginning into the prompt."""
        for verb in VERBS:
            if verb.needs_argument:
                yield SystemCommand(
                    verb.usage, verb.title, lambda name=verb.name: self.chat_screen.begin_command(name)
                )
            else:
                yield SystemCommand(
                    verb.usage,
                    verb.title,
                    lambda name=verb.action: self.call_later(self.chat_screen.action_verb, name),
                )

    @property
    def model_name(self) -> str:
        """Of the checkpoint, while it is not loaded yet."""
        return self.kept.model

    @property
    def sessions(self) -> Sessions:
        """All chats on disk."""
        return self.kept.sessions

    def remember(self, values: Mapping[str, object]) -> None:
        """Keep settings for the next time; failing to is said once and harms nothing."""
        try:
            self.kept.remember(values)
        except DraftscopeError as error:
            self.notify(str(error), severity="warning", markup=False)

    def new_session(self) -> None:
        """Begin an empty chat."""
        self.chat.clear(self.kept.begin())
        self.chat_screen.show_conversation()

    def resume(self, ident: str | None) -> None:
        """Go on with a chat from disk; None, and nothing happens."""
        if ident is None:
            return
        try:
            record, conversation = self.kept.resume(ident)
        except DraftscopeError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        self.chat.clear(record, conversation)
        self.chat_screen.show_conversation()

    def take_notices(self) -> list[str]:
        """Return what keeping the chat has to say, once."""
        taken, self._notices[:] = list(self._notices), []
        return taken

    def rename_session(self, title: str) -> None:
        """Give the chat a title."""
        self.kept.writer.rename(title)
        self.notify(f"This chat is now called {title}.", markup=False)

    def export(self, kind: Kind, file: Path | None) -> Path:
        """Write the chat to a file; returns which."""
        return export(self.chat.conversation, kind, file, self.current_theme)

    def _load_user_themes(self) -> None:
        if self._theme_folder is None:
            return
        for found in self._theme_folder.changed():
            if isinstance(found, DraftscopeError):
                self.notify(str(found), severity="warning", markup=False, timeout=10)
                continue
            self.register_theme(found)
            if self.theme == found.name:  # what is on screen is the old one
                self.refresh_css(animate=False)
