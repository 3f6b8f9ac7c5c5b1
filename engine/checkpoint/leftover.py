"""What transformers' DeepSeek-V3 code does with each tensor: places it, drops it silently, or warns of it.

Its class has no MTP layer, and keeps quiet about V3's by a pattern of that layer's number, 61. The MTP layer
of a checkpoint with more or fewer layers is left over in the same way, but warned of. (DeepSeek's own
convert.py skips `model.layers.61` likewise; transformers 5 has another class that takes it when asked to.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.checkpoint.part import Total
from engine.checkpoint.place import PartKind

if TYPE_CHECKING:
    from engine.checkpoint.outline import Outline
    from engine.checkpoint.place import Place

HIDING_PATTERNS = (r"model\.layers\.61.*", r"rotary_emb\.inv_freq")
"""`DeepseekV3PreTrainedModel._keys_to_ignore_on_load_unexpected`, and what `from_pretrained` adds to it for
every model with rotary embeddings; as of transformers 5.24."""

_HIDDEN = re.compile("|".join(f"({pattern})" for pattern in HIDING_PATTERNS))  # searched, not matched


@dataclass(frozen=True, slots=True)
class Leftover:
    """How the main model's published code divides a checkpoint's tensors."""

    placed: Total
    silenced: Total
    """Tensors that no module takes, and of which nothing is said."""
    warned: Total
    """Tensors that no module takes, and of which the loader warns."""
    hidden_mtp_layers: tuple[int, ...]
    """MTP layers that vanish without a word."""
    warned_mtp_layers: tuple[int, ...]
    """MTP layers that are warned of, in whole or in part."""


@dataclass(slots=True)
class LeftoverTally:
    """Takes one tensor after the other."""

    outline: Outline
    placed: Total = field(default_factory=Total)
    silenced: Total = field(default_factory=Total)
    warned: Total = field(default_factory=Total)
    _hidden_mtp: set[int] = field(default_factory=set)
    _warned_mtp: set[int] = field(default_factory=set)

    def add(self, name: str, place: Place, size: Total) -> None:
        """Count a tensor."""
        is_placed = place.kind is not PartKind.UNKNOWN and not place.is_mtp
        if place.is_scale and self.outline.is_quantised is False:
            is_placed = False  # nobody told the loader that there are scales
        if is_placed:
            self.placed += size
            return
        is_hidden = _HIDDEN.search(name) is not None
        if is_hidden:
            self.silenced += size
        else:
            self.warned += size
        if place.is_mtp and place.layer is not None:
            (self._hidden_mtp if is_hidden else self._warned_mtp).add(place.layer)

    def result(self) -> Leftover:
        """Return what has been counted."""
        return Leftover(
            self.placed,
            self.silenced,
            self.warned,
            tuple(sorted(self._hidden_mtp - self._warned_mtp)),
            tuple(sorted(self._warned_mtp)),
        )
