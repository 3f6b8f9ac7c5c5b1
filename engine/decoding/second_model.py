"""The classic way to draft: a second, smaller checkpoint of the same tokenizer guesses, the first verifies.

The second model has a cache of its own, in which its drafts stay: where they were right, they are the text,
and nothing is run twice. What it has not seen of the text yet, the prompt above all, is a catch-up, as the
MTP layer's is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.decoding.acceptance import Draft
from engine.decoding.drafters import Drafts
from engine.decoding.noise import Stream
from engine.model.steps import within
from engine.options import MAX_DEPTH, Acceptance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.decoding.sampling import Sampler
    from engine.decoding.sequence import SequenceState
    from engine.model.steps import Layers
    from engine.model.transformer import Transformer


@dataclass(frozen=True, slots=True)
class SecondModelDrafter:
    """Drafts one token a pass of the second model, whose caches are `state.second`."""

    model: Transformer
    sampler: Sampler
    accept: Acceptance
    stop_ids: frozenset[int]

    @property
    def layers(self) -> int:
        """See `Drafter`."""
        return len(self.model.layers)

    def draft(self, state: SequenceState, depth: int) -> Layers[Drafts]:
        """At most `depth` tokens after `state.tokens`; a draft that ends the text is the last."""
        second = _second_of(state)
        stream = Stream.DRAFT if self.accept is Acceptance.REJECTION else Stream.PICK
        drafts: list[Draft] = []
        fresh = state.tokens[second.main_rows :]
        while True:
            yield from self._run(second, fresh)
            # The head is run for the last row alone.
            last = second.states(second.main_rows - 1, 1)
            logits = (yield from within(self.layers, self.model.logits(last)))[0].numpy()
            token = self.sampler.pick(logits, len(second.tokens), stream)
            drafts.append(Draft(token, logits))
            if len(drafts) == depth or token in self.stop_ids:
                return Drafts(tuple(drafts))
            fresh = [token]
            yield 0

    def catch_up(self, state: SequenceState) -> Layers[bool]:
        """Run what the second model lacks of the text before the main model's last pass."""
        second = _second_of(state)
        second.main_rows = _common(second.tokens[: second.main_rows], state.tokens[:-1])
        second.tokens = state.tokens[: second.main_rows]
        end = min(state.fresh_rows, len(state.tokens) - 1)
        if second.main_rows >= end:
            return False
        yield from self._run(second, state.tokens[second.main_rows : end])
        return True

    def _run(self, second: SequenceState, ids: Sequence[int]) -> Layers[None]:
        """Run tokens behind the second model's rows, which then count."""
        begin = second.main_rows
        hidden = second.states_to_fill(len(ids), last=1)
        yield from self.model.forward(ids, begin, second.caches, hidden)
        second.tokens += ids
        second.main_rows += len(ids)


def _common(mine: Sequence[int], text: Sequence[int]) -> int:
    """How many tokens both begin with.

    What differs is nearly always among the last drafts, so everything before those is compared at once.
    """
    most = min(len(mine), len(text))
    same = max(most - MAX_DEPTH, 0)
    if mine[:same] != text[:same]:
        same = 0
    while same < most and mine[same] == text[same]:
        same += 1
    return same


def _second_of(state: SequenceState) -> SequenceState:
    if state.second is None:
        message = "the sequence was made without a second model's caches"
        raise ValueError(message)
    return state.second
