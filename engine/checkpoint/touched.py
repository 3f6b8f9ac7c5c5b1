"""What one decoded token reads of the weights at batch 1, and what one draft reads in addition.

Everything but the embedding and the routed experts is read whole at every token: of the embedding it is one
row, of the experts num_experts_per_tok a layer. Caches are no weights and not counted. Parameters are counted
without scales, bytes with them. A layer's own copy of the head counts in its draft, and so does the main
model's head where a layer has none: it is read once more either way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.checkpoint.part import Part, Section
from engine.checkpoint.place import MTP_EMBED, MTP_HEAD, PartKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.checkpoint.part import Group, Total


@dataclass(frozen=True, slots=True)
class TouchedPart:
    """What is read of one part."""

    kind: PartKind
    parameters: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Touched:
    """What is read in all; where that cannot be said, why."""

    layer: int | None
    """The MTP layer's number, for a draft; None for the main model."""
    parts: tuple[TouchedPart, ...]
    unknown_because: str | None = None

    @property
    def parameters(self) -> int:
        """Without the scales."""
        return sum(part.parameters for part in self.parts)

    @property
    def bytes(self) -> int:
        """With the scales."""
        return sum(part.bytes for part in self.parts)


@dataclass(frozen=True, slots=True)
class LayerExperts:
    """The routed experts of one layer, added up."""

    experts: int
    weights: Total
    scales: Total


def touched(
    section: Section, main: Section, routed: Mapping[int, LayerExperts], num_experts_per_tok: int | None
) -> Touched:
    """Say what a token reads of the main model, or a draft of an MTP layer.

    `routed` is by layer, of this section alone; `main` lends an MTP layer what it has no copy of.
    """
    if not section.parts:
        return Touched(section.layer, (), "none of its tensors is understood")
    missing = [part for part in _needed(section, main) if _is_unread(part)]
    if missing:
        return Touched(section.layer, (), f"{missing[0].kind.value}: not all of it could be read")
    if routed and num_experts_per_tok is None:
        return Touched(section.layer, (), "config.json does not say num_experts_per_tok")
    parts = []
    for part in _needed(section, main):
        if part.kind is PartKind.ROUTED:
            parts.append(_of_experts(routed, num_experts_per_tok or 0))
        elif part.kind is PartKind.EMBEDDING:
            parts.append(_of_rows(part.kind, part.groups))
        elif part.kind is PartKind.MTP:
            rows = tuple(group for group in part.groups if group.role == MTP_EMBED)
            others = tuple(group for group in part.groups if group.role != MTP_EMBED)
            parts.append(_sum(part.kind, _of_rows(part.kind, rows), _whole(Part(part.kind, others, ()))))
        else:
            parts.append(_whole(part))
    return Touched(section.layer, tuple(parts))


def _needed(section: Section, main: Section) -> Iterator[Part]:
    """The parts that are read, with those that are lent by the main model."""
    own = {group.role for part in section.parts for group in part.groups}
    embedding, head = main.part(PartKind.EMBEDDING), main.part(PartKind.HEAD)
    if section.layer is not None and MTP_EMBED not in own and embedding is not None:
        yield embedding
    yield from section.parts
    has_head = MTP_HEAD in own if section.layer is not None else section.part(PartKind.HEAD) is not None
    if has_head:
        return
    if head is not None:
        yield head
    elif embedding is not None:  # tied: the embedding is read whole, as the head
        yield Part(PartKind.HEAD, embedding.groups, embedding.scales)


def _is_unread(part: Part) -> bool:
    return bool(part.weights_total.unread or part.scales_total.unread)


def _whole(part: Part) -> TouchedPart:
    weights, scales = part.weights_total, part.scales_total
    return TouchedPart(part.kind, weights.elements, weights.bytes + scales.bytes)


def _of_rows(kind: PartKind, groups: tuple[Group, ...]) -> TouchedPart:
    """One row of each tensor."""
    parameters = size = 0
    for group in groups:
        rows = max(group.shape[0] if group.shape else 1, 1)
        parameters += group.total.elements // rows
        size += group.total.bytes // rows
    return TouchedPart(kind, parameters, size)


def _of_experts(routed: Mapping[int, LayerExperts], chosen: int) -> TouchedPart:
    parameters = size = 0
    for layer in routed.values():
        used = min(chosen, layer.experts)
        parameters += layer.weights.elements * used // layer.experts
        size += (layer.weights.bytes + layer.scales.bytes) * used // layer.experts
    return TouchedPart(PartKind.ROUTED, parameters, size)


def _sum(kind: PartKind, *parts: TouchedPart) -> TouchedPart:
    return TouchedPart(kind, sum(part.parameters for part in parts), sum(part.bytes for part in parts))
