"""Short measurements: which way of reading is the fastest, and what the drive gives.

At load, random spans are read in every way that the reader knows, each span once, since the page cache would
answer the second time. What it holds already is not dropped then: it is part of what a user has. For the
speed of the drive itself (`drive_speed`) it is.
"""

from __future__ import annotations

import mmap
import os
import random
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from engine.checkpoint.source import FileSource
from engine.errors import CheckpointError
from engine.offload.layout import PAGE_BYTES
from engine.offload.reader import PIECE_BYTES, Priority, Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from engine.checkpoint.source import ByteSource
    from engine.offload.layout import Span
    from engine.offload.reader import Read

    Clock: TypeAlias = Callable[[], float]

SCRATCH_BYTES = 64_000_000
LEAST_BYTES_AN_ARM = 32_000_000
"""With less to read, an arm is over before all its threads are at work."""
CLEARLY_FASTER = 1.1
"""How much faster another way must be than the usual one: so short a measurement scatters by some percent,
and the page cache makes use of memory that nobody else wants, which reading each byte once cannot show."""
COLD_BYTES_AN_ARM = 2_000_000_000
"""About so much at most is dropped from the page cache, and read, to see what the drive gives."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of reading."""

    threads: int
    direct: bool


@dataclass(frozen=True, slots=True)
class ReaderChoice:
    """How to read, and what that gave."""

    threads: int
    direct: bool
    bytes_per_second: float | None
    """None where nothing was measured."""
    measured: bool


@dataclass(frozen=True, slots=True)
class DriveSpeed:
    """What a drive delivers where the page cache has nothing."""

    buffered_bytes_per_second: float | None
    """None where the system has no way to drop pages: memory would have been measured."""
    direct_bytes_per_second: float | None
    """None where the file system refuses O_DIRECT."""
    threads: int

    @property
    def best_bytes_per_second(self) -> float | None:
        """Of the two ways, the faster; the engine takes that as well."""
        return max(filter(None, (self.buffered_bytes_per_second, self.direct_bytes_per_second)), default=None)


DEFAULT = ReaderChoice(threads=4, direct=False, bytes_per_second=None, measured=False)

_USUAL = Arm(DEFAULT.threads, DEFAULT.direct)
# By preference, and the most telling first: on a drive so slow that time runs out, the last are not tried.
_ARMS = (_USUAL, Arm(4, True), Arm(8, False), Arm(8, True), Arm(1, False), Arm(1, True))


def choose_reader(
    source: ByteSource,
    spans: Sequence[Span],
    *,
    seconds: float = 0.6,
    budget_bytes: int,
    cached_share: float = 0.0,
    clock: Clock = time.perf_counter,
) -> ReaderChoice:
    """Read random ones of the spans in every way for a share of the time, and choose.

    `cached_share` is the part of what moves that the system's page cache has room for beside the budget.
    It takes at most `budget_bytes` of memory, and SCRATCH_BYTES, and returns them. DEFAULT, unmeasured, comes
    back where memory or spans are too few. Raises CheckpointError where a span cannot be read; that O_DIRECT
    cannot only leaves it out (whoever asks for it by name: see `direct_works`).
    """
    order = _shuffled(spans)
    arms: tuple[Arm, ...] = _ARMS
    if order and not direct_works(source, order[0].shard):
        arms = tuple(arm for arm in arms if not arm.direct)
    scratch_bytes = min(SCRATCH_BYTES, budget_bytes) // PAGE_BYTES * PAGE_BYTES
    too_few = sum(span.bytes for span in order) < LEAST_BYTES_AN_ARM * len(arms)
    if too_few or scratch_bytes < PIECE_BYTES + 2 * PAGE_BYTES:
        return DEFAULT
    speeds: dict[Arm, float] = {}
    lead_in = order.pop()  # the first read of all is slower, whoever makes it
    end = clock() + 2 * seconds
    with _scratch(scratch_bytes) as memory:
        _speed(source, [lead_in], memory, _USUAL, seconds / len(arms), clock)
        for place, arm in enumerate(arms):
            if speeds and clock() > end:
                break
            try:
                speed = _speed(source, order[place :: len(arms)], memory, arm, seconds / len(arms), clock)
            except CheckpointError:
                if not arm.direct:
                    raise
                continue
            if speed is not None:
                speeds[arm] = speed
    return choose(speeds, cached_share)


def choose(speeds: Mapping[Arm, float], cached_share: float = 0.0) -> ReaderChoice:
    """The most usual arm that none is clearly faster than: which of several is the fastest is chance.

    Each span was read once. Where the page cache can keep a share of them, it answers as much of what is read
    again, and the drive has only the rest to deliver; reading past it goes without that.
    """
    if _USUAL not in speeds:
        return DEFAULT
    again = {arm: speed * (1 - cached_share) if arm.direct else speed for arm, speed in speeds.items()}
    fastest = max(again.values())
    best = next(arm for arm in _ARMS if arm in again and CLEARLY_FASTER * again[arm] > fastest)
    return ReaderChoice(best.threads, best.direct, speeds[best], measured=True)


def direct_works(source: ByteSource, shard: Path) -> bool:
    """Whether the shard can be read past the page cache: not every file system has O_DIRECT."""
    try:
        needed = min(source.size(shard), PAGE_BYTES)
        with _scratch(PAGE_BYTES) as memory:
            source.read_pages(shard, 0, memory, needed)
    except CheckpointError:
        return False
    return True


def drive_speed(
    spans: Sequence[Span],
    *,
    seconds: float = 1.6,
    threads: int = DEFAULT.threads,
    source: ByteSource | None = None,
    drop: Callable[[Iterable[Span]], bool] | None = None,
    clock: Clock = time.perf_counter,
) -> DriveSpeed | None:
    """Read random ones of the spans from the drive, through the page cache and past it.

    None where all of them are too few bytes. Raises CheckpointError. `source` and `drop` replace files and
    `drop_pages`, for tests.
    """
    order = _shuffled(spans)
    size = sum(span.bytes for span in order)
    if size < 2 * LEAST_BYTES_AN_ARM:
        return None
    most = 2 * max(1, COLD_BYTES_AN_ARM * len(order) // size)
    through, past = order[:most:2], order[1:most:2]
    opened, buffered, direct = source or FileSource(), None, None
    try:
        with _scratch(SCRATCH_BYTES) as memory:
            if (drop or drop_pages)([*through, *past]):
                buffered = _speed(opened, through, memory, Arm(threads, False), seconds / 2, clock)
            if direct_works(opened, order[0].shard):
                direct = _speed(opened, past, memory, Arm(threads, True), seconds / 2, clock)
    finally:
        if source is None:
            opened.close()
    return DriveSpeed(buffered, direct, threads)


def drop_pages(spans: Iterable[Span]) -> bool:
    """Make the system forget what its page cache has of local files; False where it has no way to.

    Pages that are not on the drive yet stay, as just after a download.
    """
    if not hasattr(os, "posix_fadvise"):
        return False
    by_shard: dict[Path, list[Span]] = {}
    for span in spans:
        by_shard.setdefault(span.shard, []).append(span)
    for shard, parts in by_shard.items():
        try:
            descriptor = os.open(shard, os.O_RDONLY)
        except OSError:
            continue  # reading it will say why
        try:
            for span in parts:
                os.posix_fadvise(descriptor, span.offset, span.bytes, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
    return True


def _shuffled(spans: Sequence[Span]) -> list[Span]:
    """Each place in a file once, in an order that is random and always the same."""
    order = [*{(span.shard, span.offset): span for span in spans}.values()]
    random.Random(0).shuffle(order)
    return order


@contextmanager
def _scratch(size: int) -> Iterator[memoryview]:
    """Memory in whole pages that are all there already, and gone afterwards."""
    pages = mmap.mmap(-1, size)
    pages[::PAGE_BYTES] = bytes(size // PAGE_BYTES)
    try:
        with memoryview(pages) as memory:
            yield memory
    finally:
        with suppress(BufferError):  # an error under way knows who read where: it goes with that
            pages.close()


def _speed(
    source: ByteSource, spans: Sequence[Span], memory: memoryview, arm: Arm, seconds: float, clock: Clock
) -> float | None:
    """Bytes a second over so much time, or as long as there are spans; None where there was nothing to read.

    Several reads may go to the same memory at once: nobody looks at the bytes.
    """
    waiting, place = iter(spans), 0
    reads: list[Read] = []
    reader = Reader(source, arm.threads, arm.direct)
    began = clock()
    try:
        while (left := began + seconds - clock()) > 0:
            while sum(read.left for read in reads) < 2 * arm.threads and (span := next(waiting, None)):
                target, place = _placed(span, place, len(memory))
                reads.append(reader.submit((target,), memory, Priority.NEEDED))
            if not reads:
                break
            reader.wait(reads, left)
            _check(reads)
            reads = [read for read in reads if not read.settled]
        # What has begun is waited for and counted, or many threads would look slower than few.
        for read in reads:
            reader.drop(read)
        reader.drain()
        elapsed = clock() - began
        _check(reads)
    finally:
        reader.close()
    return reader.bytes_read / elapsed if reader.bytes_read and elapsed > 0 else None


def _placed(span: Span, place: int, room: int) -> tuple[Span, int]:
    """The span, or as much of it as there is room for, in pages as in a unit; and the place for the next."""
    shift = span.place % PAGE_BYTES
    size = min(span.bytes, room - 2 * PAGE_BYTES)
    needed = -(-(shift + size) // PAGE_BYTES) * PAGE_BYTES
    if place + needed > room:
        place = 0
    return replace(span, bytes=size, place=place + shift), place + needed


def _check(reads: Iterable[Read]) -> None:
    for read in reads:
        if read.error is not None:
            raise read.failure()
