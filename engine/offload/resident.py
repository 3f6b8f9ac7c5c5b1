"""All weights in RAM: read once, in the order in which they lie in the shards, into one block of memory."""

from __future__ import annotations

import mmap
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.checkpoint.tensor import Dtype
from engine.errors import MemoryBudgetError
from engine.kernels.base import Expert
from engine.kernels.elementwise import count_nan_bytes
from engine.offload.memory import available_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from torch import Tensor

    from engine.checkpoint.checkpoint import Checkpoint, WeightRecord
    from engine.checkpoint.tensor import TensorRecord
    from engine.kernels.base import Kernels, Matrix

    Progress = Callable[[int, int, str], None]
    """Called with bytes done, bytes in all, and what is being read; from any thread, one at a time."""

_DTYPES = {
    Dtype.F8_E4M3: torch.float8_e4m3fn,
    Dtype.F8_E8M0: torch.uint8,  # the bare exponents
    Dtype.U8: torch.uint8,
    Dtype.BF16: torch.bfloat16,
    Dtype.F16: torch.float16,
    Dtype.F32: torch.float32,
}
_ALIGNMENT = 64
_READERS = 4
_PIECE_BYTES = 64 << 20
"""Longest read: short enough that progress moves, long enough that calls do not count."""


@dataclass(frozen=True, slots=True)
class ResidentExperts:
    """One layer's experts, all of them always ready."""

    nets: tuple[Expert, ...]

    def fetch(self, numbers: tuple[int, ...]) -> Iterator[Mapping[int, Expert]]:
        """See `engine.model.feed_forward.ExpertBank`."""
        yield {number: self.nets[number] for number in numbers}


class ResidentWeights:
    """See `Weights`. `nan_bytes` counts FP8 weights that stand for NaN, which no healthy checkpoint has."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        names: Iterable[str],
        kernels: Kernels,
        progress: Progress | None = None,
        reserved_bytes: int = 0,
    ) -> None:
        """Read the named weights, and the scales of those in FP8.

        Raises MemoryBudgetError where they and `reserved_bytes` of caches do not fit into what is available.
        """
        self._kernels = kernels
        self._weights = {name: checkpoint.weight(name) for name in names}
        records = _records(self._weights.values())
        places, total = _lay_out(records)
        available = available_bytes()
        if total + reserved_bytes > available:
            raise MemoryBudgetError(
                f"The weights of {checkpoint.path} take {total / 1e9:,.1f} GB and the caches "
                f"{reserved_bytes / 1e9:,.1f} GB, but {available / 1e9:,.1f} GB of memory are available: "
                f"close other programs, or choose a smaller context or checkpoint."
            )
        block = _memory(max(total, 1))
        self._block = torch.frombuffer(block, dtype=torch.uint8)
        self._places = places
        self.bytes = total
        self.nan_bytes = _read(checkpoint, records, places, memoryview(block), progress)

    def matrix(self, name: str) -> Matrix:
        weight = self._weights[name]
        scales = None if weight.scale is None else _scales(self._view(weight.scale))
        return self._kernels.matrix(self._view(weight.weight), scales)

    def stored(self, name: str) -> Tensor:
        return self._view(self._weights[name].weight)

    def vector(self, name: str) -> Tensor:
        return self.stored(name).float()

    def net(self, prefix: str) -> Expert:
        return Expert(*(self.matrix(f"{prefix}.{part}_proj.weight") for part in ("gate", "up", "down")))

    def experts(self, prefix: str, count: int) -> ResidentExperts:
        return ResidentExperts(tuple(self.net(f"{prefix}.{number}") for number in range(count)))

    def _view(self, record: TensorRecord) -> Tensor:
        begin = self._places[record.name]
        return self._block[begin : begin + record.bytes].view(_DTYPES[record.dtype]).view(record.shape)


def _records(weights: Iterable[WeightRecord]) -> list[TensorRecord]:
    found: dict[str, TensorRecord] = {}
    for weight in weights:
        for record in (weight.weight, weight.scale):
            if record is not None:
                found[record.name] = record
    return sorted(found.values(), key=lambda record: (str(record.shard), record.offset))


def _memory(size: int) -> mmap.mmap:
    """Memory for weights, in huge pages where the system has them: they are read from end to end.

    It must be private: what mmap shares by default is not given huge pages.
    """
    if not hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size)
    block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        block.madvise(mmap.MADV_HUGEPAGE)
    return block


def _lay_out(records: Iterable[TensorRecord]) -> tuple[dict[str, int], int]:
    """Where each tensor goes in the block, and how long the block is."""
    places, end = {}, 0
    for record in records:
        places[record.name] = end
        end = -(-(end + record.bytes) // _ALIGNMENT) * _ALIGNMENT
    return places, end


def _scales(stored: Tensor) -> Tensor:
    """Block scales as float32; a byte e stands for 2^(e - 127)."""
    if stored.dtype is torch.uint8:
        return torch.exp2(stored.double() - 127).float()
    return stored.float().contiguous()


def _read(
    checkpoint: Checkpoint,
    records: list[TensorRecord],
    places: Mapping[str, int],
    block: memoryview,
    progress: Progress | None,
) -> int:
    """Fill the block, and return how many NaN bytes the FP8 weights have."""
    total = sum(record.bytes for record in records)
    done = nan_bytes = 0
    lock = threading.Lock()

    def read(record: TensorRecord) -> None:
        nonlocal done, nan_bytes
        for begin in range(0, record.bytes, _PIECE_BYTES):
            size = min(_PIECE_BYTES, record.bytes - begin)
            place = places[record.name] + begin
            piece = block[place : place + size]
            checkpoint.source.read_into(record.shard, record.offset + begin, piece)
            found = 0
            if record.dtype is Dtype.F8_E4M3:
                found = count_nan_bytes(torch.frombuffer(piece, dtype=torch.uint8).numpy())
            with lock:
                done += size
                nan_bytes += found
                if progress is not None:
                    progress(done, total, record.shard.name)

    with ThreadPoolExecutor(_READERS, thread_name_prefix="read") as pool:
        for _ in pool.map(read, records):
            pass
    return nan_bytes
