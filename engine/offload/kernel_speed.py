"""How fast this machine's kernels multiply weights that lie in RAM, measured: by how these are stored.

Wider weights take more of the memory's time and narrower ones more decoding, so neither bytes nor weights a
second are the same for all.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import torch

from engine.checkpoint.tensor import Dtype
from engine.kernels.cpu import CpuKernels
from engine.offload.forecast import Multiplier
from engine.offload.resident import DTYPES

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from engine.kernels.base import Kernels, Matrix

    Clock: TypeAlias = Callable[[], float]

KERNEL_BYTES = 256_000_000
"""Of distinct weights: several times what the caches of a processor hold."""
_ROWS, _COLUMNS = 2048, 7168
"""An expert's gate of DeepSeek-V3."""
_FEW_BYTES = 6 * _ROWS * _COLUMNS
"""Of distinct weights that together do not fit a processor's cache."""
_WIDE = 16
_CALLS, _WIDE_CALLS = 12, 5


def kernel_bandwidth(
    kernels: Kernels,
    dtype: Dtype = Dtype.F8_E4M3,
    *,
    size: int = KERNEL_BYTES,
    seconds: float = 0.3,
    clock: Clock = time.perf_counter,
) -> float:
    """Bytes of weights a second that the kernels take from memory in products with one token.

    Not what the memory could deliver, where decoding is slower.
    """
    matrices = _matrices(kernels, dtype, size)
    x = torch.ones(1, _COLUMNS)
    kernels.multiply(matrices[0], x)  # compiles, and wakes the threads
    passes = 0
    began = clock()
    while passes == 0 or clock() - began < seconds:
        for matrix in matrices:
            kernels.multiply(matrix, x)
        passes += 1
    return passes * len(matrices) * _ROWS * _COLUMNS * dtype.bytes / (clock() - began)


def measure_multiplier(dtype: Dtype, threads: int | None = None) -> Multiplier:
    """Time products with one token and with several, of weights stored so; a fraction of a second."""
    kernels = CpuKernels(threads)
    matrices = _matrices(kernels, dtype, _FEW_BYTES)

    def seconds(tokens: int, calls: int) -> float:
        x = torch.ones(tokens, _COLUMNS)
        taken = []
        for call in range(calls + 1):
            began = time.perf_counter()
            kernels.multiply(matrices[call % len(matrices)], x)
            taken.append(time.perf_counter() - began)
        return statistics.median(taken[1:]) / (_ROWS * _COLUMNS)  # the first may compile

    return multiplier_of(seconds(1, _CALLS), seconds(_WIDE, _WIDE_CALLS), _WIDE)


def multiplier_of(one: float, several: float, tokens: int) -> Multiplier:
    """The multiplier that takes these seconds a weight, for one token and for so many."""
    each = min(max(several - one, 0.0) / (tokens - 1), one)
    return Multiplier(one - each, each)


def _matrices(kernels: Kernels, dtype: Dtype, size: int) -> list[Matrix]:
    """Different matrices of so many bytes together, and at least one."""
    count = max(1, -(-size // (_ROWS * _COLUMNS * dtype.bytes)))
    stored = torch.ones(count, _ROWS, _COLUMNS, dtype=DTYPES[dtype])
    scales = torch.ones(-(-_ROWS // 128), -(-_COLUMNS // 128)) if dtype is Dtype.F8_E4M3 else None
    return [kernels.matrix(matrix, scales) for matrix in stored]
