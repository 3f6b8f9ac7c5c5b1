"""The same kernels in plain torch: what the fast ones are tested against, and nothing else.

Weights are decoded whole and multiplied in float32 (or any dtype given), attention is written out, experts
run one by one. No promise about summation order is made here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from engine.kernels.base import Expert, Rotary, Uses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from engine.kernels.base import Matrix


@dataclass(frozen=True, slots=True)
class TorchMatrix:
    """A stored weight and its block scales."""

    stored: Tensor
    scales: Tensor | None


def dequantise(matrix: Matrix) -> Tensor:
    """[rows, cols] float32: each weight times its block's scale."""
    weight = matrix.stored.float()
    if matrix.scales is None:
        return weight
    rows, cols = weight.shape
    scales = matrix.scales.repeat_interleave(128, 0)[:rows].repeat_interleave(128, 1)[:, :cols]
    return weight * scales


def _by_head(kv_b: Matrix, heads: int) -> Tensor:
    weight = dequantise(kv_b)
    return weight.view(heads, -1, weight.shape[1])


def _rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    pairs = x.reshape(*x.shape[:-1], -1, 2)
    a, b = pairs[..., 0], pairs[..., 1]
    return torch.stack((a * cosine - b * sine, a * sine + b * cosine), -1).flatten(-2)


class TorchKernels:
    """The `Kernels` in plain torch."""

    def __init__(self) -> None:
        self.device = torch.device("cpu")
        self.threads = torch.get_num_threads()

    def matrix(self, stored: Tensor, scales: Tensor | None) -> TorchMatrix:
        return TorchMatrix(stored, scales)

    def multiply(self, matrix: Matrix, x: Tensor) -> Tensor:
        return x @ dequantise(matrix).T

    def rms_norm(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight

    def route(
        self,
        logits: Tensor,
        bias: Tensor,
        k: int,
        groups: int,
        kept_groups: int,
        normalise: bool,
        factor: float,
    ) -> tuple[Tensor, Tensor]:
        scores = logits.sigmoid()
        choice = (scores + bias).view(scores.shape[0], groups, -1)  # [tokens, groups, experts a group]
        if kept_groups < groups:
            group_scores = choice.topk(2, -1).values.sum(-1)
            kept = torch.zeros_like(group_scores, dtype=torch.bool)
            kept.scatter_(
                -1, group_scores.sort(dim=-1, descending=True, stable=True).indices[:, :kept_groups], True
            )
            choice = choice.masked_fill(~kept.unsqueeze(-1), float("-inf"))
        ids = choice.flatten(-2).sort(dim=-1, descending=True, stable=True).indices[:, :k].sort(-1).values
        weights = scores.gather(-1, ids)
        if normalise:
            weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
        return ids, weights * factor

    def group(self, ids: Tensor, experts: int) -> Uses:
        order = ids.flatten().argsort(stable=True)
        counts = torch.bincount(ids.flatten(), minlength=experts)
        numbers = counts.nonzero().flatten()
        starts = torch.cat((torch.zeros(1, dtype=torch.int64), counts[numbers].cumsum(0)))
        return Uses(tuple(numbers.tolist()), starts, order // ids.shape[1], order)

    def run_experts(self, x: Tensor, uses: Uses, experts: Mapping[int, Expert], outputs: Tensor) -> None:
        for i, number in enumerate(uses.numbers):
            if number in experts:
                which = slice(int(uses.starts[i]), int(uses.starts[i + 1]))
                outputs[uses.slots[which]] = self.feed_forward(x[uses.tokens[which]], experts[number])

    def combine(self, outputs: Tensor, weights: Tensor) -> Tensor:
        return (outputs.view(*weights.shape, -1) * weights.unsqueeze(-1)).sum(1)

    def accumulate(self, outputs: Tensor, weights: Tensor, tokens: Tensor, sums: Tensor) -> None:
        for output, by, token in zip(outputs, weights, tokens.tolist(), strict=True):
            sums[token] += output * by

    def feed_forward(self, x: Tensor, expert: Expert) -> Tensor:
        inner = F.silu(self.multiply(expert.gate, x)) * self.multiply(expert.up, x)
        return self.multiply(expert.down, inner)

    def latent_queries(self, q: Tensor, kv_b: Matrix, nope: int, rotary: Rotary, start: int) -> Tensor:
        tokens, heads, _ = q.shape
        to_latent = _by_head(kv_b, heads)[:, :nope]  # [heads, nope, latent]
        latent = torch.einsum("thn,hnc->thc", q[..., :nope], to_latent)
        where = slice(start, start + tokens)
        turned = _rotate(q[..., nope:], rotary.cosine[where, None], rotary.sine[where, None])
        return torch.cat((latent, turned), -1)

    def write_latents(
        self, kv: Tensor, weight: Tensor, eps: float, rotary: Rotary, start: int, cache: Tensor
    ) -> None:
        where = slice(start, start + kv.shape[0])
        latent = weight.shape[0]
        cache[where, :latent] = self.rms_norm(kv[:, :latent], weight, eps)
        cache[where, latent:] = _rotate(kv[:, latent:], rotary.cosine[where], rotary.sine[where])

    def attend(self, q: Tensor, cache: Tensor, latent: int, start: int, scale: float) -> Tensor:
        tokens = q.shape[0]
        seen = cache[: start + tokens]
        scores = torch.einsum("thc,sc->ths", q, seen) * scale
        later = torch.arange(start + tokens) > torch.arange(start, start + tokens)[:, None]
        scores = scores.masked_fill(later[:, None], float("-inf"))
        return torch.einsum("ths,sc->thc", scores.softmax(-1), seen[:, :latent])

    def expand_values(self, latents: Tensor, kv_b: Matrix, values: int) -> Tensor:
        heads = latents.shape[1]
        to_values = _by_head(kv_b, heads)[:, -values:]  # [heads, values, latent]
        return torch.einsum("thc,hvc->thv", latents, to_values).flatten(1)
