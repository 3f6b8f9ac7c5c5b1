"""The few figures of config.json by which a tensor's name is understood, each None where it says nothing.

`ModelConfig` refuses what cannot be run; a checkpoint that cannot be run can still be looked at. So nothing
is refused here: a value of the wrong kind counts as absent, and what it would have said goes unchecked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MTP_MARKS = ("enorm.weight", "hnorm.weight", "eh_proj.weight")
"""Names that only an MTP layer has."""

_MARKED = re.compile(rf"model\.layers\.(0|[1-9][0-9]{{0,5}})\.(?:{'|'.join(map(re.escape, MTP_MARKS))})")
_MAX = 1 << 24


@dataclass(frozen=True, slots=True)
class Outline:
    """What of a model's shape decides where a tensor belongs."""

    model_type: str | None
    layers: int | None
    """num_hidden_layers, or the number of the first MTP layer that was found where it does not say."""
    declared_mtp_layers: int | None
    mtp_layers: frozenset[int]
    """Numbers of MTP layers: those declared, and those beyond the main ones that hold MTP's own names."""
    first_k_dense_replace: int | None
    """None also where moe_layer_freq makes another pattern of it."""
    n_routed_experts: int | None
    num_experts_per_tok: int | None
    has_query_rank: bool | None
    """Whether queries come from q_a_proj and q_b_proj; None where config.json does not say."""
    is_tied: bool
    is_quantised: bool | None
    """Whether the loader is told of FP8's scales."""

    @classmethod
    def read(cls, config: Mapping[str, object], names: Iterable[str]) -> Outline:
        """Take from a parsed config.json what it says, and from the tensors' names which layers are MTP's."""
        found = {int(match[1]) for match in map(_MARKED.fullmatch, names) if match is not None}
        layers = _whole(config, "num_hidden_layers")
        if layers is None and found:
            layers = min(found)
        declared = _whole(config, "num_nextn_predict_layers")
        if declared is None:
            declared = _whole(config, "num_mtp_layers")
        numbers = set() if layers is None else {one for one in found if one >= layers}
        if layers is not None and declared is not None and declared <= 64:
            numbers |= set(range(layers, layers + declared))
        freq = config.get("moe_layer_freq", 1)
        return cls(
            model_type=_text(config, "model_type"),
            layers=layers,
            declared_mtp_layers=declared,
            mtp_layers=frozenset(numbers),
            first_k_dense_replace=_whole(config, "first_k_dense_replace") if freq == 1 else None,
            n_routed_experts=_whole(config, "n_routed_experts"),
            num_experts_per_tok=_whole(config, "num_experts_per_tok"),
            has_query_rank=config["q_lora_rank"] is not None if "q_lora_rank" in config else None,
            is_tied=config.get("tie_word_embeddings") is True,
            is_quantised=isinstance(config.get("quantization_config"), Mapping) if config else None,
        )


def _whole(config: Mapping[str, object], key: str) -> int | None:
    value = config.get(key)
    return value if type(value) is int and 0 <= value <= _MAX else None


def _text(config: Mapping[str, object], key: str) -> str | None:
    value = config.get(key)
    return value if isinstance(value, str) else None
