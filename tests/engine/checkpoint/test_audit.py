"""The audit: V3's own list of tensors to the byte, and a sentence for each that is missing or wrong."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.checkpoint.audit import Audit, Kind, audit, expected
from engine.checkpoint.checkpoint import open_checkpoint
from engine.checkpoint.tensor import Dtype
from engine.config import ModelConfig
from engine.errors import CheckpointError
from tests.engine.checkpoint.files import Tensors, write_checkpoint
from tests.engine.test_config import V3

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL: dict[str, object] = V3 | {
    "hidden_size": 160, "num_hidden_layers": 2, "first_k_dense_replace": 1, "num_attention_heads": 2,
    "q_lora_rank": 136, "kv_lora_rank": 512, "qk_nope_head_dim": 24, "v_head_dim": 40, "n_routed_experts": 4,
    "num_experts_per_tok": 2, "n_group": 2, "topk_group": 1, "n_shared_experts": 2, "intermediate_size": 300,
    "moe_intermediate_size": 100, "vocab_size": 64,
}  # fmt: skip

# Written out by hand from facts/deepseek-v3.md, section 1, with SMALL's sizes: [out, in].
ATTENTION: dict[str, tuple[int, ...]] = {
    "input_layernorm": (160,),
    "self_attn.q_a_proj": (136, 160),
    "self_attn.q_a_layernorm": (136,),
    "self_attn.q_b_proj": (2 * 88, 136),
    "self_attn.kv_a_proj_with_mqa": (576, 160),
    "self_attn.kv_a_layernorm": (512,),
    "self_attn.kv_b_proj": (2 * 64, 512),
    "self_attn.o_proj": (160, 80),
    "post_attention_layernorm": (160,),
}
DENSE: dict[str, tuple[int, ...]] = {
    "mlp.gate_proj": (300, 160), "mlp.up_proj": (300, 160), "mlp.down_proj": (160, 300),
}  # fmt: skip
MIXTURE: dict[str, tuple[int, ...]] = {
    "mlp.gate": (4, 160),
    **{f"mlp.experts.{expert}.{side}_proj": (100, 160) for expert in range(4) for side in ("gate", "up")},
    **{f"mlp.experts.{expert}.down_proj": (160, 100) for expert in range(4)},
    "mlp.shared_experts.gate_proj": (200, 160),
    "mlp.shared_experts.up_proj": (200, 160),
    "mlp.shared_experts.down_proj": (160, 200),
}
MTP: dict[str, tuple[int, ...]] = {
    "embed_tokens": (64, 160), "enorm": (160,), "hnorm": (160,), "eh_proj": (160, 320),
    "shared_head.norm": (160,), "shared_head.head": (64, 160),
}  # fmt: skip
NEVER_FP8 = ("layernorm", "norm", "mlp.gate", "embed_tokens", "eh_proj", "shared_head.head")


def small() -> Tensors:
    """All of SMALL's tensors as published: FP8 with float32 scales, the rest in BF16."""
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens": (64, 160), "model.norm": (160,)}
    for layer, parts in enumerate((ATTENTION | DENSE, ATTENTION | MIXTURE, ATTENTION | MIXTURE | MTP)):
        shapes |= {f"model.layers.{layer}.{name}": shape for name, shape in parts.items()}
    tensors: Tensors = {"lm_head.weight": (Dtype.BF16, (64, 160))}
    for name, shape in shapes.items():
        if name.endswith(NEVER_FP8):
            tensors[f"{name}.weight"] = (Dtype.BF16, shape)
        else:
            tensors[f"{name}.weight"] = (Dtype.F8_E4M3, shape)
            blocks = tuple(math.ceil(size / 128) for size in shape)
            tensors[f"{name}.weight_scale_inv"] = (Dtype.F32, blocks)
    for layer in (1, 2):
        tensors[f"model.layers.{layer}.mlp.gate.e_score_correction_bias"] = (Dtype.F32, (4,))
    return tensors


def run(folder: Path, tensors: Tensors, **changes: object) -> Audit:
    raw = SMALL | changes
    write_checkpoint(folder, tensors, raw)
    with open_checkpoint(folder) as checkpoint:
        return audit(checkpoint, ModelConfig.from_json(raw, folder / "config.json"))


def refused(folder: Path, tensors: Tensors, **changes: object) -> str:
    with pytest.raises(CheckpointError) as caught:
        run(folder, tensors, **changes)
    return str(caught.value)


def test_v3_needs_what_its_headers_hold() -> None:
    tensors = list(expected(ModelConfig.from_json(V3, Path("config.json"))))
    count = elements = scale_elements = size = 0
    for tensor in tensors:
        count += 1
        elements += math.prod(tensor.shape)
        if tensor.kind is Kind.WEIGHT:
            count += 1
            scales = math.prod(math.ceil(side / 128) for side in tensor.shape)
            scale_elements += scales
            size += math.prod(tensor.shape) + 4 * scales
        else:
            wide = tensor.name.endswith("e_score_correction_bias")
            size += math.prod(tensor.shape) * (4 if wide else 2)
    assert len({tensor.name for tensor in tensors}) == len(tensors)
    # Three figures from two independent dumps of the published headers: facts/deepseek-v3.md, section 1.
    assert (count, size) == (91_991, 688_574_839_360)
    assert (elements, elements + scale_elements) == (684_489_845_504, 684_531_386_000)


def test_a_whole_checkpoint_passes(tmp_path: Path) -> None:
    found = run(tmp_path, small())
    assert found == Audit(
        has_mtp=True,
        notice=None,
        head="lm_head.weight",
        mtp_embed_tokens="model.layers.2.embed_tokens.weight",
        mtp_head="model.layers.2.shared_head.head.weight",
        unused=(),
    )


def test_what_is_not_needed_is_listed(tmp_path: Path) -> None:
    extra: Tensors = {
        "model.layers.0.self_attn.rotary_emb.inv_freq": (Dtype.F32, (32,)),
        "model.layers.7.enorm.weight": (Dtype.BF16, (160,)),
    }
    assert set(run(tmp_path, small() | extra).unused) == set(extra)


def test_without_declared_mtp_its_tensors_are_unused(tmp_path: Path) -> None:
    found = run(tmp_path, small(), num_nextn_predict_layers=0)
    assert (found.has_mtp, found.notice, found.mtp_head) == (False, None, None)
    assert set(found.unused) == {name for name in small() if name.startswith("model.layers.2.")}


@pytest.mark.parametrize("dtype", [Dtype.BF16, Dtype.F16, Dtype.F32])
def test_weights_may_be_floats_in_any_mixture(tmp_path: Path, dtype: Dtype) -> None:
    tensors = small()
    for name in [one for one in tensors if "experts.1" in one or "o_proj" in one or "norm" in one]:
        del tensors[name]
        if not name.endswith("_scale_inv"):
            tensors[name] = (dtype, small()[name][1])
    assert run(tmp_path, tensors).unused == ()


@pytest.mark.parametrize("dtype", [Dtype.F32, Dtype.BF16, Dtype.F8_E8M0, Dtype.U8])
def test_scales_may_be_floats_or_one_byte_exponents(tmp_path: Path, dtype: Dtype) -> None:
    tensors = {
        name: (dtype if name.endswith("_scale_inv") else own, shape) for name, (own, shape) in small().items()
    }
    assert run(tmp_path, tensors, quantization_config=None).has_mtp


def test_tied_embeddings_need_no_head(tmp_path: Path) -> None:
    tensors = small()
    del tensors["lm_head.weight"]
    del tensors["model.layers.2.shared_head.head.weight"]
    found = run(tmp_path, tensors, tie_word_embeddings=True)
    assert (found.head, found.mtp_head) == ("model.embed_tokens.weight", "model.embed_tokens.weight")
    assert "'lm_head.weight'" in refused(tmp_path / "untied", tensors)


def test_a_head_that_was_saved_is_used_though_embeddings_are_tied(tmp_path: Path) -> None:
    assert run(tmp_path, small(), tie_word_embeddings=True).head == "lm_head.weight"


def test_the_mtp_layer_may_share_embedding_and_head(tmp_path: Path) -> None:
    tensors = small()
    del tensors["model.layers.2.embed_tokens.weight"]
    del tensors["model.layers.2.shared_head.head.weight"]
    found = run(tmp_path, tensors)
    assert found.has_mtp
    assert (found.mtp_embed_tokens, found.mtp_head) == ("model.embed_tokens.weight", "lm_head.weight")


def test_an_mtp_layer_that_was_not_saved_is_said(tmp_path: Path) -> None:
    tensors = {name: one for name, one in small().items() if not name.startswith("model.layers.2.")}
    found = run(tmp_path, tensors)
    assert not found.has_mtp
    assert found.notice is not None
    assert "without its MTP layer (2)" in found.notice


@pytest.mark.parametrize("name", ["shared_head.norm", "eh_proj", "enorm", "hnorm", "mlp.experts.3.up_proj"])
def test_a_part_of_an_mtp_layer_is_refused(tmp_path: Path, name: str) -> None:
    tensors = small()
    del tensors[f"model.layers.2.{name}.weight"]
    message = refused(tmp_path, tensors)
    assert "MTP layer (2) is incomplete: 1 of" in message
    assert f"'model.layers.2.{name}.weight'" in message


def test_the_copies_alone_are_no_mtp_layer(tmp_path: Path) -> None:
    tensors = {name: one for name, one in small().items() if not name.startswith("model.layers.2.")}
    tensors["model.layers.2.embed_tokens.weight"] = (Dtype.BF16, (64, 160))
    assert "incomplete" in refused(tmp_path, tensors)


@pytest.mark.parametrize(
    "name",
    [
        "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight",
        "model.layers.0.mlp.down_proj.weight", "model.layers.1.mlp.experts.2.gate_proj.weight",
        "model.layers.1.mlp.gate.e_score_correction_bias", "model.layers.1.mlp.shared_experts.up_proj.weight",
        "model.layers.1.self_attn.kv_a_layernorm.weight",
    ],
)  # fmt: skip
def test_a_missing_tensor_is_named(tmp_path: Path, name: str) -> None:
    tensors = small()
    del tensors[name]
    assert f"no tensor '{name}'" in refused(tmp_path, tensors)


def change(
    name: str, dtype: Dtype | None = None, shape: tuple[int, ...] | None = None
) -> Callable[[], Tensors]:
    def changed() -> Tensors:
        tensors = small()
        old_dtype, old_shape = tensors[name]
        tensors[name] = (dtype or old_dtype, shape or old_shape)
        return tensors

    return changed


KV_A = "model.layers.0.self_attn.kv_a_proj_with_mqa.weight"


@pytest.mark.parametrize(
    ("tensors", "parts"),
    [
        (change(KV_A, shape=(512, 160)), [KV_A, "[512, 160]", "[576, 160]"]),
        (change("model.norm.weight", shape=(1, 160)), ["'model.norm.weight'", "[1, 160]", "[160]"]),
        (change("model.layers.2.eh_proj.weight", shape=(160, 160)), ["eh_proj", "[160, 320]"]),
        (
            change("model.layers.2.shared_head.head.weight", shape=(63, 160)),
            ["shared_head.head", "[63, 160]"],
        ),
        (change(KV_A + "_scale_inv", shape=(4, 2)), [KV_A + "_scale_inv", "[4, 2]", "[5, 2]"]),
        (change(KV_A + "_scale_inv", shape=(576, 1)), ["[576, 1]", "[5, 2]"]),
        (change(KV_A + "_scale_inv", Dtype.F64), [KV_A + "_scale_inv", "F64", "F8_E8M0"]),
        (change(KV_A, Dtype.F8_E5M2), [KV_A, "F8_E5M2", "F8_E4M3"]),
        (change(KV_A, Dtype.U8), [KV_A, "U8"]),
        (change(KV_A, Dtype.BF16), [KV_A + "_scale_inv", "BF16", "dequantised"]),
        (change("model.layers.2.eh_proj.weight", Dtype.F8_E4M3), ["eh_proj", "F8_E4M3", "BF16"]),
        (change("model.layers.1.mlp.gate.weight", Dtype.F8_E4M3), ["mlp.gate.weight", "F8_E4M3"]),
        (change("model.layers.1.mlp.gate.e_score_correction_bias", Dtype.I32), ["bias", "I32"]),
    ],
)
def test_a_wrong_tensor_is_refused_with_shard_tensor_found_and_needed(
    tmp_path: Path, tensors: Callable[[], Tensors], parts: list[str]
) -> None:
    message = refused(tmp_path, tensors())
    assert message.startswith(f"{tmp_path}/model-0000")
    for part in parts:
        assert part in message


def test_an_fp8_weight_without_its_scale_is_refused(tmp_path: Path) -> None:
    tensors = small()
    del tensors[KV_A + "_scale_inv"]
    assert f"no shard holds its scale, '{KV_A}_scale_inv'" in refused(tmp_path, tensors)


def test_without_q_lora_there_is_one_q_proj(tmp_path: Path) -> None:
    tensors = {name: one for name, one in small().items() if "self_attn.q_" not in name}
    assert "self_attn.q_proj.weight" in refused(tmp_path / "absent", tensors, q_lora_rank=None)
    for layer in range(3):
        tensors[f"model.layers.{layer}.self_attn.q_proj.weight"] = (Dtype.BF16, (2 * 88, 160))
    assert run(tmp_path / "there", tensors, q_lora_rank=None).unused == ()
