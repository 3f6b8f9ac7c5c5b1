"""From weights by name to the model: which tensor goes where, in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model.attention import Attention, DirectQueries, LowRankQueries
from engine.model.block import Block
from engine.model.feed_forward import Dense, Foresight, MixtureOfExperts, Router
from engine.model.mtp import MtpModule
from engine.model.rotary import rotary_table
from engine.model.supply import Head
from engine.model.transformer import Transformer

if TYPE_CHECKING:
    from engine.config import ModelConfig
    from engine.kernels.base import Kernels, Rotary
    from engine.offload.weights import Weights


def assemble(
    config: ModelConfig, has_mtp: bool, weights: Weights, kernels: Kernels, context: int
) -> tuple[Transformer, MtpModule | None]:
    """The main model, and the MTP module if the checkpoint has one, for texts up to `context` tokens."""
    rotary = rotary_table(config, context)
    foresights = _foresights(config, weights, kernels) if weights.experts_move else {}
    main = Transformer(
        config=config,
        kernels=kernels,
        embed_tokens=weights.embedding(),
        layers=tuple(
            _block(config, weights, kernels, rotary, layer, foresights.get(layer))
            for layer in range(config.num_hidden_layers)
        ),
        norm=weights.vector("model.norm.weight"),
        lm_head=Head(kernels, weights.head()),
    )
    if not has_mtp:
        return main, None
    layer = config.num_hidden_layers
    prefix = f"model.layers.{layer}"
    mtp = MtpModule(
        main=main,
        enorm=weights.vector(f"{prefix}.enorm.weight"),
        hnorm=weights.vector(f"{prefix}.hnorm.weight"),
        eh_proj=weights.matrix(f"{prefix}.eh_proj.weight"),
        eh_proj_supply=weights.supply(f"{prefix}.eh_proj"),
        block=_block(config, weights, kernels, rotary, layer, None),
        shared_head_norm=weights.vector(f"{prefix}.shared_head.norm.weight"),
    )
    return main, mtp


def _foresights(config: ModelConfig, weights: Weights, kernels: Kernels) -> dict[int, Foresight]:
    """For each layer of the main model the guess at its successor's experts, where that has some."""
    return {
        layer - 1: Foresight(
            _router(config, weights, kernels, f"model.layers.{layer}.mlp"),
            weights.experts(layer, f"model.layers.{layer}.mlp.experts"),
        )
        for layer in range(1, config.num_hidden_layers)
        if config.is_moe(layer)
    }


def _block(
    config: ModelConfig,
    weights: Weights,
    kernels: Kernels,
    rotary: Rotary,
    layer: int,
    foresight: Foresight | None,
) -> Block:
    prefix = f"model.layers.{layer}"
    return Block(
        kernels=kernels,
        eps=config.rms_norm_eps,
        input_layernorm=weights.vector(f"{prefix}.input_layernorm.weight"),
        self_attn=_attention(config, weights, kernels, rotary, f"{prefix}.self_attn"),
        self_attn_supply=weights.supply(f"{prefix}.self_attn"),
        post_attention_layernorm=weights.vector(f"{prefix}.post_attention_layernorm.weight"),
        mlp=_feed_forward(config, weights, kernels, layer, f"{prefix}.mlp", foresight),
    )


def _attention(
    config: ModelConfig, weights: Weights, kernels: Kernels, rotary: Rotary, prefix: str
) -> Attention:
    queries: LowRankQueries | DirectQueries
    if config.q_lora_rank is None:
        queries = DirectQueries(weights.matrix(f"{prefix}.q_proj.weight"))
    else:
        queries = LowRankQueries(
            weights.matrix(f"{prefix}.q_a_proj.weight"),
            weights.vector(f"{prefix}.q_a_layernorm.weight"),
            weights.matrix(f"{prefix}.q_b_proj.weight"),
        )
    return Attention(
        config=config,
        kernels=kernels,
        rotary=rotary,
        queries=queries,
        kv_a_proj=weights.matrix(f"{prefix}.kv_a_proj_with_mqa.weight"),
        kv_a_layernorm=weights.vector(f"{prefix}.kv_a_layernorm.weight"),
        kv_b_proj=weights.matrix(f"{prefix}.kv_b_proj.weight"),
        o_proj=weights.matrix(f"{prefix}.o_proj.weight"),
    )


def _router(config: ModelConfig, weights: Weights, kernels: Kernels, prefix: str) -> Router:
    return Router(
        config,
        kernels,
        weights.matrix(f"{prefix}.gate.weight"),
        weights.vector(f"{prefix}.gate.e_score_correction_bias"),
    )


def _feed_forward(
    config: ModelConfig,
    weights: Weights,
    kernels: Kernels,
    layer: int,
    prefix: str,
    foresight: Foresight | None,
) -> Dense | MixtureOfExperts:
    if not config.is_moe(layer):
        return Dense(kernels, weights.net(prefix), weights.supply(prefix))
    return MixtureOfExperts(
        config=config,
        kernels=kernels,
        layer=layer,
        router=_router(config, weights, kernels, prefix),
        experts=weights.experts(layer, f"{prefix}.experts"),
        shared_experts=weights.net(f"{prefix}.shared_experts"),
        shared_supply=weights.supply(f"{prefix}.shared_experts"),
        foresight=foresight,
    )
