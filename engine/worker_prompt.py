"""A command's prompt as token ids, cut to what the context holds if that is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.text.fit import fit as fit_turns
from engine.text.fit import prompt_room
from engine.text.prompt import Prompt

if TYPE_CHECKING:
    from engine.surface import EngineSurface


def encode(engine: EngineSurface, prompt: Prompt, *, fit: bool) -> tuple[list[int], int]:
    """Return the prompt's ids, and how many of its oldest turns they lack: with `fit`, those without room.

    Of a last turn that is too long by itself nothing is counted: it is going to be refused, not cut.
    """
    messages = prompt.messages
    if not fit or messages is None:
        return prompt.encode(engine.tokenizer, engine.chat_template), 0
    encoded: dict[tuple[int, ...], list[int]] = {}

    def encode_kept(kept: tuple[int, ...]) -> list[int]:
        if kept not in encoded:
            chosen = Prompt(messages=tuple(messages[index] for index in kept))
            encoded[kept] = chosen.encode(engine.tokenizer, engine.chat_template)
        return encoded[kept]

    found = fit_turns(
        [message.role for message in messages],
        prompt_room(engine.context),
        lambda kept: len(encode_kept(kept)),
    )
    ids = encode_kept(found.kept)
    return ids, found.dropped_turns if len(ids) < engine.context else 0
