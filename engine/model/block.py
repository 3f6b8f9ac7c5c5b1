"""One layer: attention, then feed-forward, each on a normed copy and added to the residual stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.model.steps import SLICE_TOKENS, in_slices

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from engine.kernels.base import Kernels
    from engine.model.attention import Attention
    from engine.model.feed_forward import FeedForward, Routes
    from engine.model.supply import Supply

_SCORES_AT_ONCE = 1 << 27
"""Heads x tokens x positions that a slice looks at: of V3's, a second's work for two cores. At a long context
that is few tokens, and as each of them takes longer, nothing is lost by it."""
_LEAST_TOKENS = 8
"""Of a slice, whatever the context: products take so many at once."""


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

        Yields while weights are on their way and between slices. All tokens are through attention before any
        goes on, and each unit and each expert is asked for once.
        """
        yield from self.self_attn_supply.arrive()
        tokens, norm, eps = x.shape[0], self.kernels.rms_norm, self.eps
        size = self._slice_tokens(start + tokens)
        for first in range(0, tokens, size):
            if first:
                yield
            part = x[first : first + size]
            part += self.self_attn(norm(part, self.input_layernorm, eps), cache, start + first)
        self.self_attn_supply.leave()
        weight = self.post_attention_layernorm
        normed = yield from in_slices(lambda part: norm(part, weight, eps), x)
        yield from self.mlp.run(x, normed, routes)

    def _slice_tokens(self, positions: int) -> int:
        """How many tokens attend to so many positions at once."""
        fitting = _SCORES_AT_ONCE // (self.self_attn.config.num_attention_heads * positions)
        return max(_LEAST_TOKENS, min(SLICE_TOKENS, fitting // _LEAST_TOKENS * _LEAST_TOKENS))
