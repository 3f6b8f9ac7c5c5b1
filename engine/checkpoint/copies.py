"""Which tensors are copies of others, by their bytes: the MTP layer's embedding and head above all.

Each tensor is read once, in pieces, and known by a digest, so that 1.9 GB of each take no memory. What
differs in shape or type is not read. shared_head.norm is looked at too, since it is easily taken for a copy.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from engine.checkpoint.place import MTP_EMBED, MTP_HEAD, MTP_NORM

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from engine.checkpoint.source import ByteSource
    from engine.checkpoint.tensor import TensorRecord

    Progress = Callable[[int, int, str], None]
    """Takes bytes read so far, bytes in all, and the name of the tensor under way."""

_PIECE_BYTES = 8 << 20
_DIGEST_BYTES = 32
_EMBED = "model.embed_tokens.weight"
_HEAD = "lm_head.weight"
_NORM = "model.norm.weight"


class Likeness(Enum):
    """What a comparison found."""

    SAME = "same"
    DIFFERENT = "different"
    UNLIKE = "unlike"
    """Of another shape or type, so that nothing was read."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two tensors, compared by their bytes."""

    name: str
    other: str
    likeness: Likeness
    bytes: int
    """Of the first, which could be saved where they are the same."""
    digest: str | None
    """BLAKE2b of the first one's bytes, 32 of them as hexadecimal digits."""


def compare_copies(
    source: ByteSource,
    records: Mapping[str, TensorRecord],
    mtp_layers: Collection[int],
    progress: Progress = lambda done, total, name: None,
) -> tuple[Comparison, ...]:
    """Compare each MTP layer's embedding, head and norm with the main ones, and the head with the embedding.

    What has no record is left out. Raises CheckpointError where a read fails.
    """
    pairs = [
        (records[name], records[other])
        for name, other in _pairs(records, mtp_layers)
        if name in records and other in records
    ]
    read = dict.fromkeys(one.name for pair in pairs if _is_alike(*pair) for one in pair)
    total = sum(records[name].bytes for name in read)
    digests: dict[str, str] = {}
    done = 0
    for name in read:
        progress(done, total, name)
        digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        record = records[name]
        buffer = memoryview(bytearray(min(_PIECE_BYTES, record.bytes)))
        for offset in range(0, record.bytes, _PIECE_BYTES):
            piece = buffer[: record.bytes - offset]
            source.read_into(record.shard, record.offset + offset, piece)
            digest.update(piece)
            done += len(piece)
            progress(done, total, name)
        digests[name] = digest.hexdigest()
    return tuple(_compare(*pair, digests) for pair in pairs)


def _pairs(records: Mapping[str, TensorRecord], mtp_layers: Collection[int]) -> list[tuple[str, str]]:
    head = _HEAD if _HEAD in records else _EMBED
    pairs = [
        (f"model.layers.{layer}.{role}", other)
        for layer in sorted(mtp_layers)
        for role, other in ((MTP_EMBED, _EMBED), (MTP_HEAD, head), (MTP_NORM, _NORM))
    ]
    return [*pairs, (_HEAD, _EMBED)]


def _is_alike(one: TensorRecord, other: TensorRecord) -> bool:
    return (one.dtype, one.shape) == (other.dtype, other.shape)


def _compare(one: TensorRecord, other: TensorRecord, digests: Mapping[str, str]) -> Comparison:
    if not _is_alike(one, other):
        return Comparison(one.name, other.name, Likeness.UNLIKE, one.bytes, digests.get(one.name))
    is_same = digests[one.name] == digests[other.name]
    likeness = Likeness.SAME if is_same else Likeness.DIFFERENT
    return Comparison(one.name, other.name, likeness, one.bytes, digests[one.name])
