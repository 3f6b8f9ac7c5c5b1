"""A comparison by the scripted engine: every lane decodes the script's one text, each alone, A-B-B-A.

The script pretends that weights are read from disk, so its lanes run as a real engine's would there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.backends.scripted_reply import ScriptedReply
from engine.events import Prefilled, Prefilling
from engine.lanes import LaneEvent, LanesFinished, LanesPlanned, LanesPrepared

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from app.backends.scripted_prompt import ScriptedPrompt
    from engine.lanes import Lane, LanesNews
    from engine.options import GenerateOptions

WHY = "Weights are read from disk, so each lane runs alone, from the same weights in memory."
_LAYERS = 3
_READING_SECONDS, _CATCHING_UP_SECONDS = 0.001, 0.0002
"""A token of the prompt."""


def scripted_lanes(
    prompt: ScriptedPrompt,
    lanes: Sequence[Lane],
    options: GenerateOptions,
    repeats: int,
    reply_tokens: int,
    acceptance: Sequence[float],
) -> Iterator[LanesNews]:
    """Yield what a comparison says; a reply of the script has so many tokens and accepts drafts so often."""
    yield LanesPlanned(tuple(lanes), repeats, False, WHY, 0)
    if prompt.room < 1:
        yield LanesFinished(False, f"The prompt has {prompt.tokens:,} tokens, and the context holds no more.")
        return
    seconds = _READING_SECONDS * prompt.tokens
    yield LaneEvent(None, 0, Prefilling(1, _LAYERS, prompt.tokens, 0, seconds / _LAYERS))
    yield LaneEvent(None, 0, Prefilled(prompt.tokens, 0, seconds))
    feeds_mtp = any(lane.mode.needs_mtp for lane in lanes)
    yield LanesPrepared(seconds, _CATCHING_UP_SECONDS * prompt.tokens if feeds_mtp else 0.0)
    for repeat in range(repeats):
        numbers = range(len(lanes))
        for number in reversed(numbers) if repeat % 2 else numbers:
            chosen = lanes[number].options(options).changed({"detail": True})
            reply = ScriptedReply(prompt.key, chosen, reply_tokens, prompt.room, acceptance)
            yield LaneEvent(number, repeat, Prefilled(prompt.tokens, prompt.tokens - 1, 0.0))
            while reply.reason is None:
                drafted = reply.draft(chosen.mode, chosen.depth)
                if drafted is not None:
                    yield LaneEvent(number, repeat, drafted)
                yield LaneEvent(number, repeat, reply.verify())
            yield LaneEvent(number, repeat, reply.finished(reply.reason))
    yield LanesFinished(complete=True)
