"""The engine's cache of the open chat: kept in a file when the chat is left, recalled when it is resumed.

It only saves time: where it is refused, missing or old, the engine reads more of the prompt again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from app.backends.base import Backend


class ChatCache:
    """Which file it is kept in, and what is on its way there."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._under_way = 0
        self._is_newer = False
        """Than the file: the engine has decoded for this chat since."""
        self.file: Path | None = None
        """Of the open chat; None where its cache is not to be kept."""
        self.failure = ""
        """Why the last one was not kept."""

    @property
    def is_being_kept(self) -> bool:
        """Whether a cache is on its way to the disk, of this chat or one before."""
        return self._under_way > 0

    def belongs_to(self, file: Path | None) -> None:
        """Another chat is open."""
        self.file, self._is_newer = file, False

    def grew(self) -> None:
        """The engine has decoded for this chat."""
        self._is_newer = True

    def strayed(self) -> None:
        """The engine decodes for something else now, and holds little of this chat that is worth keeping."""
        self._is_newer = False

    def keep(self) -> bool:
        """Have it written, if it is newer than the file; returns whether that was asked for."""
        if self.file is None or not self._is_newer:
            return False
        self._is_newer, self.failure = False, ""
        self._under_way += 1
        self._backend.keep_cache(self.file)
        return True

    def recall(self) -> None:
        """Have the engine use what was kept, if anything was, before it is asked for a reply."""
        if self.file is not None and self.file.exists():
            self._backend.recall_cache(self.file)

    def ended(self, failure: str = "") -> None:
        """A cache is on the disk, or could not be kept."""
        self._under_way = max(self._under_way - 1, 0)
        self.failure = failure

    def lost(self) -> None:
        """The engine is gone, with all that it held."""
        self._under_way, self._is_newer = 0, False
