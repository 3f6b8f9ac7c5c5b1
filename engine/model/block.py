"""One layer: attention, then feed-forward, each on a normed copy and added to the residual stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from engine.kernels.base import Kernels
    from engine.model.attention import Attention
    from engine.model.feed_forward import FeedForward, Routes
    from engine.model.supply import Supply

SLICE_TOKENS = 128
"""Tokens that go through attention or a net at once. It bounds the activations of a long prompt (V3: 128
heads x 576 latent values a token) and is wide enough that more would not make the products faster."""


@dataclass(frozen=True, slots=True)
class Block:
    """One transformer layer of the main model, or the one inside the MTP module."""

    kernels: Kernels
    eps: float
    input_layernorm: Tensor  # [hidden]
    self_attn: Attention
    self_attn_supply: Supply
    post_attention_layernorm: Tensor  # [hidden]
    mlp: FeedForward

    def run(self, x: Tensor, cache: Tensor, start: int, routes: Routes | None) -> Iterator[None]:
        """Run [tokens, hidden] at positions `start...` through the layer, in place.

        Yields while weights are on their way. All tokens are through attention before any goes on, and each
        unit and each expert is asked for once.
        """
        yield from self.self_attn_supply.arrive()
        for first in range(0, x.shape[0], SLICE_TOKENS):
            part = x[first : first + SLICE_TOKENS]
            normed = self.kernels.rms_norm(part, self.input_layernorm, self.eps)
            part += self.self_attn(normed, cache, start + first)
        self.self_attn_supply.leave()
        yield from self.mlp.run(x, self.kernels.rms_norm(x, self.post_attention_layernorm, self.eps), routes)
