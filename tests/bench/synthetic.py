"""A checkpoint of DeepSeek-V3's form, large enough to be slow: 3.8 GB of FP8 with random weights.

Hidden 2048, 8 layers, 64 experts of which 8 are used, and an MTP layer. The rotary part is 128 wide, so that
kv_a_proj_with_mqa has 640 rows: transformers does not dequantise rows that 128 does not divide.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from engine.checkpoint.audit import Kind, expected
from engine.config import ModelConfig

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

CONFIG: dict[str, object] = {
    "architectures": ["DeepseekV3ForCausalLM"],
    "model_type": "deepseek_v3",
    "attention_bias": False,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "first_k_dense_replace": 1,
    "hidden_act": "silu",
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "kv_lora_rank": 512,
    "max_position_embeddings": 4096,
    "moe_intermediate_size": 1024,
    "moe_layer_freq": 1,
    "n_group": 8,
    "n_routed_experts": 64,
    "n_shared_experts": 1,
    "norm_topk_prob": True,
    "num_attention_heads": 32,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 8,
    "num_key_value_heads": 32,
    "num_nextn_predict_layers": 1,
    "q_lora_rank": 768,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 128,
    "quantization_config": {
        "activation_scheme": "dynamic",
        "fmt": "e4m3",
        "quant_method": "fp8",
        "weight_block_size": [128, 128],
    },
    "rms_norm_eps": 1e-6,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "routed_scaling_factor": 2.5,
    "scoring_func": "sigmoid",
    "tie_word_embeddings": False,
    "topk_group": 4,
    "topk_method": "noaux_tc",
    "torch_dtype": "bfloat16",
    "v_head_dim": 128,
    "vocab_size": 32768,
}


def synthesise(folder: Path, seed: int = 0) -> Path:
    """Write the checkpoint, one layer a shard, unless it is there already; returns the folder."""
    if (folder / "model.safetensors.index.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    config = ModelConfig.from_json(CONFIG, folder / "config.json")
    generator = torch.Generator().manual_seed(seed)
    # Weights are cut from one supply of random bytes at random places: making each anew takes minutes.
    supply = torch.randn(64 << 20, generator=generator).mul_(32).to(torch.float8_e4m3fn)
    shards: dict[str, dict[str, Tensor]] = {}
    for tensor in expected(config):
        parts = tensor.name.split(".")
        shard = shards.setdefault(parts[2] if parts[1] == "layers" else "rest", {})
        if tensor.kind is Kind.WEIGHT:
            rows, cols = tensor.shape
            begin = int(torch.randint(supply.numel() - rows * cols, (1,), generator=generator))
            shard[tensor.name] = supply[begin : begin + rows * cols].view(rows, cols).clone()
            blocks = (-(-rows // 128), -(-cols // 128))
            shard[tensor.name + "_scale_inv"] = torch.full(blocks, 1 / (32 * cols**0.5))
        elif len(tensor.shape) == 1:
            is_bias = tensor.name.endswith("bias")
            shard[tensor.name] = torch.zeros(tensor.shape) if is_bias else torch.ones(tensor.shape).bfloat16()
        else:
            noise = torch.randn(tensor.shape, generator=generator)
            shard[tensor.name] = (noise / tensor.shape[1] ** 0.5).bfloat16()
    places: dict[str, str] = {}
    for number, content in enumerate(shards.values(), start=1):
        name = f"model-{number:05d}-of-{len(shards):06d}.safetensors"
        save_file(content, folder / name, metadata={"format": "pt"})
        places |= dict.fromkeys(content, name)
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder
