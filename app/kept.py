"""Where the app's chat is kept: one session open at a time, and the settings that outlive it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.sessions import cache_file
from app.settings import remember
from engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from app.conversation import Conversation
    from app.session_writer import SessionWriter
    from app.sessions import Sessions


class Kept:
    """The open session among all of them."""

    def __init__(self, sessions: Sessions, model: str, notice: Callable[[str], None]) -> None:
        """Nothing is on disk before something is said. `notice` hears, once, if the chat can't be kept."""
        self.sessions = sessions
        self.model = model
        """What new chats are with."""
        self._notice = notice
        self.writer: SessionWriter = sessions.new(model, notice)

    @property
    def cache_file(self) -> Path:
        """Where the open session's cache belongs."""
        return cache_file(self.writer.path)

    def begin(self) -> SessionWriter:
        """Let the open session go and begin another one."""
        self.writer.close()
        self.writer = self.sessions.new(self.model, self._notice)
        return self.writer

    def resume(self, session_id: str) -> tuple[SessionWriter, Conversation]:
        """Go on with another session; UsageError, and the open one stays, where that cannot be."""
        if session_id == self.writer.session_id:
            raise UsageError("This is the chat that is open.")
        writer, conversation = self.sessions.resume(session_id, self._notice)
        self.writer.close()
        self.writer = writer
        return writer, conversation

    def rename(self, session_id: str, title: str) -> None:
        """Give a chat a title, the open one or another; UsageError where that cannot be."""
        if self._is_open(session_id):
            self.writer.rename(title)
        else:
            self.sessions.rename(session_id, title)

    def delete(self, session_id: str) -> None:
        """Delete a chat; UsageError where it is open, here or elsewhere, or cannot be deleted."""
        if self._is_open(session_id):
            raise UsageError("This is the chat that is open: begin another one (/new), then delete it.")
        self.sessions.delete(session_id)

    def remember(self, values: Mapping[str, object]) -> None:
        """Keep settings for the next start. Raises UsageError."""
        remember(values)

    def close(self) -> None:
        """Let the open session go."""
        self.writer.close()

    def _is_open(self, session_id: str) -> bool:
        return session_id == self.writer.session_id and self.writer.is_open
