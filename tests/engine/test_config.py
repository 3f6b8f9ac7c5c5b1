"""config.json: the published models are read as they are, and everything else is refused by name."""

from __future__ import annotations

import json
import os
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DeepseekV3Config
from transformers.models.deepseek_v3.modeling_deepseek_v3 import yarn_apply_mscale

from engine.config import ModelConfig, YarnScaling, read_config
from engine.errors import CheckpointError

FILE = Path("folder/config.json")
YARN = {
    "beta_fast": 32, "beta_slow": 1, "factor": 40, "mscale": 1.0, "mscale_all_dim": 1.0,
    "original_max_position_embeddings": 4096, "type": "yarn",
}  # fmt: skip
FP8 = {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128]}
V3: dict[str, object] = {
    "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "attention_bias": False,
    "attention_dropout": 0.0, "aux_loss_alpha": 0.001, "bos_token_id": 0, "eos_token_id": 1, "ep_size": 1,
    "first_k_dense_replace": 3, "hidden_act": "silu", "hidden_size": 7168, "initializer_range": 0.02,
    "intermediate_size": 18432, "kv_lora_rank": 512, "max_position_embeddings": 163840,
    "moe_intermediate_size": 2048, "moe_layer_freq": 1, "n_group": 8, "n_routed_experts": 256,
    "n_shared_experts": 1, "norm_topk_prob": True, "num_attention_heads": 128, "num_experts_per_tok": 8,
    "num_hidden_layers": 61, "num_key_value_heads": 128, "num_nextn_predict_layers": 1, "pretraining_tp": 1,
    "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "quantization_config": FP8,
    "rms_norm_eps": 1e-06, "rope_scaling": YARN, "rope_theta": 10000, "routed_scaling_factor": 2.5,
    "scoring_func": "sigmoid", "seq_aux": True, "tie_word_embeddings": False, "topk_group": 4,
    "topk_method": "noaux_tc", "torch_dtype": "bfloat16", "use_cache": True, "v_head_dim": 128,
    "vocab_size": 129280,
}  # fmt: skip
MOONLIGHT = V3 | {
    "q_lora_rank": None, "num_hidden_layers": 27, "hidden_size": 2048, "num_attention_heads": 16,
    "n_group": 1, "n_routed_experts": 64, "num_experts_per_tok": 6, "n_shared_experts": 2, "topk_group": 1,
    "first_k_dense_replace": 1, "routed_scaling_factor": 2.446, "rms_norm_eps": 1e-5, "rope_theta": 50000.0,
    "rope_scaling": None, "vocab_size": 163840, "quantization_config": None, "num_nextn_predict_layers": 0,
}  # fmt: skip
KIMI = V3 | {
    "model_type": "kimi_k2", "num_attention_heads": 64, "n_routed_experts": 384, "n_group": 1,
    "topk_group": 1, "first_k_dense_replace": 1, "routed_scaling_factor": 2.827, "rope_theta": 50000.0,
    "rope_scaling": YARN | {"factor": 32.0, "beta_fast": 1.0}, "num_nextn_predict_layers": 0,
    "vocab_size": 163840,
    "eos_token_id": [163586, 163585],
}  # fmt: skip


def read(**changes: object) -> ModelConfig:
    return ModelConfig.from_json(V3 | changes, FILE)


def without(*keys: str) -> dict[str, object]:
    return {key: value for key, value in V3.items() if key not in keys}


def refused(raw: dict[str, object]) -> str:
    with pytest.raises(CheckpointError) as caught:
        ModelConfig.from_json(raw, FILE)
    message = str(caught.value)
    assert message.startswith(str(FILE))
    assert message.isprintable()
    assert message.endswith(".")
    return message


def test_v3_is_read_in_the_papers_names() -> None:
    config = read()
    for key in (
        "hidden_size", "num_hidden_layers", "num_attention_heads", "q_lora_rank", "kv_lora_rank",
        "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "n_routed_experts", "num_experts_per_tok",
        "n_group", "topk_group", "n_shared_experts", "first_k_dense_replace", "moe_intermediate_size",
        "intermediate_size", "routed_scaling_factor", "norm_topk_prob", "rms_norm_eps", "rope_theta",
        "max_position_embeddings", "vocab_size", "tie_word_embeddings", "num_nextn_predict_layers",
        "bos_token_id", "model_type",
    ):  # fmt: skip
        assert getattr(config, key) == V3[key], key
    assert config.eos_token_ids == (1,)
    assert config.weight_block_size == (128, 128)
    assert config.rope_scaling == YarnScaling(40.0, 32.0, 1.0, 1.0, 1.0, 4096)
    assert config.rope_scaling.rotary_mscale == 1.0
    assert (config.qk_head_dim, config.experts_per_group, config.mtp_layer) == (192, 32, 61)
    assert [config.is_moe(layer) for layer in (0, 2, 3, 60, 61)] == [False, False, True, True, True]


def test_the_softmax_scale_is_v3s() -> None:
    assert read().softmax_scale == pytest.approx(0.135234, abs=5e-7)
    assert read(rope_scaling=None).softmax_scale == pytest.approx(192**-0.5)


@pytest.mark.parametrize("scaling", [None, YARN, YARN | {"factor": 8, "mscale": 0.7, "mscale_all_dim": 0.4}])
def test_scales_agree_with_transformers(scaling: dict[str, object] | None) -> None:
    config = read(rope_scaling=scaling)
    # A copy: transformers writes into it.
    theirs = DeepseekV3Config(rope_scaling=scaling and dict(scaling), rope_theta=10000)
    expected = yarn_apply_mscale(theirs.rope_parameters, config.qk_head_dim**-0.5)
    assert config.softmax_scale == pytest.approx(expected, rel=1e-12)


def test_what_differs_on_cos_and_sin() -> None:
    scaling = read(rope_scaling=YARN | {"factor": 8, "mscale": 0.7, "mscale_all_dim": 0.4}).rope_scaling
    assert scaling is not None
    assert scaling.rotary_mscale == pytest.approx(1.14556091 / 1.08317766, rel=1e-7)


def test_moonlight_and_kimi_are_read() -> None:
    moonlight = ModelConfig.from_json(MOONLIGHT, FILE)
    assert (moonlight.q_lora_rank, moonlight.rope_scaling, moonlight.weight_block_size) == (None, None, None)
    assert (moonlight.mtp_layer, moonlight.shared_intermediate_size) == (None, 4096)
    kimi = ModelConfig.from_json(KIMI, FILE)
    assert (kimi.model_type, kimi.mtp_layer, kimi.experts_per_group) == ("kimi_k2", None, 384)
    assert kimi.eos_token_ids == (163586, 163585)
    assert kimi.rope_scaling is not None
    assert kimi.rope_scaling.factor == 32.0


def test_v31s_scale_format_is_accepted() -> None:
    assert read(quantization_config=FP8 | {"scale_fmt": "ue8m0"}) == read()


def test_what_transformers_5_writes_is_read_alike() -> None:
    theirs = DeepseekV3Config(rope_scaling=dict(YARN), rope_theta=10000, max_position_embeddings=163840)
    written = json.loads(theirs.to_json_string())
    assert "rope_scaling" not in written
    assert ModelConfig.from_json(written, FILE) == read(quantization_config=None)
    renamed = written | {"num_mtp_layers": 0, "dtype": "bfloat16"}
    del renamed["num_nextn_predict_layers"]
    assert ModelConfig.from_json(renamed, FILE).mtp_layer is None


def test_all_dense_layers_leave_the_mtp_layer_a_mixture() -> None:
    config = read(first_k_dense_replace=100)
    assert not config.is_moe(60)
    assert config.is_moe(61)


@pytest.mark.parametrize(
    ("key", "default"),
    [
        ("architectures", None), ("tie_word_embeddings", None), ("bos_token_id", None),
        ("eos_token_id", ()), ("num_nextn_predict_layers", 1), ("norm_topk_prob", True),
        ("scoring_func", None), ("topk_method", None), ("moe_layer_freq", None), ("hidden_act", None),
    ],
)  # fmt: skip
def test_keys_with_a_neutral_value_may_be_absent(key: str, default: object) -> None:
    config = ModelConfig.from_json(without(key), FILE)
    if default is not None:
        assert getattr(config, key.replace("eos_token_id", "eos_token_ids")) == default


@pytest.mark.parametrize(
    "key",
    [
        "model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "q_lora_rank",
        "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "intermediate_size",
        "moe_intermediate_size", "first_k_dense_replace", "n_routed_experts", "n_shared_experts",
        "num_experts_per_tok", "n_group", "topk_group", "routed_scaling_factor", "rope_theta",
        "max_position_embeddings",
    ],
)  # fmt: skip
def test_keys_that_must_be_there(key: str) -> None:
    assert f"{key} is missing" in refused(without(key))


@pytest.mark.parametrize(
    "key",
    [
        "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "q_lora_rank",
        "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "intermediate_size",
        "moe_intermediate_size", "n_routed_experts", "n_shared_experts", "num_experts_per_tok", "n_group",
        "topk_group",
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", [0, -1, True, 8.0, "8", 10**400, [8], {"a": 8}])
def test_nonsense_dimensions_are_refused(key: str, value: object) -> None:
    message = refused(V3 | {key: value})
    assert f"{key} is " in message
    assert "a whole number from 1 to" in message


REFUSED: list[tuple[dict[str, object], list[str]]] = [
    ({"model_type": "deepseek_v2"}, ["model_type", "DeepSeek-V2"]),
    ({"model_type": "deepseek_v32"}, ["DeepSeek-V3.2", "indexer"]),
    ({"model_type": "deepseek_v4"}, ["DeepSeek-V4"]),
    ({"model_type": "kimi_k25"}, ["'kimi_k25'", "not a DeepSeek-V3"]),
    ({"model_type": ["deepseek_v3"]}, ["model_type"]),
    ({"architectures": ["DeepseekV32ForCausalLM"]}, ["architectures", "DeepSeek-V3.2", "indexer"]),
    ({"architectures": ["LlamaForCausalLM"]}, ["'LlamaForCausalLM'", "DeepseekV3ForCausalLM"]),
    ({"architectures": [["DeepseekV3ForCausalLM"]]}, ["architectures"]),
    ({"architectures": "DeepseekV3ForCausalLM"}, ["architectures"]),
    ({"model_type": "kimi_k2", "architectures": None}, ["architectures"]),
    ({"index_topk": 2048}, ["index_topk", "indexer"]),
    ({"index_n_heads": 64}, ["index_n_heads", "indexer"]),
    ({"num_nextn_predict_layers": 2}, ["num_nextn_predict_layers is 2", "chain of MTP modules"]),
    ({"num_mtp_layers": 3}, ["num_mtp_layers is 3", "chain of MTP modules"]),
    ({"num_mtp_layers": 0}, ["num_mtp_layers is 0", "says otherwise"]),
    ({"scoring_func": "softmax"}, ["scoring_func is 'softmax'", "sigmoid"]),
    ({"topk_method": "group_limited_greedy"}, ["topk_method", "noaux_tc"]),
    ({"hidden_act": "gelu"}, ["hidden_act is 'gelu'", "silu"]),
    ({"attention_bias": True}, ["attention_bias is true"]),
    ({"attention_bias": 0}, ["attention_bias is 0"]),
    ({"moe_layer_freq": True}, ["moe_layer_freq is true"]),
    ({"moe_layer_freq": 2}, ["moe_layer_freq is 2"]),
    ({"rope_interleave": False}, ["rope_interleave is false"]),
    ({"rope_interleave": None}, ["rope_interleave is null"]),
    (
        {"quantization_config": {"quant_method": "compressed-tensors"}},
        ["quant_method is 'compressed-tensors'"],
    ),
    ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, ["quant_method is 'gptq'"]),
    ({"quantization_config": {"bits": 4}}, ["quantization_config.quant_method is missing"]),
    ({"quantization_config": FP8 | {"fmt": "e5m2"}}, ["quantization_config.fmt is 'e5m2'", "e4m3"]),
    ({"quantization_config": FP8 | {"scale_fmt": "int8"}}, ["scale_fmt is 'int8'"]),
    ({"quantization_config": FP8 | {"expert_dtype": "fp4"}}, ["expert_dtype is 'fp4'"]),
    ({"quantization_config": FP8 | {"weight_block_size": [64, 128]}}, ["[64, 128]", "128 x 128"]),
    ({"quantization_config": FP8 | {"weight_block_size": None}}, ["weight_block_size is null"]),
    ({"quantization_config": FP8 | {"weight_block_size": [128.0, 128]}}, ["[128.0, 128]"]),
    ({"quantization_config": "fp8"}, ["quantization_config is 'fp8'"]),
    ({"rope_scaling": {"type": "linear", "factor": 2}}, ["rope_scaling.type is 'linear'", "yarn"]),
    ({"rope_scaling": {"rope_type": "llama3", "factor": 2}}, ["rope_scaling.rope_type is 'llama3'"]),
    ({"rope_scaling": YARN | {"rope_type": "default"}}, ["rope_scaling.type", "rope_type says otherwise"]),
    ({"rope_scaling": {"factor": 40}}, ["rope_type is missing"]),
    ({"rope_scaling": YARN | {"factor": 0.5}}, ["rope_scaling.factor is 0.5"]),
    ({"rope_scaling": YARN | {"factor": float("nan")}}, ["rope_scaling.factor is nan"]),
    ({"rope_scaling": YARN | {"beta_fast": 0.5}}, ["beta_fast is 0.5", "beta_slow"]),
    ({"rope_scaling": YARN | {"mscale": 0.7, "mscale_all_dim": 0}}, ["mscale is 0.7", "together"]),
    ({"rope_scaling": YARN | {"mscale": None}}, ["mscale is null", "together"]),
    ({"rope_scaling": YARN | {"original_max_position_embeddings": 0}}, ["original_max_position_embeddings"]),
    ({"rope_scaling": YARN | {"attention_factor": 1.0}}, ["attention_factor is 1.0"]),
    ({"rope_scaling": YARN | {"truncate": False}}, ["truncate is false"]),
    ({"rope_scaling": "yarn"}, ["rope_scaling is 'yarn'"]),
    ({"rope_parameters": {"rope_type": "default", "rope_theta": 10000}}, ["rope_parameters says otherwise"]),
    ({"rope_parameters": YARN | {"rope_theta": 5000}}, ["rope_theta", "rope_parameters.rope_theta"]),
    ({"rope_theta": 1}, ["rope_theta is 1"]),
    ({"rope_theta": True}, ["rope_theta is true"]),
    ({"rope_theta": 10**400}, ["rope_theta is an integer of"]),
    ({"vocab_size": 10**5000}, ["vocab_size is an integer of 16,610 bits"]),
    ({"rms_norm_eps": 0}, ["rms_norm_eps is 0"]),
    ({"rms_norm_eps": float("inf")}, ["rms_norm_eps is inf"]),
    ({"routed_scaling_factor": -1}, ["routed_scaling_factor is -1"]),
    ({"norm_topk_prob": 1}, ["norm_topk_prob is 1"]),
    ({"tie_word_embeddings": "no"}, ["tie_word_embeddings is 'no'"]),
    ({"qk_rope_head_dim": 63}, ["qk_rope_head_dim is 63", "even"]),
    ({"n_group": 7}, ["n_group is 7", "divide n_routed_experts, 256"]),
    ({"n_group": 256, "topk_group": 8}, ["n_group is 256", "best 2"]),
    ({"topk_group": 9}, ["topk_group is 9", "n_group, 8"]),
    ({"topk_group": 1, "num_experts_per_tok": 33}, ["num_experts_per_tok is 33", "only 32"]),
    ({"first_k_dense_replace": -1}, ["first_k_dense_replace is -1"]),
    ({"n_shared_experts": None}, ["n_shared_experts is null"]),
    ({"n_routed_experts": None}, ["n_routed_experts is null"]),
    ({"bos_token_id": -1}, ["bos_token_id is -1"]),
    ({"eos_token_id": [1, "2"]}, ["eos_token_id"]),
    ({"eos_token_id": 1.0}, ["eos_token_id is 1.0"]),
    ({"q_lora_rank": "none"}, ["q_lora_rank is 'none'", "or null"]),
    ({"hidden_size": "\x1b[2J"}, ["\\x1b[2J"]),
]


@pytest.mark.parametrize(("changes", "parts"), REFUSED)
def test_what_cannot_be_run_is_refused_by_key_value_and_mend(
    changes: dict[str, object], parts: list[str]
) -> None:
    message = refused(V3 | changes)
    for part in parts:
        assert part in message


def test_deepseeks_own_default_mscales_are_accepted() -> None:
    defaults = {key: value for key, value in YARN.items() if not key.startswith("mscale")}
    scaling = read(rope_scaling=defaults).rope_scaling
    assert scaling is not None
    assert (scaling.mscale, scaling.mscale_all_dim) == (1.0, 0.0)
    assert read(rope_scaling=defaults | {"mscale_all_dim": 0}).rope_scaling == scaling
    assert read(rope_scaling=defaults).softmax_scale == pytest.approx(192**-0.5)


def test_a_default_rope_type_is_no_scaling() -> None:
    assert read(rope_scaling={"type": "default"}).rope_scaling is None


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        read().hidden_size = 1  # type: ignore[misc]


def test_a_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(V3), encoding="utf-8")
    assert read_config(tmp_path) == read()


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"])
def test_a_file_that_is_no_json_object_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "config.json").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        read_config(tmp_path)


def test_a_missing_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        read_config(tmp_path / "gone")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_a_pipe_does_not_make_it_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(CheckpointError, match=r"config\.json"):
        read_config(tmp_path)


SCALAR = (
    st.none() | st.booleans() | st.integers(-3, 300) | st.integers() | st.floats() | st.text(max_size=4)
    | st.sampled_from([10**4000, "yarn", "default", "fp8", "ue8m0", "e4m3", "deepseek_v3", [128, 128]])
)  # fmt: skip
NESTED_KEYS = st.sampled_from(
    [*YARN, *FP8, "scale_fmt", "rope_type", "rope_theta", "truncate", "attention_factor", "expert_dtype"]
)
JSON = st.recursive(
    SCALAR,
    lambda deeper: st.lists(deeper, max_size=3) | st.dictionaries(NESTED_KEYS | st.text(max_size=3), deeper),
    max_leaves=6,
)
KEYS = st.sampled_from([*V3, "num_mtp_layers", "rope_parameters", "rope_interleave", "index_topk"])


def check_harmless(raw: dict[str, object]) -> None:
    message = f"{FILE} is accepted"
    try:
        config = ModelConfig.from_json(raw, FILE)
    except CheckpointError as error:
        message = str(error)
    else:
        assert config.num_experts_per_tok <= config.topk_group * config.experts_per_group
        assert config.experts_per_group * config.n_group == config.n_routed_experts
        assert 0 < config.softmax_scale < 1e9
    assert message.startswith(str(FILE))
    assert message.isprintable()
    assert len(message) < 1500


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(KEYS, JSON, min_size=1, max_size=3))
def test_any_changes_to_v3_are_read_or_refused(changes: dict[str, object]) -> None:
    check_harmless(V3 | changes)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(NESTED_KEYS, SCALAR, max_size=3), st.sampled_from(["rope_scaling", "rope_parameters"]))
def test_any_changes_to_yarn_are_read_or_refused(changes: dict[str, object], key: str) -> None:
    check_harmless(without("rope_scaling") | {key: YARN | changes})


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=5) | KEYS, JSON, max_size=5))
def test_any_object_is_read_or_refused(raw: dict[str, object]) -> None:
    check_harmless(raw)
