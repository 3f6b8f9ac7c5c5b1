"""An embedding whose rows are read when they are asked for: each once, and like any other read."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.checkpoint.tensor import Dtype, TensorRecord
from engine.errors import CheckpointError
from engine.model.steps import finish
from engine.offload.embedding import ROWS_AT_ONCE, EmbeddingFile
from engine.offload.reader import Reader
from engine.offload.throttle import Throttle
from engine.offload.traffic import TrafficCounter
from tests.engine.offload.sources import SHARDS, Gate, MadeSource, SteppedReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROWS, COLUMNS = 300, 20
TABLE: np.ndarray[Any, np.dtype[np.float32]] = np.random.default_rng(1).standard_normal(
    (ROWS, COLUMNS), np.float32
)
OFFSET = 4 * 777
"""In mid-page, as a tensor begins."""
RECORD = TensorRecord("embed", SHARDS[0], Dtype.F32, (ROWS, COLUMNS), OFFSET, TABLE.nbytes)
ROW_BYTES = 4 * COLUMNS


def source() -> MadeSource:
    return MadeSource({SHARDS[0]: bytes(OFFSET) + TABLE.tobytes()})


@pytest.fixture
def opened() -> Iterator[Callable[..., tuple[EmbeddingFile, Reader, TrafficCounter]]]:
    """Makes embeddings with readers of their own, and closes those."""
    readers: list[Reader] = []

    def make(source: MadeSource, **values: object) -> tuple[EmbeddingFile, Reader, TrafficCounter]:
        reader = Reader(source, 2, **values)  # type: ignore[arg-type]
        readers.append(reader)
        counter = TrafficCounter(reader)
        return EmbeddingFile(reader, counter, RECORD), reader, counter

    yield make
    for reader in readers:
        reader.close()


@settings(deadline=None, max_examples=60)
@given(ids=st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=400), seed=st.integers(0, 2**32))
def test_rows_are_right_in_any_order_of_reading(ids: list[int], seed: int) -> None:
    made = source()
    reader = SteppedReader(made, random.Random(seed))
    rows = finish(EmbeddingFile(reader, TrafficCounter(reader), RECORD).rows(ids))
    assert np.array_equal(rows.numpy(), TABLE[ids])
    assert reader.bytes_read == sum(size for _, _, size in made.calls) == len(set(ids)) * ROW_BYTES


@pytest.mark.parametrize("direct", [False, True])
def test_each_row_is_read_once_and_counted(
    direct: bool, opened: Callable[..., tuple[EmbeddingFile, Reader, TrafficCounter]]
) -> None:
    embedding, _, counter = opened(source(), direct=direct)
    ids = [5 + 3 * number % 90 for number in range(1000)]
    assert np.array_equal(finish(embedding.rows(ids)).numpy(), TABLE[ids])
    assert counter.traffic().bytes_read == len(set(ids)) * ROW_BYTES


def test_what_the_system_holds_is_there_at_once(
    opened: Callable[..., tuple[EmbeddingFile, Reader, TrafficCounter]],
) -> None:
    made = source()
    made.cached = {SHARDS[0]}
    embedding, _, counter = opened(made)
    assert list(embedding.rows([7, 7, 250])) == []
    assert counter.traffic().bytes_read == 2 * ROW_BYTES
    assert counter.wait_seconds == 0


def test_many_rows_have_steps_however_fast_they_come(
    opened: Callable[..., tuple[EmbeddingFile, Reader, TrafficCounter]],
) -> None:
    made = source()
    made.cached = {SHARDS[0]}
    embedding, _, _ = opened(made)
    assert len(list(embedding.rows(range(ROWS)))) == -(-ROWS // ROWS_AT_ONCE) - 1


def test_a_throttle_is_asked_for_every_row(
    opened: Callable[..., tuple[EmbeddingFile, Reader, TrafficCounter]],
) -> None:
    taken: list[int] = []

    class Noted(Throttle):
        def take(self, size: int) -> None:
            taken.append(size)

    embedding, _, _ = opened(source(), throttle=Noted(1.0))
    finish(embedding.rows([9, 1, 9, 4, 1]))
    assert taken == [ROW_BYTES] * 3


def test_what_is_given_up_is_not_read_on(
    opened: Callable[..., tuple[EmbeddingFile, Reader, TrafficCounter]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engine.offload.waiting.HEARTBEAT_SECONDS", 0.0)
    made, gate = source(), Gate()
    made.before = gate
    embedding, reader, counter = opened(made)
    steps = embedding.rows(range(0, ROWS, 2))
    next(steps)
    assert counter.wait_seconds > 0
    for _ in range(2):
        gate.until_one_stands()
    steps.close()
    gate.open()
    reader.drain()
    assert len(made.calls) == 2, "those that were under way in two threads"


def test_a_drive_that_fails_is_told(
    opened: Callable[..., tuple[EmbeddingFile, Reader, TrafficCounter]],
) -> None:
    made = source()
    embedding, _, _ = opened(made)
    whole = made.files[SHARDS[0]]
    made.files[SHARDS[0]] = whole[: OFFSET + 10 * ROW_BYTES]
    assert np.array_equal(finish(embedding.rows([3, 4])).numpy(), TABLE[[3, 4]])
    with pytest.raises(CheckpointError, match="ended early"):
        finish(embedding.rows([3, 200]))
    made.files[SHARDS[0]] = whole
    assert np.array_equal(finish(embedding.rows([3, 200])).numpy(), TABLE[[3, 200]])


def test_rows_stored_in_other_types_become_float32() -> None:
    stored = torch.from_numpy(TABLE).bfloat16()
    made = MadeSource({SHARDS[0]: bytes(OFFSET) + stored.view(torch.uint8).numpy().tobytes()})
    reader = SteppedReader(made, random.Random(0))
    record = replace(RECORD, dtype=Dtype.BF16, bytes=RECORD.bytes // 2)
    rows = finish(EmbeddingFile(reader, TrafficCounter(reader), record).rows([5, 0, 5]))
    assert torch.equal(rows, stored[[5, 0, 5]].float())
