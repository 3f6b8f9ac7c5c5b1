"""Files that exist in a test's memory, and a reader that does one step at a time, when the test says so."""

from __future__ import annotations

import ctypes
import random
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from engine.checkpoint.tensor import Dtype, TensorRecord
from engine.errors import CheckpointError
from engine.offload.layout import PAGE_BYTES
from engine.offload.reader import Reader
from engine.offload.resident import anonymous_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.offload.layout import Layout, Span
    from engine.offload.reader import Priority, Read, _Piece

SHARDS = tuple(Path(f"/made/model-{number}.safetensors") for number in range(3))
POISON = 0xEE
PATIENCE = 20.0
"""Seconds after which a test gives up on another thread; nothing takes as long that goes right."""


def noise(size: int, seed: int) -> bytes:
    """Bytes that repeat nowhere."""
    return random.Random(seed).randbytes(size)


def pages(size: int) -> memoryview:
    """Memory whose first byte lies at the beginning of a page."""
    return memoryview(anonymous_memory(max(size, PAGE_BYTES)))


def expected(layout: Layout, files: dict[Path, bytes]) -> list[bytes]:
    """What the memory of a unit must hold, for each span."""
    return [files[span.shard][span.offset : span.end] for span in layout.spans]


def found(layout: Layout, memory: memoryview) -> list[bytes]:
    """What the memory of a unit does hold, for each span."""
    return [bytes(memory[span.place : span.place + span.bytes]) for span in layout.spans]


def record(
    name: str, offset: int, size: int, shard: Path = SHARDS[0], dtype: Dtype = Dtype.U8
) -> TensorRecord:
    """A vector of so many elements."""
    return TensorRecord(name, shard, dtype, (size,), offset, size * dtype.bytes)


class MadeSource:
    """A ByteSource over bytes. It notes what is read, and `before` is called first: it may wait, or raise."""

    def __init__(self, files: dict[Path, bytes]) -> None:
        self.files = dict(files)
        self.before: Callable[[Path, int, int], None] = lambda *_: None
        self.cached: set[Path] = set()
        """Files that need not be waited for."""
        self.calls: list[tuple[Path, int, int]] = []
        """File, offset and wanted bytes, in the order of their beginning."""
        self.paged = 0
        """How many of them were of whole pages."""
        self.served = 0
        """Bytes that arrived and were wanted, with those before them on their first page."""
        self._lock = threading.Lock()

    def exists(self, file: Path) -> bool:
        return file in self.files

    def size(self, file: Path) -> int:
        return len(self.files[file])

    def read_into(self, file: Path, offset: int, buffer: memoryview) -> None:
        self._serve(file, offset, buffer, len(buffer))

    def read_now(self, file: Path, offset: int, buffer: memoryview) -> bool:
        if file not in self.cached:
            return False
        try:
            self._serve(file, offset, buffer, len(buffer))
        except (CheckpointError, OSError):
            return False
        return True

    def read_pages(self, file: Path, offset: int, pages: memoryview, needed: int) -> None:
        address = ctypes.addressof(ctypes.c_char.from_buffer(pages))
        assert address % PAGE_BYTES == offset % PAGE_BYTES == len(pages) % PAGE_BYTES == 0
        assert 0 < needed <= len(pages)
        with self._lock:
            self.paged += 1
        self._serve(file, offset, pages, needed)

    def close(self) -> None:
        pass

    def _serve(self, file: Path, offset: int, target: memoryview, needed: int) -> None:
        with self._lock:
            self.calls.append((file, offset, needed))
        self.before(file, offset, needed)
        if file not in self.files:
            raise CheckpointError(f"{file} is missing.")
        data = self.files[file][offset : offset + len(target)]
        if len(data) < needed:
            raise CheckpointError(f"{file} ended early.")
        target[: len(data)] = data
        with self._lock:
            self.served += needed


class Gate:
    """Where reads stand still until they may go on."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._standing = threading.Semaphore(0)

    def __call__(self, *_: object) -> None:
        self._standing.release()
        assert self._open.wait(PATIENCE), "nobody opened the gate"

    def until_one_stands(self) -> None:
        """Wait for one more read to have come."""
        assert self._standing.acquire(timeout=PATIENCE), "no read came"

    def open(self) -> None:
        """Let everybody pass from now on."""
        self._open.set()


class SteppedReader(Reader):
    """No threads: a piece begins or ends when the test says so, or when somebody waits.

    While a piece is under way, its memory holds nothing of use. Waiting for what can never come, and asking
    over and over without waiting, fail the test: in truth they would be a hang.
    """

    def __init__(self, source: MadeSource, rng: random.Random, most_under_way: int = 3) -> None:
        super().__init__(source, threads=0)
        self.asked: list[tuple[Sequence[Span], Priority]] = []
        self._rng, self._most = rng, most_under_way
        self._eager = rng.uniform(0.2, 0.95)
        """How likely a piece begins before another ends."""
        self._under_way: list[tuple[Read, _Piece]] = []
        self._idle = 0

    def submit(self, spans: Sequence[Span], memory: memoryview, priority: Priority) -> Read:
        self.asked.append((tuple(spans), priority))
        return super().submit(spans, memory, priority)

    def promote(self, read: Read, priority: Priority) -> None:
        self._idle += 1
        assert self._idle < 10_000, "asks again and again"
        super().promote(read, priority)

    def step(self) -> bool:
        """Begin or end a piece; False where there is none."""
        waits = any(self._queues) and len(self._under_way) < self._most
        if waits and (not self._under_way or self._rng.random() < self._eager):
            taken = self._take()
            assert taken is not None
            read, piece = taken
            piece.wanted[:] = bytes([POISON]) * piece.bytes
            self._under_way.append(taken)
        elif self._under_way:
            read, piece = self._under_way.pop(self._rng.randrange(len(self._under_way)))
            self._settle(read, piece, self._read(piece))
        else:
            return False
        self._idle = 0
        return True

    def steps(self, most: int) -> None:
        """Some steps, as while somebody computes."""
        for _ in range(self._rng.randint(0, most)):
            self.step()

    def wait(self, reads: Sequence[Read], seconds: float) -> bool:
        for _ in range(self._rng.randint(0, 4)):
            if any(read.settled for read in reads):
                return True
            assert self.step(), "waits for a read that nobody makes"
        return any(read.settled for read in reads)

    def drain(self) -> None:
        while self.step():
            pass
