"""Reads in the background: the right bytes from any number of threads, the needed first, and faults told."""

from __future__ import annotations

import os
import random
import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.checkpoint.source import FileSource
from engine.errors import CheckpointError
from engine.offload import reader as module
from engine.offload.layout import PAGE_BYTES, Layout, lay_out
from engine.offload.reader import Priority, Reader
from engine.offload.throttle import Throttle
from engine.offload.traffic import TrafficCounter
from engine.offload.waiting import wait_for_any
from tests.engine.offload.sources import (
    PATIENCE,
    SHARDS,
    Gate,
    MadeSource,
    SteppedReader,
    expected,
    found,
    noise,
    pages,
    record,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.offload.reader import Read

FILES = {shard: noise(90_000, number) for number, shard in enumerate(SHARDS)}
PIECE = 2 * PAGE_BYTES


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE_BYTES", PIECE)


@pytest.fixture
def opened() -> Iterator[Callable[..., Reader]]:
    """Opens readers, and closes them."""
    readers: list[Reader] = []

    def make(source: object, threads: int = 1, **values: object) -> Reader:
        readers.append(Reader(source, threads, **values))  # type: ignore[arg-type]
        return readers[-1]

    yield make
    for reader in readers:
        reader.close()


def layouts_of(rng: random.Random, count: int) -> list[Layout]:
    """Units of some spans, each of a few bytes up to several pieces, at any offset of any shard."""

    def span() -> tuple[Path, int, int]:
        size = rng.choice((1, rng.randint(1, 5000), rng.randint(1, 5 * PIECE)))
        return rng.choice(SHARDS), rng.randint(0, 90_000 - size), size

    units = []
    for _ in range(count):
        spans = {(shard, at): size for shard, at, size in (span() for _ in range(rng.randint(1, 3)))}
        units.append(lay_out(record(f"{at}{shard}", at, size, shard) for (shard, at), size in spans.items()))
    return units


def unit(offset: int, size: int = 100) -> Layout:
    """A unit of one span."""
    return lay_out([record("t", offset, size)])


def finish(reader: Reader, *reads: Read) -> None:
    """Wait for reads, but not for ever."""
    for read in reads:
        assert reader.wait([read], PATIENCE)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), threads=st.integers(1, 8), direct=st.booleans())
def test_bytes_arrive_right(seed: int, threads: int, direct: bool) -> None:
    rng, source = random.Random(seed), MadeSource(FILES)
    units = layouts_of(rng, 6)
    memories = [pages(layout.bytes) for layout in units]
    reader = Reader(source, threads, direct)
    source.cached = set(rng.sample(SHARDS, rng.randint(0, 3)))
    try:
        reads = [
            reader.submit(layout.spans, memory, rng.choice(list(Priority)))
            for layout, memory in zip(units, memories, strict=True)
        ]
        finish(reader, *reads)
        for layout, memory, read in zip(units, memories, reads, strict=True):
            assert read.complete
            assert found(layout, memory) == expected(layout, FILES)
            assert read.bytes == layout.bytes_read
        assert reader.bytes_read == sum(layout.bytes_read for layout in units)
        assert source.paged == (len(source.calls) if direct else 0)
    finally:
        reader.close()


def test_what_is_small_and_at_hand_is_copied_at_once(opened: Callable[..., Reader]) -> None:
    source = MadeSource(FILES)
    source.cached = {SHARDS[0], SHARDS[1]}
    reader, layout = opened(source), unit(77, 3 * PIECE)
    memory = pages(layout.bytes)
    read = reader.submit(layout.spans, memory, Priority.GUESSED)
    assert read.complete
    assert read.begun
    assert found(layout, memory) == expected(layout, FILES)
    assert reader.bytes_read == layout.bytes_read == source.served
    assert 0 < reader.reading_seconds == reader.busy_seconds()
    assert reader._workers == []
    source.cached = set()
    source.before = gate = Gate()
    later = reader.submit(layout.spans, memory, Priority.NEEDED)
    gate.until_one_stands()
    assert not later.settled
    gate.open()
    finish(reader, later)
    assert reader.bytes_read == 2 * layout.bytes_read


@pytest.mark.parametrize("why", ["large", "direct", "slowed", "half of it"])
def test_what_is_not_is_left_to_the_threads(
    why: str, opened: Callable[..., Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = MadeSource(FILES)
    source.cached = {SHARDS[0]}
    records = [record("a", 50, 1000)]
    if why == "half of it":
        records.append(record("b", 50, 1000, SHARDS[1]))
    layout = lay_out(records)
    monkeypatch.setattr(module, "AT_ONCE_BYTES", 999 if why == "large" else 2000)
    throttle = Throttle(1e9) if why == "slowed" else None
    reader = opened(source, direct=why == "direct", throttle=throttle)
    threads: set[str] = set()

    def before(*_: object) -> None:
        threads.add(threading.current_thread().name)

    source.before = before
    memory = pages(layout.bytes)
    finish(reader, read := reader.submit(layout.spans, memory, Priority.NEEDED))
    assert read.complete
    assert found(layout, memory) == expected(layout, FILES)
    assert "read-0" in threads
    assert reader.bytes_read == layout.bytes_read


def test_after_closing_nothing_is_copied(opened: Callable[..., Reader]) -> None:
    source = MadeSource(FILES)
    source.cached = set(SHARDS)
    reader, layout = opened(source), unit(0)
    reader.close()
    assert isinstance(
        reader.submit(layout.spans, pages(layout.bytes), Priority.NEEDED).error, CheckpointError
    )
    assert source.calls == []


def test_a_long_span_is_cut_where_pieces_end_in_the_file(opened: Callable[..., Reader]) -> None:
    source = MadeSource(FILES)
    layout = unit(PIECE - 10, 2 * PIECE)
    finish(reader := opened(source), reader.submit(layout.spans, pages(layout.bytes), Priority.NEEDED))
    assert [(offset, size) for _, offset, size in source.calls] == [
        (PIECE - 10, 10),
        (PIECE, PIECE),
        (2 * PIECE, PIECE - 10),
    ]


def test_direct_reads_are_of_whole_pages_from_the_one_where_the_span_begins(
    opened: Callable[..., Reader],
) -> None:
    source = MadeSource(FILES)
    layout = unit(PAGE_BYTES + 300, 2 * PIECE)
    reader = opened(source, direct=True)
    memory = pages(layout.bytes)
    finish(reader, reader.submit(layout.spans, memory, Priority.NEEDED))
    assert [(offset, size) for _, offset, size in source.calls] == [
        (PAGE_BYTES, PAGE_BYTES),
        (PIECE, PIECE),
        (2 * PIECE, PAGE_BYTES + 300),
    ]
    assert source.paged == 3
    assert reader.bytes_read == 2 * PIECE, "only what was wanted counts"
    assert found(layout, memory) == expected(layout, FILES)


def test_spans_whose_pages_lie_otherwise_are_not_read_direct(opened: Callable[..., Reader]) -> None:
    source = MadeSource(FILES)
    span = replace(unit(PAGE_BYTES + 301, 9000).spans[0], place=0)
    reader, memory = opened(source, direct=True), pages(9000)
    finish(reader, reader.submit([span], memory, Priority.NEEDED))
    assert source.paged == 0
    assert bytes(memory[:9000]) == FILES[SHARDS[0]][PAGE_BYTES + 301 :][:9000]


@pytest.mark.parametrize("direct", [False, True])
def test_real_files(direct: bool, tmp_path: Path, opened: Callable[..., Reader]) -> None:
    file = tmp_path / "shard.safetensors"
    file.write_bytes(FILES[SHARDS[0]])
    source = FileSource()
    if direct:
        try:
            source.read_pages(file, 0, pages(PAGE_BYTES), PAGE_BYTES)
        except CheckpointError as error:
            pytest.skip(f"no O_DIRECT here: {error}")
    rng = random.Random(5)
    reader = opened(source, 4, direct=direct)
    sizes = [
        (0, 1),
        (89_999, 1),
        (0, 90_000),
        *((rng.randint(0, 40_000), rng.randint(1, 50_000)) for _ in range(9)),
    ]
    units = [lay_out([record("t", offset, size, file)]) for offset, size in sizes]
    memories = [pages(layout.bytes) for layout in units]
    for layout, memory in zip(units, memories, strict=True):
        finish(reader, reader.submit(layout.spans, memory, Priority.NEEDED))
        assert found(layout, memory) == expected(layout, {file: FILES[SHARDS[0]]})
    reader.close()
    source.close()


def held(opened: Callable[..., Reader], **values: object) -> tuple[Reader, MadeSource, Gate, Read]:
    """A reader with one thread, whose first read stands at a gate."""
    source, gate = MadeSource(FILES), Gate()
    source.before = gate
    reader = opened(source, **values)
    first = reader.submit(unit(0).spans, pages(PAGE_BYTES), Priority.GUESSED)
    gate.until_one_stands()
    return reader, source, gate, first


def test_needed_goes_before_next_before_guessed(opened: Callable[..., Reader]) -> None:
    reader, source, gate, _ = held(opened)
    order = [
        Priority.GUESSED,
        Priority.NEXT,
        Priority.NEEDED,
        Priority.GUESSED,
        Priority.NEXT,
        Priority.NEEDED,
    ]
    for number, priority in enumerate(order, start=1):
        reader.submit(unit(1000 * number).spans, pages(PAGE_BYTES), priority)
    gate.open()
    reader.drain()
    assert [offset // 1000 for _, offset, _ in source.calls] == [0, 3, 6, 2, 5, 1, 4]


def test_a_needed_read_goes_before_the_rest_of_a_guess(opened: Callable[..., Reader]) -> None:
    source, gate = MadeSource(FILES), Gate()
    source.before = gate
    reader = opened(source)
    guess = reader.submit(unit(0, 3 * PIECE).spans, pages(3 * PIECE), Priority.GUESSED)
    gate.until_one_stands()
    reader.submit(unit(50_000).spans, pages(2 * PAGE_BYTES), Priority.NEEDED)
    gate.open()
    finish(reader, guess)
    assert [offset for _, offset, _ in source.calls] == [0, 50_000, PIECE, 2 * PIECE]


def test_promoting_changes_the_order_and_demoting_does_not(opened: Callable[..., Reader]) -> None:
    reader, source, gate, _ = held(opened)
    guess, other = (
        reader.submit(unit(1000 * number).spans, pages(PAGE_BYTES), Priority.GUESSED) for number in (1, 2)
    )
    certain = reader.submit(unit(3000).spans, pages(PAGE_BYTES), Priority.NEXT)
    reader.promote(other, Priority.NEEDED)
    reader.promote(certain, Priority.GUESSED)
    gate.open()
    finish(reader, guess, other, certain)
    assert [offset // 1000 for _, offset, _ in source.calls] == [0, 2, 3, 1]


def test_a_dropped_read_that_had_not_begun_is_never_made(opened: Callable[..., Reader]) -> None:
    reader, source, gate, first = held(opened)
    guess = reader.submit(unit(1000).spans, pages(PAGE_BYTES), Priority.GUESSED)
    reader.drop(guess)
    assert (guess.settled, guess.complete, guess.begun) == (True, False, False)
    gate.open()
    finish(reader, first)
    reader.drain()
    assert len(source.calls) == 1
    reader.drop(first)  # too late to matter
    assert first.complete


def test_a_dropped_read_that_had_begun_settles_with_its_piece(opened: Callable[..., Reader]) -> None:
    source, gate = MadeSource(FILES), Gate()
    source.before = gate
    reader = opened(source)
    read = reader.submit(unit(0, 3 * PIECE).spans, pages(3 * PIECE), Priority.NEEDED)
    gate.until_one_stands()
    reader.drop(read)
    assert not read.settled, "its memory is still being written"
    assert not reader.wait([read], 0)
    gate.open()
    finish(reader, read)
    reader.drain()
    assert not read.complete
    assert reader.bytes_read == source.served == PIECE
    assert len(source.calls) == 1


def failing(error: BaseException) -> Callable[[Path, int, int], None]:
    def before(*_: object) -> None:
        raise error

    return before


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize(
    "error",
    [OSError(5, "Input/output error"), ValueError("odd"), MemoryError(), CheckpointError(f"{SHARDS[0]}!")],
)
def test_any_error_reaches_whoever_waits_and_names_the_file(
    error: Exception, direct: bool, opened: Callable[..., Reader]
) -> None:
    source = MadeSource(FILES)
    source.before = failing(error)
    reader = opened(source, 2, direct=direct)
    read = reader.submit(unit(7, 3 * PIECE).spans, pages(4 * PIECE), Priority.NEEDED)
    finish(reader, read)
    assert not read.complete
    assert isinstance(read.error, CheckpointError)
    assert str(SHARDS[0]) in str(read.error)
    assert reader.bytes_read == 0, "nothing was read"
    source.before = lambda *_: None
    again = reader.submit(unit(7).spans, pages(PAGE_BYTES), Priority.NEEDED)
    finish(reader, again)
    assert again.complete


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_file_that_was_cut_or_is_gone(damage: str, tmp_path: Path, opened: Callable[..., Reader]) -> None:
    file = tmp_path / "shard.safetensors"
    file.write_bytes(FILES[SHARDS[0]])
    reader = opened(FileSource())
    layout = lay_out([record("t", 60_000, 1000, file)])
    if damage == "cut":
        os.truncate(file, 60_500)
    else:
        file.unlink()
    read = reader.submit(layout.spans, pages(layout.bytes), Priority.NEEDED)
    finish(reader, read)
    assert str(file) in str(read.error)
    assert ("ended at byte 60,500" if damage == "cut" else "missing") in str(read.error)
    assert reader.bytes_read == 0


def test_one_bad_piece_fails_the_read_and_the_others_are_waited_for(opened: Callable[..., Reader]) -> None:
    source, gate = MadeSource(FILES), Gate()

    def before(file: Path, offset: int, needed: int) -> None:
        if offset == PIECE:
            raise OSError(5, "Input/output error")
        if offset == 2 * PIECE:
            gate()

    source.before = before
    reader = opened(source)
    read = reader.submit(unit(0, 3 * PIECE).spans, pages(3 * PIECE), Priority.NEEDED)
    gate.until_one_stands()
    assert read.error is not None
    assert not read.settled
    gate.open()
    finish(reader, read)
    assert reader.bytes_read == 2 * PIECE


def test_busy_seconds_are_those_with_a_read_outstanding(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: now))
    reader = SteppedReader(MadeSource(FILES), random.Random(0), most_under_way=1)
    assert reader.busy_seconds() == 0
    now = 110.0
    one = reader.submit(unit(0).spans, pages(PAGE_BYTES), Priority.NEEDED)
    now = 111.0
    reader.submit(unit(500).spans, pages(PAGE_BYTES), Priority.NEEDED)
    now = 113.0
    assert (reader.busy_seconds(), reader.reading_seconds) == (3, 0)
    while not one.settled:
        reader.step()
    now = 114.0
    assert (reader.busy_seconds(), reader.reading_seconds) == (4, 0)
    reader.drain()
    now = 200.0
    assert (reader.busy_seconds(), reader.reading_seconds) == (4, 4)
    dropped = reader.submit(unit(0).spans, pages(PAGE_BYTES), Priority.GUESSED)
    now = 202.0
    reader.drop(dropped)
    now = 300.0
    assert reader.busy_seconds() == 6


def threads_of(reader: Reader) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread in reader._workers]


def test_closing_ends_the_threads_and_fails_what_had_not_begun(opened: Callable[..., Reader]) -> None:
    reader, source, gate, first = held(opened)
    waiting = [reader.submit(unit(1000).spans, pages(PAGE_BYTES), priority) for priority in Priority]
    assert len(threads_of(reader)) == 1
    closing = threading.Thread(target=reader.close)
    closing.start()
    finish(reader, *waiting)
    assert not first.settled
    gate.open()
    closing.join(PATIENCE)
    assert threads_of(reader) == []
    assert first.complete
    assert len(source.calls) == 1
    assert all("closed" in str(read.error) and not read.complete for read in waiting)
    reader.close()
    reader.drain()


def test_after_closing_a_read_fails_and_nobody_waits_for_ever(opened: Callable[..., Reader]) -> None:
    reader = opened(MadeSource(FILES), 2)
    reader.close()
    assert threads_of(reader) == []
    read = reader.submit(unit(0).spans, pages(PAGE_BYTES), Priority.NEEDED)
    assert read.settled
    assert not read.complete
    assert "closed" in str(read.error)
    assert threads_of(reader) == []
    assert list(wait_for_any(reader, TrafficCounter(reader), [read])) == [None], (
        "a cancel is looked for first"
    )


def test_waiting_yields_until_the_read_is_there(
    opened: Callable[..., Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.offload.waiting.HEARTBEAT_SECONDS", 0.0)
    reader, _, gate, first = held(opened)
    counter = TrafficCounter(reader)
    beats = wait_for_any(reader, counter, [first])
    for _ in range(5):
        next(beats)
    assert counter.traffic().wait_seconds > 0
    assert counter.traffic().bytes_read == 0
    gate.open()
    finish(reader, first)
    assert list(beats) == []
    assert counter.traffic().bytes_read == 100


def test_a_short_wait_yields_too_once_the_read_is_there() -> None:
    reader = SteppedReader(MadeSource(FILES), random.Random(3))
    read = reader.submit(unit(0).spans, pages(PAGE_BYTES), Priority.NEEDED)
    settled = [read.settled for _ in wait_for_any(reader, TrafficCounter(reader), [read])]
    assert settled[-1], "many short waits are chances to cancel as well"
    assert list(wait_for_any(reader, TrafficCounter(reader), [read])) == []


def test_no_bytes_are_there_at_once(opened: Callable[..., Reader]) -> None:
    reader = opened(MadeSource(FILES))
    assert reader.submit([], pages(0), Priority.NEEDED).complete
    layout = unit(0)
    finish(reader, reader.submit(layout.spans, pages(layout.bytes), Priority.NEEDED))
    assert reader.submit([], pages(0), Priority.NEEDED).complete
    finish(reader, reader.submit(layout.spans, pages(layout.bytes), Priority.NEEDED))


def test_a_throttle_is_asked_for_every_piece(opened: Callable[..., Reader]) -> None:
    taken: list[int] = []

    class Noted(Throttle):
        def take(self, size: int) -> None:
            taken.append(size)

    layout = unit(PIECE - 10, 2 * PIECE)
    reader = opened(MadeSource(FILES), throttle=Noted(1.0))
    finish(reader, reader.submit(layout.spans, pages(layout.bytes), Priority.NEEDED))
    assert taken == [10, PIECE, PIECE - 10]
