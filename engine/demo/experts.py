"""The feed-forward nets, trainable: one gated net, and routed experts stacked in two tensors.

A stack's products are run expert by expert on rows sorted by expert, in one autograd function. Which experts
a token gets is decided by the very function the engine's kernels are tested against (`TorchKernels.route`):
the choice by score plus bias carries no gradient, the weights by score alone do. Loads are balanced by the
bias only (V3 report, 2.1.2).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.kernels.reference import TorchKernels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.config import ModelConfig

WRITE_GAIN = 0.5
"""Of the matrices that write to the residual stream, besides 1 / sqrt(2 layers): calm at the start."""


class Matrix(nn.Module):
    """A weight without bias, kept in float32 and multiplied in the input's type."""

    def __init__(self, rows: int, cols: int, std: float | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(rows, cols) * (cols**-0.5 if std is None else std))

    def forward(self, x: Tensor) -> Tensor:
        """[tokens, cols] to [tokens, rows]."""
        return F.linear(x, self.weight.to(x.dtype))


def write_std(cols: int, layers: int) -> float:
    """Standard deviation of a matrix that writes to the residual stream."""
    return WRITE_GAIN / math.sqrt(cols * 2 * layers)


class GatedNet(nn.Module):
    """down(silu(gate x) * up x): a dense layer's MLP, and the shared expert."""

    def __init__(self, hidden: int, inner: int, layers: int) -> None:
        super().__init__()
        self.gate_proj = Matrix(inner, hidden)
        self.up_proj = Matrix(inner, hidden)
        self.down_proj = Matrix(hidden, inner, write_std(inner, layers))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return y


class _ExpertNets(torch.autograd.Function):
    """Gated nets on consecutive runs of rows: `counts[e]` rows for expert e."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gate_up: Tensor, down: Tensor, counts: list[int]) -> Tensor:
        inner = down.shape[2]
        both = x.new_empty(x.shape[0], 2 * inner)
        y = torch.empty_like(x)
        for e, first, last in _runs(counts):
            torch.mm(x[first:last], gate_up[e].t(), out=both[first:last])
        mid = F.silu(both[:, :inner]) * both[:, inner:]
        for e, first, last in _runs(counts):
            torch.mm(mid[first:last], down[e].t(), out=y[first:last])
        ctx.save_for_backward(x, gate_up, down, both, mid)
        ctx.counts = counts
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, gate_up, down, both, mid = ctx.saved_tensors
        inner = down.shape[2]
        gy = grads[0].contiguous()
        g_mid, g_down, g_gate_up, gx = (
            torch.empty_like(mid), torch.zeros_like(down), torch.zeros_like(gate_up), torch.empty_like(x)
        )  # fmt: skip
        for e, first, last in _runs(ctx.counts):
            torch.mm(gy[first:last], down[e], out=g_mid[first:last])
            torch.mm(gy[first:last].t(), mid[first:last], out=g_down[e])
        gate, up = both[:, :inner], both[:, inner:]
        sigmoid = torch.sigmoid(gate)
        silu = gate * sigmoid
        # silu'(z) = s + silu(z) (1 - s)
        g_both = torch.cat((g_mid * up * (sigmoid + silu * (1 - sigmoid)), g_mid * silu), 1)
        for e, first, last in _runs(ctx.counts):
            torch.mm(g_both[first:last], gate_up[e], out=gx[first:last])
            torch.mm(g_both[first:last].t(), x[first:last], out=g_gate_up[e])
        return gx, g_gate_up, g_down, None


class _Dispatch(torch.autograd.Function):
    """Row t of x to each of its k slots, sorted by expert; backward adds k gradients without scattering."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, inverse: Tensor, k: int) -> Tensor:
        ctx.inverse, ctx.k = inverse, k
        return x.index_select(0, order // k)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        g = grads[0]
        return g.index_select(0, ctx.inverse).view(-1, ctx.k, g.shape[1]).sum(1), None, None, None


class _Unsort(torch.autograd.Function):
    """Rows from the order by expert back to slots."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.order = order
        return y.index_select(0, inverse)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return grads[0].index_select(0, ctx.order), None, None


def _runs(counts: Sequence[int]) -> list[tuple[int, int, int]]:
    """Expert, first and last row of every run that is not empty."""
    runs, first = [], 0
    for expert, count in enumerate(counts):
        if count:
            runs.append((expert, first, first + count))
        first += count
    return runs


def expert_nets(x: Tensor, gate_up: Tensor, down: Tensor, counts: list[int]) -> Tensor:
    """x [rows, hidden] by expert, gate_up [experts, 2 inner, hidden], down [experts, hidden, inner]."""
    y: Tensor = _ExpertNets.apply(x, gate_up, down, counts)  # type: ignore[no-untyped-call]
    return y


class ExpertStack(nn.Module):
    """A layer's routed experts. Gate and up are one product of twice the rows."""

    def __init__(self, experts: int, hidden: int, inner: int, layers: int) -> None:
        super().__init__()
        self.gate_up = nn.Parameter(torch.randn(experts, 2 * inner, hidden) * hidden**-0.5)
        self.down = nn.Parameter(torch.randn(experts, hidden, inner) * write_std(inner, layers))

    def forward(self, x: Tensor, ids: Tensor, counts: Tensor) -> Tensor:
        """x [tokens, hidden], ids [tokens, k] to each slot's output [tokens, k, hidden]."""
        k = ids.shape[1]
        order = ids.flatten().argsort(stable=True)
        inverse = torch.empty_like(order)
        inverse[order] = torch.arange(len(order))
        rows = _Dispatch.apply(x, order, inverse, k)  # type: ignore[no-untyped-call]
        y = expert_nets(rows, self.gate_up.to(x.dtype), self.down.to(x.dtype), counts.tolist())
        slots: Tensor = _Unsort.apply(y, order, inverse)  # type: ignore[no-untyped-call]
        return slots.view(-1, k, x.shape[1])


class Router(nn.Module):
    """Scores of every expert, in float32 whatever the rest is computed in, as V3 asks for."""

    e_score_correction_bias: Tensor
    load: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.kernels = TorchKernels()
        experts, hidden = config.n_routed_experts, config.hidden_size
        self.weight = nn.Parameter(torch.randn(experts, hidden) * hidden**-0.5)
        self.register_buffer("e_score_correction_bias", torch.zeros(experts))
        self.register_buffer("load", torch.zeros(experts), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[tokens, hidden] to expert ids and weights [tokens, k] each, and slots an expert [experts]."""
        c = self.config
        logits = F.linear(x.float(), self.weight)
        ids, weights = self.kernels.route(
            logits, self.e_score_correction_bias, c.num_experts_per_tok, c.n_group, c.topk_group,
            c.norm_topk_prob, c.routed_scaling_factor,
        )  # fmt: skip
        counts = torch.bincount(ids.flatten(), minlength=c.n_routed_experts)
        if self.training:
            self.load += counts
        return ids, weights, counts

    def balance(self, step: float) -> None:
        """Move each expert's bias by `step`: up if it had less than the mean load since the last call."""
        with torch.no_grad():
            self.e_score_correction_bias += step * torch.sign(self.load.mean() - self.load)
            self.load.zero_()


class Mixture(nn.Module):
    """Routed experts, weighted, plus the shared one (V3 report, equations 12-16)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c = config
        self.gate = Router(c)
        self.experts = ExpertStack(
            c.n_routed_experts, c.hidden_size, c.moe_intermediate_size, c.num_hidden_layers
        )
        self.shared_experts = GatedNet(c.hidden_size, c.shared_intermediate_size, c.num_hidden_layers)

    def forward(self, x: Tensor) -> Tensor:
        """[tokens, hidden] to the same."""
        ids, weights, counts = self.gate(x)
        slots = self.experts(x, ids, counts)
        y: Tensor = (slots * weights.unsqueeze(-1).to(x.dtype)).sum(1) + self.shared_experts(x)
        return y
