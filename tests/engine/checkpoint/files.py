"""Checkpoint files made for tests, byte by byte, so that they can be wrong in every way."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, TypeAlias

from engine.checkpoint.tensor import Dtype
from engine.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

Tensors: TypeAlias = dict[str, tuple[Dtype, tuple[int, ...]]]


class MemorySource:
    """A ByteSource that is no file system; it fails the test that reads outside a file."""

    def __init__(self, files: Mapping[Path, bytes]) -> None:
        self.files = files
        self.reads: list[tuple[Path, int, int]] = []
        self.closed = False

    def exists(self, file: Path) -> bool:
        return file in self.files

    def size(self, file: Path) -> int:
        if file not in self.files:
            raise CheckpointError(f"{file} is missing.")
        return len(self.files[file])

    def read_into(self, file: Path, offset: int, buffer: memoryview) -> None:
        data = self.files[file]
        assert 0 <= offset <= offset + len(buffer) <= len(data)
        self.reads.append((file, offset, len(buffer)))
        buffer[:] = data[offset : offset + len(buffer)]

    def close(self) -> None:
        self.closed = True


def entry(begin: int, end: int, shape: Iterable[int] | None = None, dtype: str = "U8") -> dict[str, object]:
    """A header's entry for one tensor; a vector of bytes unless told otherwise."""
    return {
        "dtype": dtype,
        "shape": [end - begin] if shape is None else list(shape),
        "data_offsets": [begin, end],
    }


def file_bytes(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    """A shard: the header (as JSON, or as it is where it is bytes), its length or another, then data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def write_shard(file: Path, tensors: Tensors) -> None:
    """Write a valid shard whose data is a hole, so that it takes no room."""
    header: dict[str, object] = {}
    position = 0
    for name, (dtype, shape) in tensors.items():
        length = math.prod(shape) * dtype.bytes
        header[name] = entry(position, position + length, shape, dtype.value)
        position += length
    head = file_bytes(header)
    with file.open("wb") as stream:
        stream.write(head)
        stream.truncate(len(head) + position)


def write_checkpoint(folder: Path, tensors: Tensors, config: object, shards: int = 3) -> None:
    """Write a folder of shards; tensors are dealt round, so that a scale is in another than its weight."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"model-{number:05d}-of-{shards:05d}.safetensors" for number in range(1, shards + 1)]
    weight_map = {tensor: names[place % shards] for place, tensor in enumerate(tensors)}
    for name in names:
        write_shard(folder / name, {one: tensors[one] for one in tensors if weight_map[one] == name})
    write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})
    write_json(folder / "config.json", config)


def write_json(file: Path, value: object) -> None:
    file.write_text(json.dumps(value), encoding="utf-8")
