"""A checkpoint folder: what opening finds, and the sentence for each way it can be incomplete."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from engine.checkpoint.checkpoint import open_checkpoint
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

INDEX = "model.safetensors.index.json"
SECOND = "model-00002-of-00003.safetensors"
TENSORS: Tensors = {
    "a.weight": (Dtype.F8_E4M3, (130, 128)),
    "a.weight_scale_inv": (Dtype.F32, (2, 1)),
    "b.weight": (Dtype.BF16, (3, 5)),
    "norm.weight": (Dtype.F32, (5,)),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    write_checkpoint(folder, TENSORS, {"model_type": "x"})
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(folder)
    assert str(caught.value).isprintable()
    return str(caught.value)


def change_index(folder: Path, **changes: object) -> None:
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"].update(changes)
    write_json(folder / INDEX, index)


def test_thousands_of_tensors_in_many_shards(tmp_path: Path) -> None:
    tensors: Tensors = {
        f"layers.{number}.weight": (Dtype.BF16, (number % 7, number % 5 + 1)) for number in range(4000)
    }
    write_checkpoint(tmp_path, tensors, {"a": 1}, shards=13)
    index = json.loads((tmp_path / INDEX).read_text())["weight_map"]
    with open_checkpoint(tmp_path) as checkpoint:
        assert checkpoint.config == {"a": 1}
        assert len(checkpoint.shards) == 13
        assert {name: (one.dtype, one.shape) for name, one in checkpoint.records.items()} == tensors
        assert all(one.shard == tmp_path / index[name] for name, one in checkpoint.records.items())
        assert checkpoint.bytes == sum(2 * (n % 7) * (n % 5 + 1) for n in range(4000))
        assert not checkpoint.unindexed


def test_a_records_bytes_are_the_tensors(tmp_path: Path) -> None:
    data = bytes(range(10))
    (tmp_path / "model.safetensors").write_bytes(file_bytes({"a": entry(0, 4), "b": entry(4, 10)}, data))
    write_json(tmp_path / "config.json", {})
    with open_checkpoint(tmp_path) as checkpoint:
        record = checkpoint.record("b")
        buffer = bytearray(record.bytes)
        checkpoint.source.read_into(record.shard, record.offset, memoryview(buffer))
    assert bytes(buffer) == data[4:]
    with pytest.raises(CheckpointError, match="closed"):
        checkpoint.source.size(tmp_path / "model.safetensors")


def test_a_weights_scale_may_lie_in_another_shard(folder: Path) -> None:
    with open_checkpoint(folder) as checkpoint:
        pair = checkpoint.weight("a.weight")
        assert pair.scale is not None
        assert (pair.scale.name, pair.scale.shape) == ("a.weight_scale_inv", (2, 1))
        assert pair.scale.shard != pair.weight.shard
        assert checkpoint.weight("b.weight").scale is None
        with pytest.raises(CheckpointError, match=r"'c\.weight'"):
            checkpoint.weight("c.weight")


def test_an_fp8_weight_without_scale_is_refused_by_name(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, {"a.weight": (Dtype.F8_E4M3, (4, 4))}, {}, shards=1)
    with (
        open_checkpoint(tmp_path) as checkpoint,
        pytest.raises(CheckpointError, match=r"'a\.weight_scale_inv'"),
    ):
        checkpoint.weight("a.weight")


def test_shards_may_be_links(folder: Path, tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    (folder / SECOND).rename(blob)
    (folder / SECOND).symlink_to(blob)
    with open_checkpoint(folder) as checkpoint:
        assert checkpoint.record("a.weight_scale_inv").shard == folder / SECOND


def test_missing_shards_are_counted_and_the_first_named(folder: Path) -> None:
    (folder / SECOND).unlink()
    (folder / "model-00003-of-00003.safetensors").unlink()
    message = refused(folder)
    assert "2 of 3 shards are missing" in message
    assert SECOND in message
    assert str(folder) in message


def test_a_link_that_leads_nowhere_is_a_missing_shard(folder: Path) -> None:
    (folder / SECOND).unlink()
    (folder / SECOND).symlink_to(folder / "gone")
    assert "1 of 3 shards are missing" in refused(folder)


def test_a_shard_cut_short_is_named(folder: Path) -> None:
    file = folder / "model-00001-of-00003.safetensors"
    os.truncate(file, file.stat().st_size - 1)
    message = refused(folder)
    assert str(file) in message
    assert "cut short" in message


def test_a_tensor_that_no_shard_holds(folder: Path) -> None:
    change_index(folder, ghost=SECOND)
    message = refused(folder)
    assert "'ghost'" in message
    assert str(folder / SECOND) in message
    assert "nor does any other" in message


def test_a_tensor_in_another_shard_than_the_index_says(folder: Path) -> None:
    change_index(folder, **{"norm.weight": SECOND})
    message = refused(folder)
    assert "'norm.weight'" in message
    assert f"{folder / SECOND} does not hold" in message
    assert f"{folder / 'model-00001-of-00003.safetensors'} does" in message


def test_a_tensor_that_the_index_does_not_name_is_kept_apart(folder: Path) -> None:
    index = json.loads((folder / INDEX).read_text())
    del index["weight_map"]["b.weight"]
    index["weight_map"]["extra"] = "model-00003-of-00003.safetensors"
    write_shard(
        folder / "model-00003-of-00003.safetensors",
        {"b.weight": TENSORS["b.weight"], "extra": (Dtype.F32, (1,))},
    )
    write_json(folder / INDEX, index)
    with open_checkpoint(folder) as checkpoint:
        assert "b.weight" not in checkpoint.records
        assert checkpoint.unindexed == {"b.weight": folder / "model-00003-of-00003.safetensors"}
        with pytest.raises(CheckpointError, match=r"does not name tensor 'b\.weight'"):
            checkpoint.record("b.weight")


def test_the_index_decides_between_two_copies(folder: Path) -> None:
    write_shard(
        folder / SECOND,
        {"a.weight_scale_inv": TENSORS["a.weight_scale_inv"], "b.weight": (Dtype.F32, (9, 9))},
    )
    with open_checkpoint(folder) as checkpoint:
        assert checkpoint.record("b.weight").shape == (3, 5)
        assert not checkpoint.unindexed


@pytest.mark.parametrize(
    "name",
    [
        "../other/model.safetensors", "/etc/passwd", "a/b.safetensors", "a\\b.safetensors", "..", ".", "",
        "C:x.safetensors", "model.bin", "x\n.safetensors", "x\0.safetensors",
    ],
)  # fmt: skip
def test_a_shards_name_may_not_lead_out_of_the_folder(folder: Path, name: str) -> None:
    outside = folder.parent / "other"
    write_checkpoint(outside, {"b.weight": TENSORS["b.weight"]}, {}, shards=1)
    change_index(folder, **{"b.weight": name})
    message = refused(folder)
    assert "'b.weight'" in message
    assert "not the name of a .safetensors file in the same folder" in message


@pytest.mark.parametrize(
    "index",
    [
        b"", b"{", b"[]", b"{}", b'{"weight_map": []}', b'{"weight_map": {"a": 1}}', b"\xff", b"null",
        b'{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_wrong_index_is_refused(folder: Path, index: bytes) -> None:
    (folder / INDEX).write_bytes(index)
    assert str(folder / INDEX) in refused(folder)


def test_an_empty_index_is_refused(folder: Path) -> None:
    write_json(folder / INDEX, {"weight_map": {}})
    assert "no tensors" in refused(folder)


def test_an_index_may_name_the_single_file(tmp_path: Path) -> None:
    write_shard(tmp_path / "model.safetensors", TENSORS)
    write_json(tmp_path / "config.json", {})
    write_json(tmp_path / INDEX, {"weight_map": dict.fromkeys(TENSORS, "model.safetensors")})
    with open_checkpoint(tmp_path) as checkpoint:
        assert set(checkpoint.records) == set(TENSORS)


def test_two_checkpoints_in_one_folder_are_refused(folder: Path) -> None:
    write_shard(folder / "model.safetensors", TENSORS)
    assert "both" in refused(folder)


@pytest.mark.parametrize("config", [None, b"", b"[]", b"{'a': 1}", b'{"a": NaN}'])
def test_a_wrong_config_file_is_refused(folder: Path, config: bytes | None) -> None:
    if config is None:
        (folder / "config.json").unlink()
    else:
        (folder / "config.json").write_bytes(config)
    assert str(folder / "config.json") in refused(folder)


def test_a_byte_order_mark_before_the_config_is_accepted(folder: Path) -> None:
    (folder / "config.json").write_bytes(b'\xef\xbb\xbf{"a": 2}')
    with open_checkpoint(folder) as checkpoint:
        assert checkpoint.config == {"a": 2}


def test_what_is_no_checkpoint_folder_is_refused(tmp_path: Path) -> None:
    assert "neither" in refused(tmp_path)
    assert "does not exist" in refused(tmp_path / "gone")
    assert "does not exist" in refused(tmp_path / ("n" * 300))
    (tmp_path / "file").write_bytes(b"")
    assert "not a folder" in refused(tmp_path / "file")


def test_another_source_can_be_plugged_in() -> None:
    folder = Path("elsewhere")
    source = MemorySource(
        {
            folder / "model.safetensors": file_bytes({"a": entry(0, 2)}, b"12"),
            folder / "config.json": b"{}",
        }
    )
    with open_checkpoint(folder, source) as checkpoint:
        assert checkpoint.record("a").bytes == 2
    assert source.closed


def test_a_source_is_closed_when_opening_fails() -> None:
    source = MemorySource({Path("x/model.safetensors"): b""})
    with pytest.raises(CheckpointError):
        open_checkpoint(Path("x"), source)
    assert source.closed


def test_a_checkpoint_cannot_be_changed(folder: Path) -> None:
    with open_checkpoint(folder) as checkpoint, pytest.raises(TypeError):
        checkpoint.records["new"] = checkpoint.record("b.weight")  # type: ignore[index]
