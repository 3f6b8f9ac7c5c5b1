"""What the kernels' tests share: random inputs, exact products, and the comparison by bits."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from hypothesis import strategies as st

from engine.kernels.base import Rotary
from engine.kernels.reference import dequantise

if TYPE_CHECKING:
    from torch import Tensor

    from engine.kernels.base import Matrix
    from engine.kernels.cpu import CpuKernels

NAN_BYTE = 0xFF
"""Four of them are a NaN in float32."""


def normal(seed: int, *shape: int) -> Tensor:
    """Random float32 numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def exact(matrix: Matrix) -> Tensor:
    """A stored weight in float64."""
    return dequantise(matrix).double()


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Whether two float32 tensors agree in every bit, the sign of a zero included."""
    return torch.equal(a.view(torch.int32), b.view(torch.int32))


def soil(kernels: CpuKernels) -> CpuKernels:
    """The kernels, with NaN in the scratch that earlier products left: nothing may read it."""
    kernels._scratch.fill_(NAN_BYTE)
    return kernels


def unwritten(*shape: int) -> Tensor:
    """A tensor in which whatever is not written shows."""
    return torch.full(shape, float("nan"))


def angles(
    seed: int, context: int, rope: int
) -> tuple[Rotary, np.ndarray[tuple[int, int], np.dtype[np.complex128]]]:
    """Random turns: as the kernels take them, and as complex numbers of the same float32 parts."""
    angle = np.random.default_rng(seed).uniform(-np.pi, np.pi, (context, rope // 2))
    cosine, sine = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    return Rotary(torch.from_numpy(cosine), torch.from_numpy(sine)), cosine + 1j * sine.astype(np.float64)


def turned(x: Tensor, turns: np.ndarray[tuple[int, int], np.dtype[np.complex128]]) -> Tensor:
    """Neighbours in x [tokens, ..., rope] as complex numbers, times turns [tokens, rope / 2]."""
    pairs = torch.view_as_complex(x.double().reshape(*x.shape[:-1], -1, 2).contiguous())
    by = torch.from_numpy(turns).view(x.shape[0], *[1] * (x.dim() - 2), -1)
    return torch.view_as_real(pairs * by).flatten(-2)


def cuts(data: st.DataObject, tokens: int) -> list[tuple[int, int]]:
    """A way of dividing tokens into passes: the passes' first and end tokens."""
    inside: list[int] = (
        data.draw(st.lists(st.integers(1, tokens - 1), unique=True, max_size=5)) if tokens > 1 else []
    )
    edges = [0, *sorted(inside), tokens]
    return list(pairwise(edges))
