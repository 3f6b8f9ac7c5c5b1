"""What is drafted: n-grams against a naive search, and the MTP layer's drafts against the references.

In a real run the drafts come from rows that many rounds left behind; the references make them from the text.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine import load
from engine.config import ModelConfig
from engine.decoding.drafters import LONGEST_SUFFIX, SHORTEST_SUFFIX, NgramDrafter
from engine.decoding.noise import Stream
from engine.decoding.sampling import log_softmax
from engine.decoding.sequence import SequenceState
from engine.errors import CheckpointError, UsageError
from engine.events import Origin, Verified
from engine.model.steps import finish
from engine.options import Mode
from tests.engine.decoding import slow
from tests.engine.decoding.conftest import MODELS
from tests.engine.decoding.replies import (
    BASE,
    Outcome,
    accepted_positions,
    check_shape,
    plain,
    rejected_positions,
    repetitive,
    reply,
    watched,
)
from tests.engine.tiny import SPECS
from tests.engine.tiny import config as tiny_config

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine import Engine
    from engine.decoding.acceptance import Draft
    from engine.events import Event
    from tests.engine.reference64 import Reference
    from tests.engine.tiny import TinySpec


def naive(text: Sequence[int], depth: int, stop_ids: frozenset[int]) -> list[int]:
    """Prompt lookup as it is described: the longest suffix, of several places the latest."""
    for length in range(min(LONGEST_SUFFIX, len(text) - 1), SHORTEST_SUFFIX - 1, -1):
        for end in range(len(text) - 1, length - 1, -1):
            if list(text[end - length : end]) == list(text[-length:]):
                drafts = []
                for token in text[end : end + depth]:
                    drafts.append(token)
                    if token in stop_ids:
                        break
                return drafts
    return []


@pytest.fixture(scope="module")
def state() -> SequenceState:
    """A text without a model: n-grams look at nothing else."""
    config = ModelConfig.from_json(tiny_config(SPECS["F32"]), Path("config.json"))
    return SequenceState(config, 2, has_mtp=False)


@settings(deadline=None, max_examples=250, derandomize=True, database=None)
@given(
    text=st.one_of(
        st.lists(st.integers(0, 1), min_size=1, max_size=60),
        st.lists(st.integers(0, 3), min_size=1, max_size=60),
        st.lists(st.integers(0, 2), min_size=1, max_size=14).map(lambda part: part * 4),
    ),
    depth=st.integers(1, 8),
    stop_ids=st.frozensets(st.integers(0, 3), max_size=1),
)
@example(text=[5] * 40, depth=8, stop_ids=frozenset())
@example(text=[1, 2, 3, 9, 1, 2, 4, 1, 2], depth=3, stop_ids=frozenset())
@example(text=[0, 1, 2, 7, 8, 1, 2, 9, 0, 1, 2], depth=2, stop_ids=frozenset())
@example(text=[*range(20), 7, *range(20)], depth=8, stop_ids=frozenset({9}))
def test_ngrams_are_found_as_by_a_naive_search(
    text: list[int], depth: int, stop_ids: frozenset[int], state: SequenceState
) -> None:
    state.tokens = text
    found = finish(NgramDrafter(stop_ids).draft(state, depth))
    assert [draft.id for draft in found.drafts] == naive(text, depth, stop_ids)
    assert all(draft.logits is None for draft in found.drafts)
    assert not finish(NgramDrafter(stop_ids).catch_up(state))


def ngrams(state: SequenceState, depth: int) -> tuple[Draft, ...]:
    """What n-grams draft where nothing stops them."""
    return finish(NgramDrafter(frozenset()).draft(state, depth)).drafts


def test_of_equally_long_suffixes_the_latest_counts(state: SequenceState) -> None:
    state.tokens = [1, 2, 3, 9, 1, 2, 4, 1, 2]
    assert [draft.id for draft in ngrams(state, 3)] == [4, 1, 2]
    state.tokens = [0, 1, 2, 7, 8, 1, 2, 9, 0, 1, 2]
    assert [draft.id for draft in ngrams(state, 2)] == [7, 8]


def test_one_token_is_no_suffix(state: SequenceState) -> None:
    state.tokens = [1, 2, 3, 2]
    assert ngrams(state, 8) == ()


@pytest.mark.parametrize("sampling", [{}, {"temperature": 0.8, "seed": 6}])
def test_ngram_rounds_draft_what_the_text_says(sampling: dict[str, float], engine: Engine) -> None:
    prompt = repetitive(engine)
    outcome = reply(engine, prompt, mode="ngram", depth=5, **sampling)
    text, looked_up = [*prompt, outcome.ids[0]], 0
    for drafted, event in outcome.rounds:
        left = 40 - (len(text) - len(prompt)) - 1
        expected = naive(text, min(5, left), frozenset()) if left else []
        assert [draft.id for draft in (drafted.tokens if drafted else ())] == expected
        assert event.depth == len(expected)
        looked_up += bool(expected)
        if drafted:
            assert all(draft.logprob is None for draft in drafted.tokens)
        text += [token.id for token in event.tokens]
    assert looked_up


def varied(engine: Engine, prompt: Sequence[int], **values: object) -> Outcome:
    """A reply whose rounds change depth and mode, so that the MTP layer's rows come about in every way."""
    plan = [
        (3, "mtp"),
        (8, "mtp"),
        (0, "mtp"),
        (2, "ngram"),
        (1, "mtp"),
        (4, "ordinary"),
        (5, "mtp"),
        (5, "mtp"),
    ]

    def between(event: Event) -> bool:
        if isinstance(event, Verified):
            engine.controls.depth, engine.controls.mode = plan[event.round % len(plan)]
        return True

    return watched(engine, prompt, between, **values)


def check_drafts(
    outcome: Outcome,
    prompt: Sequence[int],
    reference: Reference,
    temperature: float = 0.0,
    seed: int = 0,
    stream: Stream = Stream.PICK,
) -> int:
    """Assert that each round drafted what the reference's MTP module says after the text so far; count."""
    text, checked = [*prompt, outcome.ids[0]], 0
    hidden = reference.hidden([*prompt, *outcome.ids])
    for drafted, event in outcome.rounds:
        if drafted and event.mode is Mode.MTP:
            tokens, states = text[1:], hidden[: len(text) - 1]
            for draft in drafted.tokens:
                state = reference.mtp_hidden(tokens, states)[-1]
                logits = state @ reference.head.T
                # A draft is a pick like the main model's, at its own place in the text.
                place = len(tokens) + 1
                if temperature:
                    assert draft.id == slow.pick(logits.tolist(), temperature, seed, place, stream)
                else:
                    assert draft.id == int(logits.argmax())
                right = torch.log_softmax(logits, dim=-1)[draft.id]
                assert abs(draft.logprob - right) <= 2e-4 * logits.abs().max()
                tokens = [*tokens, draft.id]
                states = torch.cat([states, state[None]])
                checked += 1
        text += [token.id for token in event.tokens]
    return checked


@pytest.mark.parametrize(
    ("temperature", "seed", "accept"), [(0.0, 0, "coupled"), (0.8, 2, "coupled"), (0.8, 2, "rejection")]
)
def test_mtp_drafts_of_a_whole_reply_are_the_references(
    temperature: float,
    seed: int,
    accept: str,
    engine: Engine,
    model: str,
    reference: Callable[[TinySpec], Reference],
) -> None:
    # Under rejection a draft must not share its noise with the draw that may replace it.
    stream = Stream.DRAFT if accept == "rejection" else Stream.PICK
    engine.logits([1])
    for run in (reply, varied):
        outcome = run(engine, BASE, depth=4, temperature=temperature, seed=seed, accept=accept)
        check_shape(outcome)
        assert accepted_positions([outcome])
        assert rejected_positions([outcome])
        assert check_drafts(outcome, BASE, reference(MODELS[model]), temperature, seed, stream) > 20


def test_mtp_drafts_after_edits_are_the_references(
    engine: Engine, model: str, reference: Callable[[TinySpec], Reference]
) -> None:
    text = [*BASE, *varied(engine, BASE).ids]
    for cut in (30, 24, 12, 3):
        prompt = [*text[:cut], 33, 34]
        outcome = varied(engine, prompt, max_tokens=10)
        assert check_drafts(outcome, prompt, reference(MODELS[model])) > 5


def test_drafts_are_those_of_engine_draft_to_the_bit(
    engine: Engine, model: str, fresh: Callable[..., Engine]
) -> None:
    other = fresh(model)
    outcome = varied(engine, BASE)
    text, checked = [*BASE, outcome.ids[0]], 0
    for drafted, event in outcome.rounds:
        if drafted and event.mode is Mode.MTP:
            other.logits([1])
            ids, rows = other.draft(text[:-1], len(drafted.tokens))
            assert rows.dtype == np.float32
            assert [draft.id for draft in drafted.tokens] == ids
            assert [draft.logprob for draft in drafted.tokens] == [
                float(log_softmax(row)[token]) for row, token in zip(rows, ids, strict=True)
            ]
            checked += 1
        text += [token.id for token in event.tokens]
    assert checked > 5


def test_a_reply_after_draft_accepts_the_same_drafts(engine: Engine) -> None:
    ids, _rows = engine.draft(BASE, 8)
    outcome = reply(engine, BASE, depth=8)
    drafted, event = outcome.rounds[0]
    assert drafted is not None
    assert [draft.id for draft in drafted.tokens] == ids
    agreed = [a == b for a, b in zip(ids, plain(engine, BASE)[1:], strict=False)]
    assert event.accepted == ([*agreed, False]).index(False)


@pytest.mark.parametrize("depth", [0, 9, -1])
def test_draft_refuses_other_depths(depth: int, engine: Engine) -> None:
    with pytest.raises(UsageError, match="depth must be from 1 to 8"):
        engine.draft(BASE, depth)


def test_draft_needs_room_for_its_drafts(fresh: Callable[..., Engine], model: str) -> None:
    small = fresh(model, context=len(BASE) + 3)
    assert len(small.draft(BASE, 3)[0]) == 3
    with pytest.raises(UsageError, match="context"):
        small.draft(BASE, 4)


@pytest.fixture(scope="module")
def without_mtp(tiny: Callable[[TinySpec], Path]) -> Engine:
    """A checkpoint that cannot draft for itself."""
    return load(tiny(SPECS["NO_MTP"]), context=96, threads=1)


def test_a_checkpoint_without_an_mtp_layer_refuses_mode_mtp(without_mtp: Engine) -> None:
    assert not without_mtp.has_mtp
    with pytest.raises(CheckpointError, match="no MTP layer"):
        without_mtp.draft(BASE, 1)
    with pytest.raises(CheckpointError, match="no MTP layer"):
        reply(without_mtp, BASE, mode="mtp")
    with pytest.raises(CheckpointError, match="no MTP layer"):
        without_mtp.controls.mode = "mtp"


def test_a_checkpoint_without_an_mtp_layer_drafts_ngrams(without_mtp: Engine) -> None:
    prompt = [*BASE, *BASE, *BASE]
    outcome = reply(without_mtp, prompt, mode="ngram", depth=4)
    assert outcome.ids == reply(without_mtp, prompt, mode="ordinary").ids
    check_shape(outcome)


def test_a_checkpoint_without_an_mtp_layer_has_ngram_for_its_default(without_mtp: Engine) -> None:
    rounds = (event for event in without_mtp.generate(BASE) if isinstance(event, Verified))
    assert next(event for event in rounds if event.round == 1).mode is Mode.NGRAM


def test_the_first_token_is_nobodys_draft(engine: Engine) -> None:
    for mode in ("mtp", "ngram"):
        first = reply(engine, BASE, mode=mode, depth=8, max_tokens=1)
        assert [type(event).__name__ for event in first.events] == ["Prefilled", "Verified", "Finished"]
        assert first.verified[0].tokens[0].origin is Origin.ORDINARY
