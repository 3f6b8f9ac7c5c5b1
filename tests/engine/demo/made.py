"""A small network, and batches that stand in for the corpus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from engine.demo.network import Network
from engine.demo.shape import demo_json, read_shape
from tests.engine.tiny import SPECIAL_TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterator

VOCAB = 320


def small_json() -> dict[str, object]:
    """The demo's shape, smaller; widths differ, and edge blocks of 128 are cut."""
    return demo_json() | {
        "hidden_size": 144,
        "intermediate_size": 200,
        "kv_lora_rank": 48,
        "max_position_embeddings": 128,
        "moe_intermediate_size": 56,
        "num_attention_heads": 3,
        "num_hidden_layers": 3,
        "num_key_value_heads": 3,
        "q_lora_rank": 40,
        "qk_nope_head_dim": 24,
        "qk_rope_head_dim": 16,
        "v_head_dim": 24,
        "vocab_size": VOCAB,
    }


def small_network(compute: torch.dtype = torch.float32, seed: int = 0) -> Network:
    """With norms that are not ones and router biases that are not zero."""
    torch.manual_seed(seed)
    network = Network(read_shape(small_json()), compute)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.dim() == 1:
                parameter += 0.2 * torch.randn_like(parameter)
            if name == "lm_head.weight":
                parameter *= 10
        for mixture in network.mixtures():
            mixture.gate.e_score_correction_bias += 0.1 * torch.randn(16)
    return network


@dataclass(frozen=True)
class Made:
    """A document."""

    ids: np.ndarray[Any, np.dtype[np.uint16]]
    weights: np.ndarray[Any, np.dtype[np.uint8]]


def made_documents(seed: int = 0, longest: int = 70) -> Iterator[Made]:
    """Random documents without end, their later part the assistant's."""
    random = np.random.default_rng(seed)
    while True:
        tokens = int(random.integers(4, longest))
        weights = (np.arange(tokens) >= random.integers(1, tokens)).astype(np.uint8)
        yield Made(random.integers(5, VOCAB, tokens).astype(np.uint16), weights)


def made_tokenizer() -> str:
    """tokenizer.json's text, for VOCAB tokens at most."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([__doc__ or ""], trainer)
    text: str = tokenizer.to_str()
    return text
