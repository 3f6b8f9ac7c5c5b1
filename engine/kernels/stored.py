"""A weight as the checkpoint stores it, and the descriptor by which jitted code knows it."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.kernels.matrix_kernels import SCALE_BLOCK, dots_address, mix_address
from engine.kernels.vectors import Kind

if TYPE_CHECKING:
    from torch import Tensor

_KINDS = {
    torch.float8_e4m3fn: Kind.FP8,
    torch.bfloat16: Kind.BF16,
    torch.float16: Kind.F16,
    torch.float32: Kind.F32,
}


@dataclass(frozen=True, slots=True)
class CpuMatrix:
    """The CPU kernels' `Matrix`."""

    stored: Tensor  # [rows, cols]
    scales: Tensor | None
    descriptor: array[int]
    """See `matrix_kernels`."""
    address: int
    """Of the descriptor."""
    rows: int
    cols: int

    @classmethod
    def of(cls, stored: Tensor, scales: Tensor | None) -> CpuMatrix:
        """Describe a weight. Raises ValueError where its storage or its scales are not what kernels read."""
        kind = _KINDS.get(stored.dtype)
        if kind is None or stored.dim() != 2 or not stored.is_contiguous():
            message = f"not a stored matrix: {stored.dtype} {tuple(stored.shape)}"
            raise ValueError(message)
        rows, cols = stored.shape
        if (kind is Kind.FP8) != (scales is not None):
            message = "FP8 needs block scales, and nothing else takes them"
            raise ValueError(message)
        if scales is not None:
            blocks = (-(-rows // SCALE_BLOCK), -(-cols // SCALE_BLOCK))
            if scales.shape != blocks or scales.dtype != torch.float32 or not scales.is_contiguous():
                message = f"scales must be float32 {blocks}, not {scales.dtype} {tuple(scales.shape)}"
                raise ValueError(message)
        descriptor = array(
            "q",
            (
                dots_address(kind),
                mix_address(kind),
                stored.data_ptr(),
                cols * kind.bytes,
                rows,
                cols,
                0 if scales is None else scales.data_ptr(),
                0 if scales is None else scales.shape[1],
            ),
        )
        return cls(stored, scales, descriptor, descriptor.buffer_info()[0], rows, cols)
