"""A conversation held with a loaded model: its own replies are the context of the next question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.events import Finished, FinishReason, Verified
from engine.text.prompt import chat_prompt
from engine.text.template import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.decoding.counters import Counters
    from engine.engine import Engine
    from engine.options import GenerateOptions


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back to the last turn."""

    text: str
    ended: bool
    """Whether the model ended it; False where it was cut off."""
    tokens: int


def converse(
    engine: Engine, turns: Sequence[str], options: GenerateOptions, counters: Counters | None = None
) -> Reply:
    """Ask the turns one after the other; every round of every reply is counted."""
    assert engine.tokenizer is not None
    assert engine.chat_template is not None
    messages: list[Message] = []
    reply = Reply("", False, 0)
    for turn in turns:
        messages.append(Message("user", turn))
        ids = chat_prompt(engine.tokenizer, engine.chat_template, messages)
        if len(ids) >= engine.context:  # what an untrained model said in earlier turns need not end
            return Reply("", False, 0)
        text, ended, tokens = "", False, 0
        for event in engine.generate(ids, options):
            if isinstance(event, Verified):
                text += "".join(token.text for token in event.tokens)
                tokens += len(event.tokens)
                if counters is not None:
                    counters.observe(event)
            elif isinstance(event, Finished):
                ended = event.reason is FinishReason.STOP
        reply = Reply(text, ended, tokens)
        messages.append(Message("assistant", text))
    return reply
