"""Who drafts: the checkpoint's own MTP layer, or the text itself. Both guess; neither decides anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from engine.decoding.acceptance import Draft
from engine.decoding.noise import Stream
from engine.model.steps import within
from engine.options import Acceptance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from engine.decoding.sampling import Sampler
    from engine.decoding.sequence import SequenceState
    from engine.model.mtp import MtpModule
    from engine.model.steps import Layers, Steps

    Pays = Callable[[Sequence[float]], bool]
    Row = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class Drafts:
    """The drafts of a round."""

    drafts: tuple[Draft, ...]
    probabilities: tuple[float, ...] = ()
    """Of each draft under the drafter, where somebody asked whether another one pays."""


class Drafter(Protocol):
    """Guesses the tokens that follow the text. Whoever runs its steps may give them up at any."""

    @property
    def layers(self) -> int:
        """That its passes go through."""

    def catch_up(self, state: SequenceState) -> Layers[bool]:
        """Take in what it has not seen of the text before the last pass; whether there was any."""

    def draft(self, state: SequenceState, depth: int) -> Layers[Drafts]:
        """At most `depth` tokens after `state.tokens`, whose last token is not in the caches yet.

        `catch_up` comes before it.
        """


@dataclass(frozen=True, slots=True)
class MtpDrafter:
    """The checkpoint's MTP layer, applied again to its own output for every further token.

    With T main rows and the text t_0..t_T: rows up to T-1 are run from the main model's true states (those
    of earlier rounds as a catch-up), and the last gives the first draft. Draft j > 1 comes from a provisional
    row T-2+j, made from draft j-1 and the state that draft j-1 came from. Provisional rows never count: once
    the main model has verified, those positions are run again from its states.
    """

    mtp: MtpModule
    sampler: Sampler
    accept: Acceptance
    stop_ids: frozenset[int]

    @property
    def layers(self) -> int:
        """See `Drafter`."""
        return 1

    def draft(self, state: SequenceState, depth: int, pays: Pays | None = None) -> Layers[Drafts]:
        """See the class. Feeds `state.mtp_rows` up to `state.main_rows`.

        `pays(probabilities)` says whether another draft pays after those made; it looks at no draft that is
        not verified, so the text keeps its law.
        """
        return within(0, self._draft(state, depth, pays))

    def catch_up(self, state: SequenceState) -> Layers[bool]:
        """See `Drafter`: what earlier rounds or the prompt left out; nothing in a steady state."""
        begin = min(state.mtp_rows, state.main_rows - 1)
        fresh = min(state.fresh_rows, state.main_rows - 1)
        if begin >= fresh:
            return False
        tokens, hidden = state.tokens[begin + 1 : fresh + 1], state.hidden[begin:fresh]
        yield from within(0, self.mtp.forward(tokens, hidden, begin, _cache_of(state)))
        state.mtp_rows = fresh
        return True

    def _draft(self, state: SequenceState, depth: int, pays: Pays | None) -> Steps[Drafts]:
        cache, end = _cache_of(state), state.main_rows
        begin = min(state.mtp_rows, end - 1)  # the last row runs again if a cancelled round had fed it
        tokens, hidden = state.tokens[begin + 1 : end + 1], state.hidden[begin:end]
        rows = yield from self.mtp.forward(tokens, hidden, begin, cache)
        state.mtp_rows = end
        last = rows[-1:]
        stream = Stream.DRAFT if self.accept is Acceptance.REJECTION else Stream.PICK
        drafts: list[Draft] = []
        probabilities: list[float] = []
        while True:
            logits = (yield from self.mtp.logits(last))[0].numpy()
            drafts.append(Draft(self.sampler.pick(logits, end + 1 + len(drafts), stream), logits))
            if pays is not None:
                probabilities.append(_probability(logits, drafts[-1].id))
            is_last = len(drafts) == depth or drafts[-1].id in self.stop_ids
            if is_last or (pays is not None and not pays(probabilities)):
                return Drafts(tuple(drafts), tuple(probabilities))
            yield
            last = yield from self.mtp.forward([drafts[-1].id], last, end - 1 + len(drafts), cache)


def _cache_of(state: SequenceState) -> Tensor:
    if state.mtp_cache is None:
        message = "the sequence was made without an MTP cache"
        raise ValueError(message)
    return state.mtp_cache


def _probability(logits: Row, token: int) -> float:
    return 1.0 / float(np.exp(logits - logits[token], dtype=np.float64).sum())


LONGEST_SUFFIX = 16
SHORTEST_SUFFIX = 2
"""Suffixes of one token occur everywhere and say little of what follows."""


@dataclass(frozen=True, slots=True)
class NgramDrafter:
    """Prompt lookup: find the longest suffix of the text that occurred before, and continue as it did then.

    Of several places with an equally long suffix the latest is taken. Needs no weights and no caches.
    """

    stop_ids: frozenset[int]

    @property
    def layers(self) -> int:
        """See `Drafter`."""
        return 0

    def catch_up(self, state: SequenceState) -> Layers[bool]:
        """It looks at the text itself."""
        yield from ()
        return False

    def draft(self, state: SequenceState, depth: int) -> Layers[Drafts]:
        """See the class. Nothing is drafted where no suffix of two tokens occurred before."""
        yield from ()
        text = np.array(state.tokens, np.int64)
        place = continuation(text)
        drafts: list[Draft] = []
        for token in text[place : place + depth].tolist() if place is not None else []:
            drafts.append(Draft(token, None))
            if token in self.stop_ids:
                break
        return Drafts(tuple(drafts))


def continuation(text: np.ndarray[tuple[int], np.dtype[np.int64]]) -> int | None:
    """Where the text went on after the latest of the longest earlier occurrences of its own suffix."""
    size = text.size
    ends = np.arange(1, size)  # an occurrence ends before `end`, and text[end] follows it
    found = None
    for length in range(1, min(LONGEST_SUFFIX, size - 1) + 1):
        ends = ends[ends >= length]
        ends = ends[text[ends - length] == text[size - length]]
        if not ends.size:
            break
        if length >= SHORTEST_SUFFIX:
            found = int(ends[-1])
    return found
