"""The main model, layer-major: all tokens of a pass go through a layer before any goes through the next.

`forward` is an iterator that stops after every layer, and while weights are on their way, so that whoever
runs it can report progress, cancel, or leave it unfinished. It writes cache rows at the pass's own positions
only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from engine.config import ModelConfig
    from engine.kernels.base import Kernels
    from engine.model.block import Block
    from engine.model.feed_forward import Routes
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

    def embed(self, ids: Sequence[int]) -> Tensor:
        """[tokens, hidden] float32."""
        return self.embed_tokens.rows(list(ids))

    def forward(
        self,
        ids: Sequence[int],
        start: int,
        caches: Sequence[Tensor],
        hidden: Tensor,
        routes: Routes | None = None,
    ) -> Iterator[int]:
        """Run tokens at positions `start...`, yielding the number of layers done: after each, and now and
        then while a layer waits for weights.

        Fills rows `start...` of each layer's cache [context, latent + rope], and `hidden` [rows, hidden] with
        the last tokens' states after the final norm (complete once the iterator is exhausted).
        """
        x = self.embed(ids)
        for done, (layer, cache) in enumerate(zip(self.layers, caches, strict=True), start=1):
            for _ in layer.run(x, cache, start, routes):
                yield done - 1
            if done == len(self.layers):
                last = x[len(ids) - len(hidden) :]
                hidden.copy_(self.kernels.rms_norm(last, self.norm, self.config.rms_norm_eps))
            yield done

    def logits(self, hidden: Tensor, heartbeat: Callable[[], None] = lambda: None) -> Tensor:
        """[tokens, hidden], after a final norm, to [tokens, vocab].

        `heartbeat` is called now and then while weights are on their way; what it raises ends the call.
        """
        return self.lm_head(hidden, heartbeat)
