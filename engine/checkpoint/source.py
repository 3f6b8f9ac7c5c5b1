"""Where a checkpoint's bytes come from: a protocol, and its implementation over local files.

A file is known by its path, also in a source that is not a file system. Descriptors stay open from the
first use, and every read names its own position, so any number of threads may read at once.
"""

from __future__ import annotations

import os
import stat
import threading
from typing import TYPE_CHECKING, Protocol

from engine.errors import CheckpointError, shown, shown_error

if TYPE_CHECKING:
    from pathlib import Path

# Linux cuts a read at 2 GiB - 4 KiB, macOS refuses one above 2 GiB - 1.
_MAX_READ_BYTES = 1 << 30
_NOWAIT = getattr(os, "RWF_NOWAIT", 0)
"""Linux': read only what is in the page cache. 0 where there is no such thing."""
_O_DIRECT = getattr(os, "O_DIRECT", 0)
"""0 where the system has none: pages then come through its cache."""


class ByteSource(Protocol):
    """Bytes at rest, by file and position. All methods may be called from several threads."""

    def exists(self, file: Path) -> bool:
        """Whether there is such a file."""

    def size(self, file: Path) -> int:
        """Length in bytes. Raises CheckpointError where the file is missing or cannot be read."""

    def read_into(self, file: Path, offset: int, buffer: memoryview) -> None:
        """Fill the whole buffer with the bytes from `offset` on.

        Raises CheckpointError, naming the file, where it ends early or fails.
        """

    def read_now(self, file: Path, offset: int, buffer: memoryview) -> bool:
        """As `read_into`, if nothing has to be waited for.

        False where it has, where nobody can tell, or where reading fails; the buffer may then hold anything.
        """

    def read_pages(self, file: Path, offset: int, pages: memoryview, needed: int) -> None:
        """As `read_into`, of whole pages to page-aligned memory, past any cache of the system's.

        The file may end within the pages, but not before the first `needed` bytes of them.
        """

    def close(self) -> None:
        """Let go of everything that is open; no read may be under way."""


class FileSource:
    """Local files, read by `preadv` straight into the caller's memory."""

    def __init__(self) -> None:
        self._descriptors: dict[Path, int] = {}
        self._direct: dict[Path, int] = {}
        self._lock = threading.Lock()
        self._closed = False

    def exists(self, file: Path) -> bool:
        """Whether there is such a file; a link that leads nowhere is none."""
        return os.path.exists(file)  # noqa: PTH110  Path.exists raises where a name is too long

    def size(self, file: Path) -> int:
        """Length in bytes, now. Raises CheckpointError where the file is missing or no regular file."""
        try:
            return os.fstat(self._descriptor(self._descriptors, file)).st_size
        except OSError as error:
            raise _failed(file, error) from error

    def read_into(self, file: Path, offset: int, buffer: memoryview) -> None:
        """Fill the whole buffer from `offset` on, over as many reads as it takes."""
        descriptor = self._descriptor(self._descriptors, file)
        self._fill(descriptor, file, offset, buffer.cast("B"), buffer.nbytes)

    def read_now(self, file: Path, offset: int, buffer: memoryview) -> bool:
        """See `ByteSource`: what is in the page cache need not be waited for."""
        if not _NOWAIT:
            return False
        try:
            descriptor = self._descriptor(self._descriptors, file)
            return os.preadv(descriptor, [buffer], offset, _NOWAIT) == buffer.nbytes
        except (OSError, OverflowError, CheckpointError):
            return False

    def read_pages(self, file: Path, offset: int, pages: memoryview, needed: int) -> None:
        """See `ByteSource`; by O_DIRECT. Raises CheckpointError where the file system has no such thing."""
        descriptor = self._descriptor(self._direct, file, _O_DIRECT)
        self._fill(descriptor, file, offset, pages.cast("B"), needed)

    def _fill(self, descriptor: int, file: Path, offset: int, target: memoryview, needed: int) -> None:
        done = 0
        while done < needed:
            try:
                count = _read(descriptor, target[done : done + _MAX_READ_BYTES], offset + done, self._lock)
            except (OSError, OverflowError) as error:
                raise _failed(file, error) from error
            if count == 0:
                raise CheckpointError(
                    f"{shown(file)} ended at byte {offset + done:,} while {needed - done:,} more were "
                    f"needed: it was cut or replaced while in use. Download it again and restart."
                )
            done += count

    def close(self) -> None:
        """Close every descriptor. Reads after it raise CheckpointError."""
        with self._lock:
            self._closed = True
            for descriptor in (*self._descriptors.values(), *self._direct.values()):
                os.close(descriptor)
            self._descriptors.clear()
            self._direct.clear()

    def _descriptor(self, opened: dict[Path, int], file: Path, extra_flags: int = 0) -> int:
        descriptor = opened.get(file)
        if descriptor is not None:
            return descriptor
        with self._lock:
            if self._closed:
                raise CheckpointError(f"{shown(file)} cannot be read: its checkpoint has been closed.")
            if file not in opened:
                opened[file] = _open(file, extra_flags)
            return opened[file]


def _open(file: Path, extra_flags: int) -> int:
    # O_NONBLOCK: opening a pipe that nobody writes to would wait for ever. O_BINARY is Windows'.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | extra_flags
    try:
        descriptor = os.open(file, flags)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL or a lone surrogate
        raise _failed(file, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise CheckpointError(f"{shown(file)} is not a regular file. Put the checkpoint's own file there.")
    return descriptor


if hasattr(os, "preadv"):

    def _read(descriptor: int, target: memoryview, offset: int, lock: threading.Lock) -> int:
        return os.preadv(descriptor, [target], offset)

else:

    def _read(descriptor: int, target: memoryview, offset: int, lock: threading.Lock) -> int:
        # Windows has no positioned read: the seek and the read must not be parted.
        with lock:
            os.lseek(descriptor, offset, os.SEEK_SET)
            data = os.read(descriptor, len(target))
        target[: len(data)] = data
        return len(data)


def _failed(file: Path, error: Exception) -> CheckpointError:
    if isinstance(error, FileNotFoundError):
        return CheckpointError(f"{shown(file)} is missing. Download it, or give the folder that holds it.")
    reason = (error.strerror if isinstance(error, OSError) else None) or shown_error(error)
    return CheckpointError(f"{shown(file)} cannot be read: {reason}. Check the file and its disk.")
