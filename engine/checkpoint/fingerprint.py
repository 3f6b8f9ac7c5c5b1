"""By what a checkpoint is known again: its headers, its config, and a sample of its weights.

Headers alone do not tell two trainings of one architecture apart, and reading all of the weights takes too
long, so a few bytes from the middle of each tensor are taken. Of a layer's routed experts only one is looked
at: V3 has 256 of them, and no training changes the others alone. Where the folder lies is no part of it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.checkpoint.checkpoint import Checkpoint
    from engine.checkpoint.tensor import TensorRecord

_SAMPLE_BYTES = 64
_EXPERTS = ".mlp.experts."
_SAMPLED_EXPERT = ".mlp.experts.0."


def fingerprint(checkpoint: Checkpoint) -> str:
    """The same for the same weights, as hexadecimal digits. Raises CheckpointError where a read fails."""
    digest = hashlib.blake2b(digest_size=32)
    digest.update(json.dumps(dict(checkpoint.config), sort_keys=True).encode())
    for record in _by_name(checkpoint):
        entry = [
            record.name,
            record.shard.name,
            record.dtype.value,
            record.shape,
            record.offset,
            record.bytes,
        ]
        digest.update(json.dumps(entry).encode())
        if _EXPERTS not in record.name or _SAMPLED_EXPERT in record.name:
            digest.update(_sample(checkpoint, record))
    return digest.hexdigest()


def _by_name(checkpoint: Checkpoint) -> Iterator[TensorRecord]:
    return (checkpoint.records[name] for name in sorted(checkpoint.records))


def _sample(checkpoint: Checkpoint, record: TensorRecord) -> bytearray:
    sample = bytearray(min(_SAMPLE_BYTES, record.bytes))
    start = record.offset + (record.bytes - len(sample)) // 2
    checkpoint.source.read_into(record.shard, start, memoryview(sample))
    return sample
