"""A pass's steps: many in a long prompt, none within a layer for few tokens, and no bits depend on them.

The prompt's 300 tokens are three slices of 128, and more than 1,024 uses of experts.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from engine import GenerateOptions, Prefilling, load
from engine.events import Finished, FinishReason
from engine.model.steps import finish, in_slices, mapped, within
from tests.engine.tiny import SPECS, sample_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from engine import Engine
    from engine.events import Event
    from tests.engine.tiny import TinySpec

SPEC = SPECS["FP8"]
LONG = sample_ids(SPEC, 300)
SLICES = 3


@pytest.fixture
def engine(tiny: Callable[[TinySpec], Path]) -> Iterator[Engine]:
    with load(tiny(SPEC), context=400, threads=1) as engine:
        assert engine.home.plan.holds_everything
        yield engine


def steps_of(engine: Engine, ids: list[int]) -> list[int]:
    """Of the main model's pass over a text: how many layers were done at each."""
    engine._decoder.state.begin([])
    return list(engine._decoder.run(ids))


def test_a_long_prompt_has_steps_within_every_layer(engine: Engine) -> None:
    steps = steps_of(engine, LONG)
    assert steps == sorted(steps)
    uses = len(LONG) * SPEC.num_experts_per_tok
    assert uses > 1024
    for layer, count in Counter(steps).items():
        # Attention, the norm behind it and a net are sliced, a router as well; experts come in portions.
        portions = -(-uses // 1024) if engine.config.is_moe(layer) else 0
        assert count >= 3 * (SLICES - 1) + portions
    assert set(steps) == set(range(SPEC.num_hidden_layers))


@pytest.mark.parametrize("tokens", [1, 9])
def test_a_verifying_pass_has_steps_between_layers_only(engine: Engine, tokens: int) -> None:
    assert steps_of(engine, LONG[:tokens]) == list(range(1, SPEC.num_hidden_layers))
    assert list(engine._decoder.logits(tokens)) == []


def test_the_head_and_the_mtp_layer_have_steps_too(engine: Engine) -> None:
    engine.logits(LONG)
    decoder = engine._decoder
    decoder.state.main_rows = 0
    assert list(decoder.logits(len(LONG))) == [SPEC.num_hidden_layers] * (SLICES - 1)
    decoder.state.main_rows = decoder.state.fresh_rows = len(LONG)
    assert decoder.mtp is not None
    cache = decoder.state.mtp_cache
    assert cache is not None
    hidden = decoder.state.hidden[: len(LONG) - 1]
    steps = list(decoder.mtp.forward(LONG[1:], hidden, 0, cache))
    assert len(steps) > 6 * (SLICES - 1), "both norms, the projection, attention, the net and the last norm"


def test_the_longer_the_context_the_fewer_tokens_attend_at_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = engine.logits(LONG)
    steps = len(steps_of(engine, LONG))
    scores = 16 * engine.config.num_attention_heads * len(LONG)  # of 16 tokens
    monkeypatch.setattr("engine.model.block._SCORES_AT_ONCE", scores)
    more = -(-len(LONG) // 16) - SLICES
    assert len(steps_of(engine, LONG)) == steps + more * SPEC.num_hidden_layers
    assert np.array_equal(engine.logits(LONG).view(np.int32), right.view(np.int32))
    monkeypatch.setattr("engine.model.block._SCORES_AT_ONCE", 0)
    assert steps_of(engine, LONG[:8]) == list(range(1, SPEC.num_hidden_layers)), "never fewer than eight"
    assert np.array_equal(engine.logits(LONG).view(np.int32), right.view(np.int32))


def test_a_prompt_is_told_of_and_cancelled_within_a_layer(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.decoding.progress.PROGRESS_SECONDS", 0.0)
    options = GenerateOptions(max_tokens=3)
    right = [event for event in engine.generate(LONG, options) if not isinstance(event, Prefilling)]
    engine.logits([1])
    seen: list[Event] = []
    for event in engine.generate(LONG, options):
        seen.append(event)
        if len(seen) == 3:
            engine.controls.cancel()
    assert [event.layer for event in seen if isinstance(event, Prefilling)] == [0, 0, 0]
    assert isinstance(seen[-1], Finished)
    assert seen[-1].reason is FinishReason.CANCELLED
    assert len(seen) == 4
    again = [event for event in engine.generate(LONG, options) if not isinstance(event, Prefilling)]
    assert [getattr(event, "tokens", None) for event in again[1:]] == [
        getattr(event, "tokens", None) for event in right[1:]
    ]


def counted(last: int) -> Generator[None, None, str]:
    for _ in range(last):
        yield
    return "done"


def test_steps_are_run_to_their_end_and_looked_at(engine: Engine) -> None:
    beats: list[int] = []
    assert finish(counted(3), lambda: beats.append(1)) == "done"
    assert len(beats) == 3
    assert finish(counted(0)) == "done"

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finish(counted(3), stop)
    assert list(within(7, counted(2))) == [7, 7]
    assert finish(mapped(within(7, counted(2)), str), lambda: None) == "done"
    assert list(mapped(within(7, counted(2)), str)) == ["7", "7"]


@pytest.mark.parametrize("tokens", [1, 128, 129, 300])
def test_slices_are_put_together(tokens: int) -> None:
    x = torch.arange(tokens * 2.0).view(tokens, 2)
    widths: list[int] = []

    def compute(part: torch.Tensor) -> torch.Tensor:
        widths.append(part.shape[0])
        return part.sum(-1, keepdim=True)

    beats: list[int] = []
    assert torch.equal(finish(in_slices(compute, x), lambda: beats.append(1)), x.sum(-1, keepdim=True))
    assert max(widths) <= 128
    assert sum(widths) == tokens
    assert len(beats) == len(widths) - 1
