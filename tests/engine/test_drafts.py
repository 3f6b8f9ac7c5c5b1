"""The engine's MTP drafts against the float64 reference: the ids, and the logits they were picked by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from tests.engine.tiny import SPECS, TinySpec, partly_right_spec, sample_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from tests.engine.reference64 import Reference

DEPTH = 4


def drafts(checkpoint: Path, ids: Sequence[int], depth: int) -> tuple[list[int], Tensor]:
    from engine import load

    engine = load(checkpoint, context=64, threads=1)
    try:
        drafted, logits = engine.draft(ids, depth)
        return [int(token) for token in drafted], torch.as_tensor(logits)
    finally:
        engine.close()


def check(ours: tuple[list[int], Tensor], right: tuple[list[int], Tensor]) -> None:
    assert ours[0] == right[0]
    assert ours[1].shape == right[1].shape
    assert (ours[1] - right[1]).abs().max() <= 2e-4 * right[1].abs().max()


def test_drafts(
    mtp_spec: TinySpec, tiny: Callable[[TinySpec], Path], reference: Callable[[TinySpec], Reference]
) -> None:
    ids = sample_ids(mtp_spec)
    check(drafts(tiny(mtp_spec), ids, DEPTH), reference(mtp_spec).draft(ids, DEPTH))


@pytest.mark.parametrize("dtype", ["fp8", "f32"])
def test_drafts_of_a_model_that_is_partly_right(
    dtype: str, tiny: Callable[[TinySpec], Path], reference: Callable[[TinySpec], Reference]
) -> None:
    spec = partly_right_spec(dtype=dtype)
    ids = sample_ids(spec, 12)
    check(drafts(tiny(spec), ids, 8), reference(spec).draft(ids, 8))


def test_drafts_after_a_single_token(
    tiny: Callable[[TinySpec], Path], reference: Callable[[TinySpec], Reference]
) -> None:
    # The MTP module has one row then, and no earlier hidden state to look at.
    spec = SPECS["F32"]
    check(drafts(tiny(spec), [0], 1), reference(spec).draft([0], 1))
