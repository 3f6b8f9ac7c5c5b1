"""The lab on a loaded checkpoint: what to read, the report, and a cancel that leaves the engine as it was."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.decoding.decoder import Cancelled
from engine.decoding.lanes import LaneControls
from engine.decoding.reply import Reply
from engine.errors import CheckpointError, DraftscopeError, UsageError
from engine.events import Finished, FinishReason, Verified
from engine.lab.measure import Lab
from engine.lab.texts import PROMPTS, REPLY_TOKENS, blocks, counted
from engine.lanes import Lane
from engine.options import GenerateOptions, Mode
from engine.text.prompt import Prompt
from engine.text.template import Message
from engine.text.tokenizer import NO_TOKENIZER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.decoding.decoder import Decoder
    from engine.lab.results import WiringReport
    from engine.text.template import ChatTemplate
    from engine.text.tokenizer import Tokenizer


def run_lab(
    decoder: Decoder,
    tokenizer: Tokenizer | None,
    template: ChatTemplate | None,
    text: str | None,
    progress: Callable[[int, int, str], None],
) -> WiringReport | None:
    """Measure the wirings on a text, or on the model's own continuations; None where it was cancelled.

    Raises CheckpointError without an MTP layer, UsageError without a tokenizer, and for a text or a context
    that is too short.
    """
    if decoder.mtp is None:
        raise CheckpointError("This checkpoint has no MTP layer, so there is no wiring to find out.")
    if tokenizer is None:
        raise UsageError(NO_TOKENIZER)
    try:
        if text is None:
            texts = _continuations(decoder, tokenizer, template, progress)
            source = f"the model's own greedy continuations of {len(texts)} prompts"
        else:
            ids = tokenizer.encode_raw(text)
            texts = [(block, 0) for block in blocks(ids, decoder.state.context)]
            source = f"a given text of {counted(len(ids), 'token')}"
        return Lab(decoder.mtp, decoder.check, progress).report("", source, texts)
    except Cancelled:
        return None


def _continuations(
    decoder: Decoder,
    tokenizer: Tokenizer,
    template: ChatTemplate | None,
    progress: Callable[[int, int, str], None],
) -> list[tuple[Sequence[int], int]]:
    """Each prompt with its greedy reply, and the number of the prompt's tokens."""
    ordinary = LaneControls(decoder.controls, Lane(Mode.ORDINARY, 0), has_mtp=True, has_draft_model=False)
    plain = replace(decoder, controls=ordinary)
    options = GenerateOptions(max_tokens=REPLY_TOKENS, depth=0, mode=Mode.ORDINARY)
    found: list[tuple[Sequence[int], int]] = []
    for number, ids in enumerate(_prompts(decoder.state.context, tokenizer, template)):
        progress(number, len(PROMPTS), "letting the model write")
        reply: list[int] = []
        for event in Reply(plain, options, None).events(ids):
            if isinstance(event, Verified):
                reply += [token.id for token in event.tokens]
            elif isinstance(event, Finished) and event.reason is FinishReason.CANCELLED:
                raise Cancelled
            elif isinstance(event, Finished) and event.reason is FinishReason.ERROR:
                raise DraftscopeError(event.message)
        found.append(([*ids, *reply], len(ids)))
    return found


def _prompts(context: int, tokenizer: Tokenizer, template: ChatTemplate | None) -> list[list[int]]:
    """The lab's prompts, whole: a prompt that is cut off asks something else, or nothing at all."""
    prompts = [
        Prompt(messages=(Message("user", words),)) if template else Prompt(text=words) for words in PROMPTS
    ]
    encoded = [prompt.encode(tokenizer, template) for prompt in prompts]
    longest = max(map(len, encoded))
    if longest + REPLY_TOKENS > context:
        raise UsageError(
            f"The context holds {context} tokens, and the lab's prompts have up to {longest} with replies of "
            f"{REPLY_TOKENS}: choose a context of at least {longest + REPLY_TOKENS}, or give a text."
        )
    return encoded
