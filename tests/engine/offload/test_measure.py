"""The choice of a reader, on drives that exist as a clock: each byte read moves it on, nothing else does."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.checkpoint.source import FileSource
from engine.errors import CheckpointError
from engine.offload.layout import PAGE_BYTES, Span
from engine.offload.measure import (
    DEFAULT,
    LEAST_BYTES_AN_ARM,
    Arm,
    DriveSpeed,
    ReaderChoice,
    choose,
    choose_reader,
    direct_works,
    drive_speed,
    drop_pages,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

SHARD = Path("/nowhere/model.safetensors")
MB = 1_000_000
BUDGET = 100 * MB


class Drive:
    """A source whose reads take so long, one after the other, and move no bytes."""

    def __init__(self, buffered: float, direct: float | None, size: int = 1 << 40) -> None:
        self.now = 0.0
        self.reads: list[tuple[bool, int, int]] = []
        """Direct or not, offset, and bytes."""
        self.reads_until_broken: int | None = None
        self._speeds = {False: buffered, True: direct}
        self._size = size
        self._lock = threading.Lock()

    def clock(self) -> float:
        return self.now

    def exists(self, file: Path) -> bool:
        return file == SHARD

    def size(self, file: Path) -> int:
        return self._size

    def read_into(self, file: Path, offset: int, buffer: memoryview) -> None:
        self._read(False, offset, len(buffer))

    def read_now(self, file: Path, offset: int, buffer: memoryview) -> bool:
        return False

    def read_pages(self, file: Path, offset: int, pages: memoryview, needed: int) -> None:
        assert offset % PAGE_BYTES == 0
        assert len(pages) % PAGE_BYTES == 0
        assert 0 < needed <= len(pages)
        self._read(True, offset, needed)

    def close(self) -> None:
        pass

    def _read(self, direct: bool, offset: int, count: int) -> None:
        speed = self._speeds[direct]
        if speed is None:
            raise CheckpointError(f"{SHARD} cannot be read: Invalid argument.")
        with self._lock:
            self.reads.append((direct, offset, count))
            self.now += count / speed
            if self.reads_until_broken is not None and len(self.reads) > self.reads_until_broken:
                raise CheckpointError(f"{SHARD} cannot be read: Input/output error.")


def spans(count: int = 400, size: int = 3 * MB) -> list[Span]:
    """Apart from each other, and not on pages' borders."""
    pitch = size + 10 * PAGE_BYTES
    return [Span(SHARD, 777 + i * pitch, size, (777 + i * pitch) % PAGE_BYTES) for i in range(count)]


def chosen(drive: Drive, given: list[Span] | None = None, budget: int = BUDGET) -> ReaderChoice:
    return choose_reader(drive, spans() if given is None else given, budget_bytes=budget, clock=drive.clock)


def test_reading_past_the_cache_is_chosen_where_it_is_faster() -> None:
    choice = chosen(Drive(buffered=500 * MB, direct=1000 * MB))
    assert choice.direct
    assert choice.measured
    assert choice.bytes_per_second == pytest.approx(1000 * MB, rel=0.01)


@pytest.mark.parametrize("direct", [100, 500, 540])
def test_and_not_where_it_is_slower_or_hardly_faster(direct: int) -> None:
    choice = chosen(Drive(buffered=500 * MB, direct=direct * MB))
    assert (choice.threads, choice.direct, choice.measured) == (4, False, True)
    assert choice.bytes_per_second == pytest.approx(500 * MB)


def test_a_refusal_leaves_the_arm_out() -> None:
    drive = Drive(buffered=500 * MB, direct=None)
    assert not direct_works(drive, SHARD)
    choice = chosen(drive)
    assert (choice.direct, choice.measured) == (False, True)


def test_a_refusal_by_another_shard_as_well() -> None:
    class Mixed(Drive):
        def read_pages(self, file: Path, offset: int, pages: memoryview, needed: int) -> None:
            if offset:  # the first page of a shard is what is asked beforehand
                raise CheckpointError(f"{SHARD} cannot be read: Invalid argument.")

    choice = chosen(Mixed(buffered=500 * MB, direct=9000 * MB))
    assert (choice.direct, choice.measured) == (False, True)


def test_no_byte_is_read_twice_and_none_outside_the_spans() -> None:
    drive = Drive(buffered=5000 * MB, direct=5000 * MB)
    given = spans()
    chosen(drive, [*given, *given])
    probe, *reads = drive.reads
    assert probe == (True, 0, PAGE_BYTES)  # whether there is O_DIRECT
    pages: Counter[int] = Counter()
    for direct, offset, count in reads:
        span = next(span for span in given if span.offset // PAGE_BYTES * PAGE_BYTES <= offset < span.end)
        first = span.offset // PAGE_BYTES * PAGE_BYTES if direct else span.offset
        assert first <= offset
        assert offset + count <= span.end
        pages.update(range(offset // PAGE_BYTES, (offset + count - 1) // PAGE_BYTES + 1))
    # Buffered pieces of one span end and begin on pages' borders too.
    assert max(pages.values()) == 1
    assert {direct for direct, *_ in reads} == {False, True}


def test_spans_larger_than_the_memory_are_read_in_part() -> None:
    drive = Drive(buffered=500 * MB, direct=1000 * MB)
    budget = 20 * MB
    choice = chosen(drive, spans(40, size=50 * MB), budget)
    assert choice.direct
    by_span: Counter[int] = Counter()
    for _, offset, count in drive.reads[1:]:
        by_span[(offset + PAGE_BYTES) // (50 * MB + 10 * PAGE_BYTES)] += count
    assert max(by_span.values()) <= budget


def test_a_slow_drive_is_not_kept_busy_for_long() -> None:
    drive = Drive(buffered=10 * MB, direct=10 * MB)
    choice = chosen(drive)
    assert choice.measured
    # Two arms at most, each until what had begun was there: 8 pieces of 4 MiB, and the lead-in.
    assert drive.now < 20


@pytest.mark.parametrize(
    ("given", "budget"),
    [
        ([], BUDGET),
        (spans(20, size=MB), BUDGET),
        (spans(), PAGE_BYTES),
        (spans(), 0),
        (spans(1, size=LEAST_BYTES_AN_ARM) * 100, BUDGET),
    ],
)
def test_too_little_is_not_measured(given: list[Span], budget: int) -> None:
    assert chosen(Drive(buffered=MB, direct=100 * MB), given, budget) == DEFAULT
    assert ReaderChoice(threads=4, direct=False, bytes_per_second=None, measured=False) == DEFAULT


@pytest.mark.parametrize("reads", [0, 7])
def test_a_read_that_fails_is_told(reads: int) -> None:
    drive = Drive(buffered=5000 * MB, direct=None)
    drive.reads_until_broken = reads
    with pytest.raises(CheckpointError, match="Input/output error"):
        chosen(drive)


def test_threads_are_chosen_by_speed() -> None:
    usual = {Arm(4, False): 100.0}
    assert choose(usual | {Arm(8, False): 111.0}).threads == 8
    assert choose(usual | {Arm(8, False): 109.0}).threads == 4
    assert choose(usual | {Arm(1, True): 170.0, Arm(8, False): 140.0}) == ReaderChoice(1, True, 170.0, True)
    # What differs by less than such a measurement scatters is not told apart.
    assert choose(usual | {Arm(1, True): 150.0, Arm(4, True): 149.0}) == ReaderChoice(4, True, 149.0, True)
    assert choose({}) == DEFAULT


def test_past_the_page_cache_only_where_that_makes_up_for_what_it_would_keep() -> None:
    speeds = {Arm(4, False): 100.0, Arm(4, True): 150.0, Arm(8, False): 95.0}
    assert choose(speeds).direct
    assert choose(speeds, cached_share=0.1).direct
    assert choose(speeds, cached_share=0.4) == ReaderChoice(4, False, 100.0, True)
    assert not choose({**speeds, Arm(4, True): 10_000.0}, cached_share=1.0).direct
    assert choose({**speeds, Arm(4, True): 400.0}, cached_share=0.5) == ReaderChoice(4, True, 400.0, True)


class TestDrive:
    def test_both_ways(self) -> None:
        drive, dropped = Drive(buffered=400 * MB, direct=800 * MB), []

        def drop(given: Iterable[Span]) -> bool:
            dropped.extend(given)
            assert not drive.reads
            return True

        speed = drive_speed(spans(), source=drive, drop=drop, clock=drive.clock)
        assert speed is not None
        assert speed.buffered_bytes_per_second == pytest.approx(400 * MB)
        assert speed.direct_bytes_per_second == pytest.approx(800 * MB, rel=0.01)
        assert speed.best_bytes_per_second == speed.direct_bytes_per_second
        assert drive.now < 2
        offsets = {span.offset for span in dropped}
        assert len(offsets) == len(dropped)
        assert drive.reads[0][1] in offsets

    def test_a_refusal_and_pages_that_cannot_be_dropped_are_no_speed(self) -> None:
        drive = Drive(buffered=400 * MB, direct=None)
        speed = drive_speed(spans(), source=drive, drop=lambda _: True, clock=drive.clock)
        assert speed is not None
        assert speed.direct_bytes_per_second is None
        drive = Drive(buffered=400 * MB, direct=800 * MB)
        speed = drive_speed(spans(), source=drive, drop=lambda _: False, clock=drive.clock)
        assert speed is not None
        assert speed.buffered_bytes_per_second is None
        assert DriveSpeed(None, None, 4).best_bytes_per_second is None

    def test_too_little(self) -> None:
        drive = Drive(buffered=400 * MB, direct=800 * MB)
        assert drive_speed(spans(10), source=drive, drop=lambda _: True, clock=drive.clock) is None
        assert drive.reads == []

    def test_files(self, tmp_path: Path) -> None:
        """Real ones, of holes: what is read is right in the end where the file is cut on no page's border."""
        file = tmp_path / "model.safetensors"
        size = 80 * MB + 123
        with file.open("wb") as stream:
            stream.truncate(size)
        given = [Span(file, at, min(4 * MB, size - at), at % PAGE_BYTES) for at in range(123, size, 4 * MB)]
        speed = drive_speed(given)
        assert speed is not None
        assert speed.buffered_bytes_per_second is None or speed.buffered_bytes_per_second > 0
        source = FileSource()
        assert (speed.direct_bytes_per_second is not None) == direct_works(source, file)
        assert not direct_works(source, tmp_path / "missing")
        source.close()
        assert drop_pages([Span(tmp_path / "missing", 0, 1, 0)]) in (True, False)
