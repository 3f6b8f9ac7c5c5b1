"""A bare parallel reader: what a drive gives when nothing is computed. The measure for the engine's reads.

It reads the very ranges that the engine has read, in the same order. It holds as much memory as the engine,
so that in the same control group the same is left for pages of files. No layer waits for the one before it,
so the queue never runs dry.
"""

from __future__ import annotations

import mmap
import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.checkpoint.source import FileSource

if TYPE_CHECKING:
    from pathlib import Path

_PAGE_BYTES = 4096
_MAX_READ_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Speed:
    """What one pass has read, and in what time."""

    readers: int
    direct: bool
    bytes: int
    seconds: float

    @property
    def gb_per_second(self) -> float:
        """10^9 bytes a second."""
        return self.bytes / self.seconds / 1e9


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes of a shard that were read as one."""

    shard: str
    offset: int
    bytes: int


class Recorder:
    """Notes every range that an engine of this process reads from files, in order, while it is on."""

    def __init__(self) -> None:
        self.ranges: list[Range] | None = None
        into, now, pages = FileSource.read_into, FileSource.read_now, FileSource.read_pages

        def read_into(source: FileSource, file: Path, offset: int, buffer: memoryview) -> None:
            self._note(file, offset, buffer.nbytes)
            into(source, file, offset, buffer)

        def read_now(source: FileSource, file: Path, offset: int, buffer: memoryview) -> bool:
            there = now(source, file, offset, buffer)
            if there:
                self._note(file, offset, buffer.nbytes)
            return there

        def read_pages(source: FileSource, file: Path, offset: int, memory: memoryview, needed: int) -> None:
            self._note(file, offset, needed)
            pages(source, file, offset, memory, needed)

        FileSource.read_into = read_into  # type: ignore[method-assign]
        FileSource.read_now = read_now  # type: ignore[method-assign]
        FileSource.read_pages = read_pages  # type: ignore[method-assign]

    def _note(self, file: Path, offset: int, size: int) -> None:
        if self.ranges is not None:
            self.ranges.append(Range(str(file), offset, size))


def first_of(spans: list[Range], most_bytes: int) -> list[Range]:
    """Return the first spans, as many as amount to so much, and one at least."""
    total = 0
    for count, span in enumerate(spans):
        total += span.bytes
        if total >= most_bytes:
            return spans[: count + 1]
    return spans


def read(spans: list[Range], readers: int, direct: bool, held_bytes: int = 0) -> Speed:
    """Read all spans once, with so many threads. Raises OSError where the file system has no O_DIRECT."""
    ballast = mmap.mmap(-1, held_bytes) if held_bytes else None
    for place in range(0, held_bytes, _PAGE_BYTES):
        assert ballast is not None
        ballast[place] = 1
    flags = os.O_RDONLY | (os.O_DIRECT if direct else 0)
    descriptors = {shard: os.open(shard, flags) for shard in {span.shard for span in spans}}
    largest = max(span.bytes for span in spans) + 2 * _PAGE_BYTES
    queue = iter(spans)
    lock = threading.Lock()
    errors: list[OSError] = []

    def work() -> None:
        buffer = memoryview(mmap.mmap(-1, largest))
        try:
            while True:
                with lock:
                    span = next(queue, None)
                if span is None or errors:
                    return
                _read(descriptors[span.shard], span, direct, buffer)
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(readers)]
    began = time.perf_counter()
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - began
    finally:
        for descriptor in descriptors.values():
            os.close(descriptor)
    if errors:
        raise errors[0]
    return Speed(readers, direct, sum(span.bytes for span in spans), seconds)


def _read(descriptor: int, span: Range, direct: bool, buffer: memoryview) -> None:
    begin, end = span.offset, span.offset + span.bytes
    if direct:  # whole pages, the file's end apart
        begin = begin // _PAGE_BYTES * _PAGE_BYTES
        end = -(-end // _PAGE_BYTES) * _PAGE_BYTES
    wanted = span.offset + span.bytes - begin
    done = 0
    while done < wanted:
        count = os.preadv(descriptor, [buffer[done : min(end - begin, done + _MAX_READ_BYTES)]], begin + done)
        if count == 0:
            raise OSError(f"{span.shard} ended at byte {begin + done:,}")
        done += count
