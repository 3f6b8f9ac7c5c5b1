"""What the scripted engine was asked for, and how far it has come with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.options import GenerateOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.backends.base import ChatMessage
    from app.backends.scripted_reply import ScriptedReply
    from engine.lanes import LanesNews


@dataclass(eq=False, slots=True)
class ScriptedJob:
    """A reply or a comparison, asked for or under way."""

    messages: tuple[ChatMessage, ...]
    values: dict[str, object]
    comparison: Iterator[LanesNews] | None = None
    """What a comparison will say; None for anything else."""
    compared_rounds: int = 0
    reply: ScriptedReply | None = None
    options: GenerateOptions = field(default_factory=GenerateOptions)
    prompt_tokens: int = 0
    prefilled: bool = False
    drafted: bool = False
    """Whether a round is to be verified."""
