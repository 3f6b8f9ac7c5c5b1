"""What follows attention in a layer: one gated net, or a router, routed experts and a shared one.

Where routed experts come from is not known here: an `ExpertBank` hands them out as they become ready, in any
order. Their outputs wait in slots (token, rank) and are added in the order of ranks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from engine.config import ModelConfig
    from engine.kernels.base import Expert, Kernels, Matrix


class ExpertBank(Protocol):
    """One layer's routed experts."""

    def fetch(self, numbers: tuple[int, ...]) -> Iterator[Mapping[int, Expert]]:
        """Hand out the numbered experts in groups, each as soon as it can be used.

        A group is valid until the next one is asked for.
        """


class Routes(Protocol):
    """Told which experts a layer used: for events and views that show it."""

    def used(self, layer: int, numbers: tuple[int, ...]) -> None:
        """Expert numbers, ascending; called once for each slice of tokens."""


@dataclass(frozen=True, slots=True)
class Dense:
    """A layer without experts."""

    kernels: Kernels
    net: Expert

    def __call__(self, x: Tensor, routes: Routes | None) -> Tensor:
        return self.kernels.feed_forward(x, self.net)


@dataclass(frozen=True, slots=True)
class MixtureOfExperts:
    """y = sum over chosen experts of weight * expert(x), plus shared(x) (V3 report, equations 12-16)."""

    config: ModelConfig
    kernels: Kernels
    layer: int
    gate: Matrix  # [experts, hidden]
    e_score_correction_bias: Tensor  # [experts]
    experts: ExpertBank
    shared_experts: Expert  # inner size n_shared_experts * moe_intermediate_size

    def __call__(self, x: Tensor, routes: Routes | None) -> Tensor:
        c, kernels = self.config, self.kernels
        ids, weights = kernels.route(
            kernels.multiply(self.gate, x),
            self.e_score_correction_bias,
            c.num_experts_per_tok,
            c.n_group,
            c.topk_group,
            c.norm_topk_prob,
            c.routed_scaling_factor,
        )
        uses = kernels.group(ids, c.n_routed_experts)
        if routes is not None:
            routes.used(self.layer, uses.numbers)
        outputs = torch.empty(ids.numel(), c.hidden_size, device=x.device)
        for ready in self.experts.fetch(uses.numbers):
            kernels.run_experts(x, uses, ready, outputs)
        return kernels.combine(outputs, weights).add_(kernels.feed_forward(x, self.shared_experts))
