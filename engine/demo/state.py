"""Everything a training run needs to go on, as one file.

Written aside and renamed: whoever reads it, an export or a resumed run, finds the old one or the new one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

STATE_FILE = "state.pt"


@dataclass(frozen=True, slots=True)
class TrainingState:
    """A run between two steps."""

    config: dict[str, object]
    """config.json, without a quantisation."""
    tokenizer: str
    """tokenizer.json's text."""
    network: dict[str, Tensor]
    optimisers: dict[str, object]
    random: Tensor
    """The warm-up's generator."""
    seed: int
    phase: str
    """`warmup` or `corpus`."""
    step: int
    """Of the phase."""
    tokens: int
    documents: int
    warmup_seconds: float
    corpus_seconds: float

    def save(self, file: Path) -> None:
        """Write the file, whole or not at all."""
        aside = file.with_name(f"{file.name}.part")
        torch.save({field: getattr(self, field) for field in self.__slots__}, aside)
        with aside.open("rb") as stream:
            os.fsync(stream.fileno())
        aside.replace(file)

    @classmethod
    def load(cls, file: Path) -> TrainingState:
        """Read a file that `save` wrote; tensors and plain values only, no code."""
        return cls(**torch.load(file, weights_only=True))
