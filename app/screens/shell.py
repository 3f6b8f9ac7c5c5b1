"""What the chat screen needs of whatever runs it: the app, or a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from app.exports import Kind
    from app.kept import Kept
    from app.settings import Settings


class Shell(Protocol):
    """Settings and sessions around a chat."""

    @property
    def settings(self) -> Settings:
        """As they were when the app began."""

    @property
    def kept(self) -> Kept:
        """All chats on disk, and the open one among them."""

    @property
    def model_name(self) -> str:
        """Of the checkpoint, while it is not loaded yet."""

    @property
    def checkpoint(self) -> str | None:
        """The model's folder, or "demo"; None where it is not on this machine."""

    def remember(self, values: Mapping[str, object]) -> None:
        """Keep settings for the next time."""

    def take_notices(self) -> list[str]:
        """Return what keeping the chat has to say, once."""

    def new_session(self) -> None:
        """Begin an empty chat."""

    def resume(self, ident: str | None) -> None:
        """Go on with a chat from disk; None, and nothing happens."""

    def rename_session(self, title: str) -> None:
        """Give the chat a title."""

    def export(self, kind: Kind, file: Path | None) -> Path:
        """Write the chat to a file; returns which."""
