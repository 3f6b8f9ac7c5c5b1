"""The plain torch kernels can be chosen, and the model on them says what it says on the CPU's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from engine import load
from engine.kernels.base import Rotary
from engine.kernels.cpu import CpuKernels
from engine.kernels.reference import TorchKernels
from tests.engine.tiny import TinySpec, partly_right_spec, sample_ids

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Rows = np.ndarray[Any, np.dtype[np.float32]]


def assert_close(ours: Rows, theirs: Rows) -> None:
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 2e-4 * np.abs(theirs).max()
    assert np.abs(ours - theirs).max() > 0  # the same bits would mean that the same code ran


def test_logits(spec: TinySpec, tiny: Callable[[TinySpec], Path]) -> None:
    ids = sample_ids(spec)
    with (
        load(tiny(spec), context=64, threads=1) as ours,
        load(tiny(spec), context=64, kernels=TorchKernels()) as theirs,
    ):
        assert_close(ours.logits(ids), theirs.logits(ids))


def test_drafts(mtp_spec: TinySpec, tiny: Callable[[TinySpec], Path]) -> None:
    ids = sample_ids(mtp_spec)
    with (
        load(tiny(mtp_spec), context=64, threads=1) as ours,
        load(tiny(mtp_spec), context=64, kernels=TorchKernels()) as theirs,
    ):
        drafts, logits = ours.draft(ids, 4)
        expected, right = theirs.draft(ids, 4)
        assert drafts == expected
        assert_close(logits, right)


def test_a_prompt_longer_than_a_slice(tiny: Callable[[TinySpec], Path]) -> None:
    spec = partly_right_spec(dtype="f32")  # its router is not close on 150 tokens
    ids = sample_ids(spec, 150)
    with (
        load(tiny(spec), context=160, threads=2) as ours,
        load(tiny(spec), context=160, kernels=TorchKernels()) as theirs,
    ):
        assert_close(ours.logits(ids), theirs.logits(ids, chunk=50))


@pytest.mark.parametrize("start", [0, 70])
def test_each_kernel_of_attention(start: int) -> None:
    # Both sets are called alike, whatever the model does with them.
    heads, nope, rope, values, latent, tokens = 5, 24, 10, 36, 48, 9
    random = torch.Generator().manual_seed(start)
    weight = torch.randn(heads * (nope + values), latent, generator=random)
    q = torch.randn(tokens, heads, nope + rope, generator=random)
    kv = torch.randn(tokens, latent + rope, generator=random)
    norm = torch.randn(latent, generator=random)
    angle = torch.rand(start + tokens, rope // 2, generator=random) * 6
    rotary = Rotary(angle.cos(), angle.sin())
    before = torch.randn(start + tokens, latent + rope, generator=random)
    results = []
    for kernels in (CpuKernels(2), TorchKernels()):
        cache = before.clone()
        matrix = kernels.matrix(weight, None)
        kernels.write_latents(kv, norm, 1e-6, rotary, start, cache)
        queries = kernels.latent_queries(q, matrix, nope, rotary, start)
        mixed = kernels.attend(queries, cache, latent, start, 0.1)
        results.append((cache, queries, mixed, kernels.expand_values(mixed, matrix, values)))
    for ours, theirs in zip(*results, strict=True):
        assert ours.shape == theirs.shape
        assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()
