"""What a comparison of lanes says while it goes on. Standard library only, as events are.

A lane is one way to decode: who drafts, and how many tokens a round. All lanes decode the same prompt with
the same seed, so what differs between them is what depth and mode cost and gain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from engine.errors import UsageError
from engine.options import MAX_DEPTH, Mode

if TYPE_CHECKING:
    from engine.events import Event
    from engine.options import GenerateOptions


@dataclass(frozen=True, slots=True)
class Lane:
    """One way to decode. Raises UsageError for a depth out of range."""

    mode: Mode
    depth: int
    """0 without drafts; in mode auto, which chooses, it has no meaning and is 0 too."""

    def __post_init__(self) -> None:
        if not 0 <= self.depth <= MAX_DEPTH:
            raise UsageError(f"depth must be from 0 to {MAX_DEPTH}, not {self.depth!r}.")
        if self.mode is Mode.AUTO:
            object.__setattr__(self, "depth", 0)
        elif self.mode is Mode.ORDINARY or self.depth == 0:
            object.__setattr__(self, "mode", Mode.ORDINARY)
            object.__setattr__(self, "depth", 0)

    @property
    def is_baseline(self) -> bool:
        """Whether nothing is drafted: what the others are measured against."""
        return self.mode is Mode.ORDINARY

    def options(self, options: GenerateOptions) -> GenerateOptions:
        """Options as this lane decodes with."""
        return options.changed({"mode": self.mode, "depth": self.depth})

    @property
    def label(self) -> str:
        """As it is called in one word or two."""
        if self.is_baseline:
            return "depth 0"
        return "auto" if self.mode is Mode.AUTO else f"{self.mode} {self.depth}"


@dataclass(frozen=True, slots=True)
class LanesPlanned:
    """How it will be measured; always the first."""

    lanes: tuple[Lane, ...]
    repeats: int
    interleaved: bool
    """Whether lanes take turns round by round; otherwise each runs alone."""
    why: str
    """One sentence: why it is so."""
    fork_bytes: int
    """What the lanes' own caches take beside the engine's."""


@dataclass(frozen=True, slots=True)
class LanesPrepared:
    """The prompt was read and the MTP layer fed with it, once for all lanes and outside their rates."""

    prefill_seconds: float
    catchup_seconds: float


@dataclass(frozen=True, slots=True)
class LaneEvent:
    """An event of one lane's decode, or, without a lane, of the prompt that all share."""

    lane: int | None
    """Place among the lanes."""
    repeat: int
    """From 0."""
    event: Event


@dataclass(frozen=True, slots=True)
class LanesFinished:
    """It is over; always the last."""

    complete: bool
    """Whether every lane was decoded to its end in every repeat."""
    message: str | None = None
    """One sentence, where something went wrong."""


LanesNews: TypeAlias = LanesPlanned | LanesPrepared | LaneEvent | LanesFinished
