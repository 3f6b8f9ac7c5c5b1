"""What a chat tells whoever shows it: what the backend is doing, and what a `pump` has changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum, auto


class Status(StrEnum):
    """What the backend is doing."""

    LOADING = auto()
    READY = auto()
    REPLYING = auto()
    MEASURING = auto()
    COMPARING = auto()
    LOST = auto()


@dataclass(frozen=True, slots=True)
class Changed:
    """What a `pump` has changed, for whoever shows it."""

    tail: bool = False
    """The growing reply."""
    whole: bool = False
    """More of the conversation than its growing reply."""
    state: bool = False
    """Status, loading, memory, options or figures."""
    notices: tuple[str, ...] = ()
    """Sentences for the user."""
    given_back: str | None = None
    """A prompt that waited and is not going to be asked: the user's again."""


@dataclass(slots=True)
class ChangeQueue:
    """Changes between two pumps."""

    notices: list[str] = field(default_factory=list)
    tail: bool = False
    whole: bool = False
    state: bool = False
    given_back: str | None = None

    def taken(self) -> Changed:
        """Return what there is, and begin anew."""
        changed = Changed(self.tail, self.whole, self.state, tuple(self.notices), self.given_back)
        self.notices.clear()
        self.tail = self.whole = self.state = False
        self.given_back = None
        return changed
