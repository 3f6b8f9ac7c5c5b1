"""One layer: attention, then feed-forward, each on a normed copy and added to the residual stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from engine.kernels.base import Kernels
    from engine.model.attention import Attention
    from engine.model.feed_forward import Dense, MixtureOfExperts, Routes

SLICE_TOKENS = 128
"""Tokens that go through a layer at once. It bounds the activations of a long prompt (V3: 128 heads x 576
latent values a token) and is wide enough that more would not make the products faster."""


@dataclass(frozen=True, slots=True)
class Block:
    """One transformer layer of the main model, or the one inside the MTP module."""

    kernels: Kernels
    eps: float
    input_layernorm: Tensor  # [hidden]
    self_attn: Attention
    post_attention_layernorm: Tensor  # [hidden]
    mlp: Dense | MixtureOfExperts

    def __call__(self, x: Tensor, cache: Tensor, start: int, routes: Routes | None) -> None:
        """Run [tokens, hidden] at positions `start...` through the layer, in place."""
        for first in range(0, x.shape[0], SLICE_TOKENS):
            part = x[first : first + SLICE_TOKENS]
            normed = self.kernels.rms_norm(part, self.input_layernorm, self.eps)
            part += self.self_attn(normed, cache, start + first)
            normed = self.kernels.rms_norm(part, self.post_attention_layernorm, self.eps)
            part += self.mlp(normed, routes)
