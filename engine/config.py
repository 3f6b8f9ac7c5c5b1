"""The model's dimensions, read from config.json, in the paper's names; what cannot be run is refused by name.

The published spellings and those of transformers 5 (`rope_parameters`, `num_mtp_layers`, `dtype`) are read
alike. `torch_dtype`/`dtype` is ignored: every tensor states its own. Keys without a neutral value (sizes,
groups, scaling) must be there, because a default that is wrong changes the text without a sign.
It imports nothing of the engine that reads a checkpoint, so that the mathematics may import it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.config_fields import MAX_CONTEXT, MAX_SIZE, MEND, RUNS, Fields
from engine.errors import CheckpointError, shown, shown_error
from engine.yarn import YarnScaling, read_rope, yarn_mscale

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_ARCHITECTURE = "DeepseekV3ForCausalLM"
_OTHER_MODELS = {
    "deepseek_v2": "DeepSeek-V2, which routes by softmax",
    "DeepseekV2ForCausalLM": "DeepSeek-V2, which routes by softmax",
    "deepseek_v32": "DeepSeek-V3.2, whose attention has an indexer",
    "DeepseekV32ForCausalLM": "DeepSeek-V3.2, whose attention has an indexer",
    "deepseek_v4": "DeepSeek-V4, another architecture",
    "DeepseekV4ForCausalLM": "DeepSeek-V4, another architecture",
}

# Far above every published model.
_MAX_LAYERS = 1 << 10
_MAX_EXPERTS = 1 << 16
_MAX_CONFIG_BYTES = 16 << 20
_BLOCK = 128


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A DeepSeek-V3 model's dimensions and constants; every relation between them has been checked."""

    model_type: str
    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int
    rms_norm_eps: float
    tie_word_embeddings: bool
    bos_token_id: int | None
    eos_token_ids: tuple[int, ...]
    q_lora_rank: int | None
    """None: queries come from one q_proj, without the low-rank pair."""
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int
    rope_theta: float
    rope_scaling: YarnScaling | None
    intermediate_size: int
    moe_intermediate_size: int
    first_k_dense_replace: int
    n_routed_experts: int
    n_shared_experts: int
    num_experts_per_tok: int
    n_group: int
    topk_group: int
    routed_scaling_factor: float
    norm_topk_prob: bool
    num_nextn_predict_layers: int
    """0 or 1. Whether the layer's tensors were saved is the audit's to say."""
    weight_block_size: tuple[int, int] | None
    """Rows and columns that share a scale; None where no FP8 is declared."""

    @property
    def qk_head_dim(self) -> int:
        """Width of a query head: the part without position, then the rotary part."""
        return self.qk_nope_head_dim + self.qk_rope_head_dim

    @property
    def experts_per_group(self) -> int:
        """Routed experts in one of the router's groups."""
        return self.n_routed_experts // self.n_group

    @property
    def shared_intermediate_size(self) -> int:
        """Width of the shared experts, which are stored as one MLP."""
        return self.n_shared_experts * self.moe_intermediate_size

    @property
    def mtp_layer(self) -> int | None:
        """Index of the MTP layer among `model.layers`, or None where the model has none."""
        return self.num_hidden_layers if self.num_nextn_predict_layers else None

    def is_moe(self, layer: int) -> bool:
        """Whether a layer's MLP is a mixture of experts; the MTP layer's always is."""
        return layer >= min(self.first_k_dense_replace, self.num_hidden_layers)

    @property
    def softmax_scale(self) -> float:
        """Factor on q·k: qk_head_dim^-0.5, times mscale(factor, mscale_all_dim)² under YaRN.

        So in DeepSeek's inference/model.py and in transformers' `yarn_apply_mscale`; 0.135234 for V3.
        """
        scale: float = self.qk_head_dim**-0.5
        if self.rope_scaling is not None:
            scale *= yarn_mscale(self.rope_scaling.factor, self.rope_scaling.mscale_all_dim) ** 2
        return scale

    @classmethod
    def from_json(cls, raw: Mapping[str, object], file: Path) -> ModelConfig:
        """Read a parsed config.json; `file` is only named in errors.

        Raises CheckpointError for every value that cannot be run, naming the key, the value and the mend.
        """
        fields = Fields(raw, file)
        model_type = _read_model_type(fields)
        _refuse_other_architectures(fields)
        rope_theta, rope_scaling = read_rope(fields)
        config = cls(
            model_type=model_type,
            vocab_size=fields.size("vocab_size"),
            hidden_size=fields.size("hidden_size"),
            num_hidden_layers=fields.size("num_hidden_layers", _MAX_LAYERS),
            num_attention_heads=fields.size("num_attention_heads"),
            max_position_embeddings=fields.size("max_position_embeddings", MAX_CONTEXT),
            rms_norm_eps=fields.number("rms_norm_eps", 1e-12, 1.0, default=1e-6),
            tie_word_embeddings=fields.flag("tie_word_embeddings", default=False),
            bos_token_id=fields.integer("bos_token_id", 0, MAX_SIZE) if fields.has("bos_token_id") else None,
            eos_token_ids=_read_eos(fields),
            q_lora_rank=_read_q_lora_rank(fields),
            kv_lora_rank=fields.size("kv_lora_rank"),
            qk_nope_head_dim=fields.size("qk_nope_head_dim"),
            qk_rope_head_dim=fields.size("qk_rope_head_dim"),
            v_head_dim=fields.size("v_head_dim"),
            rope_theta=rope_theta,
            rope_scaling=rope_scaling,
            intermediate_size=fields.size("intermediate_size"),
            moe_intermediate_size=fields.size("moe_intermediate_size"),
            first_k_dense_replace=fields.integer("first_k_dense_replace", 0, _MAX_LAYERS),
            n_routed_experts=fields.size("n_routed_experts", _MAX_EXPERTS),
            n_shared_experts=fields.size("n_shared_experts", _MAX_EXPERTS),
            num_experts_per_tok=fields.size("num_experts_per_tok", _MAX_EXPERTS),
            n_group=fields.size("n_group", _MAX_EXPERTS),
            topk_group=fields.size("topk_group", _MAX_EXPERTS),
            routed_scaling_factor=fields.number("routed_scaling_factor", 1e-6, 1e6),
            norm_topk_prob=fields.flag("norm_topk_prob", default=True),
            num_nextn_predict_layers=_read_mtp_layers(fields),
            weight_block_size=_read_block_size(fields),
        )
        _check_relations(config, fields)
        return config


def read_config(folder: Path) -> ModelConfig:
    """Read `folder/config.json`. Raises CheckpointError where it is missing, damaged or unsupported."""
    file = folder / "config.json"
    try:
        # Only a regular file has an end: opening a pipe would wait for ever.
        if not file.is_file():
            raise CheckpointError(f"{shown(file)} is missing. Give the folder of a whole checkpoint.")
        with file.open("rb") as stream:
            data = stream.read(_MAX_CONFIG_BYTES + 1)
        if len(data) > _MAX_CONFIG_BYTES:
            raise CheckpointError(f"{shown(file)} is over {_MAX_CONFIG_BYTES:,} bytes long. {MEND}.")
        raw = json.loads(data.decode("utf-8-sig"))
    except OSError as error:
        raise CheckpointError(f"{shown(file)} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{shown(file)} is not JSON ({shown_error(error)}). {MEND}.") from error
    if not isinstance(raw, dict):
        raise CheckpointError(f"{shown(file)} does not hold a JSON object. {MEND}.")
    return ModelConfig.from_json(raw, file)


def _read_model_type(fields: Fields) -> str:
    model_type = fields.raw.get("model_type")
    if model_type not in ("deepseek_v3", "kimi_k2") or not isinstance(model_type, str):
        other = _OTHER_MODELS.get(model_type) if isinstance(model_type, str) else None
        raise fields.refusal("model_type", f"that is {other}" if other else "not a DeepSeek-V3", RUNS)
    names = fields.raw.get("architectures")
    # transformers writes no architectures for a bare config; Kimi-K2's model_type alone promises nothing.
    if names is None and model_type == "deepseek_v3":
        return model_type
    if not isinstance(names, (list, tuple)) or _ARCHITECTURE not in names:
        listed = [name for name in names if isinstance(name, str)] if isinstance(names, (list, tuple)) else []
        other = next((_OTHER_MODELS[name] for name in listed if name in _OTHER_MODELS), None)
        raise fields.refusal(
            "architectures", f"that is {other}" if other else f"{_ARCHITECTURE} is needed", RUNS
        )
    return model_type


def _refuse_other_architectures(fields: Fields) -> None:
    for key in ("index_n_heads", "index_head_dim", "index_topk"):
        fields.only(key, None, sentence="that is DeepSeek-V3.2's indexer, which is not supported")
    fields.only("scoring_func", "sigmoid", sentence="the router must score by sigmoid")
    fields.only("topk_method", "noaux_tc", sentence="the router must choose by noaux_tc")
    fields.only("hidden_act", "silu", sentence="the activation must be silu")
    fields.only("attention_bias", False, sentence="attention with biases is not supported")
    fields.only("moe_layer_freq", 1, sentence="every layer after the dense ones must be a mixture")
    fields.only("rope_interleave", True, sentence="rotary pairs must be interleaved")


def _read_mtp_layers(fields: Fields) -> int:
    keys = [key for key in ("num_nextn_predict_layers", "num_mtp_layers") if fields.has(key)]
    for key in keys:
        layers = fields.integer(key, 0, _MAX_LAYERS)
        if layers > 1:
            raise fields.refusal(key, "a chain of MTP modules is not supported, only one is", RUNS)
        if layers != fields.raw[keys[0]]:
            raise fields.refusal(key, f"{keys[0]} says otherwise")
    # Both published config classes default to 1; a layer that was not saved is found by the audit.
    return fields.integer(keys[0], 0, 1) if keys else 1


def _read_q_lora_rank(fields: Fields) -> int | None:
    if "q_lora_rank" in fields.raw and fields.raw["q_lora_rank"] is None:
        return None
    return fields.integer("q_lora_rank", 1, MAX_SIZE, ", or null for queries without it,")


def _read_eos(fields: Fields) -> tuple[int, ...]:
    value = fields.raw.get("eos_token_id")
    ids = list(value) if isinstance(value, (list, tuple)) else [] if value is None else [value]
    if len(ids) > 1024 or not all(type(one) is int and 0 <= one <= MAX_SIZE for one in ids):
        raise fields.refusal("eos_token_id", "a token id or a list of token ids is needed")
    return tuple(one for one in ids if isinstance(one, int))


def _read_block_size(fields: Fields) -> tuple[int, int] | None:
    quantization = fields.section("quantization_config")
    if quantization is None:
        return None
    method = quantization.raw.get("quant_method")
    if method != "fp8":
        raise quantization.refusal(
            "quant_method", "weights must be FP8 in blocks of 128 x 128, bf16, f16 or f32", RUNS
        )
    quantization.only("fmt", "e4m3", None, sentence="FP8 weights must be e4m3")
    quantization.only("expert_dtype", "fp8", None, sentence="experts must be FP8")
    quantization.only("scale_fmt", "ue8m0", "float", None, sentence="scales must be float32 or ue8m0")
    block = quantization.raw.get("weight_block_size")
    if not isinstance(block, (list, tuple)) or [type(one) for one in block] != [int, int]:
        raise quantization.refusal("weight_block_size", "two whole numbers are needed", RUNS)
    if tuple(block) != (_BLOCK, _BLOCK):
        raise quantization.refusal("weight_block_size", f"blocks must be {_BLOCK} x {_BLOCK}", RUNS)
    return (_BLOCK, _BLOCK)


def _check_relations(config: ModelConfig, fields: Fields) -> None:
    if config.qk_rope_head_dim % 2:
        raise fields.refusal("qk_rope_head_dim", "rotary pairs need an even number")
    if config.n_routed_experts % config.n_group:
        raise fields.refusal("n_group", f"it must divide n_routed_experts, {config.n_routed_experts}")
    if config.n_group > 1 and config.experts_per_group < 2:
        raise fields.refusal("n_group", "a group's score is the sum of its best 2, so it needs 2 experts")
    if config.topk_group > config.n_group:
        raise fields.refusal("topk_group", f"it must not be above n_group, {config.n_group}")
    choice = config.topk_group * config.experts_per_group
    if config.num_experts_per_tok > choice:
        raise fields.refusal("num_experts_per_tok", f"the chosen groups hold only {choice} experts")
