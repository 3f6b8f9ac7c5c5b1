"""How fast weights are multiplied, by how they are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.checkpoint.tensor import Dtype
from engine.kernels.cpu import CpuKernels
from engine.kernels.reference import TorchKernels
from engine.offload.forecast import Work
from engine.offload.kernel_speed import kernel_bandwidth, measure_multiplier, multiplier_of
from engine.offload.resident import DTYPES

if TYPE_CHECKING:
    from torch import Tensor

    from engine.kernels.base import Matrix

STORED = [Dtype.F8_E4M3, Dtype.BF16, Dtype.F16, Dtype.F32]


@pytest.mark.parametrize("dtype", STORED)
def test_the_bandwidth_counts_every_byte_once_a_pass(dtype: Dtype) -> None:
    ticks = iter([0.0, 2.0, 5.0, 8.0])
    with torch.inference_mode():
        speed = kernel_bandwidth(TorchKernels(), dtype, size=1, seconds=4.0, clock=lambda: next(ticks))
    assert speed == 2 * 2048 * 7168 * dtype.bytes / 8.0


@pytest.mark.parametrize("dtype", STORED)
def test_a_measured_multiplier(dtype: Dtype) -> None:
    found = measure_multiplier(dtype, 1)
    assert found.first_seconds >= 0
    assert 1e6 < found.weights_per_second < 1e13


@pytest.mark.parametrize("dtype", STORED)
def test_what_is_multiplied_is_stored_as_was_said(dtype: Dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    stored: list[Tensor] = []

    def multiply(_self: CpuKernels, matrix: Matrix, _x: Tensor) -> None:
        stored.append(matrix.stored)

    monkeypatch.setattr(CpuKernels, "multiply", multiply)
    measure_multiplier(dtype, 1)
    assert {matrix.dtype for matrix in stored} == {DTYPES[dtype]}
    different = {matrix.data_ptr(): matrix.nbytes for matrix in stored}
    assert len(different) > 1
    assert sum(different.values()) >= 80_000_000


@given(st.floats(1e-13, 1e-6), st.floats(1e-13, 1e-6))
def test_any_two_measurements_make_a_multiplier(one: float, several: float) -> None:
    found = multiplier_of(one, several, 16)
    assert found.first_seconds >= 0
    assert found.seconds(Work(weights=1, products=1)) == pytest.approx(one)
    if one <= several <= 16 * one:
        assert found.seconds(Work(weights=1, products=16)) == pytest.approx(several)
