"""The CPU kernels against plain torch in float64, and their promise: the same bits at every width."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels.cpu import CpuKernels
from engine.kernels.reference import TorchKernels, dequantise

if TYPE_CHECKING:
    from torch import Tensor

    from engine.kernels.base import Matrix

KINDS = (torch.float8_e4m3fn, torch.bfloat16, torch.float16, torch.float32)
CPU = CpuKernels(threads=2)
ONE = CpuKernels(threads=1)


def stored(kind: torch.dtype, rows: int, cols: int, seed: int) -> tuple[Tensor, Tensor | None]:
    """A random weight of a kind, with scales of very different sizes if it is FP8."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, cols, generator=generator)
    if kind is not torch.float8_e4m3fn:
        return weight.to(kind), None
    scales = torch.rand(-(-rows // 128), -(-cols // 128), generator=generator) * 2 + 1e-3
    return (weight * 20).to(kind), scales


def exact(matrix: Matrix, x: Tensor) -> Tensor:
    """The product in float64."""
    return x.double() @ dequantise(matrix).double().T


shapes = st.tuples(st.integers(1, 200), st.integers(1, 300), st.integers(1, 20), st.integers(0, 2**31))


@settings(max_examples=60, deadline=None)
@given(shape=shapes, kind=st.sampled_from(KINDS))
def test_multiply_is_the_product(shape: tuple[int, int, int, int], kind: torch.dtype) -> None:
    rows, cols, tokens, seed = shape
    matrix = CPU.matrix(*stored(kind, rows, cols, seed))
    x = torch.randn(tokens, cols, generator=torch.Generator().manual_seed(seed + 1))
    expected = exact(matrix, x)
    size = x.double().abs() @ dequantise(matrix).double().abs().T
    assert ((CPU.multiply(matrix, x) - expected).abs() <= 2e-6 * size).all()


@settings(max_examples=60, deadline=None)
@given(shape=shapes, kind=st.sampled_from(KINDS), data=st.data())
def test_a_token_is_the_same_bits_at_every_width(
    shape: tuple[int, int, int, int], kind: torch.dtype, data: st.DataObject
) -> None:
    rows, cols, tokens, seed = shape
    weight = stored(kind, rows, cols, seed)
    x = torch.randn(tokens, cols, generator=torch.Generator().manual_seed(seed + 1))
    together = CPU.multiply(CPU.matrix(*weight), x)
    begin = data.draw(st.integers(0, tokens - 1))
    end = data.draw(st.integers(begin + 1, tokens))
    for kernels in (CPU, ONE):
        part = kernels.multiply(kernels.matrix(*weight), x[begin:end].clone())
        assert torch.equal(part.view(torch.int32), together[begin:end].view(torch.int32))


def test_two_threads_give_the_bits_of_one() -> None:
    weight = stored(torch.float8_e4m3fn, 1600, 1100, 3)
    x = torch.randn(9, 1100)
    assert torch.equal(CPU.multiply(CPU.matrix(*weight), x), ONE.multiply(ONE.matrix(*weight), x))


def test_every_fp8_byte_is_decoded_exactly() -> None:
    every = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn)
    numbers = torch.arange(256)[~every.float().isnan()]
    matrix = CPU.matrix(every[numbers].reshape(-1, 1).contiguous(), torch.ones(2, 1))
    assert torch.equal(CPU.multiply(matrix, torch.ones(1, 1))[0], every[numbers].float())


def test_flushing_subnormals_does_not_lose_the_smallest_fp8_values() -> None:
    smallest = torch.tensor([[0x01] * 32, [0x87] * 32], dtype=torch.uint8).view(torch.float8_e4m3fn)
    matrix = ONE.matrix(smallest, torch.ones(1, 1))
    torch.set_flush_denormal(True)
    try:
        result = ONE.multiply(matrix, torch.ones(1, 32))
    finally:
        torch.set_flush_denormal(False)
    assert result.tolist() == [[32 * 2.0**-9, -32 * 7 * 2.0**-9]]


@pytest.mark.parametrize("tokens", [1, 3, 8])
def test_large_activations_and_scales_do_not_overflow(tokens: int) -> None:
    weight = torch.full((256, 512), 448.0).to(torch.float8_e4m3fn)
    matrix = CPU.matrix(weight, torch.full((2, 4), 16.0))
    result = CPU.multiply(matrix, torch.full((tokens, 512), 1e5))
    np.testing.assert_allclose(result.numpy(), 448.0 * 16 * 1e5 * 512, rtol=1e-6)


def test_a_matrix_is_refused_that_cannot_be_multiplied() -> None:
    with pytest.raises(ValueError, match="scales"):
        CPU.matrix(torch.zeros(4, 4).to(torch.float8_e4m3fn), None)
    with pytest.raises(ValueError, match="scales must be float32"):
        CPU.matrix(torch.zeros(200, 4).to(torch.float8_e4m3fn), torch.ones(1, 1))
    with pytest.raises(ValueError, match="not a stored matrix"):
        CPU.matrix(torch.zeros(4, 8, dtype=torch.float64), None)
    with pytest.raises(TypeError, match="another kernel set"):
        CPU.multiply(TorchKernels().matrix(torch.zeros(4, 4), None), torch.zeros(1, 4))
