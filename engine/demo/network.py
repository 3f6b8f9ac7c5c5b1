"""A compact trainable DeepSeek-V3 with its MTP layer, for the CPU.

All documents of a step lie behind one another in one row of tokens; only attention knows where each ends.
Parameters carry the published tensors' names, except that a layer's experts are stacked. Masters are float32;
products run in the network's `compute` type. The MTP layer is trained as the engine runs it: embedding first,
the state after the main model's final norm, shared_head.norm at its end, row i at position i (V3 report
arXiv 2412.19437, section 2.2, equations 21-25; engine/model/mtp.py names where practice and paper differ).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.demo.experts import GatedNet, Matrix, Mixture, write_std
from engine.demo.norm import RmsNorm
from engine.model.attention import LATENT_NORM_EPS
from engine.model.rotary import rotary_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.config import ModelConfig

EMBEDDING_STD = 0.5
HEAD_STD = 0.02
COMMON_DIMS = 16
"""Embeddings start with +1 in the first 16 dimensions. MLA's queries and keys have no bias, and a head that
looks one token back needs a constant to work with: copying was at 73 % on step 50 with it, at 4 % without."""

Groups = tuple[tuple[int, int], ...]
"""(documents, padded length) of each run of equally long documents, in the row's order."""


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn interleaved pairs; x [tokens, heads, rope], tables [tokens, 1, rope / 2]."""
    a, b = x.float().view(*x.shape[:-1], -1, 2).unbind(-1)
    return torch.stack((a * cosine - b * sine, a * sine + b * cosine), -1).flatten(-2).to(x.dtype)


def attend(q: Tensor, k: Tensor, v: Tensor, groups: Groups, scale: float) -> Tensor:
    """Causal attention within each document: [tokens, heads, width] each, to [tokens, heads * value]."""
    rows = [documents * length for documents, length in groups]
    mixed = []
    for (documents, length), *parts in zip(groups, *(torch.split(x, rows) for x in (q, k, v)), strict=True):
        # [documents, heads, length, width]
        q_, k_, v_ = (part.unflatten(0, (documents, length)).transpose(1, 2) for part in parts)
        y = F.scaled_dot_product_attention(q_, k_, v_, is_causal=True, scale=scale)
        mixed.append(y.transpose(1, 2).reshape(documents * length, -1))
    return torch.cat(mixed)


class Attention(nn.Module):
    """Multi-head latent attention, written out: keys and values are rebuilt from the latents."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c = self.config = config
        if c.q_lora_rank is None:
            raise ValueError("the demo's queries have a low rank")
        heads, hidden = c.num_attention_heads, c.hidden_size
        self.q_a_proj = Matrix(c.q_lora_rank, hidden)
        self.q_a_layernorm = RmsNorm(c.q_lora_rank, LATENT_NORM_EPS)
        self.q_b_proj = Matrix(heads * c.qk_head_dim, c.q_lora_rank)
        self.kv_a_proj_with_mqa = Matrix(c.kv_lora_rank + c.qk_rope_head_dim, hidden)
        self.kv_a_layernorm = RmsNorm(c.kv_lora_rank, LATENT_NORM_EPS)
        self.kv_b_proj = Matrix(heads * (c.qk_nope_head_dim + c.v_head_dim), c.kv_lora_rank)
        values = heads * c.v_head_dim
        self.o_proj = Matrix(hidden, values, write_std(values, c.num_hidden_layers))

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor, groups: Groups) -> Tensor:
        """[tokens, hidden] to the same."""
        c = self.config
        split = c.qk_nope_head_dim, c.qk_rope_head_dim
        q = self.q_b_proj(self.q_a_layernorm(self.q_a_proj(x))).unflatten(-1, (c.num_attention_heads, -1))
        q_nope, q_rope = q.split(split, -1)  # [tokens, heads, ...]
        latent, k_rope = self.kv_a_proj_with_mqa(x).split((c.kv_lora_rank, c.qk_rope_head_dim), -1)
        kv = self.kv_b_proj(self.kv_a_layernorm(latent)).unflatten(-1, (c.num_attention_heads, -1))
        k_nope, v = kv.split((c.qk_nope_head_dim, c.v_head_dim), -1)
        q = torch.cat((q_nope, rotate(q_rope, cosine, sine)), -1)
        k_rope = rotate(k_rope.unsqueeze(1), cosine, sine)  # one rotary key for all heads
        k = torch.cat((k_nope, k_rope.expand(-1, c.num_attention_heads, -1)), -1)
        y: Tensor = self.o_proj(attend(q, k, v, groups, c.softmax_scale))
        return y


class Block(nn.Module):
    """One layer: attention and feed-forward, each on a normed copy and added."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        hidden, eps = config.hidden_size, config.rms_norm_eps
        self.input_layernorm = RmsNorm(hidden, eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RmsNorm(hidden, eps)
        self.mlp: Mixture | GatedNet = (
            Mixture(config)
            if config.is_moe(layer)
            else GatedNet(hidden, config.intermediate_size, config.num_hidden_layers)
        )

    def run(self, x: Tensor, cosine: Tensor, sine: Tensor, groups: Groups) -> Tensor:
        """[tokens, hidden] to the same."""
        x = x + self.self_attn(self.input_layernorm(x), cosine, sine, groups)
        y: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return y


class SharedHead(nn.Module):
    """What the MTP layer has of a head of its own: the norm. The matrix is the main model's."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm = RmsNorm(config.hidden_size, config.rms_norm_eps)


class MtpBlock(Block):
    """The layer after the last: what it adds to a block."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__(config, layer)
        hidden, eps = config.hidden_size, config.rms_norm_eps
        self.enorm = RmsNorm(hidden, eps)
        self.hnorm = RmsNorm(hidden, eps)
        self.eh_proj = Matrix(hidden, 2 * hidden)
        self.shared_head = SharedHead(config)


class Trunk(nn.Module):
    """`model` of the published names: embedding, layers (the MTP layer last) and final norm."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        kinds = [Block] * config.num_hidden_layers + [MtpBlock]
        self.layers = nn.ModuleList(kind(config, layer) for layer, kind in enumerate(kinds))
        self.norm = RmsNorm(config.hidden_size, config.rms_norm_eps)
        with torch.no_grad():
            self.embed_tokens.weight.mul_(EMBEDDING_STD)
            self.embed_tokens.weight[:, :COMMON_DIMS] += 1.0


class Network(nn.Module):
    """The main model and its MTP layer."""

    cosine: Tensor
    sine: Tensor

    def __init__(self, config: ModelConfig, compute: torch.dtype = torch.bfloat16) -> None:
        super().__init__()
        if not config.num_nextn_predict_layers or config.tie_word_embeddings:
            raise ValueError("the demo has an MTP layer, and a head of its own")
        self.config = config
        self.compute = compute
        self.model = Trunk(config)
        self.lm_head = Matrix(config.vocab_size, config.hidden_size, HEAD_STD)
        rotary = rotary_table(config, config.max_position_embeddings)
        self.register_buffer("cosine", rotary.cosine, persistent=False)
        self.register_buffer("sine", rotary.sine, persistent=False)

    def hidden(self, ids: Tensor, positions: Tensor, groups: Groups) -> Tensor:
        """Ids and positions [tokens] to states after the final norm [tokens, hidden]."""
        x = self.model.embed_tokens(ids).to(self.compute)
        cosine, sine = self._tables(positions)
        for block in self._blocks()[:-1]:
            x = block.run(x, cosine, sine, groups)
        y: Tensor = self.model.norm(x)
        return y

    def draft_hidden(self, next_ids: Tensor, hidden: Tensor, positions: Tensor, groups: Groups) -> Tensor:
        """Tokens t_{i+1} and states h_i after the final norm to states after shared_head.norm."""
        mtp = cast("MtpBlock", self.model.layers[-1])
        embedded = self.model.embed_tokens(next_ids).to(self.compute)
        x = mtp.eh_proj(torch.cat((mtp.enorm(embedded), mtp.hnorm(hidden)), -1))
        y: Tensor = mtp.shared_head.norm(mtp.run(x, *self._tables(positions), groups))
        return y

    def logits(self, hidden: Tensor) -> Tensor:
        """[tokens, hidden], after a final norm, to float32 [tokens, vocab]."""
        logits: Tensor = self.lm_head(hidden)
        return logits.float()

    def mixtures(self) -> Iterator[Mixture]:
        """Every layer's mixture of experts, the MTP layer's last."""
        return (block.mlp for block in self._blocks() if isinstance(block.mlp, Mixture))

    def _blocks(self) -> Sequence[Block]:
        return [cast("Block", block) for block in self.model.layers]

    def _tables(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        return self.cosine[positions].unsqueeze(1), self.sine[positions].unsqueeze(1)
