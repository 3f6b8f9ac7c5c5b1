"""Checkpoints that exist as records only, with the shapes that a config needs and a layout of their own."""

from __future__ import annotations

import math
import time
from functools import cache
from pathlib import Path

from engine.checkpoint.audit import Audit, Kind, audit, expected
from engine.checkpoint.checkpoint import SCALE_SUFFIX, Checkpoint
from engine.checkpoint.tensor import Dtype, TensorRecord
from engine.config import ModelConfig
from engine.offload.units import Inventory, inventory
from tests.engine.checkpoint.files import MemorySource
from tests.engine.test_config import V3

FOLDER = Path("/nowhere")
SHARD_BYTES = 4_300_000_000
TINY: dict[str, object] = V3 | {
    "hidden_size": 160, "num_hidden_layers": 4, "first_k_dense_replace": 1, "num_attention_heads": 2,
    "q_lora_rank": 136, "kv_lora_rank": 64, "qk_nope_head_dim": 24, "v_head_dim": 40, "n_routed_experts": 8,
    "num_experts_per_tok": 2, "n_group": 2, "topk_group": 1, "intermediate_size": 300,
    "moe_intermediate_size": 100, "vocab_size": 640,
}  # fmt: skip
"""Sizes that no page divides."""


def records_of(
    config: ModelConfig, left_out: tuple[str, ...] = (), stored: Dtype = Dtype.F8_E4M3
) -> dict[str, TensorRecord]:
    """Records as published: FP8 with float32 scales behind each weight, all else BF16 but the biases."""
    records: dict[str, TensorRecord] = {}
    end = 9_999  # a header is of any length

    def add(name: str, dtype: Dtype, shape: tuple[int, ...]) -> None:
        nonlocal end
        size = math.prod(shape) * dtype.bytes
        shard = FOLDER / f"model-{end // SHARD_BYTES:05}.safetensors"
        records[name] = TensorRecord(name, shard, dtype, shape, end % SHARD_BYTES, size)
        end += size

    for tensor in expected(config):
        if any(part in tensor.name for part in left_out):
            continue
        if tensor.kind is Kind.WEIGHT:
            add(tensor.name, stored, tensor.shape)
            if stored is Dtype.F8_E4M3:
                add(tensor.name + SCALE_SUFFIX, Dtype.F32, tuple(-(-side // 128) for side in tensor.shape))
        else:
            add(tensor.name, Dtype.F32 if tensor.name.endswith("bias") else Dtype.BF16, tensor.shape)
    return records


def checkpoint_of(config: ModelConfig, left_out: tuple[str, ...] = ()) -> Checkpoint:
    """A checkpoint of such records; nothing can be read from it."""
    records = records_of(config, left_out)
    size = sum(record.bytes for record in records.values())
    return Checkpoint(FOLDER, records, {}, MemorySource({}), (), size, {})


def config_of(raw: dict[str, object], **changes: object) -> ModelConfig:
    return ModelConfig.from_json(raw | changes, FOLDER / "config.json")


def inventory_of(config: ModelConfig, left_out: tuple[str, ...] = ()) -> Inventory:
    checkpoint = checkpoint_of(config, left_out)
    return inventory(checkpoint, config, audit(checkpoint, config))


V3_CONFIG = config_of(V3)
TINY_CONFIG = config_of(TINY)


@cache
def v3() -> tuple[Inventory, float]:
    """DeepSeek-V3's inventory, and the seconds of processor time it took to make."""
    checkpoint = checkpoint_of(V3_CONFIG)
    found: Audit = audit(checkpoint, V3_CONFIG)
    began = time.process_time()
    return inventory(checkpoint, V3_CONFIG, found), time.process_time() - began


@cache
def tiny() -> Inventory:
    """The inventory of TINY, whose every part is there."""
    return inventory_of(TINY_CONFIG)
