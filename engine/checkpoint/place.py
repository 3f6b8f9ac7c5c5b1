"""Where a tensor belongs in a DeepSeek-V3, by its name alone, under the names of the published code.

A name is understood only where the model that config.json describes has a place for it: an expert beyond
n_routed_experts, a dense MLP in a layer of experts, a layer that is neither main nor MTP are all unknown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from engine.checkpoint.checkpoint import SCALE_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Container

    from engine.checkpoint.outline import Outline


class PartKind(Enum):
    """The parts of a model, in the order in which they are listed."""

    EMBEDDING = "embedding"
    ATTENTION = "attention"
    DENSE = "dense MLPs"
    ROUTER = "routers"
    SHARED = "shared experts"
    ROUTED = "routed experts"
    NORM = "norms"
    HEAD = "head"
    MTP = "MTP only"
    """What an MTP layer has and a main layer has not."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one tensor belongs."""

    kind: PartKind
    role: str
    """The name without its layer, and with `*` for an expert's number."""
    layer: int | None = None
    expert: int | None = None
    is_mtp: bool = False
    is_scale: bool = False


_SIDES = ("gate_proj", "up_proj", "down_proj")
_QUERY_RANK = ("self_attn.q_a_proj.weight", "self_attn.q_b_proj.weight")
_QUERY_NORM = "self_attn.q_a_layernorm.weight"
_QUERY = "self_attn.q_proj.weight"
_IN_LAYER: dict[str, PartKind] = {
    **dict.fromkeys(
        (
            _QUERY,
            *_QUERY_RANK,
            "self_attn.kv_a_proj_with_mqa.weight",
            "self_attn.kv_b_proj.weight",
            "self_attn.o_proj.weight",
        ),
        PartKind.ATTENTION,
    ),
    **dict.fromkeys(
        (
            "input_layernorm.weight",
            _QUERY_NORM,
            "self_attn.kv_a_layernorm.weight",
            "post_attention_layernorm.weight",
        ),
        PartKind.NORM,
    ),
    **{f"mlp.{side}.weight": PartKind.DENSE for side in _SIDES},
    **dict.fromkeys(("mlp.gate.weight", "mlp.gate.e_score_correction_bias"), PartKind.ROUTER),
    **{f"mlp.shared_experts.{side}.weight": PartKind.SHARED for side in _SIDES},
    **{f"mlp.experts.*.{side}.weight": PartKind.ROUTED for side in _SIDES},
}
_OUTSIDE = {
    "model.embed_tokens.weight": PartKind.EMBEDDING,
    "model.norm.weight": PartKind.NORM,
    "lm_head.weight": PartKind.HEAD,
}
MTP_EMBED = "embed_tokens.weight"
MTP_HEAD = "shared_head.head.weight"
MTP_NORM = "shared_head.norm.weight"
MTP_PURPOSES = {
    MTP_EMBED: "Embeds the token that was just decided; published as a copy of the main model's embedding.",
    "enorm.weight": "RMSNorm of that embedding, before the two are joined.",
    "hnorm.weight": (
        "RMSNorm of the hidden state to draft from: the main model's after its final norm, or a draft's."
    ),
    "eh_proj.weight": (
        "Joins the two, the embedding first, and projects them back to the width of one hidden state."
    ),
    MTP_NORM: (
        "RMSNorm after the layer's block: this layer's own, not model.norm; a further draft starts from its "
        "output."
    ),
    MTP_HEAD: "Turns that output into the draft's logits; published as a copy of the main model's head.",
}
"""What an MTP layer has beyond an ordinary one, in the order of use, and what each is for."""

_RANKS = {
    role + suffix: rank
    for rank, role in enumerate((*_IN_LAYER, *_OUTSIDE, *MTP_PURPOSES))
    for suffix in ("", SCALE_SUFFIX)
}
_MIXTURE = frozenset({PartKind.ROUTER, PartKind.SHARED, PartKind.ROUTED})
_NUMBER = "(0|[1-9][0-9]{0,7})"
_LAYER = re.compile(rf"model\.layers\.{_NUMBER}\.(.+)", re.DOTALL)
_EXPERT = re.compile(rf"mlp\.experts\.{_NUMBER}\.(.+)", re.DOTALL)
_ANY_NUMBER = re.compile(r"(?<![^.])[0-9]+(?![^.])")


def place(name: str, outline: Outline, names: Container[str]) -> Place:
    """Say where a tensor belongs; `names` are all there are, since a scale belongs where its weight does."""
    weight = name.removesuffix(SCALE_SUFFIX)
    is_scale = weight != name and weight in names
    if not is_scale:
        weight = name
    found = _place(weight, outline)
    if found is None:
        role = _ANY_NUMBER.sub("*", name)
        return Place(PartKind.UNKNOWN, role, is_scale=is_scale)
    kind, role, layer, expert = found
    is_mtp = layer is not None and layer in outline.mtp_layers
    return Place(kind, role + SCALE_SUFFIX if is_scale else role, layer, expert, is_mtp, is_scale)


def role_rank(role: str) -> int:
    """Say where a role stands in the model's order; those that are not known are last, and equal."""
    return _RANKS.get(role, len(_RANKS))


def _place(name: str, outline: Outline) -> tuple[PartKind, str, int | None, int | None] | None:
    in_layer = _LAYER.fullmatch(name)
    if in_layer is None:
        kind = _OUTSIDE.get(name)
        return None if kind is None else (kind, name, None, None)
    layer, role, expert = int(in_layer[1]), in_layer[2], None
    if "*" in role:
        return None  # it stands for a number in roles, and for nothing in names
    of_expert = _EXPERT.fullmatch(role)
    if of_expert is not None:
        expert, role = int(of_expert[1]), f"mlp.experts.*.{of_expert[2]}"
        if outline.n_routed_experts is not None and expert >= outline.n_routed_experts:
            return None
    is_mtp = layer in outline.mtp_layers
    kind = PartKind.MTP if is_mtp and role in MTP_PURPOSES else _IN_LAYER.get(role)
    if kind is None or not _has_place(kind, role, layer, is_mtp, outline):
        return None
    return kind, role, layer, expert


def _has_place(kind: PartKind, role: str, layer: int, is_mtp: bool, outline: Outline) -> bool:
    if not is_mtp and outline.layers is not None and layer >= outline.layers:
        return False
    if outline.has_query_rank is not None:
        if role in _QUERY_RANK or role == _QUERY_NORM:
            return outline.has_query_rank
        if role == _QUERY:
            return not outline.has_query_rank
    dense = outline.first_k_dense_replace
    if is_mtp or dense is None:  # an MTP layer is one of experts in V3, and a dense one in models like it
        return True
    return layer < dense if kind is PartKind.DENSE else layer >= dense if kind in _MIXTURE else True
