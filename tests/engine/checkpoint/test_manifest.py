"""A manifest: damaged and half-downloaded checkpoints are read as far as they go, each fault named."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.checkpoint.checkpoint import open_checkpoint
from engine.checkpoint.manifest import Basis, Manifest, read_manifest
from engine.checkpoint.source import FileSource
from engine.checkpoint.tensor import Dtype
from engine.errors import CheckpointError
from tests.engine.checkpoint.files import (
    MemorySource,
    Tensors,
    entry,
    file_bytes,
    write_checkpoint,
    write_json,
    write_shard,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

INDEX = "model.safetensors.index.json"
SECOND = "model-00002-of-00003.safetensors"
TENSORS: Tensors = {f"t{number}": (Dtype.BF16, (number + 1, 3)) for number in range(9)}
IN_SECOND = {"t1", "t4", "t7"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    write_checkpoint(folder, TENSORS, {"model_type": "x"})
    return folder


@pytest.fixture
def source() -> Iterator[FileSource]:
    source = FileSource()
    yield source
    source.close()


def one_fault(manifest: Manifest, *parts: str) -> None:
    """The manifest has one fault, which names all of the parts."""
    (fault,) = manifest.faults
    assert fault.isprintable()
    for part in parts:
        assert part in fault


def test_a_whole_checkpoint_is_what_opening_finds(folder: Path, source: FileSource) -> None:
    found = read_manifest(folder, source)
    with open_checkpoint(folder) as checkpoint:
        assert found.records == checkpoint.records
        assert found.shards == checkpoint.shards
        assert found.config == checkpoint.config
    assert found.basis is Basis.HEADERS
    assert found.faults == found.missing == found.damaged == ()
    assert not found.unread
    assert not found.cut


def test_a_missing_shard_leaves_the_names_of_its_tensors(folder: Path, source: FileSource) -> None:
    (folder / SECOND).unlink()
    found = read_manifest(folder, source)
    assert set(found.unread) == IN_SECOND
    assert set(found.records) == TENSORS.keys() - IN_SECOND
    assert found.missing == (folder / SECOND,)
    one_fault(found, "1 of 3 shards", "3 tensors", SECOND)


def test_a_shard_that_was_cut_short_still_tells_of_its_tensors(folder: Path, source: FileSource) -> None:
    whole = (folder / SECOND).read_bytes()
    (folder / SECOND).write_bytes(whole[: -math.prod((8, 3)) * 2 - 1])  # the last tensor, and a byte more
    found = read_manifest(folder, source)
    assert set(found.records) == TENSORS.keys()
    assert found.cut == {"t4", "t7"}
    assert found.damaged == (folder / SECOND,)
    one_fault(found, SECOND, "cut short", f"{len(whole) - 49:,}", "2 of its 3 tensors")


def test_bytes_after_the_last_tensor_lose_none(folder: Path, source: FileSource) -> None:
    (folder / SECOND).write_bytes((folder / SECOND).read_bytes() + b"x")
    found = read_manifest(folder, source)
    assert set(found.records) == TENSORS.keys()
    assert not found.cut
    one_fault(found, SECOND, "accounts for")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "0 bytes"),
        (b"short", "5 bytes"),
        (b"\xff" * 8, "limit"),
        (file_bytes(b"{}", length=99), "99 bytes"),
        (file_bytes(b"{nonsense"), "JSON"),
        (file_bytes({"t1": entry(0, 4, dtype="F4")}, bytes(4)), "F4"),
        (file_bytes({"t1": {"dtype": "U8", "shape": [4], "data_offsets": [0, [1]]}}), "data_offsets"),
        (file_bytes({"t1": 5}), "t1"),
    ],
)
def test_a_bad_header_loses_only_its_own_shard(
    folder: Path, source: FileSource, content: bytes, word: str
) -> None:
    (folder / SECOND).write_bytes(content)
    found = read_manifest(folder, source)
    assert set(found.unread) == IN_SECOND
    assert len(found.records) == 6
    one_fault(found, SECOND, word)


def test_tensors_that_are_in_another_shard_than_the_index_says(folder: Path, source: FileSource) -> None:
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"] |= {"t0": SECOND, "gone": SECOND}
    write_json(folder / INDEX, index)
    found = read_manifest(folder, source)
    assert set(found.unread) == {"t0", "gone"}
    assert set(found.unindexed) == {"t0"}
    one_fault(found, SECOND, "2 tensors", INDEX, "'t0'")


def test_an_index_alone_is_no_fault(folder: Path, source: FileSource) -> None:
    for shard in folder.glob("*.safetensors"):
        shard.unlink()
    found = read_manifest(folder, source)
    assert found.basis is Basis.INDEX
    assert found.faults == ()
    assert set(found.unread) == set(TENSORS)
    assert len(found.missing) == 3


@pytest.mark.parametrize("content", [None, "{", '{"weight_map": 5}', '{"weight_map": {}}'])
def test_without_an_index_all_shards_are_read(folder: Path, source: FileSource, content: str | None) -> None:
    (folder / INDEX).unlink()
    if content is not None:
        (folder / INDEX).write_text(content)
    found = read_manifest(folder, source)
    assert set(found.records) == set(TENSORS)
    one_fault(found, INDEX)


def test_shards_that_hold_the_same_tensor_when_no_index_says_which(folder: Path, source: FileSource) -> None:
    (folder / INDEX).unlink()
    write_shard(folder / "other.safetensors", {"t0": (Dtype.F32, (2,))})
    found = read_manifest(folder, source)
    assert found.records["t0"].shape == (1, 3)
    assert any("other.safetensors" in fault and "'t0'" in fault for fault in found.faults)


def test_an_unreadable_config_is_one_fault_among_others(folder: Path, source: FileSource) -> None:
    (folder / "config.json").write_text('{"a": NaN}')
    (folder / SECOND).unlink()
    found = read_manifest(folder, source)
    assert not found.config
    assert len(found.records) == 6
    assert ["config.json" in fault for fault in found.faults] == [True, False]


def test_places_outside_the_folder_are_not_looked_at(folder: Path, source: FileSource) -> None:
    write_shard(folder.parent / "secret.safetensors", {"s": (Dtype.U8, (4,))})
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"]["s"] = "../secret.safetensors"
    write_json(folder / INDEX, index)
    found = read_manifest(folder, source)
    assert set(found.records) == set(TENSORS)
    one_fault(found, INDEX, "1 tensors", "'../secret.safetensors'")


def test_both_a_single_file_and_an_index(folder: Path, source: FileSource) -> None:
    write_shard(folder / "model.safetensors", {"z": (Dtype.U8, (4,))})
    found = read_manifest(folder, source)
    assert set(found.records) == set(TENSORS)
    one_fault(found, "model.safetensors", "both")


def test_a_folder_without_tensors_is_refused(tmp_path: Path, source: FileSource) -> None:
    write_json(tmp_path / "config.json", {})
    with pytest.raises(CheckpointError, match="neither"):
        read_manifest(tmp_path, source)
    (tmp_path / INDEX).write_text("{}")
    with pytest.raises(CheckpointError, match="weight_map"):
        read_manifest(tmp_path, source)


@given(st.integers(0, 400), st.booleans(), st.integers(0, 255))
def test_no_damage_to_a_shard_raises_or_goes_unnoticed(place: int, cuts: bool, value: int) -> None:
    """A file that is cut anywhere, or of which any byte of the header is another."""
    header = {"a": entry(0, 12, (3,), "F32"), "b": entry(12, 20)}
    data = file_bytes(header, bytes(20))
    place %= len(data) - 20
    changed = data[:place] if cuts else data[:place] + bytes([value]) + data[place + 1 :]
    index = {"weight_map": {"a": "m.safetensors", "b": "m.safetensors", "c": "n.safetensors"}}
    folder = Path("/nowhere")
    files = {
        folder / INDEX: json.dumps(index).encode(),
        folder / "config.json": b"{}",
        folder / "m.safetensors": changed,
        folder / "n.safetensors": file_bytes({"c": entry(0, 4)}, bytes(4)),
    }
    found = read_manifest(folder, MemorySource(files))
    assert "c" in found.records
    assert found.records.keys() | found.unread.keys() == {"a", "b", "c"}
    if cuts:
        assert found.faults
    for record in found.records.values():
        size = math.prod(record.shape) * record.dtype.bytes
        assert record.bytes == size
        assert record.end <= len(files[record.shard]) or record.name in found.cut
