"""What the scripted engine makes of a chat: its length in pretend tokens, and the key of all random draws."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from engine.text.fit import fit, prompt_room

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.backends.base import ChatMessage
    from engine.options import GenerateOptions


@dataclass(frozen=True, slots=True)
class ScriptedPrompt:
    """A chat as it is decoded from."""

    key: str
    """Decides the text: the same chat is answered alike, and when sampling only with the same seed."""
    tokens: int
    room: int
    """Tokens that the context leaves for the reply."""
    dropped_turns: int
    """The oldest turns that the context does not hold."""

    @classmethod
    def of(
        cls, messages: Sequence[ChatMessage], seed: int, options: GenerateOptions, context: int
    ) -> ScriptedPrompt:
        """Read a chat; `seed` is the script's."""
        words = [4 + len(message.content.split()) for message in messages]
        found = fit(
            [message.role for message in messages],
            prompt_room(context),
            lambda kept: sum(words[index] for index in kept),
        )
        tokens = sum(words[index] for index in found.kept)
        key = f"{seed}/{[message.content for message in messages]}"
        if options.temperature > 0:
            key += f"/{options.seed}"
        key = sha256(key.encode()).hexdigest()  # a chat may be long, and each round begins with the key
        return cls(key, tokens, context - tokens, found.dropped_turns)
