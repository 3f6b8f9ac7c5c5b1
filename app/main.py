"""The app: it brings settings, themes, sessions, a chat and its screen together, and nothing more."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import App, SystemCommand

from app.commands.terminal import harmless
from app.hangup import HANGUP, watch_terminal
from app.screens.chat import ChatScreen
from app.themes import ThemeFolder, shipped_themes, token_defaults
from app.verbs import VERBS
from engine.errors import DraftscopeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from textual.notifications import Notify
    from textual.screen import Screen

    from app.chat import Chat
    from app.exports import Kind
    from app.kept import Kept
    from app.session_writer import SessionWriter
    from app.settings import Settings

LOOK_EVERY_SECONDS = 1.0
"""For changed themes."""
KEEPING_SECONDS = 5.0
"""How long leaving waits for the cache to be written."""
LOOKING_SECONDS = 1 / 30
NOTICES = 2
"""That stand at once: more would cover what one has asked to see."""
OBJECTIONS = 3
"""To keys, that are said in one notice."""


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
        checkpoint: str | None = None,
    ) -> None:
        """`kept` is where the chat is kept on disk, which says in `notices` if it cannot be; `themes` are the
        user's own, watched; `checkpoint` is the model's folder, if it is on this machine."""
        super().__init__()
        self.chat = chat
        self.settings = settings
        self.kept = kept
        self.checkpoint = checkpoint
        self._notices = notices
        self._theme_folder = themes
        self._is_leaving = False
        self._known_theme = settings.theme
        chat.cache.belongs_to(self._cache_file)
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
            self._rebind(self.settings.keys)
        self.push_screen(self.chat_screen)
        self.screen_change_signal.subscribe(self, lambda _screen: self.clear_notifications(), immediate=True)
        self.call_after_refresh(self._begin)
        self.set_interval(LOOK_EVERY_SECONDS, self._load_user_themes)
        if not self.is_headless:
            loop = asyncio.get_running_loop()
            watch_terminal(lambda: None if loop.is_closed() else loop.call_soon_threadsafe(self._hung_up))

    def on_notify(self, message: Notify) -> None:
        """Make room for a notice, before Textual takes it up: of those before it, only the newest stays."""
        others = [each for each in self._notifications if each.message != message.notification.message]
        for each in list(self._notifications):
            if each not in others[1 - NOTICES :]:
                self._unnotify(each, refresh=False)

    def watch_theme(self, _before: str, now: str) -> None:
        """Remember a theme that was chosen here, by its name or from the list."""
        if now != self._known_theme:
            self._known_theme = now
            self.remember({"theme": now})

    def _begin(self) -> None:
        """Load the model, once the window is there: its process would take a core from the first frame."""
        gc.freeze()  # what was imported lives as long as the app: no frame waits while it is looked through
        gc.enable()  # the command had turned it off until now
        self.chat.start()

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

    async def action_quit(self) -> None:
        """Leave: once the chat's cache is kept, if it is to be, and at once when asked a second time."""
        if self._is_leaving or not (self._keep_cache(self.kept.writer) or self.chat.cache.is_being_kept):
            self.exit()
            return
        self._is_leaving = True
        self.notify("Keeping this chat's cache on disk; quit again to leave without it.")
        self.run_worker(self._leave())

    async def _leave(self) -> None:
        """Leave when the cache is kept; why it is not is said in the terminal."""
        cache, end = self.chat.cache, time.monotonic() + KEEPING_SECONDS
        while cache.is_being_kept and time.monotonic() < end:
            await asyncio.sleep(LOOKING_SECONDS)
        late = f"The chat's cache was not kept: writing it took longer than {KEEPING_SECONDS:.0f} seconds."
        reason = late if cache.is_being_kept else cache.failure
        self.exit(message=Text(harmless(reason)) if reason else None)

    def _keep_cache(self, left: SessionWriter) -> bool:
        """Keep the cache of the chat that is left, if the chat itself is kept; returns whether it is."""
        return left.path.exists() and self.chat.keep_cache()

    @property
    def _cache_file(self) -> Path | None:
        """Where the open chat's cache is kept; None where the user does not want that, or it has none."""
        return self.kept.cache_file if self.settings.keep_cache and self.chat.backend.is_live else None

    @property
    def model_name(self) -> str:
        """Of the checkpoint, while it is not loaded yet."""
        return self.kept.model

    def remember(self, values: Mapping[str, object]) -> None:
        """Keep settings for the next time; failing to is said once and harms nothing."""
        try:
            self.kept.remember(values)
        except DraftscopeError as error:
            self.notify(str(error), severity="warning", markup=False)

    def new_session(self) -> None:
        """Begin an empty chat."""
        self._keep_cache(self.kept.writer)
        self.chat.clear(self.kept.begin(), cache=self._cache_file)
        self.chat_screen.show_conversation()

    def resume(self, ident: str | None) -> None:
        """Go on with a chat from disk; None, and nothing happens."""
        if ident is None:
            return
        left = self.kept.writer
        try:
            record, conversation = self.kept.resume(ident)
        except DraftscopeError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        self._keep_cache(left)
        self.chat.clear(record, conversation, self._cache_file)
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
        from app.exports import export

        return export(self.chat.conversation, kind, file, self.current_theme)

    def _rebind(self, keys: Mapping[str, str]) -> None:
        """Take the user's keys, and say which of them can't be meant."""
        from app.keymap import checked_keys  # few rebind anything

        found = checked_keys(keys, self._bindings)
        self.set_keymap(found.keys)
        sentences = list(found.objections[:OBJECTIONS])
        if more := len(found.objections) - len(sentences):
            sentences.append(f"The same goes for {more} more.")
        if sentences:
            self.notify("\n".join(sentences), severity="warning", markup=False, timeout=10)

    def _hung_up(self) -> None:
        self.chat.close()
        self.kept.close()
        self.exit(return_code=HANGUP)

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
