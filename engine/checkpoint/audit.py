"""Which tensors a config needs, and whether a checkpoint has them: names, shapes, element types, scales.

Reads no weights, so that a wrong checkpoint is refused in a second and not after an hour of reading.
A missing lm_head (tied embeddings) and the MTP layer's copies of embedding and head are no fault: the
tensor they are a copy of takes their place.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from engine.checkpoint.checkpoint import SCALE_SUFFIX
from engine.checkpoint.tensor import Dtype
from engine.errors import CheckpointError, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.checkpoint.checkpoint import Checkpoint
    from engine.checkpoint.tensor import TensorRecord
    from engine.config import ModelConfig

EMBED = "model.embed_tokens.weight"
HEAD = "lm_head.weight"
BLOCK = 128
"""Rows and columns of an FP8 weight that share a scale."""

_FLOATS = frozenset({Dtype.BF16, Dtype.F16, Dtype.F32})
# U8 is how exponents are stored where F8_E8M0 is not known: both mean 2^(byte - 127).
_SCALES = frozenset({Dtype.F32, Dtype.BF16, Dtype.F8_E8M0, Dtype.U8})


class Kind(Enum):
    """How a tensor may be stored."""

    WEIGHT = "weight"
    """A linear layer's matrix: FP8 (e4m3) with a scale per block, or floats."""
    PLAIN = "plain"
    """Never quantised in published checkpoints: norms, embeddings, heads, router, eh_proj."""

    @property
    def dtypes(self) -> frozenset[Dtype]:
        """The element types that are accepted."""
        return _FLOATS | {Dtype.F8_E4M3} if self is Kind.WEIGHT else _FLOATS


@dataclass(frozen=True, slots=True)
class Expected:
    """A tensor that a config needs."""

    name: str
    shape: tuple[int, ...]
    kind: Kind
    mtp: bool = False
    shared_with: str | None = None
    """The tensor that takes this one's place where it was not saved."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found in a checkpoint that has all it needs."""

    has_mtp: bool
    notice: str | None
    """A sentence for the user, where config.json declares an MTP layer that was not saved."""
    head: str
    """Name of the output head's tensor: the embedding's where they are tied."""
    mtp_embed_tokens: str | None
    """Name of the embedding the MTP layer uses, its own copy or the main one; None without MTP."""
    mtp_head: str | None
    """Name of the output head the MTP layer uses; None without MTP."""
    unused: tuple[str, ...]
    """Names that nothing needs, such as `rotary_emb.inv_freq`."""


def expected(config: ModelConfig) -> Iterator[Expected]:
    """Every tensor a config needs, without the scales: the main model in order, then the MTP layer."""
    embedding = (config.vocab_size, config.hidden_size)
    yield Expected(EMBED, embedding, Kind.PLAIN)
    for layer in range(config.num_hidden_layers):
        yield from _layer(config, layer, mtp=False)
    yield Expected("model.norm.weight", (config.hidden_size,), Kind.PLAIN)
    yield Expected(HEAD, embedding, Kind.PLAIN, shared_with=EMBED if config.tie_word_embeddings else None)
    if config.mtp_layer is not None:
        yield from _mtp(config, config.mtp_layer)


def audit(checkpoint: Checkpoint, config: ModelConfig) -> Audit:
    """Check every tensor that the config needs against the checkpoint's records.

    Raises CheckpointError, naming the shard, the tensor, what was found and what is needed.
    """
    used: set[str] = set()
    sources: dict[str, str] = {}
    mtp: list[Expected] = []
    for tensor in expected(config):
        if tensor.mtp:
            mtp.append(tensor)
        else:
            _check(checkpoint, tensor, used, sources)
    has_mtp = _is_mtp_saved(checkpoint, config, mtp)
    if has_mtp:
        for tensor in mtp:
            _check(checkpoint, tensor, used, sources)
    notice = None
    if mtp and not has_mtp:
        notice = (
            f"{shown(checkpoint.path)} was saved without its MTP layer ({config.mtp_layer}), though "
            f"config.json declares one: it can decode, but not draft with MTP."
        )
    return Audit(
        has_mtp=has_mtp,
        notice=notice,
        head=sources[HEAD],
        mtp_embed_tokens=sources[_mtp_embed(config)] if has_mtp else None,
        mtp_head=sources[_mtp_head(config)] if has_mtp else None,
        unused=tuple(name for name in checkpoint.records if name not in used),
    )


def _layer(config: ModelConfig, layer: int, mtp: bool) -> Iterator[Expected]:
    prefix = f"model.layers.{layer}."
    hidden = config.hidden_size

    def weight(name: str, rows: int, columns: int, kind: Kind = Kind.WEIGHT) -> Expected:
        return Expected(f"{prefix}{name}.weight", (rows, columns), kind, mtp)

    def norm(name: str, width: int) -> Expected:
        return Expected(f"{prefix}{name}.weight", (width,), Kind.PLAIN, mtp)

    def mlp(name: str, width: int) -> Iterator[Expected]:
        yield weight(f"{name}.gate_proj", width, hidden)
        yield weight(f"{name}.up_proj", width, hidden)
        yield weight(f"{name}.down_proj", hidden, width)

    heads, rank = config.num_attention_heads, config.kv_lora_rank
    yield norm("input_layernorm", hidden)
    if config.q_lora_rank is None:
        yield weight("self_attn.q_proj", heads * config.qk_head_dim, hidden)
    else:
        yield weight("self_attn.q_a_proj", config.q_lora_rank, hidden)
        yield norm("self_attn.q_a_layernorm", config.q_lora_rank)
        yield weight("self_attn.q_b_proj", heads * config.qk_head_dim, config.q_lora_rank)
    yield weight("self_attn.kv_a_proj_with_mqa", rank + config.qk_rope_head_dim, hidden)
    yield norm("self_attn.kv_a_layernorm", rank)
    yield weight("self_attn.kv_b_proj", heads * (config.qk_nope_head_dim + config.v_head_dim), rank)
    yield weight("self_attn.o_proj", hidden, heads * config.v_head_dim)
    yield norm("post_attention_layernorm", hidden)
    if not config.is_moe(layer):
        yield from mlp("mlp", config.intermediate_size)
        return
    experts = config.n_routed_experts
    yield weight("mlp.gate", experts, hidden, Kind.PLAIN)
    yield Expected(f"{prefix}mlp.gate.e_score_correction_bias", (experts,), Kind.PLAIN, mtp)
    for expert in range(experts):
        yield from mlp(f"mlp.experts.{expert}", config.moe_intermediate_size)
    yield from mlp("mlp.shared_experts", config.shared_intermediate_size)


def _mtp(config: ModelConfig, layer: int) -> Iterator[Expected]:
    hidden = config.hidden_size
    embedding = (config.vocab_size, hidden)
    prefix = f"model.layers.{layer}."
    yield Expected(_mtp_embed(config), embedding, Kind.PLAIN, True, shared_with=EMBED)
    yield Expected(f"{prefix}enorm.weight", (hidden,), Kind.PLAIN, True)
    yield Expected(f"{prefix}hnorm.weight", (hidden,), Kind.PLAIN, True)
    yield Expected(f"{prefix}eh_proj.weight", (hidden, 2 * hidden), Kind.PLAIN, True)
    yield from _layer(config, layer, mtp=True)
    yield Expected(f"{prefix}shared_head.norm.weight", (hidden,), Kind.PLAIN, True)
    yield Expected(_mtp_head(config), embedding, Kind.PLAIN, True, shared_with=HEAD)


def _mtp_embed(config: ModelConfig) -> str:
    return f"model.layers.{config.mtp_layer}.embed_tokens.weight"


def _mtp_head(config: ModelConfig) -> str:
    return f"model.layers.{config.mtp_layer}.shared_head.head.weight"


def _is_mtp_saved(checkpoint: Checkpoint, config: ModelConfig, mtp: Iterable[Expected]) -> bool:
    """Whether the MTP layer is there: wholly, or not at all. Raises CheckpointError for a part of it."""
    needed = [tensor.name for tensor in mtp if tensor.shared_with is None]
    missing = [name for name in needed if name not in checkpoint.records]
    if missing and any(tensor.name in checkpoint.records for tensor in mtp):
        raise CheckpointError(
            f"{shown(checkpoint.path)}: the MTP layer ({config.mtp_layer}) is incomplete: {len(missing):,} "
            f"of {len(needed):,} tensors are missing, the first is {shown(missing[0])}. Download the "
            f"checkpoint whole, or set num_nextn_predict_layers to 0 in config.json to run without MTP."
        )
    return bool(needed) and not missing


def _check(checkpoint: Checkpoint, tensor: Expected, used: set[str], sources: dict[str, str]) -> None:
    """Check one tensor and its scale; note the names they use, and the tensor that serves for it."""
    record = checkpoint.records.get(tensor.name)
    if record is None:
        if tensor.shared_with is None:
            raise checkpoint.missing(tensor.name)
        sources[tensor.name] = sources[tensor.shared_with]
        return
    used.add(tensor.name)
    sources[tensor.name] = tensor.name
    if record.shape != tensor.shape:
        raise _mismatch(record, f"has shape {shown(record.shape)}", f"{shown(tensor.shape)} by config.json")
    if record.dtype not in tensor.kind.dtypes:
        raise _mismatch(record, f"is stored as {record.dtype.value}", _names(tensor.kind.dtypes))
    scale = checkpoint.records.get(tensor.name + SCALE_SUFFIX)
    if record.dtype is Dtype.F8_E4M3:
        if scale is None:
            raise CheckpointError(
                f"{shown(record.shard)}: tensor {shown(record.name)} is FP8, but no shard holds its scale, "
                f"{shown(record.name + SCALE_SUFFIX)}. Use a checkpoint that has its FP8 scales."
            )
        used.add(scale.name)
        _check_scale(scale, tensor.shape)
    elif scale is not None:
        # Whether it was multiplied in already cannot be known, and a wrong guess yields garbage.
        raise CheckpointError(
            f"{shown(scale.shard)}: tensor {shown(scale.name)} is the scale of an FP8 weight, but "
            f"{shown(record.name)} is stored as {record.dtype.value}. Remove it from the index if the weight "
            f"was dequantised with it."
        )


def _check_scale(scale: TensorRecord, shape: tuple[int, ...]) -> None:
    blocks = tuple(-(-size // BLOCK) for size in shape)
    if scale.shape != blocks:
        needed = f"{shown(blocks)}, one value for {BLOCK} x {BLOCK} weights"
        raise _mismatch(scale, f"has shape {shown(scale.shape)}", needed)
    if scale.dtype not in _SCALES:
        raise _mismatch(scale, f"is stored as {scale.dtype.value}", _names(_SCALES))


def _mismatch(record: TensorRecord, found: str, needed: str) -> CheckpointError:
    return CheckpointError(
        f"{shown(record.shard)}: tensor {shown(record.name)} {found}, but what is needed is {needed}. "
        f"Check that config.json belongs to these weights, and that they are of a supported kind."
    )


def _names(dtypes: Iterable[Dtype]) -> str:
    return " or ".join(sorted(dtype.value for dtype in dtypes))
