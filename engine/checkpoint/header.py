"""One safetensors header: 8 bytes with its length, then JSON that says where each tensor's bytes lie.

What the official reader refuses is refused here too, holes between tensors and bytes after the last one
among it: no published file has them, so they mean a damaged or half-written file. Beyond it, keys given
twice are refused, since readers differ in which they take. Unknown keys of an entry are ignored, as there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.checkpoint.document import MAX_DOCUMENT_BYTES, parse_object, text_map
from engine.checkpoint.tensor import Dtype, TensorRecord
from engine.errors import CheckpointError, shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.checkpoint.source import ByteSource

_LENGTH_BYTES = 8
_METADATA = "__metadata__"
_DTYPES = {dtype.value: dtype for dtype in Dtype}
# Sizes beyond this fit no file; stopping there also keeps a shape of many huge numbers from taking hours.
_MAX_BYTES = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Header:
    """What one shard says of itself: its tensors in the order of their bytes, and free-form text."""

    shard: Path
    records: tuple[TensorRecord, ...]
    metadata: Mapping[str, str]


def read_header(source: ByteSource, shard: Path) -> Header:
    """Read and check a shard's header; no tensor's bytes are read.

    Raises CheckpointError, naming the file and the tensor, for everything the format forbids.
    """
    size = source.size(shard)
    if size < _LENGTH_BYTES:
        raise _damaged(shard, f"it has {size} bytes, too few for a safetensors file")
    prefix = bytearray(_LENGTH_BYTES)
    source.read_into(shard, 0, memoryview(prefix))
    length = int.from_bytes(prefix, "little")
    if length > MAX_DOCUMENT_BYTES:
        raise _damaged(
            shard, f"its header claims {length:,} bytes, over the format's limit of {MAX_DOCUMENT_BYTES:,}"
        )
    if length > size - _LENGTH_BYTES:
        raise _damaged(
            shard, f"its header claims {length:,} bytes, but only {size - _LENGTH_BYTES:,} follow in the file"
        )
    text = bytearray(length)
    source.read_into(shard, _LENGTH_BYTES, memoryview(text))
    return parse_header(text, shard, size)


def parse_header(text: bytes | bytearray, shard: Path, file_bytes: int) -> Header:
    """Check a header's JSON against the length of its file, in bytes. Raises CheckpointError."""
    entries = parse_object(text, shard, "its header ")
    free_form = entries.pop(_METADATA, None)
    metadata = {} if free_form is None else text_map(free_form)
    if metadata is None:
        raise _damaged(shard, f"its {_METADATA} is not an object of strings")
    start = _LENGTH_BYTES + len(text)
    records = sorted(
        (_parse_entry(name, entry, shard, start) for name, entry in entries.items()),
        key=lambda record: (record.offset, record.bytes),
    )
    _check_layout(records, shard, start, file_bytes)
    return Header(shard, tuple(records), metadata)


def _parse_entry(name: str, entry: object, shard: Path, start: int) -> TensorRecord:
    if not isinstance(entry, dict):
        raise _damaged(shard, f"its header's entry for tensor {shown(name)} is {shown(entry)}, not an object")
    label = entry.get("dtype")
    dtype = _DTYPES.get(label) if isinstance(label, str) else None
    if dtype is None:
        raise CheckpointError(
            f"{shown(shard)}: tensor {shown(name)} has dtype {shown(label)}, which draftscope cannot read. "
            f"Use a checkpoint in FP8 (F8_E4M3), BF16, F16 or F32."
        )
    shape = _whole_numbers(entry.get("shape"))
    if shape is None:
        raise _damaged(
            shard, f"tensor {shown(name)} has shape {shown(entry.get('shape'))}, not a list of whole numbers"
        )
    offsets = _whole_numbers(entry.get("data_offsets"))
    if offsets is None or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _damaged(
            shard,
            f"tensor {shown(name)} has data_offsets {shown(entry.get('data_offsets'))}, "
            f"not a first and a last position",
        )
    length = dtype.bytes
    for dimension in shape:
        length *= dimension
        if length > _MAX_BYTES:
            raise _damaged(shard, f"tensor {shown(name)} has shape {shown(shape)}, larger than any file")
    if length != offsets[1] - offsets[0]:
        raise _damaged(
            shard,
            f"tensor {shown(name)} of shape {shown(shape)} in {dtype.value} needs {length:,} bytes, "
            f"but its data_offsets span {shown(offsets[1] - offsets[0])}",
        )
    return TensorRecord(name, shard, dtype, shape, start + offsets[0], length)


def _whole_numbers(value: object) -> tuple[int, ...] | None:
    """A list of integers that are not negative, or None; `true` is an int to Python, but not here."""
    if not isinstance(value, list) or not all(type(one) is int and one >= 0 for one in value):
        return None
    return tuple(value)


def _check_layout(records: list[TensorRecord], shard: Path, start: int, file_bytes: int) -> None:
    """Check that the tensors follow each other without overlap or hole, from the header to the end."""
    position = start
    for record in records:
        if record.end > file_bytes:
            raise _damaged(
                shard,
                f"tensor {shown(record.name)} ends at byte {shown(record.end)}, but the file has only "
                f"{file_bytes:,}: its download was cut short",
            )
        if record.offset != position:
            fault = "overlaps the tensor before it" if record.offset < position else "leaves a hole before it"
            raise _damaged(
                shard,
                f"tensor {shown(record.name)} {fault}: it begins at byte {record.offset:,}, "
                f"and byte {position:,} is next",
            )
        position = record.end
    if position != file_bytes:
        raise _damaged(
            shard,
            f"it has {file_bytes:,} bytes, but its header accounts for {position:,}",
        )


def _damaged(shard: Path, fault: str) -> CheckpointError:
    return CheckpointError(f"{shown(shard)}: {fault}. Download the file again.")
