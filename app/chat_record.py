"""Where a chat is kept as it grows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from engine.events import Event
    from engine.options import Mode


class Record(Protocol):
    """Where a chat is kept as it grows: a session's file, or nowhere."""

    def system(self, text: str) -> None: ...
    def user(self, text: str) -> None: ...
    def event(self, event: Event) -> None: ...
    def ask(self, mode: Mode, depth: int) -> None: ...
    def cut(self, exchanges: int) -> None: ...
    def trimmed(self, turns: int) -> None: ...
