"""Reads in the background: several threads, three priorities, and a record of how busy the drive was.

A `Read` is what somebody waits for as a whole; it is cut into pieces that the threads share, so that one
expert comes in over several requests at once. Reads that are only guesses go last, can be promoted when they
turn out to be needed, and dropped when not. What is small and need not be waited for is copied where it is
asked for: to wake a thread, and be woken by it, takes longer. What is read goes to memory that is laid out in
whole pages (see `layout`), so that a source may bypass the page cache.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from engine.errors import CheckpointError, shown, shown_error
from engine.offload.layout import PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.checkpoint.source import ByteSource
    from engine.offload.layout import Span
    from engine.offload.throttle import Throttle

PIECE_BYTES = 4 << 20
"""Long enough that calls do not count, short enough that a needed read does not wait long for a guess."""

AT_ONCE_BYTES = 512 << 10
"""Copied from the page cache in about the 0.1 ms that it takes to hand a read over and be told of its end."""


class Priority(IntEnum):
    """Which reads go first."""

    NEEDED = 0
    """Somebody waits."""
    NEXT = 1
    """Will certainly be needed, in a moment."""
    GUESSED = 2


@dataclass(frozen=True, slots=True)
class _Piece:
    shard: Path
    offset: int
    target: memoryview
    """Where the bytes go; whole pages around that, where `by_pages`."""
    lead: int
    """Bytes of the target before the first that is wanted."""
    bytes: int
    by_pages: bool

    @property
    def wanted(self) -> memoryview:
        """Where the bytes go that are wanted."""
        return self.target[self.lead : self.lead + self.bytes]


class Read:
    """A request; only its `Reader` changes it."""

    __slots__ = ("begun", "bytes", "dropped", "error", "left", "pieces", "priority")

    def __init__(self, pieces: Sequence[_Piece], priority: Priority) -> None:
        self.pieces = deque(pieces)
        """Not begun."""
        self.left = len(pieces)
        """Not finished, of those that were not dropped."""
        self.bytes = sum(piece.bytes for piece in pieces)
        self.priority = priority
        self.begun = False
        self.dropped = False
        self.error: CheckpointError | None = None

    @property
    def settled(self) -> bool:
        """Nothing writes to its memory any more: it is complete, dropped, or has failed."""
        return self.left == 0

    @property
    def complete(self) -> bool:
        """All bytes are there."""
        return self.left == 0 and not self.dropped and self.error is None

    def failure(self) -> CheckpointError:
        """The error as a new one, to be raised.

        One that was raised holds on to all who took part, and they to the read. If that held on to it, they
        would all stay, and the memory for weights with them, until Python next looks for such cycles.
        """
        return CheckpointError(str(self.error))


class Reader:
    """Threads that read. Submitting, waiting and dropping are for one thread; counters may be read by any."""

    def __init__(
        self, source: ByteSource, threads: int, direct: bool = False, throttle: Throttle | None = None
    ) -> None:
        self.threads, self.direct, self.throttle = threads, direct, throttle
        self.bytes_read = 0
        self.reading_seconds = 0.0
        """With at least one piece outstanding, up to the last time there was none."""
        self._source = source
        self._changed = threading.Condition()
        self._queues: tuple[deque[Read], ...] = tuple(deque() for _ in Priority)
        self._outstanding = 0
        self._since = 0.0
        self._closed = False
        self._workers: list[threading.Thread] = []
        """Started with the first read: most engines have everything in memory."""

    @property
    def closed(self) -> bool:
        """Whether every read that has not begun fails."""
        return self._closed

    def submit(self, spans: Sequence[Span], memory: memoryview, priority: Priority) -> Read:
        """Read spans into a unit's memory, which is whole pages and must stay until the read is settled."""
        read = Read([piece for span in spans for piece in _cut(span, memory)], priority)
        with self._changed:
            if self._closed:
                read.left = 0
                read.error = _too_late()
            elif read.pieces and not self._copied_at_once(read):
                self._queues[priority].append(read)
                if self._outstanding == 0:
                    self._since = time.perf_counter()
                self._outstanding += read.left
                if not self._workers:
                    self._start()
                self._changed.notify_all()
        return read

    def promote(self, read: Read, priority: Priority) -> None:
        """Let a read go earlier than it was asked for."""
        with self._changed:
            if priority < read.priority:
                if read in self._queues[read.priority]:
                    self._queues[read.priority].remove(read)
                    self._queues[priority].append(read)
                read.priority = priority

    def drop(self, read: Read) -> None:
        """Forget what of a read has not begun; it is settled once what has begun is done."""
        with self._changed:
            if read.settled:
                return
            read.dropped = True
            if read in self._queues[read.priority]:
                self._queues[read.priority].remove(read)
            self._finish(read, len(read.pieces))
            read.pieces.clear()

    def wait(self, reads: Sequence[Read], seconds: float) -> bool:
        """Wait until one of the reads is settled; False after so many seconds without that."""
        with self._changed:
            return self._changed.wait_for(lambda: any(read.settled for read in reads), seconds)

    def drain(self, seconds: float | None = None) -> bool:
        """Wait until nothing is outstanding; False after so many seconds without that."""
        with self._changed:
            return self._changed.wait_for(lambda: self._outstanding == 0, seconds)

    def busy_seconds(self) -> float:
        """`reading_seconds`, with the time since a read began that is still outstanding."""
        with self._changed:
            running = time.perf_counter() - self._since if self._outstanding else 0.0
            return self.reading_seconds + running

    def close(self) -> None:
        """Fail what has not begun and end the threads; what is under way comes to its end."""
        with self._changed:
            self._closed = True
            for queue in self._queues:
                while queue:
                    read = queue.popleft()
                    read.dropped = True
                    read.error = read.error or _too_late()
                    self._finish(read, len(read.pieces))
                    read.pieces.clear()
            self._changed.notify_all()
        for worker in self._workers:
            worker.join()

    def _copied_at_once(self, read: Read) -> bool:
        past_cache = self.direct and any(piece.by_pages for piece in read.pieces)
        if read.bytes > AT_ONCE_BYTES or past_cache or self.throttle is not None:
            return False
        began = time.perf_counter()
        if not all(self._source.read_now(each.shard, each.offset, each.wanted) for each in read.pieces):
            return False
        read.begun = True
        read.left = 0
        read.pieces.clear()
        self.bytes_read += read.bytes
        if self._outstanding == 0:
            self.reading_seconds += time.perf_counter() - began
        return True

    def _start(self) -> None:
        self._workers = [
            threading.Thread(target=self._work, name=f"read-{i}", daemon=True) for i in range(self.threads)
        ]
        for worker in self._workers:
            worker.start()

    def _finish(self, read: Read, pieces: int) -> None:
        read.left -= pieces
        self._outstanding -= pieces
        if pieces and self._outstanding == 0:
            self.reading_seconds += time.perf_counter() - self._since
        self._changed.notify_all()

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            read, piece = taken
            self._settle(read, piece, self._read(piece))

    def _take(self) -> tuple[Read, _Piece] | None:
        """The piece that is to be read next, once there is one; None when the reader has been closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or any(self._queues))
            queue = next((queue for queue in self._queues if queue), None)
            if queue is None:
                return None
            read = queue[0]
            piece = read.pieces.popleft()
            read.begun = True
            if not read.pieces:
                queue.popleft()
            return read, piece

    def _settle(self, read: Read, piece: _Piece, error: CheckpointError | None) -> None:
        with self._changed:
            if error is None:
                self.bytes_read += piece.bytes
            elif read.error is None:
                read.error = error
            self._finish(read, 1)

    def _read(self, piece: _Piece) -> CheckpointError | None:
        try:
            if self.throttle is not None:
                self.throttle.take(piece.bytes)
            if self.direct and piece.by_pages:
                first = piece.offset - piece.lead
                self._source.read_pages(piece.shard, first, piece.target, piece.lead + piece.bytes)
            else:
                self._source.read_into(piece.shard, piece.offset, piece.wanted)
        except CheckpointError as error:
            return CheckpointError(str(error))  # for the reason that `failure` gives
        except Exception as error:
            return CheckpointError(f"{shown(piece.shard)} cannot be read: {shown_error(error)}.")
        return None


def _cut(span: Span, memory: memoryview) -> list[_Piece]:
    pieces = []
    at = span.offset
    while at < span.end:
        until = min(span.end, (at // PIECE_BYTES + 1) * PIECE_BYTES)
        lead = at % PAGE_BYTES if span.by_pages else 0
        first = span.place + at - span.offset - lead
        size = lead + until - at
        room = -(-size // PAGE_BYTES) * PAGE_BYTES if span.by_pages else size
        pieces.append(_Piece(span.shard, at, memory[first : first + room], lead, until - at, span.by_pages))
        at = until
    return pieces


def _too_late() -> CheckpointError:
    return CheckpointError("Weights can no longer be read: their checkpoint has been closed.")
