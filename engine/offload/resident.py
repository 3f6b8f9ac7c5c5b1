"""Weights that stay in RAM: read once, as they lie in the shards, into one block of memory."""

from __future__ import annotations

import mmap
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.checkpoint.tensor import Dtype
from engine.kernels.elementwise import count_nan_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from torch import Tensor

    from engine.checkpoint.source import ByteSource
    from engine.checkpoint.tensor import TensorRecord
    from engine.kernels.base import Expert
    from engine.offload.throttle import Throttle

    Progress = Callable[[int, int, str], None]
    """Called with bytes done, bytes in all, and what is being read; from any thread, one at a time."""

DTYPES = {
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

    def fetch(self, numbers: tuple[int, ...], in_order: bool) -> Iterator[Mapping[int, Expert]]:
        """See `engine.model.feed_forward.ExpertBank`."""
        yield {number: self.nets[number] for number in numbers}

    def expect(self, numbers: tuple[int, ...]) -> None:
        """They are there."""


class ResidentBlock:
    """Tensors in one block. `nan_bytes` counts FP8 weights that stand for NaN: healthy ones have none."""

    def __init__(
        self,
        source: ByteSource,
        records: Iterable[TensorRecord],
        progress: Progress | None,
        throttle: Throttle | None = None,
    ) -> None:
        ordered = sorted(
            {record.name: record for record in records}.values(),
            key=lambda record: (str(record.shard), record.offset),
        )
        places, self.bytes = _lay_out(ordered)
        block = anonymous_memory(max(self.bytes, 1))
        self._block = torch.frombuffer(block, dtype=torch.uint8)
        self._tensors = {
            record.name: self._block[places[record.name] : places[record.name] + record.bytes]
            .view(DTYPES[record.dtype])
            .view(record.shape)
            for record in ordered
        }
        self.nan_bytes = _read(source, ordered, places, memoryview(block), progress, throttle)

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def tensor(self, name: str) -> Tensor:
        """A tensor as it is stored."""
        return self._tensors[name]


def anonymous_memory(size: int) -> mmap.mmap:
    """Memory for weights, page-aligned, in huge pages where the system has them.

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


def _read(
    source: ByteSource,
    records: list[TensorRecord],
    places: Mapping[str, int],
    block: memoryview,
    progress: Progress | None,
    throttle: Throttle | None,
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
            if throttle is not None:
                throttle.take(size)
            source.read_into(record.shard, record.offset + begin, piece)
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
