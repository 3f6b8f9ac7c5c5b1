"""A checkpoint's weights, kept where a plan says: in RAM, streamed through a ring, or in an expert's slot."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.checkpoint.checkpoint import SCALE_SUFFIX
from engine.kernels.base import Expert
from engine.model.supply import EmbeddingTable, HeadPiece, InMemory
from engine.offload.embedding import EmbeddingFile
from engine.offload.layout import PAGE_BYTES, lay_out
from engine.offload.plan import MAIN_BUFFERS, MTP_BUFFERS
from engine.offload.popularity import NextUse
from engine.offload.resident import DTYPES, ResidentBlock, ResidentExperts, anonymous_memory
from engine.offload.store import ExpertStore
from engine.offload.stream import Stream
from engine.offload.units import UnitKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from engine.checkpoint.checkpoint import Checkpoint
    from engine.checkpoint.tensor import TensorRecord
    from engine.kernels.base import Kernels, Matrix
    from engine.model.feed_forward import ExpertBank
    from engine.model.supply import Embedding, Supply
    from engine.offload.layout import Layout, Span
    from engine.offload.plan import Plan
    from engine.offload.popularity import Key
    from engine.offload.reader import Reader
    from engine.offload.resident import Progress
    from engine.offload.traffic import TrafficCounter
    from engine.offload.units import ExpertShape, Inventory, Unit

_PARTS = ("gate", "up", "down")
_SAMPLED_EXPERTS = 512


class PlannedWeights:
    """See `Weights`. What is in RAM is read while this is made, everything else when it is used."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        inventory: Inventory,
        plan: Plan,
        kernels: Kernels,
        reader: Reader,
        counter: TrafficCounter,
        progress: Progress | None,
        remembered: Mapping[Key, float] | None = None,
    ) -> None:
        self._checkpoint, self._inventory, self._kernels = checkpoint, inventory, kernels
        self._reader, self._counter = reader, counter
        shape = inventory.experts
        self.experts_move = shape is not None and plan.slots < shape.count
        self._head = [unit for unit in inventory.units if unit.kind is UnitKind.HEAD]
        self._head_is_whole = all(unit in plan.pinned for unit in self._head)
        """All of it is in RAM, as one matrix."""
        pinned = [
            record
            for unit in plan.pinned
            if not (self._head_is_whole and unit.kind is UnitKind.HEAD)
            for record in unit.records
        ]
        if self._head_is_whole:
            pinned.append(self._head_record)
        if plan.embedding_pinned:
            pinned.append(inventory.embedding)
        self._records = {} if shape is None else expert_records(checkpoint, shape)
        if not self.experts_move:
            pinned += [record for records in self._records.values() for record in records]
        self._block = ResidentBlock(
            checkpoint.source, [*inventory.resident, *pinned], progress, reader.throttle
        )
        self.nan_bytes = self._block.nan_bytes
        self._moving: dict[str, Tensor] = {}
        """Tensors of streamed units, each at its place in a ring."""
        self.streams: list[Stream] = []
        """The rings."""
        self._supplies: dict[str, Supply] = {unit.name: InMemory() for unit in plan.pinned}
        self._stream([unit for unit in plan.streamed if not unit.mtp], MAIN_BUFFERS, reader, counter)
        self._stream([unit for unit in plan.streamed if unit.mtp], MTP_BUFFERS, reader, counter)
        self.store: ExpertStore | None = None
        """None where all experts are in RAM, or there are none."""
        if shape is not None and self.experts_move:
            layouts = {key: lay_out(records) for key, records in self._records.items()}
            make_net = _NetMaker(kernels, self._block, self._records, layouts)
            eviction = NextUse(shape.layers, shape.per_layer, shape.per_token / shape.per_layer, remembered)
            slots = _cut(plan.slots, plan.slot_bytes)
            self.store = ExpertStore(reader, counter, layouts, make_net, slots, eviction)

    def matrix(self, name: str) -> Matrix:
        return self._kernels.matrix(self._stored(name), _scales_of(name, self._block))

    def vector(self, name: str) -> Tensor:
        return self._block.tensor(name).float()

    def net(self, prefix: str) -> Expert:
        return Expert(*(self.matrix(f"{prefix}.{part}_proj.weight") for part in _PARTS))

    def supply(self, unit: str) -> Supply:
        return self._supplies[unit]

    def experts(self, layer: int, prefix: str) -> ExpertBank:
        if self.store is not None:
            return self.store.bank(layer)
        shape = self._inventory.experts
        count = 0 if shape is None else shape.per_layer
        return ResidentExperts(tuple(self.net(f"{prefix}.{number}") for number in range(count)))

    def head(self) -> tuple[HeadPiece, ...]:
        if self._head_is_whole:
            return (HeadPiece(InMemory(), self.matrix(self._head_record.name)),)
        return tuple(HeadPiece(self._supplies[unit.name], self.matrix(unit.name)) for unit in self._head)

    def embedding(self) -> Embedding:
        record = self._inventory.embedding
        if record.name in self._block:
            return EmbeddingTable(self._block.tensor(record.name))
        return EmbeddingFile(self._reader, self._counter, record)

    @property
    def _head_record(self) -> TensorRecord:
        return self._checkpoint.records[self._head[0].records[0].name.partition("[")[0]]

    def _stored(self, name: str) -> Tensor:
        moving = self._moving.get(name)
        return self._block.tensor(name) if moving is None else moving

    def _stream(self, units: list[Unit], count: int, reader: Reader, counter: TrafficCounter) -> None:
        if not units:
            return
        layouts = [lay_out(unit.records) for unit in units]
        count = min(count, len(units))
        buffers = _cut(count, max(layout.bytes for layout in layouts))
        stream = Stream(reader, counter, layouts, buffers)
        self.streams.append(stream)
        for i, (unit, layout) in enumerate(zip(units, layouts, strict=True)):
            memory = torch.frombuffer(buffers[i % count], dtype=torch.uint8)
            for record, place in zip(unit.records, layout.places, strict=True):
                self._moving[record.name] = _view(memory, record, place)
            self._supplies[unit.name] = stream.supply(i)


@dataclass(frozen=True, slots=True)
class _NetMaker:
    """Makes the nets of experts that lie in slots.

    The store that asks it belongs to the `PlannedWeights`. So it has what it needs and not those: they would
    keep each other, and all their memory, until Python next looks for such cycles.
    """

    kernels: Kernels
    block: ResidentBlock
    records: Mapping[Key, tuple[TensorRecord, ...]]
    layouts: Mapping[Key, Layout]

    def __call__(self, key: Key, memory: memoryview) -> Expert:
        slot = torch.frombuffer(memory, dtype=torch.uint8)
        return Expert(
            *(
                self.kernels.matrix(_view(slot, record, place), _scales_of(record.name, self.block))
                for record, place in zip(self.records[key], self.layouts[key].places, strict=True)
            )
        )


def expert_records(checkpoint: Checkpoint, shape: ExpertShape) -> dict[Key, tuple[TensorRecord, ...]]:
    """Each expert's gate, up and down."""
    return {
        (layer, number): tuple(
            checkpoint.records[f"model.layers.{layer}.mlp.experts.{number}.{part}_proj.weight"]
            for part in _PARTS
        )
        for layer in shape.layers
        for number in range(shape.per_layer)
    }


def sampled_spans(checkpoint: Checkpoint, inventory: Inventory) -> list[Span]:
    """Reads like those that decoding makes, to measure a drive by: experts, or units where there are none."""
    if inventory.experts is None:
        return [span for unit in inventory.units for span in lay_out(unit.records).spans]
    experts = list(expert_records(checkpoint, inventory.experts).values())
    chosen = random.Random(0).sample(experts, min(len(experts), _SAMPLED_EXPERTS))
    return [span for records in chosen for span in lay_out(records).spans]


def _cut(count: int, size: int) -> list[memoryview]:
    """Equal pieces of page-aligned memory. It is the system's until something is written to it."""
    if count * size == 0 or size % PAGE_BYTES:
        message = f"{count} pieces of {size} bytes are not whole pages"
        raise ValueError(message)
    memory = memoryview(anonymous_memory(count * size))
    return [memory[i * size : (i + 1) * size] for i in range(count)]


def _view(memory: Tensor, record: TensorRecord, place: int) -> Tensor:
    return memory[place : place + record.bytes].view(DTYPES[record.dtype]).view(record.shape)


def _scales_of(name: str, block: ResidentBlock) -> Tensor | None:
    """A matrix's block scales as float32, if it has some; a byte e stands for 2^(e - 127)."""
    if name + SCALE_SUFFIX not in block:
        return None
    stored = block.tensor(name + SCALE_SUFFIX)
    if stored.dtype is torch.uint8:
        return torch.exp2(stored.double() - 127).float()
    return stored.float().contiguous()
