"""What a set of kernels offers the model, whatever device and code it runs on.

Every tensor is float32 unless it is a stored matrix. A kernel set makes its own `Matrix` handles (it may
keep addresses or copies with them); everything else is passed in and returned as torch tensors on its
device. One rule holds for all: a token's result is the same bits whatever other tokens are in the call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import Tensor


class Matrix(Protocol):
    """A weight as stored, [rows, cols], and its block scales if it is FP8."""

    @property
    def stored(self) -> Tensor:
        """[rows, cols]: float8_e4m3fn, bfloat16, float16 or float32."""

    @property
    def scales(self) -> Tensor | None:
        """[ceil(rows / 128), ceil(cols / 128)] float32: what each block is multiplied with."""


@dataclass(frozen=True, slots=True)
class Expert:
    """A gated feed-forward net: `down(silu(gate x) * up x)`. A dense or shared MLP is one as well."""

    gate: Matrix  # [inner, hidden]
    up: Matrix  # [inner, hidden]
    down: Matrix  # [hidden, inner]


@dataclass(frozen=True, slots=True)
class Uses:
    """Which expert works for which tokens, sorted by expert. A slot is token * k + rank."""

    numbers: tuple[int, ...]
    """The experts used, ascending."""
    starts: Tensor  # [experts used + 1] int64: where each one's uses begin
    tokens: Tensor  # [tokens * k] int64
    slots: Tensor  # [tokens * k] int64


@dataclass(frozen=True, slots=True)
class Rotary:
    """Cosine and sine of every position and pair, [context, rope / 2] each."""

    cosine: Tensor
    sine: Tensor


class Kernels(Protocol):
    """The products and small steps that a DeepSeek-V3 layer is made of."""

    @property
    def device(self) -> torch.device:
        """Where tensors live."""

    @property
    def threads(self) -> int:
        """How many threads work on one product."""

    def matrix(self, stored: Tensor, scales: Tensor | None) -> Matrix:
        """A handle on a stored weight; the bytes stay where they are and must outlive it."""

    def multiply(self, matrix: Matrix, x: Tensor) -> Tensor:
        """[tokens, cols] to [tokens, rows]."""

    def rms_norm(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """Root-mean-square norm of each row."""

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
        """The noaux_tc choice: expert ids [tokens, k] int64, ascending, and weights [tokens, k]."""

    def group(self, ids: Tensor, experts: int) -> Uses:
        """[tokens, k] expert ids, sorted by expert."""

    def run_experts(self, x: Tensor, uses: Uses, experts: Mapping[int, Expert], outputs: Tensor) -> None:
        """Fill the slots [tokens * k, hidden] of those used experts that are given; leave the others."""

    def combine(self, outputs: Tensor, weights: Tensor) -> Tensor:
        """Weighted sum over ranks, ascending: [tokens * k, hidden] and [tokens, k] to [tokens, hidden]."""

    def accumulate(self, outputs: Tensor, weights: Tensor, tokens: Tensor, sums: Tensor) -> None:
        """`sums[token] += weight * output`, one use after the other: `combine` in portions.

        outputs [uses, hidden], weights [uses], tokens [uses] int64, sums [tokens, hidden], at first zero.
        """

    def feed_forward(self, x: Tensor, expert: Expert) -> Tensor:
        """One expert for every token."""

    def latent_queries(self, q: Tensor, kv_b: Matrix, nope: int, rotary: Rotary, start: int) -> Tensor:
        """Queries in the latent space: q [tokens, heads, nope + rope] to [tokens, heads, latent + rope].

        The first part is multiplied with W_UK (the first `nope` rows of each head in kv_b), the second is
        turned by its position, `start + token`.
        """

    def write_latents(
        self, kv: Tensor, weight: Tensor, eps: float, rotary: Rotary, start: int, cache: Tensor
    ) -> None:
        """Cache rows `start...` from kv [tokens, latent + rope]: latent normed, shared key turned."""

    def attend(self, q: Tensor, cache: Tensor, latent: int, start: int, scale: float) -> Tensor:
        """Causal attention over cache [context, latent + rope]: [tokens, heads, latent].

        Token t sees rows 0..start + t, which must have been written.
        """

    def expand_values(self, latents: Tensor, kv_b: Matrix, values: int) -> Tensor:
        """[tokens, heads, latent] to [tokens, heads * values] by W_UV (the last rows of each head)."""
