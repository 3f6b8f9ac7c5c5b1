"""A checkpoint that training exported, as the start of another run.

The FP8 values come back as they were stored; what rounding took is soon made up for. Optimisers start anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safetensors.torch import load_file

from engine.demo.export import SCALE_SUFFIX, STORAGE_KEYS
from engine.demo.names import from_published
from engine.demo.network import Network
from engine.demo.quantisation import dequantise
from engine.demo.shape import read_shape

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Reopened:
    """What a run needs of it."""

    config: dict[str, object]
    """config.json, without a quantisation."""
    tokenizer: str
    """tokenizer.json's text."""
    network: dict[str, Tensor]
    """The network's state, float32."""


def reopen(folder: Path) -> Reopened:
    """Read the folder, of any `Form`. Raises OSError and ValueError where it is no such checkpoint."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config = {key: value for key, value in config.items() if key not in STORAGE_KEYS}
    stored: dict[str, Tensor] = {}
    for shard in sorted(folder.glob("*.safetensors")):
        stored |= load_file(shard)
    weights = {
        name: dequantise(tensor, stored[name + SCALE_SUFFIX])
        if name + SCALE_SUFFIX in stored
        else tensor.float()
        for name, tensor in stored.items()
    }
    like = Network(read_shape(config)).state_dict()
    try:
        network = from_published(weights, like)
    except KeyError as error:
        raise ValueError(f"{folder} lacks the tensor {error}") from None
    return Reopened(config, (folder / "tokenizer.json").read_text("utf-8"), network)
