"""A checkpoint folder, opened: every tensor's record, from headers that are each parsed once.

The index is the table of contents: a tensor that a shard holds and the index does not name is no part of
the checkpoint. It is kept apart in `unindexed`, so that whoever misses a tensor can say where it is.
Shards may be symbolic links, as in the hub's cache; their names may not lead out of the folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from engine.checkpoint.document import read_document, text_map
from engine.checkpoint.folder import check_folder
from engine.checkpoint.header import read_header
from engine.checkpoint.source import ByteSource, FileSource
from engine.checkpoint.tensor import Dtype, TensorRecord
from engine.errors import CheckpointError, shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
CONFIG = "config.json"
SCALE_SUFFIX = "_scale_inv"
"""Appended to an FP8 weight's whole name. Despite it, the scale is multiplied with."""


@dataclass(frozen=True, slots=True)
class WeightRecord:
    """A weight, and the scale of its FP8 blocks where it has one, perhaps in another shard."""

    weight: TensorRecord
    scale: TensorRecord | None


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Records of all tensors, and the source to read their bytes from. Close it, or use it in a `with`."""

    path: Path
    records: Mapping[str, TensorRecord]
    config: Mapping[str, object]
    """config.json as parsed, nothing checked."""
    source: ByteSource
    shards: tuple[Path, ...]
    bytes: int
    """Sum of the tensors' bytes, headers not counted."""
    unindexed: Mapping[str, Path]
    """Tensors that the index does not name, with the shard that holds them; they are not in `records`."""

    def record(self, name: str) -> TensorRecord:
        """One tensor's record. Raises CheckpointError, naming the tensor, where there is none."""
        record = self.records.get(name)
        if record is None:
            raise self.missing(name)
        return record

    def weight(self, name: str) -> WeightRecord:
        """A weight with its scale. Raises CheckpointError where it is missing, or is FP8 without one."""
        weight = self.record(name)
        if weight.dtype is not Dtype.F8_E4M3:
            return WeightRecord(weight, None)
        return WeightRecord(weight, self.record(name + SCALE_SUFFIX))

    def missing(self, name: str) -> CheckpointError:
        """The error for a tensor that is needed and not there."""
        shard = self.unindexed.get(name)
        if shard is not None:
            return CheckpointError(
                f"{shown(self.path / INDEX)} does not name tensor {shown(name)}, which {shown(shard)} holds. "
                f"Download the index that belongs to these shards."
            )
        return CheckpointError(
            f"{shown(self.path)} has no tensor {shown(name)}. Check that config.json belongs to these "
            f"weights, and that the checkpoint was downloaded whole."
        )

    def close(self) -> None:
        """Close the source; no read may be under way."""
        self.source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_checkpoint(path: Path, source: ByteSource | None = None) -> Checkpoint:
    """Open a folder with an index and its shards, or with one model.safetensors, and its config.json.

    The source, local files by default, is closed with the checkpoint, and where opening fails.
    Raises CheckpointError for everything missing, damaged or contradictory, naming file and tensor.
    """
    if source is None:
        check_folder(path)
        source = FileSource()
    try:
        return _open(path, source)
    except BaseException:
        source.close()
        raise


def _open(path: Path, source: ByteSource) -> Checkpoint:
    index = _read_index(path, source)
    config = read_document(source, path / CONFIG)
    shards = tuple(path / name for name in (sorted(set(index.values())) if index is not None else [SINGLE]))
    _check_shards_exist(shards, source, path)
    records: dict[str, TensorRecord] = {}
    unindexed: dict[str, Path] = {}
    for shard in shards:
        for record in read_header(source, shard).records:
            if index is None or index.get(record.name) == shard.name:
                records[record.name] = record
            else:
                unindexed.setdefault(record.name, shard)
    if index is not None and len(records) != len(index):
        raise _absent_tensor(path, index, records, unindexed)
    if not records:
        raise CheckpointError(f"{shown(path)} holds no tensors. Download the checkpoint again.")
    return Checkpoint(
        path=path,
        records=MappingProxyType(records),
        config=MappingProxyType(config),
        source=source,
        shards=shards,
        bytes=sum(record.bytes for record in records.values()),
        unindexed=MappingProxyType({name: shard for name, shard in unindexed.items() if name not in records}),
    )


def _read_index(path: Path, source: ByteSource) -> Mapping[str, str] | None:
    """Tensor name to shard name, or None where the whole checkpoint is one file."""
    file = path / INDEX
    if not source.exists(file):
        if not source.exists(path / SINGLE):
            raise CheckpointError(
                f"{shown(path)} holds neither {INDEX} nor {SINGLE}. "
                f"Give the folder of a safetensors checkpoint."
            )
        return None
    index = text_map(read_document(source, file).get("weight_map"))
    if index is None:
        raise CheckpointError(
            f"{shown(file)} has no weight_map of tensor names to shard names. Download it again."
        )
    for tensor, name in index.items():
        if not is_plain_name(name):
            raise CheckpointError(
                f"{shown(file)} puts tensor {shown(tensor)} in {shown(name)}, which is not the name of a "
                f".safetensors file in the same folder. Download the index again."
            )
    # transformers would take the single file, other readers the shards: only the user knows which is meant.
    if source.exists(path / SINGLE) and SINGLE not in index.values():
        raise CheckpointError(
            f"{shown(path)} holds both {SINGLE} and an index of other shards. Remove the one not meant."
        )
    return index


def is_plain_name(name: str) -> bool:
    """Whether a shard's name stays in the folder on every system, and can be printed."""
    return name.endswith(".safetensors") and name.isprintable() and not set(name) & set("/\\:")


def _check_shards_exist(shards: tuple[Path, ...], source: ByteSource, path: Path) -> None:
    missing = [shard.name for shard in shards if not source.exists(shard)]
    if missing:
        raise CheckpointError(
            f"{shown(path)}: {len(missing)} of {len(shards)} shards are missing, the first is "
            f"{shown(missing[0])}. Download the missing files."
        )


def _absent_tensor(
    path: Path,
    index: Mapping[str, str],
    records: Mapping[str, TensorRecord],
    unindexed: Mapping[str, Path],
) -> CheckpointError:
    """The error for the first tensor that is not in the shard where the index puts it."""
    absent = [name for name in index if name not in records]
    name = absent[0]
    where = f"{shown(unindexed[name])} does" if name in unindexed else "nor does any other shard"
    return CheckpointError(
        f"{shown(path / index[name])} does not hold tensor {shown(name)}, which {INDEX} puts there; "
        f"{where} ({len(absent):,} such tensors of {len(index):,}). Download the index and the shards of one "
        f"revision."
    )
