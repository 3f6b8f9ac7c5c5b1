"""Which states are kept: all with an MTP layer, which is fed with them, else those of the last pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from engine import load
from engine.config import ModelConfig
from engine.decoding.sequence import SequenceState
from engine.options import MAX_DEPTH, Mode
from tests.engine.decoding.replies import reply
from tests.engine.tiny import SPECS, TinySpec, config, sample_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine import Engine

SPEC = SPECS["NO_MTP"]
CONTEXT = 200
IDS = sample_ids(SPEC, 150)
REPEATED = IDS[:20] * 4
"""A text that prompt lookup has drafts for."""


@pytest.fixture
def engine(tiny: Callable[[TinySpec], Path]) -> Iterator[Engine]:
    """One without an MTP layer, and with a second model that has none either."""
    folder = tiny(SPEC)
    with load(folder, context=CONTEXT, threads=1, draft_model=folder) as opened:
        yield opened


def config_of(spec: TinySpec) -> ModelConfig:
    return ModelConfig.from_json(config(spec), "config.json")


def state_of(engine: Engine) -> SequenceState:
    return engine._decoder.state


@pytest.mark.parametrize("context", [3, CONTEXT])
@pytest.mark.parametrize("has_mtp", [False, True])
def test_what_is_reserved_is_what_is_counted(has_mtp: bool, context: int) -> None:
    shape = config_of(SPECS["FP8"])
    state = SequenceState(shape, context, has_mtp, config_of(SPEC))
    assert state.second is not None
    for each in (state, state.second):
        each.states_to_fill(min(context, MAX_DEPTH + 1))
    tensors = [*state.caches, state.hidden, *state.second.caches, state.second.hidden]
    if state.mtp_cache is not None:
        tensors.append(state.mtp_cache)
    counted = SequenceState.bytes_for(shape, context, has_mtp, config_of(SPEC))
    assert sum(tensor.nbytes for tensor in tensors) == counted


def test_a_long_context_takes_no_states_without_an_mtp_layer() -> None:
    shape = config_of(SPEC)
    width = shape.kv_lora_rank + shape.qk_rope_head_dim
    more = SequenceState.bytes_for(shape, 2000, False) - SequenceState.bytes_for(shape, 1000, False)
    assert more == 4 * 1000 * shape.num_hidden_layers * width


def test_a_prompt_leaves_one_state_and_a_round_those_it_verified(engine: Engine) -> None:
    state = state_of(engine)
    assert state.second is not None
    reply(engine, IDS, mode=Mode.ORDINARY, max_tokens=1)
    assert len(state.hidden) == 1
    reply(engine, REPEATED, mode=Mode.NGRAM, depth=MAX_DEPTH, max_tokens=30)
    assert 1 <= len(state.hidden) <= MAX_DEPTH + 1
    reply(engine, IDS, mode=Mode.MODEL, depth=3, max_tokens=10)
    assert 1 <= len(state.hidden) <= 4
    assert len(state.second.hidden) == 1


@pytest.mark.parametrize("mode", [Mode.ORDINARY, Mode.NGRAM, Mode.MODEL])
@pytest.mark.parametrize("prompt", [IDS, REPEATED, IDS[:1]], ids=["long", "repeated", "one"])
def test_a_reply_goes_by_the_rows_of_a_pass_over_all_of_it(
    mode: Mode, prompt: list[int], engine: Engine
) -> None:
    ids = reply(engine, prompt, mode=mode, depth=4, max_tokens=20, ignore_eos=True).ids
    rows = engine.logits([*prompt, *ids])
    assert rows.shape[0] == len(prompt) + len(ids)
    assert rows[len(prompt) - 1 : -1].argmax(1).tolist() == ids
    again = engine.logits([*prompt, *ids], chunk=7)
    assert np.array_equal(rows.view(np.int32), again.view(np.int32))


def test_the_last_states_are_the_bits_of_all_of_them(engine: Engine) -> None:
    model, state = engine._decoder.model, state_of(engine)
    every = torch.empty(len(IDS), model.config.hidden_size)
    for _layer in model.forward(IDS, 0, state.caches, every):
        pass
    for count in (1, 9):
        last = torch.empty(count, model.config.hidden_size)
        for _layer in model.forward(IDS, 0, state.caches, last):
            pass
        assert torch.equal(last.view(torch.int32), every[-count:].view(torch.int32))


def test_a_state_that_is_gone_is_not_mistaken_for_another() -> None:
    state = SequenceState(config_of(SPEC), CONTEXT, has_mtp=False)
    state.main_rows = 10
    state.states_to_fill(20, last=2)[:] = torch.tensor([[28.0], [29.0]])
    assert state.states(28, 2)[:, 0].tolist() == [28.0, 29.0]
    assert state.states(29, 1)[:, 0].tolist() == [29.0]
    for first, count in ((27, 1), (27, 3), (29, 2), (0, 1)):
        with pytest.raises(ValueError, match="are not kept"):
            state.states(first, count)
