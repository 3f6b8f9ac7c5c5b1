"""The multi-token-prediction module: the extra layer that DeepSeek-V3's checkpoints carry (report, 2.2).

Row i combines what the main model knew at position i with the token that came next, and predicts the one
after: h'_i = eh_proj [enorm(Emb(t_{i+1})) ; hnorm(h_i)], through one block, then shared_head.norm and the
main model's head give t_{i+2}. The embedding comes first (equation 21 writes it second; the weights and
every engine that runs them have it first), h_i is taken after the main model's final norm, and row i sits at
position i. Applied again, it takes its own output after shared_head.norm for h.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from engine.model.steps import in_slices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from engine.kernels.base import Matrix
    from engine.model.block import Block
    from engine.model.steps import Steps
    from engine.model.supply import Supply
    from engine.model.transformer import Transformer


@dataclass(frozen=True, slots=True)
class MtpModule:
    """The MTP layer, with the main model whose embedding and head it shares."""

    main: Transformer
    enorm: Tensor  # [hidden]
    hnorm: Tensor  # [hidden]
    eh_proj: Matrix  # [hidden, 2 * hidden]
    eh_proj_supply: Supply
    block: Block
    shared_head_norm: Tensor  # [hidden]

    def forward(self, next_ids: Sequence[int], hidden: Tensor, start: int, cache: Tensor) -> Steps[Tensor]:
        """Rows `start...`: tokens t_{i+1} and states h_i [rows, hidden] to states after shared_head.norm.

        Writes rows `start...` of its own cache [context, latent + rope]; earlier rows must be there.
        """
        kernels = self.main.kernels
        norm = partial(kernels.rms_norm, eps=self.main.config.rms_norm_eps)
        embedded = yield from in_slices(
            partial(norm, weight=self.enorm), (yield from self.main.embed(next_ids))
        )
        states = yield from in_slices(partial(norm, weight=self.hnorm), hidden)
        yield from self.eh_proj_supply.arrive()
        project = partial(kernels.multiply, self.eh_proj)
        x = yield from in_slices(project, torch.cat((embedded, states), dim=-1))
        self.eh_proj_supply.leave()
        yield from self.block.run(x, cache, start, None)
        return (yield from in_slices(partial(norm, weight=self.shared_head_norm), x))

    def logits(self, hidden: Tensor) -> Steps[Tensor]:
        """[rows, hidden], after shared_head.norm, to [rows, vocab]: of the token two ahead of the row."""
        return self.main.logits(hidden)
