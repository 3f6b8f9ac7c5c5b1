"""What follows attention in a layer: one gated net, or a router, routed experts and a shared one.

Where routed experts come from is not known here: an `ExpertBank` hands them out as they become ready. A
token's experts are added in ascending order, whatever order they were computed in: a few tokens keep all
outputs until the last is there, in slots (token, rank); many tokens have the experts handed out in order and
add them up as they come, since a long prompt's outputs would take more memory than its experts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import torch

from engine.kernels.base import Uses
from engine.model.steps import SLICE_TOKENS, finish, in_slices

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from engine.config import ModelConfig
    from engine.kernels.base import Expert, Kernels, Matrix
    from engine.model.steps import Steps
    from engine.model.supply import Supply

USES_AT_ONCE = 1024
"""Outputs of experts that are kept at most: 29 MB of V3's, and wide enough for the kernels."""


class ExpertBank(Protocol):
    """One layer's routed experts."""

    def fetch(self, numbers: tuple[int, ...], in_order: bool) -> Iterator[Mapping[int, Expert]]:
        """Ask for the numbered experts now, and hand them out in groups, each as soon as it can be used.

        A group is valid until the next one is asked for; an empty one says that reads are being waited for.
        With `in_order` numbers ascend from group to group; within a group there is no order.
        """

    def expect(self, numbers: tuple[int, ...]) -> None:
        """These will probably be asked for soon."""


class Routes(Protocol):
    """Told which experts a layer used: for events and views that show it."""

    def used(self, layer: int, numbers: tuple[int, ...]) -> None:
        """Expert numbers, ascending; called once for each pass."""


class FeedForward(Protocol):
    """The second half of a layer."""

    def run(self, x: Tensor, normed: Tensor, routes: Routes | None) -> Iterator[None]:
        """Add the result for normed [tokens, hidden] to x, in place; see `engine.model.steps`."""


@dataclass(frozen=True, slots=True)
class Dense:
    """A layer without experts."""

    kernels: Kernels
    net: Expert
    supply: Supply

    def run(self, x: Tensor, normed: Tensor, routes: Routes | None) -> Iterator[None]:
        """See `FeedForward`."""
        yield from self.supply.arrive()
        yield from _add_net(self.kernels, self.net, x, normed)
        self.supply.leave()


@dataclass(frozen=True, slots=True)
class Router:
    """Chooses experts: sigmoid scores, bias for the choice only (V3 report, equations 13-16)."""

    config: ModelConfig
    kernels: Kernels
    gate: Matrix  # [experts, hidden]
    e_score_correction_bias: Tensor  # [experts]

    def __call__(self, normed: Tensor) -> Steps[tuple[Tensor, Tensor]]:
        """[tokens, hidden] to expert ids [tokens, k], ascending, and their weights [tokens, k]."""
        c = self.config
        return self.kernels.route(
            (yield from in_slices(partial(self.kernels.multiply, self.gate), normed)),
            self.e_score_correction_bias,
            c.num_experts_per_tok,
            c.n_group,
            c.topk_group,
            c.norm_topk_prob,
            c.routed_scaling_factor,
        )


@dataclass(frozen=True, slots=True)
class Foresight:
    """Guesses the next layer's experts: its router, applied to what this layer's router sees.

    Residual streams change slowly from layer to layer, so most guesses are right; a wrong one costs a read.
    """

    router: Router
    experts: ExpertBank

    def __call__(self, normed: Tensor) -> None:
        """Tell the next layer's bank; `normed` is of few tokens."""
        ids, _ = finish(self.router(normed))
        self.experts.expect(tuple(sorted(set(ids.flatten().tolist()))))


@dataclass(frozen=True, slots=True)
class MixtureOfExperts:
    """y = sum over chosen experts of weight * expert(x), plus shared(x) (V3 report, equation 12)."""

    config: ModelConfig
    kernels: Kernels
    layer: int
    router: Router
    experts: ExpertBank
    shared_experts: Expert  # inner size n_shared_experts * moe_intermediate_size
    shared_supply: Supply
    foresight: Foresight | None
    """None where there is nothing to guess: all experts in memory, or no next layer."""

    def run(self, x: Tensor, normed: Tensor, routes: Routes | None) -> Iterator[None]:
        """See `FeedForward`."""
        ids, weights = yield from self.router(normed)
        uses = self.kernels.group(ids, self.config.n_routed_experts)
        if routes is not None:
            routes.used(self.layer, uses.numbers)
        many = ids.numel() > USES_AT_ONCE
        arrivals = self.experts.fetch(uses.numbers, in_order=many)
        if many:
            y = torch.zeros_like(normed)
            for ready in arrivals:
                if not ready:
                    yield
                yield from self._add_portions(normed, uses, weights.flatten(), ready, y)
        else:
            if self.foresight is not None:
                self.foresight(normed)
            outputs = torch.empty(ids.numel(), self.config.hidden_size, device=x.device)
            for ready in arrivals:
                if ready:
                    self.kernels.run_experts(normed, uses, ready, outputs)
                else:
                    yield
            y = self.kernels.combine(outputs, weights)
        yield from self.shared_supply.arrive()
        yield from _add_net(self.kernels, self.shared_experts, y, normed)
        self.shared_supply.leave()
        x += y

    def _add_portions(
        self, normed: Tensor, uses: Uses, weights: Tensor, ready: Mapping[int, Expert], y: Tensor
    ) -> Iterator[None]:
        for portion, slots in _portions(uses, ready):
            outputs = torch.empty(portion.tokens.shape[0], self.config.hidden_size, device=normed.device)
            self.kernels.run_experts(normed, portion, ready, outputs)
            self.kernels.accumulate(outputs, weights[slots], portion.tokens, y)
            yield


def _add_net(kernels: Kernels, net: Expert, y: Tensor, normed: Tensor) -> Iterator[None]:
    for first in range(0, y.shape[0], SLICE_TOKENS):
        if first:
            yield
        part = y[first : first + SLICE_TOKENS]
        part += kernels.feed_forward(normed[first : first + SLICE_TOKENS], net)


def _portions(uses: Uses, ready: Mapping[int, Expert]) -> Iterator[tuple[Uses, Tensor]]:
    """The uses of experts that are ready, ascending, at most USES_AT_ONCE at a time.

    Each comes with its slots among all uses; its own slots count from 0.
    """
    starts = uses.starts.tolist()
    numbers: list[int] = []
    sizes: list[int] = []
    begins: list[tuple[int, int]] = []

    def portion() -> tuple[Uses, Tensor]:
        chosen = torch.cat([torch.arange(begin, end) for begin, end in begins])
        ends = torch.tensor([0, *sizes]).cumsum(0)
        own = torch.arange(chosen.shape[0])
        return Uses(tuple(numbers), ends, uses.tokens[chosen].contiguous(), own), uses.slots[chosen]

    for i, number in enumerate(uses.numbers):
        if number not in ready:
            continue
        begin, end = starts[i], starts[i + 1]
        while begin < end:
            taken = min(end - begin, USES_AT_ONCE - sum(sizes))
            numbers.append(number)
            sizes.append(taken)
            begins.append((begin, begin + taken))
            begin += taken
            if sum(sizes) == USES_AT_ONCE:
                yield portion()
                numbers, sizes, begins = [], [], []
    if sizes:
        yield portion()
