"""DeepSeek-V3 in float64, written from the paper and the checkpoint's format, as a judge of the engine.

It shares no code with the engine and none of its ideas of speed: attention is not absorbed, there is no
cache, and every call runs the whole sequence again. Rows of a shorter sequence equal the first rows of a
longer one, so a draft's provisional rows are simply appended and everything is computed anew.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import silu, softmax

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LATENT_EPS = 1e-6
"""What q_a_layernorm and kv_a_layernorm use, whatever `rms_norm_eps` says, as the published code does."""


class Reference:
    """The main model and its MTP module, from dequantised weights and the contents of config.json."""

    def __init__(self, weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
        self.config = dict(config)
        self.weights = {name: tensor.double() for name, tensor in weights.items()}
        self.embedding = self.weights["model.embed_tokens.weight"]
        self.head = self.embedding if config["tie_word_embeddings"] else self.weights["lm_head.weight"]
        self.inverse_frequencies, self.rotary_scale, self.softmax_scale = _rotary(self.config)
        self.margins: list[float] = []
        """Gaps between the last chosen and the first unchosen group or expert, of every routing so far."""

    def hidden(self, ids: Sequence[int]) -> Tensor:
        """Hidden states after the final norm.  # [n, hidden]"""
        x = self.embedding[torch.tensor(ids)]
        for layer in range(self.config["num_hidden_layers"]):
            x = self._block(x, layer)
        return self._norm(x, "model.norm")

    def logits(self, ids: Sequence[int]) -> Tensor:
        """The main model's logits at every position.  # [n, vocab]"""
        return self.hidden(ids) @ self.head.T

    def greedy(self, ids: Sequence[int], count: int) -> list[int]:
        """The `count` tokens that follow `ids` greedily."""
        text = list(ids)
        for _ in range(count):
            text.append(int((self.hidden(text)[-1] @ self.head.T).argmax()))
        return text[len(ids) :]

    def draft(self, ids: Sequence[int], depth: int) -> tuple[list[int], Tensor]:
        """Drafts that follow `ids` and the main model's greedy next token, and the logits they are picked by.

        Row i of the MTP module holds emb(t_{i+1}) and h_i, and predicts t_{i+2}.
        """
        hidden = self.hidden(ids)
        tokens = [*ids[1:], int((hidden[-1] @ self.head.T).argmax())]
        return self.draft_after(tokens, hidden, depth)

    def draft_after(self, tokens: Sequence[int], hidden: Tensor, depth: int) -> tuple[list[int], Tensor]:
        """Drafts from the rows (emb(tokens[i]), hidden[i]), whose last token is decided already."""
        tokens = list(tokens)
        logits: list[Tensor] = []
        for _ in range(depth):
            output = self.mtp_hidden(tokens, hidden)[-1]
            logits.append(output @ self.head.T)
            tokens.append(int(logits[-1].argmax()))
            hidden = torch.cat([hidden, output[None]])
        return tokens[len(tokens) - depth :], torch.stack(logits)

    def mtp_hidden(self, tokens: Sequence[int], hidden: Tensor) -> Tensor:
        """The MTP module's states after shared_head.norm, one row a token.  # [n, hidden]"""
        layer = self.config["num_hidden_layers"]
        prefix = f"model.layers.{layer}"
        both = torch.cat(
            [
                self._norm(self.embedding[torch.tensor(tokens)], f"{prefix}.enorm"),
                self._norm(hidden, f"{prefix}.hnorm"),
            ],
            dim=-1,
        )
        return self._norm(
            self._block(self._linear(both, f"{prefix}.eh_proj"), layer), f"{prefix}.shared_head.norm"
        )

    def _block(self, x: Tensor, layer: int) -> Tensor:
        prefix = f"model.layers.{layer}"
        x = x + self._attention(self._norm(x, f"{prefix}.input_layernorm"), f"{prefix}.self_attn")
        y = self._norm(x, f"{prefix}.post_attention_layernorm")
        if layer < self.config["first_k_dense_replace"]:
            return x + self._mlp(y, f"{prefix}.mlp")
        return x + self._mixture(y, f"{prefix}.mlp")

    def _attention(self, x: Tensor, prefix: str) -> Tensor:
        c = self.config
        n, heads = len(x), c["num_attention_heads"]
        nope, rope, value = c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["v_head_dim"]
        if c["q_lora_rank"] is None:
            q = self._linear(x, f"{prefix}.q_proj")
        else:
            q = self._norm(self._linear(x, f"{prefix}.q_a_proj"), f"{prefix}.q_a_layernorm", LATENT_EPS)
            q = self._linear(q, f"{prefix}.q_b_proj")
        q_nope, q_pe = q.view(n, heads, nope + rope).split([nope, rope], dim=-1)
        latent, k_pe = self._linear(x, f"{prefix}.kv_a_proj_with_mqa").split(
            [c["kv_lora_rank"], rope], dim=-1
        )
        latent = self._norm(latent, f"{prefix}.kv_a_layernorm", LATENT_EPS)
        kv = self._linear(latent, f"{prefix}.kv_b_proj").view(n, heads, nope + value)
        k_nope, v = kv.split([nope, value], dim=-1)
        scores = torch.einsum("ihd,jhd->hij", q_nope, k_nope)
        scores = scores + torch.einsum("ihd,jd->hij", self._rotate(q_pe), self._rotate(k_pe[:, None])[:, 0])
        future = torch.ones(n, n, dtype=torch.bool).triu(1)
        probabilities = softmax((scores * self.softmax_scale).masked_fill(future, -math.inf), dim=-1)
        attended = torch.einsum("hij,jhd->ihd", probabilities, v).reshape(n, heads * value)
        return self._linear(attended, f"{prefix}.o_proj")

    def _rotate(self, x: Tensor) -> Tensor:
        """Turn the pairs (x0, x1), (x2, x3), … of row i by i times their frequency.  # [n, heads, rope]"""
        angles = torch.arange(len(x), dtype=torch.float64)[:, None] * self.inverse_frequencies
        turn = torch.polar(torch.full_like(angles, self.rotary_scale), angles)[:, None]
        pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2).contiguous())
        return torch.view_as_real(pairs * turn).flatten(-2)

    def _mixture(self, x: Tensor, prefix: str) -> Tensor:
        chosen, weights = self._route(x, prefix)
        y = self._mlp(x, f"{prefix}.shared_experts")
        for expert in chosen.unique().tolist():
            rows, ranks = torch.nonzero(chosen == expert, as_tuple=True)
            y[rows] += weights[rows, ranks, None] * self._mlp(x[rows], f"{prefix}.experts.{expert}")
        return y

    def _route(self, x: Tensor, prefix: str) -> tuple[Tensor, Tensor]:
        """Experts and weights by "noaux_tc", a group-limited top-k of biased scores.  # [n, per token]"""
        c = self.config
        scores = torch.sigmoid(self._linear(x, f"{prefix}.gate"))
        choice = scores + self.weights[f"{prefix}.gate.e_score_correction_bias"]
        by_group = choice.view(len(x), c["n_group"], -1)
        kept = self._largest(by_group.topk(2, dim=-1).values.sum(dim=-1), c["topk_group"])
        dropped = torch.ones(by_group.shape[:2], dtype=torch.bool).scatter(1, kept, False)
        choice = by_group.masked_fill(dropped[..., None], -math.inf).flatten(1)
        chosen = self._largest(choice, c["num_experts_per_tok"])
        weights = scores.gather(1, chosen)
        if c["norm_topk_prob"]:
            weights = weights / (weights.sum(dim=-1, keepdim=True) + 1e-20)
        return chosen, weights * c["routed_scaling_factor"]

    def _largest(self, values: Tensor, count: int) -> Tensor:
        """Indices of each row's `count` largest values; notes how clear the cut was."""
        ordered, order = values.sort(dim=-1, descending=True, stable=True)
        if count < values.shape[-1]:
            self.margins += (ordered[:, count - 1] - ordered[:, count]).tolist()
        return order[:, :count]

    def _mlp(self, x: Tensor, prefix: str) -> Tensor:
        gate = silu(self._linear(x, f"{prefix}.gate_proj"))
        return self._linear(gate * self._linear(x, f"{prefix}.up_proj"), f"{prefix}.down_proj")

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return x @ self.weights[f"{name}.weight"].T

    def _norm(self, x: Tensor, name: str, eps: float | None = None) -> Tensor:
        eps = self.config["rms_norm_eps"] if eps is None else eps
        return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + eps) * self.weights[f"{name}.weight"]


def _rotary(config: Mapping[str, Any]) -> tuple[Tensor, float, float]:
    """Inverse frequencies, the factor on cos and sin, and the softmax scale, with YaRN if it is asked for."""
    rope, base = config["qk_rope_head_dim"], config["rope_theta"]
    softmax_scale = (config["qk_nope_head_dim"] + rope) ** -0.5
    index = torch.arange(0, rope, 2, dtype=torch.float64)
    plain = base ** (-index / rope)
    yarn = config["rope_scaling"]
    if yarn is None:
        return plain, 1.0, softmax_scale

    def pair_that_turns(times: float) -> float:
        # The pair of dimensions that makes this many turns within the original context.
        length = yarn["original_max_position_embeddings"]
        return rope * math.log(length / (times * 2 * math.pi)) / (2 * math.log(base))

    def mscale(weight: float) -> float:
        return 0.1 * weight * math.log(yarn["factor"]) + 1.0 if yarn["factor"] > 1 else 1.0

    low = max(math.floor(pair_that_turns(yarn["beta_fast"])), 0)
    high = min(math.ceil(pair_that_turns(yarn["beta_slow"])), rope - 1)
    stretch = ((torch.arange(rope // 2, dtype=torch.float64) - low) / max(high - low, 0.001)).clamp(0, 1)
    frequencies = plain * (1 - stretch) + plain / yarn["factor"] * stretch
    all_dim = mscale(yarn["mscale_all_dim"])
    return frequencies, mscale(yarn["mscale"]) / all_dim, softmax_scale * all_dim**2
