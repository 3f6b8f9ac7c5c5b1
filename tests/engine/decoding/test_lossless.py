"""The text never depends on depth, mode or threads, and is what the main model alone says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.kernels import cpu
from tests.engine.decoding import slow
from tests.engine.decoding.conftest import MODELS
from tests.engine.decoding.replies import (
    BASE,
    SAMPLED,
    accepted_positions,
    plain,
    rejected_positions,
    repetitive,
    reply,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine import Engine
    from tests.engine.reference64 import Reference
    from tests.engine.tiny import TinySpec

DEPTHS = range(9)


@pytest.mark.parametrize("mode", ["mtp", "ngram"])
def test_depth_and_mode_leave_the_text_alone(mode: str, engine_of: Callable[[str], Engine]) -> None:
    outcomes = []
    for model in MODELS:
        engine = engine_of(model)
        prompt = repetitive(engine)
        for seed, sampling in enumerate([{"temperature": 0.0}, *SAMPLED.values()]):
            text = plain(engine, prompt, seed=seed, **sampling)
            assert len(text) == 40
            for depth in DEPTHS:
                outcome = reply(engine, prompt, mode=mode, depth=depth, seed=seed, **sampling)
                assert outcome.ids == text, (model, sampling, depth)
                assert all(event.depth <= depth for event in outcome.verified)
                outcomes.append(outcome)
    assert accepted_positions(outcomes) >= {1, 2, 3, 4}
    assert rejected_positions(outcomes) >= {1, 2, 3, 4}


def test_seeds_differ_and_none_depends_on_the_depth(engine: Engine) -> None:
    texts = []
    for seed in (0, 1, -1, 2**63, 2**64 - 2):
        text = plain(engine, BASE, temperature=0.8, seed=seed)
        assert reply(engine, BASE, temperature=0.8, seed=seed, depth=4).ids == text
        texts.append(text)
    for number, text in enumerate(texts):
        assert text not in texts[:number]
    assert plain(engine, BASE, temperature=0.8, seed=2**64) == texts[0], "seeds are folded to 64 bits"


def test_mode_ordinary_drafts_nothing_at_any_depth(engine: Engine) -> None:
    outcome = reply(engine, BASE, mode="ordinary", depth=5)
    assert outcome.ids == plain(engine, BASE)
    assert all(event.depth == 0 for event in outcome.verified)


@pytest.mark.parametrize("mode", ["mtp", "ngram"])
def test_threads_leave_the_text_alone(
    mode: str, engine: Engine, model: str, fresh: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "_PARALLEL_WORK", 0)  # else products as tiny as these stay in one thread
    two = fresh(model, threads=2)
    prompt = repetitive(engine)
    for depth, temperature in ((1, 0.7), (8, 0.0)):
        values = {"mode": mode, "depth": depth, "temperature": temperature, "max_tokens": 12}
        assert reply(two, prompt, **values).bits == reply(engine, prompt, **values).bits


def test_greedy_text_is_the_argmax_of_teacher_forced_logits(
    engine: Engine, model: str, fresh: Callable[..., Engine]
) -> None:
    outcome = reply(engine, BASE, depth=4)
    rows = fresh(model).logits([*BASE, *outcome.ids])[len(BASE) - 1 : -1]
    assert outcome.ids == rows.argmax(axis=1).tolist()
    tokens = [token for event in outcome.verified for token in event.tokens]
    for token, row in zip(tokens, rows.astype(np.float64), strict=True):
        expected = row[token.id] - row.max() - np.log(np.exp(row - row.max()).sum())
        assert token.logprob == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_greedy_text_is_the_references(
    engine: Engine, model: str, reference: Callable[[TinySpec], Reference]
) -> None:
    assert reply(engine, BASE, depth=3).ids[:16] == reference(MODELS[model]).greedy(BASE, 16)


@pytest.mark.parametrize("accept", ["coupled", "rejection"])
def test_sampled_text_is_the_pick_of_teacher_forced_logits(
    accept: str, engine: Engine, model: str, fresh: Callable[..., Engine]
) -> None:
    # Rejection has no drafts to reject here; its own draws use the same noise.
    values = {"temperature": 0.8, "seed": 11, "accept": accept, "depth": 4 if accept == "coupled" else 0}
    outcome = reply(engine, BASE, **values)
    rows = fresh(model).logits([*BASE, *outcome.ids])[len(BASE) - 1 : -1]
    picks = [slow.pick(row.tolist(), 0.8, 11, len(BASE) + n) for n, row in enumerate(rows)]
    assert outcome.ids == picks


def test_greedy_rejection_is_greedy(engine: Engine) -> None:
    for mode in ("mtp", "ngram"):
        prompt = repetitive(engine)
        outcome = reply(engine, prompt, mode=mode, depth=4, accept="rejection")
        assert outcome.bits == reply(engine, prompt, mode=mode, depth=4).bits
