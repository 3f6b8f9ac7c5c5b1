"""YaRN (Peng et al. 2023): what config.json says of the rotary base and of stretching the context."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.config_fields import MAX_CONTEXT, Fields


@dataclass(frozen=True, slots=True)
class YarnScaling:
    """YaRN's stretching of the rotary frequencies beyond the context of pre-training."""

    factor: float
    beta_fast: float
    beta_slow: float
    mscale: float
    mscale_all_dim: float
    original_max_position_embeddings: int

    @property
    def rotary_mscale(self) -> float:
        """What cos and sin are multiplied by: 1.0 wherever mscale equals mscale_all_dim, as in V3."""
        return yarn_mscale(self.factor, self.mscale) / yarn_mscale(self.factor, self.mscale_all_dim)


def yarn_mscale(factor: float, mscale: float) -> float:
    """YaRN's attention temperature, 0.1 · mscale · ln(factor) + 1, or 1 where nothing is stretched."""
    return 0.1 * mscale * math.log(factor) + 1.0 if factor > 1.0 else 1.0


def read_rope(fields: Fields) -> tuple[float, YarnScaling | None]:
    """The rotary base and the scaling, from the published keys or transformers 5's `rope_parameters`."""
    sections = [
        one for key in ("rope_parameters", "rope_scaling") if (one := fields.section(key)) is not None
    ]
    scalings = [_read_yarn(section) for section in sections]
    if len(scalings) == 2 and scalings[0] != scalings[1]:
        raise fields.refusal("rope_scaling", "rope_parameters says otherwise")
    holders = [one for one in (*sections, fields) if one.has("rope_theta")]
    if not holders:
        raise fields.refusal("rope_theta", "the base of the rotary frequencies is needed")
    thetas = [one.number("rope_theta", 1.001, 1e12) for one in holders]
    if min(thetas) != max(thetas):
        raise fields.refusal("rope_theta", f"{holders[0].prefix}rope_theta says otherwise")
    return thetas[0], scalings[0] if scalings else None


def _read_yarn(rope: Fields) -> YarnScaling | None:
    keys = [key for key in ("rope_type", "type") if key in rope.raw]
    for key in keys:
        rope.only(key, "yarn", "default", sentence="only yarn or no scaling is supported")
        if rope.raw[key] != rope.raw[keys[0]]:
            raise rope.refusal(key, f"{keys[0]} says otherwise")
    if not keys and rope.has("factor"):
        raise rope.refusal("rope_type", "a factor needs its kind of scaling")
    rope.only("partial_rotary_factor", 1.0, 1, None, sentence="the whole rotary part must rotate")
    if not keys or rope.raw[keys[0]] == "default":
        return None
    rope.only("attention_factor", None, sentence="it follows from mscale and mscale_all_dim")
    rope.only("truncate", True, None, sentence="the bounds of the ramp must be whole")
    yarn = YarnScaling(
        factor=rope.number("factor", 1.0, 1e6),
        beta_fast=rope.number("beta_fast", 1e-6, 1e6, default=32.0),
        beta_slow=rope.number("beta_slow", 1e-6, 1e6, default=1.0),
        mscale=rope.number("mscale", 0.0, 1e3, default=1.0),
        mscale_all_dim=rope.number("mscale_all_dim", 0.0, 1e3, default=0.0),
        original_max_position_embeddings=rope.size("original_max_position_embeddings", MAX_CONTEXT),
    )
    if yarn.beta_fast < yarn.beta_slow:
        raise rope.refusal("beta_fast", f"it must not be below beta_slow, {yarn.beta_slow:g}")
    # With one of the two missing or zero, DeepSeek's code and transformers scale cos and sin differently.
    if not (yarn.mscale and yarn.mscale_all_dim and rope.has("mscale")) and (
        yarn.mscale != 1.0 or yarn.mscale_all_dim
    ):
        raise rope.refusal("mscale", "mscale and mscale_all_dim must be given together, and not be 0")
    return yarn
