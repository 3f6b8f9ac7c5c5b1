"""Adds up a checkpoint's tensors, one after the other, by where they belong."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.checkpoint.leftover import LeftoverTally
from engine.checkpoint.part import Group, Part, Section, Total
from engine.checkpoint.place import PartKind, role_rank
from engine.checkpoint.touched import LayerExperts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.checkpoint.outline import Outline
    from engine.checkpoint.place import Place
    from engine.checkpoint.tensor import Dtype, TensorRecord

    _Key = tuple[bool, str, Dtype | None, tuple[int, ...] | None]
    """Whether it is a scale, role, type and shape."""


@dataclass(slots=True)
class _Routed:
    experts: set[int] = field(default_factory=set)
    weights: Total = field(default_factory=Total)
    scales: Total = field(default_factory=Total)


class Tally:
    """Counts by section and part; an MTP layer is a section of its own."""

    def __init__(self, outline: Outline) -> None:
        self.leftover = LeftoverTally(outline)
        self.routed: dict[int, _Routed] = {}
        self._groups: dict[tuple[int | None, PartKind], Counter[_Key]] = {}

    def add(self, name: str, placed: Place, record: TensorRecord | None) -> None:
        """Count one tensor."""
        if record is None:
            dtype, shape, size = None, None, Total(tensors=1, unread=1)
        else:
            dtype, shape = record.dtype, record.shape
            size = Total(1, math.prod(shape), record.bytes)
        self.leftover.add(name, placed, size)
        where = (placed.layer if placed.is_mtp else None, placed.kind)
        groups = self._groups.get(where)
        if groups is None:
            groups = self._groups[where] = Counter()
        groups[placed.is_scale, placed.role, dtype, shape] += 1
        if placed.expert is not None and placed.layer is not None:
            routed = self.routed.get(placed.layer)
            if routed is None:
                routed = self.routed[placed.layer] = _Routed()
            routed.experts.add(placed.expert)
            if placed.is_scale:
                routed.scales += size
            else:
                routed.weights += size

    def section(self, mtp_layer: int | None) -> Section:
        """Return the main model's parts, or an MTP layer's; only those of which there is a tensor."""
        parts = (self.part(mtp_layer, kind) for kind in PartKind if kind is not PartKind.UNKNOWN)
        return Section(mtp_layer, tuple(part for part in parts if part.groups or part.scales))

    def part(self, mtp_layer: int | None, kind: PartKind) -> Part:
        """Return the groups of one part, in the model's order; unknown ones as they came."""
        groups: dict[bool, list[Group]] = {False: [], True: []}
        for (is_scale, role, dtype, shape), tensors in self._groups.get((mtp_layer, kind), {}).items():
            groups[is_scale].append(Group(role, dtype, shape, tensors))
        for one in groups.values():
            one.sort(key=lambda group: role_rank(group.role))
        return Part(kind, tuple(groups[False]), tuple(groups[True]))

    def experts(self, layers: Iterable[int]) -> dict[int, LayerExperts]:
        """Return the routed experts of some layers."""
        found = {layer: self.routed[layer] for layer in layers if layer in self.routed}
        return {
            layer: LayerExperts(len(one.experts), one.weights, one.scales) for layer, one in found.items()
        }
