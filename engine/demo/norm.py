"""RMSNorm, trainable: one autograd function in place of the dozen small operations autograd would record."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class _RmsNorm(torch.autograd.Function):
    """x / rms(x) * w. The sum of squares is taken in float32, the rest in x's type."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        exact = torch.float32 if x.dtype == torch.bfloat16 else x.dtype
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=exact)
        scale = length.square_().div_(x.shape[-1]).add_(eps).rsqrt_().to(x.dtype)
        normed = x * scale
        ctx.save_for_backward(normed, scale, weight)
        y: Tensor = normed * weight
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        normed, scale, weight = ctx.saved_tensors
        g_normed = grads[0] * normed
        exact = torch.float32 if normed.dtype == torch.bfloat16 else normed.dtype
        g_weight = g_normed.flatten(0, -2).sum(0, dtype=exact).to(weight.dtype)
        along = (g_normed @ weight).unsqueeze(-1) / normed.shape[-1]
        return (grads[0] * weight).sub_(normed * along).mul_(scale), g_weight, None


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Norm of each row; `weight` is cast to x's type."""
    y: Tensor = _RmsNorm.apply(x, weight.to(x.dtype), eps)  # type: ignore[no-untyped-call]
    return y


class RmsNorm(nn.Module):
    """A norm's weight."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.weight, self.eps)
