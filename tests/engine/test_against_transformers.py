"""The engine's main model against transformers' DeepseekV3ForCausalLM, for every kind of checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from tests.engine.tiny import TinySpec, sample_ids

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor


def test_logits(
    spec: TinySpec,
    tiny: Callable[[TinySpec], Path],
    published_logits: Callable[[TinySpec], Tensor],
) -> None:
    from engine import load

    engine = load(tiny(spec), context=64, threads=1)
    try:
        ours = torch.as_tensor(engine.logits(sample_ids(spec)))
    finally:
        engine.close()
    theirs = published_logits(spec)
    assert ours.dtype == torch.float32
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= 2e-4 * theirs.abs().max()
