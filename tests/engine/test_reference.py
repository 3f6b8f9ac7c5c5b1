"""The judge is judged: the float64 reference against transformers, and whether mistakes would show at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import torch

from tests.engine import reference64
from tests.engine.conftest import MTP_SPECS, fuse_experts
from tests.engine.reference64 import Reference
from tests.engine.tiny import (
    SPECIAL_TOKENS,
    SPECS,
    TinySpec,
    dequantised,
    open_reference,
    partly_right_spec,
    read_config,
    router_margin,
    sample_ids,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor
    from transformers import DeepseekV3ForCausalLM

    Weights: TypeAlias = dict[str, Tensor]
    Mistake: TypeAlias = Callable[[Weights, dict[str, Any]], None]

DEPTH = 4


def difference(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, relative to the largest logit."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


def test_logits_equal_transformers(
    spec: TinySpec,
    reference: Callable[[TinySpec], Reference],
    published_logits: Callable[[TinySpec], Tensor],
) -> None:
    # transformers computes norms, angles and the router in float32 even in a float64 model.
    assert difference(reference(spec).logits(sample_ids(spec)), published_logits(spec)) < 1e-5


def test_drafts_equal_transformers(
    mtp_spec: TinySpec,
    tiny: Callable[[TinySpec], Path],
    reference: Callable[[TinySpec], Reference],
    published: Callable[[TinySpec], DeepseekV3ForCausalLM],
) -> None:
    ids, logits = reference(mtp_spec).draft(sample_ids(mtp_spec), DEPTH)
    theirs = _transformers_drafts(tiny(mtp_spec), published(mtp_spec), sample_ids(mtp_spec), DEPTH)
    assert difference(logits, theirs) < 1e-5
    assert ids == theirs.argmax(dim=-1).tolist()


def _transformers_drafts(
    checkpoint: Path, model: DeepseekV3ForCausalLM, ids: list[int], depth: int
) -> Tensor:
    """Draft logits by transformers' MtpModel, whose layer also gets its own output.  # [depth, vocab]"""
    from transformers.modeling_layers import MtpModel

    prefix = f"model.layers.{model.config.num_hidden_layers}."
    shared = ("embed_tokens.weight", "shared_head.head.weight")
    own = ("enorm.", "hnorm.", "eh_proj.")
    weights = {}
    for name, tensor in dequantised(checkpoint).items():
        part = name.removeprefix(prefix)
        if part == name or part in shared:
            continue
        part = part.replace("shared_head.norm", "post_norm")
        weights[
            f"layers.0.{part}" if part.startswith((*own, "post_norm")) else f"layers.0.mtp_block.{part}"
        ] = tensor
    mtp = MtpModel(model, 1).double().eval()
    missing, unexpected = mtp.load_state_dict(fuse_experts(weights), strict=False)
    assert not unexpected
    assert set(missing) <= {"embed_tokens.weight", "shared_head.weight"}
    with torch.inference_mode():
        hidden = model.model(torch.tensor([ids])).last_hidden_state
        tokens = [*ids[1:], int(model.lm_head(hidden[0, -1]).argmax())]
        logits = []
        for _ in range(depth):
            positions = torch.arange(1, len(tokens) + 1)[None]
            output = mtp.forward_layer(0, hidden, positions, None, input_ids=torch.tensor([tokens]))[:, -1:]
            logits.append(mtp.shared_head(output)[0, 0])
            tokens.append(int(logits[-1].argmax()))
            hidden = torch.cat([hidden, output], dim=1)
    return torch.stack(logits)


def test_no_router_decision_is_close(spec: TinySpec, tiny: Callable[[TinySpec], Path]) -> None:
    assert router_margin(tiny(spec), sample_ids(spec), DEPTH if spec.num_nextn else 0) >= 1e-3


@pytest.mark.parametrize("name", MTP_SPECS)
def test_no_draft_is_close(name: str, reference: Callable[[TinySpec], Reference]) -> None:
    top = reference(SPECS[name]).draft(sample_ids(SPECS[name]), DEPTH)[1].topk(2, dim=-1).values
    assert float((top[:, 0] - top[:, 1]).min() / top.max()) >= 5e-3


def test_scale_types_hold_the_same_values(reference: Callable[[TinySpec], Reference]) -> None:
    ids = sample_ids(SPECS["E8M0"])
    assert torch.equal(reference(SPECS["E8M0"]).logits(ids), reference(SPECS["UE8M0"]).logits(ids))


def set_config(**changes: Any) -> Mistake:
    return lambda _, config: config.update(changes)


def fill(suffix: str, value: float) -> Mistake:
    def change(weights: Weights, _: dict[str, Any]) -> None:
        for name in weights:
            if name.endswith(suffix):
                weights[name] = torch.full_like(weights[name], value)

    return change


def use_instead(name: str, other: str) -> Mistake:
    return lambda weights, _: weights.update({name: weights[other]})


def swap_halves(name: str) -> Mistake:
    return lambda weights, _: weights.update({name: torch.cat(weights[name].chunk(2, dim=1)[::-1], dim=1)})


def rescale_edge_rows(suffix: str) -> Mistake:
    def change(weights: Weights, _: dict[str, Any]) -> None:
        for name in weights:
            if name.endswith(suffix):
                weights[name] = weights[name].clone()
                weights[name][512:] *= 1.5

    return change


MAIN_MISTAKES: dict[str, tuple[str, Mistake]] = {
    "bias ignored": ("FP8", fill("e_score_correction_bias", 0)),
    "bias mean ignored": ("NEGATIVE_BIAS", fill("e_score_correction_bias", 0)),
    "groups ignored": ("FP8", set_config(n_group=1, topk_group=1)),
    "weights not normalised": ("FP8", set_config(norm_topk_prob=False)),
    "weights not scaled": ("FP8", set_config(routed_scaling_factor=1.0)),
    "yarn ignored": ("YARN", set_config(rope_scaling=None)),
    "rope_theta ignored": ("Q_LORA_NULL", set_config(rope_theta=10000)),
    "q_a_layernorm's weight ignored": ("FP8", fill("q_a_layernorm.weight", 1)),
    "kv_a_layernorm's weight ignored": ("FP8", fill("kv_a_layernorm.weight", 1)),
    "final norm's weight ignored": ("FP8", fill("model.norm.weight", 1)),
    "edge block's scale wrong": ("FP8", rescale_edge_rows("kv_a_proj_with_mqa.weight")),
    "eps ignored": ("LARGE_EPS", set_config(rms_norm_eps=1e-6)),
}


@pytest.mark.parametrize("mistake", MAIN_MISTAKES)
def test_mistakes_in_the_main_model_show(mistake: str, tiny: Callable[[TinySpec], Path]) -> None:
    spec_name, change = MAIN_MISTAKES[mistake]
    spec = SPECS[spec_name]
    weights, config = dequantised(tiny(spec)), read_config(tiny(spec))
    right = Reference(weights, config).logits(sample_ids(spec))
    change(weights, config)
    assert difference(Reference(weights, config).logits(sample_ids(spec)), right) > 2e-3


def test_the_wrong_eps_in_latent_norms_shows(
    reference: Callable[[TinySpec], Reference], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SPECS["LARGE_EPS"]
    right = reference(spec).logits(sample_ids(spec))
    monkeypatch.setattr(reference64, "LATENT_EPS", spec.rms_norm_eps)
    assert difference(reference(spec).logits(sample_ids(spec)), right) > 2e-3


DRAFT_MISTAKES: dict[str, Mistake] = {
    "halves swapped": swap_halves("model.layers.3.eh_proj.weight"),
    "model.norm in the head": use_instead("model.layers.3.shared_head.norm.weight", "model.norm.weight"),
    "one norm for both halves": use_instead("model.layers.3.enorm.weight", "model.layers.3.hnorm.weight"),
    "bias ignored": fill("layers.3.mlp.gate.e_score_correction_bias", 0),
}


@pytest.mark.parametrize("mistake", DRAFT_MISTAKES)
def test_mistakes_in_the_mtp_module_show(mistake: str, tiny: Callable[[TinySpec], Path]) -> None:
    spec = SPECS["FP8"]
    weights, config = dequantised(tiny(spec)), read_config(tiny(spec))
    right = Reference(weights, config).draft(sample_ids(spec), 1)[1]
    DRAFT_MISTAKES[mistake](weights, config)
    assert difference(Reference(weights, config).draft(sample_ids(spec), 1)[1], right) > 2e-3


@pytest.mark.parametrize("dtype", ["fp8", "f32"])
def test_partly_right_drafts_are_partly_right(dtype: str, tiny: Callable[[TinySpec], Path]) -> None:
    spec = partly_right_spec(dtype=dtype)
    model = open_reference(tiny(spec))
    prompt = sample_ids(spec, 8)
    text = prompt + model.greedy(prompt, 104)
    reply = text[len(prompt) :]
    assert min(reply) >= len(SPECIAL_TOKENS)
    assert len(set(reply)) > 30
    hidden = model.hidden(text)
    kept = []
    for end in range(len(prompt), len(text) - DEPTH, 2):
        drafts, _ = model.draft_after(text[1 : end + 1], hidden[:end], DEPTH)
        truth = text[end + 1 : end + 1 + DEPTH]
        agreed = [draft == token for draft, token in zip(drafts, truth, strict=False)]
        kept.append(([*agreed, False]).index(False))
    accepted = [sum(count >= position for count in kept) / len(kept) for position in range(1, DEPTH + 1)]
    assert 0.4 < accepted[0] < 0.9
    assert accepted == sorted(accepted, reverse=True)
    assert all(0 < rate < 0.9 for rate in accepted)
    assert set(kept) == set(range(DEPTH + 1))
