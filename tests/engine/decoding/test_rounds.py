"""The order of a reply's events, and what each round reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.errors import CheckpointError, UsageError
from engine.event_json import from_json, to_json
from engine.events import Finished, FinishReason, Origin, Prefilled, Prefilling, Verified
from engine.model.transformer import Transformer
from tests.engine.decoding.conftest import MODELS
from tests.engine.decoding.replies import (
    BASE,
    SAMPLED,
    Outcome,
    check_shape,
    options,
    plain,
    repetitive,
    reply,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine import Engine


@pytest.mark.parametrize("mode", ["ordinary", "mtp", "ngram"])
@pytest.mark.parametrize("accept", ["coupled", "rejection"])
def test_events_come_in_their_order_and_agree(mode: str, accept: str, engine: Engine) -> None:
    prompt, origins = repetitive(engine), set()
    for depth in (0, 5) if mode == "mtp" else (5,):
        for sampling in ({}, *SAMPLED.values()):
            outcome = reply(engine, prompt, mode=mode, depth=depth, accept=accept, **sampling)
            check_shape(outcome)
            assert len(outcome.ids) == 40
            assert all(event.mode == mode for event in outcome.verified[1:])
            if mode == "mtp":
                assert all(event.depth == depth for event in outcome.verified[1:-9])
            origins |= {token.origin for event in outcome.verified for token in event.tokens}
            assert [from_json(to_json(event)) for event in outcome.events] == list(outcome.events)
    assert origins == ({Origin.ORDINARY} if mode == "ordinary" else set(Origin))


def test_reading_the_prompt_is_reported_layer_by_layer(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.decoding.progress.PROGRESS_SECONDS", 0.0)
    engine.logits([1])
    outcome = reply(engine, BASE)
    check_shape(outcome)
    progress = [event for event in outcome.events if isinstance(event, Prefilling)]
    assert [(event.layer, event.layers, event.tokens) for event in progress] == [
        (1, 3, len(BASE)),
        (2, 3, len(BASE)),
    ]
    seconds = [*(event.seconds for event in progress), outcome.prefilled.seconds, outcome.finished.seconds]
    assert seconds == sorted(seconds)
    again = reply(engine, BASE)
    assert [event.tokens for event in again.events if isinstance(event, Prefilling)] == [1, 1]


def test_a_prompt_of_one_token(engine: Engine, model: str, fresh: Callable[..., Engine]) -> None:
    for depth in (0, 1, 8):
        outcome = reply(engine, [0], depth=depth)
        check_shape(outcome)
        assert outcome.prefilled.prompt_tokens == 1
        assert outcome.bits == reply(fresh(model), [0], depth=depth).bits
        assert outcome.ids == plain(engine, [0])


def test_seconds_are_those_of_the_prompt_and_the_rounds(engine: Engine) -> None:
    outcome = reply(engine, BASE, depth=3)
    parts = outcome.prefilled.seconds + sum(
        event.draft_seconds + event.verify_seconds + event.catchup_seconds for event in outcome.verified
    )
    assert outcome.finished.seconds == pytest.approx(parts, rel=1e-9)
    assert all(event.draft_seconds > 0 for event in outcome.verified if event.depth)
    assert all(event.verify_seconds > 0 for event in outcome.verified[1:])


def test_a_rejected_draft_has_the_main_models_logprob(engine: Engine) -> None:
    outcome = reply(engine, BASE, depth=4)
    text, checked = [*BASE, outcome.ids[0]], 0
    for _drafted, event in outcome.rounds:
        before = [*text, *(token.id for token in event.tokens[: event.accepted])]
        if event.rejected and checked < 6:
            row = engine.logits(before)[-1].astype(np.float64)
            logprobs = row - row.max() - np.log(np.exp(row - row.max()).sum())
            assert event.rejected[0].logprob == pytest.approx(logprobs[event.rejected[0].id])
            assert event.tokens[-1].logprob == pytest.approx(logprobs[event.tokens[-1].id])
            checked += 1
        text += [token.id for token in event.tokens]
    assert checked >= 4


@pytest.mark.parametrize("mode", ["mtp", "ngram"])
def test_detail_tells_candidates_and_experts(mode: str, engine: Engine, model: str) -> None:
    prompt, spec = repetitive(engine), MODELS[model]
    outcome = reply(engine, prompt, mode=mode, depth=3, detail=True)
    assert outcome.bits == reply(engine, prompt, mode=mode, depth=3).bits
    for event in outcome.verified:
        assert event.detail is not None
        assert len(event.detail.tokens) == len(event.tokens)
        for number, (token, detail) in enumerate(zip(event.tokens, event.detail.tokens, strict=True)):
            assert detail.main[0].id == token.id, "greedy"
            assert detail.main[0].logprob == token.logprob
            logprobs = [candidate.logprob for candidate in detail.main]
            assert logprobs == sorted(logprobs, key=lambda value: -(value or 0.0))
            if mode == "mtp" and number < event.depth:
                drafted = [token.draft_logprob, *(each.draft_logprob for each in event.rejected)]
                assert detail.draft[0].logprob in drafted
            else:
                assert detail.draft == ()
        if event.round:
            layers = spec.num_hidden_layers - spec.first_k_dense_replace
            assert len(event.detail.experts) == layers
            for used in event.detail.experts:
                assert list(used) == sorted(set(used))
                assert spec.num_experts_per_tok <= len(used)
                assert len(used) <= spec.num_experts_per_tok * (event.depth + 1)
                assert set(used) <= set(range(spec.n_routed_experts))
    assert all(event.detail is None for event in reply(engine, BASE, depth=2).verified)


def test_an_error_ends_the_reply_with_a_sentence_and_sound_caches(
    engine: Engine, model: str, fresh: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    text, forward, left = plain(engine, BASE), Transformer.forward, 4

    def failing(self: Transformer, *args: object) -> Iterator[int]:
        nonlocal left
        left -= 1
        for layer in forward(self, *args):  # type: ignore[arg-type]
            if left == 0 and layer == 2:
                raise CheckpointError("shard 7 could not be read.")
            yield layer

    engine.logits([1])
    with monkeypatch.context() as patch:
        patch.setattr(Transformer, "forward", failing)
        outcome = reply(engine, BASE, depth=3)
    message = f"shard 7 could not be read. The reply's {len(outcome.ids)} tokens are kept."
    assert outcome.finished == Finished(
        FinishReason.ERROR, len(outcome.ids), outcome.finished.seconds, message
    )
    assert 2 <= len(outcome.ids) < 40
    assert outcome.ids == text[: len(outcome.ids)]
    prompt = [*BASE, *outcome.ids]
    assert reply(engine, prompt, depth=4).bits == reply(fresh(model), prompt, depth=4).bits


def test_prompts_that_cannot_be_are_refused_at_once(engine: Engine, model: str) -> None:
    vocab = MODELS[model].vocab
    for prompt, words in (([], "empty"), ([0, vocab], "outside the vocabulary"), ([0, -1], "outside")):
        with pytest.raises(UsageError, match=words):
            engine.generate(prompt)
        with pytest.raises(UsageError, match=words):
            engine.logits(prompt)
        with pytest.raises(UsageError, match=words):
            engine.draft(prompt, 1)
    with pytest.raises(UsageError, match="context"):
        engine.generate([5] * engine.context)
    assert reply(engine, [5] * (engine.context - 1)).finished.reason is FinishReason.CONTEXT


def test_without_options_the_checkpoints_own_hold(engine: Engine) -> None:
    # Its generation_config.json asks for temperature 0.6 and top-p 0.95.
    events = []
    for event in engine.generate(BASE):
        events.append(event)
        if isinstance(event, Verified) and event.round == 20:
            break
    text = Outcome(tuple(events)).ids
    wanted = options(temperature=0.6, top_p=0.95, ignore_eos=False, max_tokens=len(text))
    assert Outcome(tuple(engine.generate(BASE, wanted))).ids == text
    assert isinstance(events[0], Prefilled)
