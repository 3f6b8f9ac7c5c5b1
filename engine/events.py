"""What decoding reports: one frozen dataclass an event. Their one JSON form is `engine.event_json`.

Standard library only: the app and the tests of everything else read events without loading the engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from engine.options import GenerateOptions, Mode  # noqa: TC001  # event_json reads annotations at run time

SCHEMA_VERSION = 1


class Origin(StrEnum):
    """Where a token of the text came from."""

    ORDINARY = "ordinary"
    """The main model's token in a round without drafts, and the first token after prefill (round 0)."""
    ACCEPTED = "accepted"
    """A draft that the main model agreed with."""
    CORRECTED = "corrected"
    """The main model's token in place of a rejected draft."""
    BONUS = "bonus"
    """The main model's extra token after every draft of the round was accepted."""


class FinishReason(StrEnum):
    """Why a reply ended."""

    STOP = "stop"
    LENGTH = "length"
    CONTEXT = "context"
    CANCELLED = "cancelled"
    ERROR = "error"


class Phase(StrEnum):
    """What a round is doing."""

    CATCHING_UP = "catching up"
    """Feeding whoever drafts what it has not seen of the text."""
    DRAFTING = "drafting"
    VERIFYING = "verifying"
    """Running the main model, also in a round without drafts."""


@dataclass(frozen=True, slots=True)
class DraftedToken:
    """A draft that is about to be verified."""

    id: int
    text: str
    logprob: float | None
    """Under the drafter; None where it has no probabilities (n-gram)."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token of the text. Logprobs are log softmax of the raw logits."""

    id: int
    text: str
    origin: Origin
    position: int
    """For an accepted draft 1..depth, how far ahead it was drafted; otherwise 0."""
    logprob: float | None
    """Under the main model."""
    draft_logprob: float | None
    """Of this token under the drafter; None where nothing was drafted here."""


@dataclass(frozen=True, slots=True)
class RejectedToken:
    """A draft that was not kept."""

    id: int
    text: str
    logprob: float | None
    """Under the main model; None for the drafts after the first rejected one."""
    draft_logprob: float | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token that a model thought likely."""

    id: int
    text: str
    logprob: float | None


@dataclass(frozen=True, slots=True)
class TokenDetail:
    """The likeliest tokens at one position of the text, best first."""

    main: tuple[Candidate, ...]
    draft: tuple[Candidate, ...]
    """Empty where nothing was drafted."""


@dataclass(frozen=True, slots=True)
class RoundDetail:
    """What `GenerateOptions.detail` adds to a round."""

    tokens: tuple[TokenDetail, ...]
    """One for each of the round's tokens."""
    experts: tuple[tuple[int, ...], ...]
    """For each layer with experts, in order, those that the verifying pass used for any token, ascending."""


@dataclass(frozen=True, slots=True)
class Header:
    """What was asked of whom. Opens a trace; the engine itself does not emit it."""

    schema: int = field(default=SCHEMA_VERSION, kw_only=True)
    model: str
    options: GenerateOptions


@dataclass(frozen=True, slots=True)
class Prefilling:
    """The prompt is being read; comes at least once a second, within a layer as well."""

    layer: int
    """Layers done."""
    layers: int
    tokens: int
    bytes_read: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Prefilled:
    """The prompt has been read."""

    prompt_tokens: int
    reused_tokens: int
    """How many of them were still in the cache."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """A round stands still for the disk; comes with every second of that."""

    round: int
    layer: int
    """Layers done, of those that its passes go through: the main model's in `Phase.VERIFYING`, else those of
    whoever drafts (the MTP layer is one)."""
    layers: int
    seconds: float
    """Spent waiting since a layer was last done, or the phase began."""
    phase: Phase = Phase.VERIFYING


@dataclass(frozen=True, slots=True)
class Drafted:
    """A round has drafted and is about to verify."""

    round: int
    tokens: tuple[DraftedToken, ...]


@dataclass(frozen=True, slots=True)
class Verified:
    """A round is over: its tokens are text now. Round 0 is the first token after prefill."""

    round: int
    mode: Mode
    depth: int
    """Tokens drafted: the depth asked for, or fewer where the drafter or the space left had no more."""
    accepted: int
    tokens: tuple[Token, ...]
    rejected: tuple[RejectedToken, ...]
    """All drafts that were not kept."""
    draft_seconds: float = 0.0
    verify_seconds: float = 0.0
    catchup_seconds: float = 0.0
    """Feeding the MTP layer tokens that earlier rounds decoded without it."""
    wait_seconds: float = 0.0
    """Waiting for reads from disk; part of the above, not beside it."""
    expert_uses: int = 0
    expert_hits: int = 0
    expert_loads: int = 0
    prefetch_used: int = 0
    prefetch_wasted: int = 0
    bytes_read: int = 0
    detail: RoundDetail | None = None
    choice: str | None = None
    """In mode auto, one sentence with the numbers: why so many tokens were drafted."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The reply is over; always the last event."""

    reason: FinishReason
    tokens: int
    seconds: float
    message: str | None = None
    """One sentence, for FinishReason.ERROR."""


Event: TypeAlias = Header | Prefilling | Prefilled | Waiting | Drafted | Verified | Finished
