"""The demo model's dimensions: a config.json, and the engine's own reading of it.

12.9 million parameters, 14 MB in FP8. The vocabulary is small because the head is half of a draft's cost and
because copying, on which nearly every skill rests, formed in minutes at 768 tokens and not at all at 3072.
Heads have a rotary half as wide as the other half: a head that looks one token back needs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.config import ModelConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

BOS_ID, EOS_ID, PAD_ID = 0, 1, 2
BLOCK = 128
"""Rows and columns of an FP8 weight that share one scale."""


def demo_json() -> dict[str, object]:
    """Return config.json without what depends on how weights are stored."""
    return {
        "architectures": ["DeepseekV3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": BOS_ID,
        "eos_token_id": EOS_ID,
        "ep_size": 1,
        "first_k_dense_replace": 1,
        "hidden_act": "silu",
        "hidden_size": 256,
        "initializer_range": 0.02,
        "intermediate_size": 768,
        "kv_lora_rank": 96,
        "max_position_embeddings": 1024,
        "model_type": "deepseek_v3",
        "moe_intermediate_size": 128,
        "moe_layer_freq": 1,
        "n_group": 4,
        "n_routed_experts": 16,
        "n_shared_experts": 1,
        "norm_topk_prob": True,
        "num_attention_heads": 8,
        "num_experts_per_tok": 2,
        "num_hidden_layers": 6,
        "num_key_value_heads": 8,
        "num_nextn_predict_layers": 1,
        "pad_token_id": PAD_ID,
        "pretraining_tp": 1,
        "q_lora_rank": 128,
        "qk_nope_head_dim": 32,
        "qk_rope_head_dim": 32,
        "rms_norm_eps": 1e-6,
        "rope_interleave": True,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "routed_scaling_factor": 2.5,
        "scoring_func": "sigmoid",
        "tie_word_embeddings": False,
        "topk_group": 2,
        "topk_method": "noaux_tc",
        "use_cache": True,
        "v_head_dim": 32,
        "vocab_size": 768,
    }


def read_shape(raw: Mapping[str, object]) -> ModelConfig:
    """Read a config.json's contents as the engine will, with all its checks."""
    return ModelConfig.from_json(raw, Path("config.json"))
