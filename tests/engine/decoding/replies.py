"""What a reply's events say, in the forms that tests compare."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

from engine import GenerateOptions
from engine.events import Drafted, Finished, FinishReason, Origin, Prefilled, Prefilling, Verified
from engine.options import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engine import Engine
    from engine.events import Event

BASE = [0, *range(20, 30)]
"""A prompt; the start of all others."""

SAMPLED: dict[str, dict[str, float]] = {
    "plain": {"temperature": 0.7},
    "top_k": {"temperature": 1.0, "top_k": 5},
    "top_p": {"temperature": 0.9, "top_p": 0.8},
    "min_p": {"temperature": 0.8, "min_p": 0.1},
}
"""Ways to sample under which a partly right model still gets some of its drafts accepted."""


@dataclass(frozen=True)
class Outcome:
    """The events of one reply, perhaps of one that was given up."""

    events: tuple[Event, ...]

    @cached_property
    def verified(self) -> tuple[Verified, ...]:
        """The rounds."""
        return tuple(event for event in self.events if isinstance(event, Verified))

    @cached_property
    def ids(self) -> list[int]:
        """The tokens of the reply."""
        return [token.id for event in self.verified for token in event.tokens]

    @property
    def text(self) -> str:
        """The text of the reply."""
        return "".join(token.text for event in self.verified for token in event.tokens)

    @property
    def prefilled(self) -> Prefilled:
        """The one event of its kind."""
        return next(event for event in self.events if isinstance(event, Prefilled))

    @property
    def finished(self) -> Finished:
        """The last event."""
        last = self.events[-1]
        assert isinstance(last, Finished)
        return last

    @property
    def rounds(self) -> list[tuple[Drafted | None, Verified]]:
        """Each round after the first token: what was drafted and what came of it."""
        drafted: Drafted | None = None
        rounds = []
        for event in self.events:
            if isinstance(event, Drafted):
                drafted = event
            elif isinstance(event, Verified) and event.round:
                rounds.append((drafted, event))
                drafted = None
        return rounds

    @property
    def bits(self) -> list[object]:
        """All that must not depend on what the engine did before: every id, text and logprob, no times."""
        bits: list[object] = []
        for event in self.events:
            if isinstance(event, Verified):
                bits.append(
                    (event.round, event.mode, event.depth, event.accepted, event.tokens, event.rejected)
                )
            elif isinstance(event, Drafted):
                bits.append(event)
            elif isinstance(event, Finished):
                bits.append((event.reason, event.tokens))
        return bits


def options(**values: object) -> GenerateOptions:
    """Options of a reply of 40 tokens that no end-of-text token ends, with the named values in place."""
    return GenerateOptions(max_tokens=40, ignore_eos=True).changed(values)


def reply(engine: Engine, prompt: Sequence[int], **values: object) -> Outcome:
    """Decode a reply to its end."""
    return Outcome(tuple(engine.generate(prompt, options(**values))))


def watched(
    engine: Engine, prompt: Sequence[int], between: Callable[[Event], bool], **values: object
) -> Outcome:
    """Decode a reply and call `between` after each event, until it returns False or the reply ends."""
    events = []
    iterator = engine.generate(prompt, options(**values))
    for event in iterator:
        events.append(event)
        if not between(event):
            iterator.close()  # type: ignore[attr-defined]
            break
    return Outcome(tuple(events))


def plain(engine: Engine, prompt: Sequence[int], **values: object) -> list[int]:
    """The tokens of ordinary decoding, done once for each prompt."""
    wanted = options(**{**values, "mode": "ordinary", "depth": 0})
    return list(_plain(engine, tuple(prompt), wanted))


@cache
def _plain(engine: Engine, prompt: tuple[int, ...], wanted: GenerateOptions) -> list[int]:
    return Outcome(tuple(engine.generate(prompt, wanted))).ids


@cache
def repetitive(engine: Engine) -> list[int]:
    """A prompt that breaks off within something it already contains, so that n-grams are found and right."""
    text = plain(engine, BASE, max_tokens=30)
    return [*BASE, *text, *BASE[1:], *text[:6]]


def accepted_positions(outcomes: Iterable[Outcome]) -> set[int]:
    """How far ahead the accepted drafts had been made."""
    return {
        token.position
        for outcome in outcomes
        for event in outcome.verified
        for token in event.tokens
        if token.origin is Origin.ACCEPTED
    }


def rejected_positions(outcomes: Iterable[Outcome]) -> set[int]:
    """How far ahead the first rejected drafts had been made."""
    return {
        event.accepted + 1
        for outcome in outcomes
        for event in outcome.verified
        if event.tokens[-1].origin is Origin.CORRECTED
    }


def check_shape(outcome: Outcome) -> None:
    """Assert that a whole reply's events come in the order promised and agree with each other."""
    kinds = [type(event) for event in outcome.events]
    start = kinds.index(Prefilled)
    assert all(kind is Prefilling for kind in kinds[:start])
    first = outcome.events[start + 1]
    assert isinstance(first, Verified)
    assert (first.round, first.mode, first.depth, first.accepted) == (0, Mode.ORDINARY, 0, 0)
    assert [(token.origin, token.position) for token in first.tokens] == [(Origin.ORDINARY, 0)]
    number, waiting = 0, None
    for event in outcome.events[start + 2 : -1]:
        if isinstance(event, Drafted):
            assert waiting is None
            assert event.round == number + 1
            waiting = event
            continue
        assert isinstance(event, Verified)
        number += 1
        assert event.round == number
        check_round(waiting, event)
        waiting = None
    if outcome.finished.reason is not FinishReason.CANCELLED:
        assert waiting is None
    assert outcome.finished.tokens == len(outcome.ids)


def check_round(drafted: Drafted | None, event: Verified) -> None:
    """Assert that what was drafted is what was accepted, rejected or dropped, and in that order."""
    drafts = drafted.tokens if drafted else ()
    assert event.depth == len(drafts)
    assert drafted is None or drafts
    kept = [token for token in event.tokens if token.origin is Origin.ACCEPTED]
    assert event.accepted == len(kept)
    assert kept == list(event.tokens[: len(kept)])
    assert [token.position for token in kept] == list(range(1, len(kept) + 1))
    assert [token.id for token in kept] == [draft.id for draft in drafts[: len(kept)]]
    assert [token.draft_logprob for token in kept] == [draft.logprob for draft in drafts[: len(kept)]]
    assert [(each.id, each.text, each.draft_logprob) for each in event.rejected] == [
        (draft.id, draft.text, draft.logprob) for draft in drafts[len(kept) :]
    ]
    assert all(each.logprob is None for each in event.rejected[1:])
    others = event.tokens[len(kept) :]
    assert len(others) <= 1
    for token in others:
        assert (token.position, token.draft_logprob) == (0, None)
        if not drafts:
            assert token.origin is Origin.ORDINARY
        elif event.rejected:
            assert token.origin is Origin.CORRECTED
            assert token.id != event.rejected[0].id
            assert event.rejected[0].logprob is not None
        else:
            assert token.origin is Origin.BONUS
    assert all(token.logprob is not None and token.logprob <= 0 for token in event.tokens)
    assert min(event.draft_seconds, event.verify_seconds, event.catchup_seconds) >= 0
