"""A part of a model as its tensors add up: groups of one role, shape and type, with the scales kept apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.checkpoint.place import PartKind
    from engine.checkpoint.tensor import Dtype


@dataclass(frozen=True, slots=True)
class Total:
    """What some tensors come to."""

    tensors: int = 0
    elements: int = 0
    bytes: int = 0
    unread: int = 0
    """How many of the tensors no header told of; elements and bytes are without them."""

    def __add__(self, other: Total) -> Total:
        return Total(
            self.tensors + other.tensors,
            self.elements + other.elements,
            self.bytes + other.bytes,
            self.unread + other.unread,
        )


@dataclass(frozen=True, slots=True)
class Group:
    """Tensors that differ by their layer or expert alone."""

    role: str
    """Their name without the layer, and with `*` for an expert's number."""
    dtype: Dtype | None
    shape: tuple[int, ...] | None
    """As `dtype`, None where no header told of them."""
    tensors: int

    @property
    def total(self) -> Total:
        """What the group comes to."""
        if self.dtype is None or self.shape is None:
            return Total(tensors=self.tensors, unread=self.tensors)
        elements = self.tensors * math.prod(self.shape)
        return Total(self.tensors, elements, elements * self.dtype.bytes)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a model, or of its MTP layer."""

    kind: PartKind
    groups: tuple[Group, ...]
    scales: tuple[Group, ...]
    """Of FP8's blocks."""

    @property
    def weights_total(self) -> Total:
        """What the tensors come to without their scales."""
        return total(group.total for group in self.groups)

    @property
    def scales_total(self) -> Total:
        """What the scales come to."""
        return total(group.total for group in self.scales)


@dataclass(frozen=True, slots=True)
class Section:
    """The main model, or one MTP layer."""

    layer: int | None
    """The MTP layer's number among `model.layers`; None for the main model."""
    parts: tuple[Part, ...]
    """Only those of which there is a tensor, in the order of `PartKind`."""

    @property
    def weights_total(self) -> Total:
        """What the tensors come to without their scales."""
        return total(part.weights_total for part in self.parts)

    @property
    def scales_total(self) -> Total:
        """What the scales come to."""
        return total(part.scales_total for part in self.parts)

    def part(self, kind: PartKind) -> Part | None:
        """Return the part of a kind, where there is one."""
        return next((part for part in self.parts if part.kind is kind), None)


def total(totals: Iterable[Total]) -> Total:
    """Add up any number of totals."""
    return sum(totals, Total())
