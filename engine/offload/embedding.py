"""An embedding that is not in RAM: a token needs one row of it, which is read when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.checkpoint.tensor import TensorRecord
from engine.offload.layout import lay_out
from engine.offload.reader import Priority
from engine.offload.resident import DTYPES, anonymous_memory
from engine.offload.waiting import wait_for_any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from engine.model.steps import Steps
    from engine.offload.reader import Reader
    from engine.offload.traffic import TrafficCounter

ROWS_AT_ONCE = 32
"""Asked for as one read. Enough to keep every reader busy, and no more than a reader copies at once where the
system's cache holds them (V3: 459 KB)."""


class EmbeddingFile:
    """See the module, and `engine.model.supply.Embedding`."""

    def __init__(self, reader: Reader, counter: TrafficCounter, record: TensorRecord) -> None:
        self._reader, self._counter, self._record = reader, counter, record
        self._row_bytes = record.bytes // record.shape[0]

    def rows(self, ids: Sequence[int]) -> Steps[Tensor]:
        """Each id is read once, in the file's order. Raises CheckpointError where that fails."""
        different = sorted(set(ids))
        raw = torch.empty(len(different), self._row_bytes, dtype=torch.uint8)
        for first in range(0, len(different), ROWS_AT_ONCE):
            if first:
                yield
            last = first + ROWS_AT_ONCE
            yield from self._read(different[first:last], raw[first:last])
        place = {token: row for row, token in enumerate(different)}
        stored = raw.view(DTYPES[self._record.dtype])
        return stored[torch.tensor([place[token] for token in ids], dtype=torch.int64)].float()

    def _read(self, ids: Sequence[int], raw: Tensor) -> Iterator[None]:
        """The bytes of some rows, into [ids, bytes of a row]."""
        layout = lay_out(self._row(token) for token in ids)
        memory = memoryview(anonymous_memory(layout.bytes))
        read = self._reader.submit(layout.spans, memory, Priority.NEEDED)
        try:
            yield from wait_for_any(self._reader, self._counter, [read])
        finally:  # also where the pass is given up
            self._reader.drop(read)
        if read.error is not None:
            raise read.failure()
        held = torch.frombuffer(memory, dtype=torch.uint8)
        for row, place in zip(raw, layout.places, strict=True):
            row.copy_(held[place : place + self._row_bytes])

    def _row(self, token: int) -> TensorRecord:
        whole = self._record
        return TensorRecord(
            name=f"{whole.name}[{token}]",
            shard=whole.shard,
            dtype=whole.dtype,
            shape=whole.shape[1:],
            offset=whole.offset + token * self._row_bytes,
            bytes=self._row_bytes,
        )
