"""Hollow checkpoints: they are DeepSeek-V3's to the byte, sparse, and the engine decodes from them."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine import GenerateOptions, Verified, load
from engine.checkpoint.audit import EMBED, HEAD, audit
from engine.checkpoint.checkpoint import open_checkpoint
from engine.checkpoint.tensor import Dtype
from engine.config import read_config
from tests.hollow import HollowShape, disk_use, plan, real_rows, write

if TYPE_CHECKING:
    from pathlib import Path

    from engine import Engine
    from engine.checkpoint.checkpoint import Checkpoint
    from tests.hollow import Floats

PROMPT = [0, 5, 7, 12, 200, 31]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small checkpoint."""
    return write(tmp_path_factory.mktemp("hollow"), HollowShape.SMALL)


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    return load(folder, threads=1, context=64)


def values(checkpoint: Checkpoint, name: str) -> Floats:
    """A tensor of bf16 or float32, as float32."""
    record = checkpoint.record(name)
    content = bytearray(record.bytes)
    checkpoint.source.read_into(record.shard, record.offset, memoryview(content))
    if record.dtype is Dtype.F32:
        return np.frombuffer(content, np.float32).reshape(record.shape)
    bits = np.frombuffer(content, np.uint16).astype(np.uint32) << 16
    return bits.view(np.float32).reshape(record.shape)


def test_v3_has_the_published_tensors_and_bytes() -> None:
    shards = plan(HollowShape.V3)
    tensors = [tensor for shard in shards for tensor in shard]
    assert len(shards) == 163
    assert len({tensor.name for tensor in tensors}) == len(tensors) == 91_991
    assert sum(tensor.bytes for tensor in tensors) == 688_574_839_360
    by_type = dict.fromkeys((Dtype.F8_E4M3, Dtype.BF16, Dtype.F32), 0)
    for tensor in tensors:
        by_type[tensor.dtype] += tensor.bytes
    assert by_type == {
        Dtype.F8_E4M3: 680_571_043_840,
        Dtype.BF16: 7_837_573_120,
        Dtype.F32: 166_161_984 + 60_416,
    }


def test_v3_lies_in_its_shards_as_published() -> None:
    shards = plan(HollowShape.V3)
    homes = {tensor.name: number for number, shard in enumerate(shards, start=1) for tensor in shard}
    last = {number for name, number in homes.items() if name.startswith("model.layers.61.")}
    assert last == {160, 161, 162, 163}
    for part in ("embed_tokens", "enorm", "hnorm", "eh_proj", "shared_head.norm", "shared_head.head"):
        assert homes[f"model.layers.61.{part}.weight"] == 163
    sizes = [sum(tensor.bytes for tensor in shard) for shard in shards]
    assert max(sizes) < 6e9
    assert sum(4.1e9 < size < 4.4e9 for size in sizes) >= 160


def test_the_small_one_opens_and_is_whole(folder: Path) -> None:
    with open_checkpoint(folder) as checkpoint:
        found = audit(checkpoint, read_config(folder))
        assert found.has_mtp
        assert found.unused == ()
        assert checkpoint.bytes == sum(tensor.bytes for shard in plan(HollowShape.SMALL) for tensor in shard)
        assert len(checkpoint.shards) == 3
        parted = [
            name
            for name, record in checkpoint.records.items()
            if record.dtype is Dtype.F8_E4M3 and checkpoint.record(f"{name}_scale_inv").shard != record.shard
        ]
        down, gate, up = (
            checkpoint.record(f"model.layers.1.mlp.experts.3.{part}_proj.weight")
            for part in ("down", "gate", "up")
        )
        assert (down.end, gate.end) == (gate.offset, up.offset)
    assert len(parted) <= 2
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == checkpoint.bytes


@pytest.mark.skipif(sys.platform == "win32", reason="files say nothing of their blocks")
def test_it_takes_little_of_the_disk(folder: Path) -> None:
    apparent, allocated = disk_use(folder)
    assert apparent > 16e6
    assert allocated < apparent / 8


def test_real_rows_are_read_back_and_the_rest_is_zero(folder: Path) -> None:
    rows = real_rows(folder)
    with open_checkpoint(folder) as checkpoint:
        embedding, head = values(checkpoint, EMBED), values(checkpoint, HEAD)
        for real in (embedding, head):
            assert np.all(np.any(real[:rows] != 0, axis=1))
            assert not np.any(real[rows:])
        assert 0.9 < embedding[:rows].std() < 1.3
        assert np.array_equal(embedding, values(checkpoint, "model.layers.4.embed_tokens.weight"))
        assert np.array_equal(head, values(checkpoint, "model.layers.4.shared_head.head.weight"))
        gate = values(checkpoint, "model.layers.1.mlp.gate.weight")
        assert not np.array_equal(gate, values(checkpoint, "model.layers.2.mlp.gate.weight"))
        for name in ("model.layers.2.self_attn.o_proj.weight_scale_inv", "model.layers.4.eh_proj.weight"):
            assert np.all(values(checkpoint, name) != 0)
        assert np.all(values(checkpoint, "model.norm.weight") == 1)


def test_writing_again_with_fewer_rows_leaves_none_of_the_old(tmp_path: Path) -> None:
    write(tmp_path, HollowShape.SMALL)
    write(tmp_path, HollowShape.SMALL, rows=10)
    with open_checkpoint(tmp_path) as checkpoint:
        embedding = values(checkpoint, EMBED)
    assert np.any(embedding[9])
    assert not np.any(embedding[10:])


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_decoding_stays_on_real_rows_and_accepts_nothing(engine: Engine, folder: Path, depth: int) -> None:
    options = GenerateOptions(max_tokens=40, depth=depth, temperature=1.0, ignore_eos=True, detail=True)
    rounds = [event for event in engine.generate(PROMPT, options) if isinstance(event, Verified)]
    text = [token.id for event in rounds for token in event.tokens]
    assert len(text) == 40
    assert all(token < real_rows(folder) and token % 2 == 0 for token in text)
    assert len(set(text)) > 20
    assert sum(event.accepted for event in rounds) == 0
    drafts = [draft.id for event in rounds for draft in event.rejected]
    assert len(drafts) == sum(event.depth for event in rounds)
    assert all(draft < real_rows(folder) and draft % 2 == 1 for draft in drafts)
    routes = {event.detail.experts for event in rounds if event.detail}
    assert len(routes) > 20


def test_the_text_is_the_same_at_every_depth(engine: Engine) -> None:
    texts = set()
    for depth in (0, 1, 2):
        options = GenerateOptions(max_tokens=20, depth=depth, temperature=1.0, ignore_eos=True)
        events = [event for event in engine.generate(PROMPT, options) if isinstance(event, Verified)]
        texts.add(tuple(token.id for event in events for token in event.tokens))
    assert len(texts) == 1
