"""The main model, layer-major: all tokens of a pass go through a layer before any goes through the next.

`forward` goes in steps: after every layer, and within one as `engine.model.steps` says, so that whoever runs
it can report progress, cancel, or leave it unfinished. It writes cache rows at the pass's own positions only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.model.steps import in_slices, within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from engine.config import ModelConfig
    from engine.kernels.base import Kernels
    from engine.model.block import Block
    from engine.model.feed_forward import Routes
    from engine.model.steps import Layers, Steps
    from engine.model.supply import Embedding, Head


@dataclass(frozen=True, slots=True)
class Transformer:
    """Embedding, layers, final norm and head. The MTP module shares the embedding and the head."""

    config: ModelConfig
    kernels: Kernels
    embed_tokens: Embedding
    layers: tuple[Block, ...]
    norm: Tensor  # [hidden]
    lm_head: Head

    def embed(self, ids: Sequence[int]) -> Steps[Tensor]:
        """[tokens, hidden] float32."""
        return self.embed_tokens.rows(ids)

    def forward(
        self,
        ids: Sequence[int],
        start: int,
        caches: Sequence[Tensor],
        hidden: Tensor,
        routes: Routes | None = None,
    ) -> Layers[None]:
        """Run tokens at positions `start...`, yielding the number of layers done: between layers, and at the
        steps within one.

        Fills rows `start...` of each layer's cache [context, latent + rope], and `hidden` [rows, hidden] with
        the last tokens' states after the final norm (complete once the iterator is exhausted).
        """
        x = yield from within(0, self.embed(ids))
        for done, (layer, cache) in enumerate(zip(self.layers, caches, strict=True)):
            if done:
                yield done
            for _ in layer.run(x, cache, start, routes):
                yield done
        norm, weight, eps = self.kernels.rms_norm, self.norm, self.config.rms_norm_eps
        normed = in_slices(lambda part: norm(part, weight, eps), x[len(ids) - len(hidden) :])
        hidden.copy_((yield from within(len(self.layers) - 1, normed)))

    def logits(self, hidden: Tensor) -> Steps[Tensor]:
        """[tokens, hidden], after a final norm, to [tokens, vocab]."""
        return self.lm_head(hidden)
