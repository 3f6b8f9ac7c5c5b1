"""What a checkpoint's folder says of its tensors, read as far as it can be: every fault is kept, not raised.

`open_checkpoint` refuses whatever it could not run; this is for looking at a checkpoint that is damaged, half
downloaded, or no more than an index. The same readers are used, so that both find the same faults; of a
shard that was cut short the header still counts, since it lies at the file's beginning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from engine.checkpoint.checkpoint import CONFIG, INDEX, SINGLE, is_plain_name
from engine.checkpoint.document import MAX_DOCUMENT_BYTES, parse_object, read_document, text_map
from engine.checkpoint.header import parse_header, read_header
from engine.errors import CheckpointError, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from engine.checkpoint.source import ByteSource
    from engine.checkpoint.tensor import TensorRecord

_LENGTH_BYTES = 8


class Basis(Enum):
    """Where what is known of the tensors comes from."""

    HEADERS = "headers"
    INDEX = "index"
    """Names alone: not one shard is there."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that could be read of a checkpoint without its weights."""

    path: Path
    basis: Basis
    config: Mapping[str, object]
    """config.json as parsed, nothing checked; empty where it could not be read."""
    records: Mapping[str, TensorRecord]
    unread: Mapping[str, Path]
    """Tensors that the index names and no header told of, with the shard they should be in."""
    shards: tuple[Path, ...]
    missing: tuple[Path, ...]
    damaged: tuple[Path, ...]
    """Shards that are there and were refused; those that were cut short may have records all the same."""
    cut: frozenset[str]
    """Tensors with a record whose bytes are not all there."""
    unindexed: Mapping[str, Path]
    """Tensors that shards hold and the index does not name: no part of the checkpoint."""
    total_size: int | None
    """The sum of the tensors' bytes that the index claims."""
    faults: tuple[str, ...]
    """What is wrong, a sentence or two each, as errors have it."""


def read_manifest(path: Path, source: ByteSource) -> Manifest:
    """Read a folder's config, index and headers.

    Raises CheckpointError only where there is nothing to show: no tensor's name in it.
    """
    faults: list[str] = []
    config: dict[str, object] = {}
    index: _Index | None = None
    is_index_refused = False
    try:
        config = read_document(source, path / CONFIG)
    except CheckpointError as error:
        faults.append(str(error))
    try:
        index = _read_index(path, source, faults)
    except CheckpointError as error:
        is_index_refused = True
        faults.append(str(error))
    if index is not None:
        shards = tuple(path / name for name in sorted(set(index.places.values())))
    else:
        shards = _found_shards(path, source, faults, is_index_refused)
    missing = tuple(shard for shard in shards if not source.exists(shard))
    is_index_alone = len(missing) == len(shards)
    if missing and not is_index_alone:
        faults.append(_missing_sentence(path, missing, shards, index))
    found = _Headers(index)
    for shard in shards:
        if shard not in missing:
            found.read(source, shard)
    faults += found.faults
    unread = {} if index is None else _unread(index, found, path)
    if index is not None:
        faults += _absent_sentences(unread, set(missing) | set(found.damaged))
    if not found.records and not unread:
        raise CheckpointError(faults[-1] if faults else f"{shown(path)} holds no tensors.")
    return Manifest(
        path=path,
        basis=Basis.INDEX if is_index_alone else Basis.HEADERS,
        config=config,
        records=found.records,
        unread=unread,
        shards=shards,
        missing=missing,
        damaged=tuple(found.damaged),
        cut=frozenset(found.cut),
        unindexed={name: shard for name, shard in found.unindexed.items() if name not in found.records},
        total_size=None if index is None else index.total_size,
        faults=tuple(faults),
    )


@dataclass(frozen=True, slots=True)
class _Index:
    places: Mapping[str, str]
    """Tensor name to shard name."""
    total_size: int | None


def _read_index(path: Path, source: ByteSource, faults: list[str]) -> _Index | None:
    """The index; None where there is none. Raises CheckpointError where it is unreadable or says nothing."""
    file = path / INDEX
    if not source.exists(file):
        return None
    document = read_document(source, file)
    places = text_map(document.get("weight_map"))
    if not places:
        raise CheckpointError(
            f"{shown(file)} has no weight_map of tensor names to shard names. Download it again."
        )
    outside = [name for name, shard in places.items() if not is_plain_name(shard)]
    if outside:
        faults.append(
            f"{shown(file)} puts {len(outside):,} tensors where no .safetensors file of the same folder is, "
            f"the first is {shown(outside[0])} in {shown(places[outside[0]])}. Download the index again."
        )
        left_out = set(outside)
        places = {name: shard for name, shard in places.items() if name not in left_out}
    if source.exists(path / SINGLE) and SINGLE not in places.values():
        faults.append(
            f"{shown(path)} holds both {SINGLE} and an index of other shards. Remove the one not meant."
        )
    metadata = document.get("metadata")
    total_size = metadata.get("total_size") if isinstance(metadata, dict) else None
    return _Index(places, total_size if type(total_size) is int and total_size >= 0 else None)


def _found_shards(
    path: Path, source: ByteSource, faults: list[str], is_index_refused: bool
) -> tuple[Path, ...]:
    """The shards of a folder without an index that can be used; notes where one is wanted."""
    if source.exists(path / SINGLE) and not is_index_refused:
        return (path / SINGLE,)
    try:
        shards = tuple(sorted(file for file in path.iterdir() if file.suffix == ".safetensors"))
    except OSError as error:
        raise CheckpointError(f"{shown(path)} cannot be listed: {error.strerror or error}.") from error
    if not is_index_refused:
        if not shards:
            raise CheckpointError(
                f"{shown(path)} holds neither {INDEX} nor {SINGLE}. "
                f"Give the folder of a safetensors checkpoint."
            )
        faults.append(
            f"{shown(path / INDEX)} is missing, though there are {len(shards)} shards. Download the index."
        )
    return shards


class _Headers:
    """Records, as one shard after the other is read."""

    def __init__(self, index: _Index | None) -> None:
        self._places = None if index is None else index.places
        self.records: dict[str, TensorRecord] = {}
        self.unindexed: dict[str, Path] = {}
        self.damaged: list[Path] = []
        self.cut: set[str] = set()
        self.faults: list[str] = []

    def read(self, source: ByteSource, shard: Path) -> None:
        """Take the tensors of a shard, whatever state it is in."""
        try:
            records: Sequence[TensorRecord] = read_header(source, shard).records
        except CheckpointError as error:
            self.damaged.append(shard)
            records, size = _salvaged(source, shard)
            cut = [record.name for record in records if record.end > size]
            lost = f" {len(cut):,} of its {len(records):,} tensors are cut or lost." if cut else ""
            self.faults.append(f"{error}{lost}")
            self.cut |= set(cut)
        twice = []
        for record in records:
            if self._places is not None and self._places.get(record.name) != shard.name:
                self.unindexed.setdefault(record.name, shard)
            elif record.name in self.records:
                twice.append(record.name)
            else:
                self.records[record.name] = record
        if twice:
            self.faults.append(
                f"{shown(shard)} holds {len(twice):,} tensors that another shard holds as well, the first is "
                f"{shown(twice[0])}. Download the index, which says what is meant."
            )


def _salvaged(source: ByteSource, shard: Path) -> tuple[tuple[TensorRecord, ...], int]:
    """The tensors of a shard whose header is sound, whatever is wrong with its length, which comes with them.

    None where the header is not sound either.
    """
    try:
        size = source.size(shard)
        if size < _LENGTH_BYTES:
            return (), size
        prefix = bytearray(_LENGTH_BYTES)
        source.read_into(shard, 0, memoryview(prefix))
        length = int.from_bytes(prefix, "little")
        if length > min(size - _LENGTH_BYTES, MAX_DOCUMENT_BYTES):
            return (), size
        text = bytearray(length)
        source.read_into(shard, _LENGTH_BYTES, memoryview(text))
        claimed = max(map(_claimed_end, parse_object(text, shard).values()), default=0)
        return parse_header(text, shard, _LENGTH_BYTES + length + claimed).records, size
    except CheckpointError:
        return (), 0


def _claimed_end(entry: object) -> int:
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not isinstance(offsets, list) or len(offsets) != 2 or type(offsets[1]) is not int:
        return 0
    return max(offsets[1], 0)


def _unread(index: _Index, found: _Headers, path: Path) -> dict[str, Path]:
    return {name: path / shard for name, shard in index.places.items() if name not in found.records}


def _missing_sentence(
    path: Path, missing: Sequence[Path], shards: Sequence[Path], index: _Index | None
) -> str:
    gone = {shard.name for shard in missing}
    tensors = 0 if index is None else sum(shard in gone for shard in index.places.values())
    return (
        f"{shown(path)}: {len(missing)} of {len(shards)} shards are missing, with {tensors:,} tensors; the "
        f"first is {shown(missing[0].name)}. Download the missing files."
    )


@dataclass(slots=True)
class _Absent:
    first: str
    count: int = field(default=0)


def _absent_sentences(unread: Mapping[str, Path], explained: set[Path]) -> list[str]:
    """A sentence for each sound shard that does not hold what the index puts there."""
    absent: dict[Path, _Absent] = {}
    for name, shard in unread.items():
        if shard not in explained:
            absent.setdefault(shard, _Absent(name)).count += 1
    return [
        f"{shown(shard)} does not hold {one.count:,} tensors that {INDEX} puts there, the first is "
        f"{shown(one.first)}. Download the index and the shards of one revision."
        for shard, one in absent.items()
    ]
