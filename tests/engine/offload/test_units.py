"""The inventory: DeepSeek-V3's to the byte, and every tensor of any model in one place only."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from engine.checkpoint.audit import EMBED, HEAD, audit, expected
from engine.checkpoint.checkpoint import SCALE_SUFFIX, open_checkpoint
from engine.checkpoint.tensor import Dtype
from engine.config import ModelConfig
from engine.offload.units import UnitKind, inventory
from tests.engine.offload.made import (
    TINY,
    TINY_CONFIG,
    V3_CONFIG,
    checkpoint_of,
    config_of,
    inventory_of,
    tiny,
    v3,
)
from tests.engine.test_config import V3

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.engine.tiny import TinySpec


def test_v3_without_routed_experts_is_19_gb() -> None:
    stock, seconds = v3()
    assert seconds < 2
    experts = [record for record in stock.resident if ".mlp.experts." in record.name]
    assert len(experts) == 3 * 256 * 59
    of_mtp = [record for record in stock.resident if ".layers.61." in record.name and record not in experts]
    main = sum(unit.tensor_bytes for unit in stock.main) + stock.embedding.bytes
    main += sum(record.bytes for record in stock.resident) - sum(record.bytes for record in experts)
    main -= sum(record.bytes for record in of_mtp)
    assert main / 1e9 == pytest.approx(19.1, abs=0.05)
    scales = sum(record.bytes for record in stock.resident if record.name.endswith(SCALE_SUFFIX))
    assert scales / 1e6 == pytest.approx(166, abs=0.5)


def test_v3s_experts() -> None:
    shape = v3()[0].experts
    assert shape is not None
    assert shape.layers == tuple(range(3, 62))
    assert (shape.per_layer, shape.per_token, shape.count) == (256, 8, 59 * 256)
    assert shape.bytes_per_expert == shape.weights_per_expert == 44_040_192 == 3 * 7168 * 2048
    # Scales lie between the three matrices here, so that each is a read of its own, in pages of its own.
    assert 44_040_192 <= shape.slot_bytes <= 44_040_192 + 6 * 4096


def test_v3s_units_are_in_order_of_use() -> None:
    stock = v3()[0]
    names = [(unit.name, unit.kind) for unit in stock.units]
    assert names[:3] == [
        ("model.layers.0.self_attn", UnitKind.ATTENTION),
        ("model.layers.0.mlp", UnitKind.DENSE),
        ("model.layers.1.self_attn", UnitKind.ATTENTION),
    ]
    assert names[6:8] == [
        ("model.layers.3.self_attn", UnitKind.ATTENTION),
        ("model.layers.3.mlp.shared_experts", UnitKind.SHARED),
    ]
    assert names[-3:] == [
        ("model.layers.61.eh_proj", UnitKind.PROJECTION),
        ("model.layers.61.self_attn", UnitKind.ATTENTION),
        ("model.layers.61.mlp.shared_experts", UnitKind.SHARED),
    ]
    assert [unit.mtp for unit in stock.units] == [False] * (len(names) - 3) + [True] * 3
    assert [kind for _, kind in names[122:-3]] == [UnitKind.HEAD] * 10
    assert names[0] == (stock.main[0].name, UnitKind.ATTENTION)
    assert [record.name.rpartition(".self_attn.")[2] for record in stock.units[0].records] == [
        f"{part}.weight" for part in ("q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj")
    ]


@pytest.mark.parametrize("raw", [TINY, V3])
def test_the_heads_pieces_are_the_head(raw: dict[str, object]) -> None:
    config = config_of(raw)
    stock = inventory_of(config) if raw is TINY else v3()[0]
    head = checkpoint_of(config).records[HEAD]
    pieces = [unit for unit in stock.units if unit.kind is UnitKind.HEAD]
    records = [piece.records[0] for piece in pieces]
    assert len(pieces) > 1
    assert all(len(piece.records) == 1 and not piece.mtp for piece in pieces)
    assert max(piece.bytes for piece in pieces) <= max(
        unit.bytes for unit in stock.main if unit.kind is not UnitKind.HEAD
    )
    assert records[0].offset == head.offset
    assert records[-1].end == head.end
    assert all(one.end == other.offset for one, other in pairwise(records))
    row = 0
    for piece, record in zip(pieces, records, strict=True):
        assert record.name == piece.name == f"{HEAD}[{row}:{row + record.shape[0]}]"
        assert record.bytes == math.prod(record.shape) * record.dtype.bytes
        row += record.shape[0]
    assert row == config.vocab_size


def test_a_row_too_large_is_a_piece_of_its_own() -> None:
    # No attention is smaller than a row in truth; these records only say so.
    config = config_of(TINY, vocab_size=3, hidden_size=8192)
    assert len([unit for unit in inventory_of(config).units if unit.kind is UnitKind.HEAD]) == 1


def names_of(stock_config: ModelConfig, left_out: tuple[str, ...] = ()) -> list[str]:
    stock = inventory_of(stock_config, left_out)
    names = [record.name for record in stock.resident]
    for unit in stock.units:
        names += [record.name.partition("[")[0] for record in unit.records]
    return [*names, stock.embedding.name]


def test_every_tensor_is_in_one_place() -> None:
    copies = ("model.layers.4.embed_tokens.weight", "model.layers.4.shared_head.head.weight")
    names = names_of(TINY_CONFIG)
    assert len(set(names)) == len(names) - (names.count(HEAD) - 1)
    experts = {
        record.name
        for record in checkpoint_of(TINY_CONFIG).records.values()
        if ".experts." in record.name and not record.name.endswith(SCALE_SUFFIX)
    }
    assert set(names) | experts | set(copies) == set(checkpoint_of(TINY_CONFIG).records)
    assert not set(copies) & set(names)


def test_an_mtp_layer_that_was_not_saved_takes_no_room() -> None:
    stock = inventory_of(TINY_CONFIG, (".layers.4.",))
    assert not stock.has_mtp
    assert stock.mtp == ()
    assert not any(".layers.4." in name for name in names_of(TINY_CONFIG, (".layers.4.",)))
    assert stock.experts is not None
    assert stock.experts.layers == (1, 2, 3)


def test_tied_embeddings_are_read_once() -> None:
    config = config_of(TINY, tie_word_embeddings=True)
    stock = inventory_of(config, ("lm_head", "embed_tokens.weight.", ".layers.4.embed", "shared_head.head"))
    assert stock.head_is_embedding
    head = [unit.records[0] for unit in stock.units if unit.kind is UnitKind.HEAD]
    assert head[0].name.startswith(f"{EMBED}[0:")
    assert head[0].offset == stock.embedding.offset
    assert not tiny().head_is_embedding


def test_a_model_without_experts_has_none() -> None:
    config = config_of(TINY, first_k_dense_replace=4, num_nextn_predict_layers=0)
    assert inventory_of(config).experts is None


def test_the_type_is_that_of_most_bytes_that_are_multiplied() -> None:
    assert v3()[0].dtype is tiny().dtype is Dtype.F8_E4M3
    # 48 MB of head, in BF16, beside less than 3 MB of FP8; an embedding as large is only looked up.
    config = config_of(TINY, vocab_size=150_000)
    assert inventory_of(config).dtype is Dtype.BF16
    small_head = config_of(TINY, vocab_size=5_000)
    stock = inventory_of(small_head)
    of_fp8 = stock.experts.bytes_per_expert * stock.experts.count if stock.experts else 0
    of_fp8 += sum(unit.tensor_bytes for unit in stock.units if unit.records[0].dtype is Dtype.F8_E4M3)
    assert 5_000 * 160 * 2 < of_fp8 < 2 * 5_000 * 160 * 2
    assert stock.dtype is Dtype.F8_E4M3


def test_checkpoints_on_disk_of_every_kind(tiny: Callable[[TinySpec], Path], spec: TinySpec) -> None:
    with open_checkpoint(tiny(spec)) as checkpoint:
        config = ModelConfig.from_json(checkpoint.config, checkpoint.path / "config.json")
        found = audit(checkpoint, config)
        stock = inventory(checkpoint, config, found)
    assert stock.has_mtp == bool(spec.num_nextn)
    assert stock.head_is_embedding == spec.tie_embeddings
    types = {"fp8": Dtype.F8_E4M3, "bf16": Dtype.BF16, "f16": Dtype.F16, "f32": Dtype.F32}
    assert spec.dtype == "mixed" or stock.dtype is types[spec.dtype]
    matrices = sum(
        math.prod(tensor.shape)
        for tensor in expected(config)
        if len(tensor.shape) == 2 and not any(part in tensor.name for part in ("embed", "head", "mlp.gate."))
    )
    weights = sum(unit.weights for unit in stock.units if unit.kind is not UnitKind.HEAD)
    assert stock.experts is not None
    assert weights + stock.experts.weights_per_expert * stock.experts.count == matrices


def test_v3_uses_every_tensor_but_the_mtp_layers_copies() -> None:
    stock = v3()[0]
    assert stock.experts is not None
    count = len(stock.resident) + 1 + 1 + 3 * stock.experts.count
    count += sum(len(unit.records) for unit in stock.units if unit.kind is not UnitKind.HEAD)
    assert count == 91_991 - 2
    assert sum(1 for _ in expected(V3_CONFIG)) > 45_000
