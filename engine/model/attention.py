"""Multi-head latent attention (DeepSeek-V2 report, section 2.1; V3 report, equations 1-11), absorbed form.

The cache holds, for each token, the normed latent and one rotary key shared by all heads. Keys and values
are never rebuilt: W_UK is multiplied into the query (q' = q_nope . W_UK) and W_UV into the result, so that
attention itself runs on latents: score = q' . latent + q_rope . k_rope.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from engine.config import ModelConfig
    from engine.kernels.base import Kernels, Matrix, Rotary

LATENT_NORM_EPS = 1e-6
"""For q_a_layernorm and kv_a_layernorm, whatever rms_norm_eps says: so does the published modelling code."""


@dataclass(frozen=True, slots=True)
class LowRankQueries:
    """q = q_b(norm(q_a x)): how V3 makes its queries."""

    q_a_proj: Matrix  # [q_lora_rank, hidden]
    q_a_layernorm: Tensor  # [q_lora_rank]
    q_b_proj: Matrix  # [heads * (nope + rope), q_lora_rank]

    def __call__(self, kernels: Kernels, x: Tensor) -> Tensor:
        low = kernels.rms_norm(kernels.multiply(self.q_a_proj, x), self.q_a_layernorm, LATENT_NORM_EPS)
        return kernels.multiply(self.q_b_proj, low)


@dataclass(frozen=True, slots=True)
class DirectQueries:
    """q = q_proj x: models without a query rank."""

    q_proj: Matrix  # [heads * (nope + rope), hidden]

    def __call__(self, kernels: Kernels, x: Tensor) -> Tensor:
        return kernels.multiply(self.q_proj, x)


@dataclass(frozen=True, slots=True)
class Attention:
    """One layer's attention."""

    config: ModelConfig
    kernels: Kernels
    rotary: Rotary
    queries: LowRankQueries | DirectQueries
    kv_a_proj: Matrix  # [latent + rope, hidden]
    kv_a_layernorm: Tensor  # [latent]
    kv_b_proj: Matrix  # [heads * (nope + value), latent]
    o_proj: Matrix  # [hidden, heads * value]

    def __call__(self, x: Tensor, cache: Tensor, start: int) -> Tensor:
        """[tokens, hidden] at positions `start...`; writes their rows of cache [context, latent + rope]."""
        c, kernels = self.config, self.kernels
        latents = kernels.multiply(self.kv_a_proj, x)
        kernels.write_latents(latents, self.kv_a_layernorm, LATENT_NORM_EPS, self.rotary, start, cache)
        q = self.queries(kernels, x).view(x.shape[0], c.num_attention_heads, c.qk_head_dim)
        q = kernels.latent_queries(q, self.kv_b_proj, c.qk_nope_head_dim, self.rotary, start)
        mixed = kernels.attend(q, cache, c.kv_lora_rank, start, c.softmax_scale)
        return kernels.multiply(self.o_proj, kernels.expand_values(mixed, self.kv_b_proj, c.v_head_dim))
