"""A text and its cache rows in one file, so that the text need not be read again after a restart.

The file: 16 bytes that say what it is, the header's length (4 bytes, little-endian), the header (JSON), then
as raw bytes the tokens (uint32, little-endian), the rows of each layer's cache, the MTP layer's rows, and the
states that the MTP layer has not been fed with yet, last a BLAKE2b checksum of all before it. Only rows that
count are written, of the tokens that are in the caches.

Nothing is trusted: a file of another checkpoint, build or shape is refused, and so is one whose length or
checksum is not right. It is read twice, for the checksum and then straight into the rows that the state has
reserved, so that no memory is needed and a refusal leaves the state as it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import UsageError, shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from pathlib import Path

    from torch import Tensor

    from engine.decoding.sequence import SequenceState

FORMAT = 1
ASIDE = ".part"
"""What the name of a file ends with while it is being written."""
_MAGIC = b"draftscope cache"
_LENGTH_BYTES = 4
_MAX_HEADER_BYTES = 4096
_DIGEST_BYTES = 32
_BLOCK_BYTES = 1 << 20
_AGAIN = "the prompt has to be read again."


@dataclass(frozen=True, slots=True)
class CacheIdentity:
    """Whose rows they are: only the same checkpoint's, computed by the same build, are the same."""

    checkpoint: str
    build: str


@dataclass(frozen=True, slots=True)
class KeptCache:
    """What was kept."""

    bytes: int
    """Of the file."""
    tokens: int


@dataclass(frozen=True, slots=True)
class _Header:
    format: int
    checkpoint: str
    build: str
    dtype: str
    layers: int
    width: int
    """Of a cache row."""
    hidden: int
    """Width of a state; 0 without an MTP layer, since nobody needs states then."""
    tokens: int
    mtp_rows: int

    @classmethod
    def of(cls, state: SequenceState, identity: CacheIdentity, tokens: int, mtp_rows: int) -> _Header:
        cache = state.caches[0]
        return cls(
            FORMAT,
            identity.checkpoint,
            identity.build,
            str(cache.dtype).removeprefix("torch."),
            len(state.caches),
            cache.shape[1],
            0 if state.mtp_cache is None else state.hidden.shape[1],
            tokens,
            mtp_rows,
        )

    @classmethod
    def parse(cls, data: bytes) -> _Header | None:
        """Read a header; None if it is damaged. Raises _RefusalError for one of another format."""
        try:
            values = json.loads(data)
        except (ValueError, RecursionError):
            return None
        if not isinstance(values, dict):
            return None
        if values.get("format") != FORMAT:
            raise _RefusalError("was kept by another version of draftscope")
        if set(values) != {each.name for each in fields(cls)}:
            return None
        header = cls(**values)
        numbers = (header.layers, header.width, header.hidden, header.tokens, header.mtp_rows)
        if not all(isinstance(each, int) and not isinstance(each, bool) and each >= 0 for each in numbers):
            return None
        return header if header.mtp_rows <= header.tokens else None

    @property
    def body_bytes(self) -> int:
        """Of tokens, rows and states."""
        rows = (self.layers * self.tokens + self.mtp_rows) * self.width
        return 4 * (self.tokens + rows + (self.tokens - self.mtp_rows) * self.hidden)


def keep(state: SequenceState, identity: CacheIdentity, path: Path) -> KeptCache:
    """Write a state's text and rows, whole or not at all. Raises UsageError."""
    _check_name(path)
    tokens = state.main_rows
    if tokens == 0:
        raise UsageError("The cache holds no text yet that could be kept: ask something first.")
    mtp_rows = 0 if state.mtp_cache is None else min(state.mtp_rows, tokens)
    header = json.dumps(asdict(_Header.of(state, identity, tokens, mtp_rows))).encode()
    ids = np.array(state.tokens[:tokens], "<u4")
    blocks = (
        memoryview(_MAGIC + len(header).to_bytes(_LENGTH_BYTES, "little") + header),
        ids.data.cast("B"),
        *_rows(state, tokens, mtp_rows),
    )
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    aside = path.with_name(path.name + ASIDE)
    try:
        with open(aside, "wb", opener=_private) as file:
            for block in blocks:
                digest.update(block)
                file.write(block)
            file.write(digest.digest())
        aside.replace(path)
    except OSError as error:
        with suppress(OSError):
            aside.unlink()
        raise UsageError(
            f"The cache cannot be kept in {shown(path)} ({error.strerror}): make room, or check its folder."
        ) from None
    return KeptCache(sum(block.nbytes for block in blocks) + _DIGEST_BYTES, tokens)


def recall(state: SequenceState, identity: CacheIdentity, path: Path) -> int:
    """Put a kept text and its rows in place of the state's own; returns how many tokens that is.

    Raises UsageError, with the state as it was, for a file that is not wholly right and of this identity, and
    for a text longer than the context.
    """
    _check_name(path)
    try:
        with open(path, "rb", buffering=0, opener=_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _RefusalError("is not a kept cache")
            header, start = _read_header(file)
            _check_header(header, state, identity)
            if os.fstat(file.fileno()).st_size != start + header.body_bytes + _DIGEST_BYTES:
                raise _DamagedError
            _verify(file, start + header.body_bytes)
            _take(file, start, header, state)
    except FileNotFoundError:
        raise UsageError(f"There is no kept cache {shown(path)}: {_AGAIN}") from None
    except _RefusalError as refusal:
        raise UsageError(f"{shown(path)} {refusal}") from None
    except OSError as error:
        raise UsageError(f"{shown(path)} cannot be read ({error.strerror}): {_AGAIN}") from None
    return header.tokens


class _RefusalError(Exception):
    """Why a file is not taken, as the rest of a sentence about it."""

    def __init__(self, why: str, advice: str = _AGAIN) -> None:
        super().__init__(f"{why}: {advice}")


class _DamagedError(_RefusalError):
    def __init__(self) -> None:
        super().__init__("is damaged")


def _read_header(file: FileIO) -> tuple[_Header, int]:
    """Return the header, and where it ends."""
    start = len(_MAGIC) + _LENGTH_BYTES
    opening = _read(file, start)
    if not opening.startswith(_MAGIC):
        raise _RefusalError("is not a kept cache")
    length = int.from_bytes(opening[len(_MAGIC) :], "little")
    if not 0 < length <= _MAX_HEADER_BYTES:
        raise _DamagedError
    data = _read(file, length)
    header = _Header.parse(data)
    if header is None:
        raise _DamagedError
    return header, start + length


def _check_header(header: _Header, state: SequenceState, identity: CacheIdentity) -> None:
    if header.checkpoint != identity.checkpoint:
        raise _RefusalError("was kept with another checkpoint")
    if header.build != identity.build:
        raise _RefusalError("was kept by another version of draftscope, or on another processor")
    if header != _Header.of(state, identity, header.tokens, header.mtp_rows) or header.tokens == 0:
        raise _DamagedError
    if header.mtp_rows and state.mtp_cache is None:
        raise _DamagedError
    if header.tokens > state.context:
        raise _RefusalError(
            f"has {header.tokens:,} tokens and the context holds {state.context:,}",
            f"choose a larger context, or {_AGAIN}",
        )


def _verify(file: FileIO, size: int) -> None:
    """Compare the checksum with all that stands before it."""
    file.seek(0)
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    block = memoryview(bytearray(_BLOCK_BYTES))
    while size:
        part = block[: min(size, _BLOCK_BYTES)]
        _fill(file, part)
        digest.update(part)
        size -= part.nbytes
    if _read(file, _DIGEST_BYTES) != digest.digest():
        raise _DamagedError


def _take(file: FileIO, start: int, header: _Header, state: SequenceState) -> None:
    """Read what was found to be right. Should it not be so any more, the state is left without a text."""
    file.seek(0)
    digest = hashlib.blake2b(_read(file, start), digest_size=_DIGEST_BYTES)
    ids = np.zeros(header.tokens, "<u4")
    state.begin([])
    for block in (ids.data.cast("B"), *_rows(state, header.tokens, header.mtp_rows)):
        _fill(file, block)
        digest.update(block)
    if _read(file, _DIGEST_BYTES) != digest.digest():
        raise _DamagedError
    state.tokens = ids.tolist()
    state.main_rows = state.fresh_rows = header.tokens
    state.mtp_rows = header.mtp_rows


def _rows(state: SequenceState, tokens: int, mtp_rows: int) -> Iterator[memoryview]:
    """The rows of a text in the order of the file, as the memory that they are in."""
    for cache in state.caches:
        yield from _memory(cache[:tokens])
    if state.mtp_cache is not None:
        yield from _memory(state.mtp_cache[:mtp_rows])
        yield from _memory(state.hidden[mtp_rows:tokens])


def _memory(rows: Tensor) -> Iterator[memoryview]:
    """A tensor's memory; nothing of one without elements, which no view can be made of."""
    if rows.numel():
        yield rows.numpy().reshape(-1).data.cast("B")


def _read(file: FileIO, count: int) -> bytes:
    data = bytearray(count)
    _fill(file, memoryview(data))
    return bytes(data)


def _fill(file: FileIO, target: memoryview) -> None:
    """Read so many bytes; a file that ends before is damaged."""
    while target.nbytes:
        count = file.readinto(target)
        if not count:
            raise _DamagedError
        target = target[count:]


def _private(path: str, flags: int) -> int:
    """Open a file that only its owner may read: it holds what was said."""
    return os.open(path, flags, 0o600)


def _at_once(path: str, flags: int) -> int:
    """Open a file, and also a pipe that nobody writes to, which would be waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_name(path: Path) -> None:
    try:
        is_one = b"\0" not in os.fsencode(path)
    except ValueError:  # half of a letter
        is_one = False
    if not is_one or not path.name:
        raise UsageError(f"{shown(path)} is not the name of a file: give another one.")
