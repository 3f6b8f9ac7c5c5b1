"""Muon (Jordan et al. 2024): momentum whose update is brought near the closest orthogonal matrix.

Five Newton-Schulz steps of the quintic 3.4445 x - 4.775 x³ + 2.0315 x⁵ in bf16. Matrices of one shape,
experts above all, go through them as one stack: hundreds of small products would cost more than the step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_A, _B, _C = 3.4445, -4.7750, 2.0315
_STEPS = 5
MOMENTUM = 0.95


@torch.no_grad()
def orthogonalise(stack: Tensor) -> Tensor:
    """[matrices, rows, cols] to matrices of the same singular vectors and singular values near 1, in bf16."""
    x = stack.to(torch.bfloat16)
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.float().norm(dim=(-2, -1), keepdim=True).to(torch.bfloat16) + 1e-7)
    for _ in range(_STEPS):
        square = x @ x.mT
        x = _A * x + (_B * square + _C * (square @ square)) @ x
    near: Tensor = x.mT if tall else x
    return near


class Muon:
    """For matrices [rows, cols] and stacks; `parts` of a stack's rows are matrices of their own."""

    def __init__(self, parameters: Sequence[tuple[Tensor, int]], rate: float) -> None:
        """Parameters, each with how many matrices lie above one another in its rows (2: gate and up)."""
        self._parameters = tuple(parameters)
        self._rate = rate
        self._momenta = [torch.zeros_like(parameter) for parameter, _ in self._parameters]

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Move every parameter that has a gradient; `factor` scales the rate."""
        stacks: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}
        for (parameter, parts), momentum in zip(self._parameters, self._momenta, strict=True):
            if parameter.grad is None:
                continue
            momentum.lerp_(parameter.grad, 1 - MOMENTUM)
            update = parameter.grad.lerp(momentum, MOMENTUM)  # Nesterov's
            rows, cols = parameter.shape[-2] // parts, parameter.shape[-1]
            views = parameter.detach().view(-1, rows, cols), update.view(-1, rows, cols)
            stacks.setdefault((rows, cols), []).append(views)
        for (rows, cols), members in stacks.items():
            moves = orthogonalise(torch.cat([update for _, update in members])).float()
            scale = max(1.0, rows / cols) ** 0.5
            for matrices, move in zip(members, torch.split(moves, [len(m) for m, _ in members]), strict=True):
                matrices[0].add_(move, alpha=-self._rate * factor * scale)

    def state(self) -> list[Tensor]:
        """What `load` needs to go on."""
        return self._momenta

    def load(self, momenta: Sequence[Tensor]) -> None:
        """Go on from a state."""
        for own, saved in zip(self._momenta, momenta, strict=True):
            own.copy_(saved)
