"""What a checkpoint's weights are to memory: always there, a unit that is read as one, or an expert.

Always in RAM are the small tensors that every token needs, and every FP8 scale, those of the experts as well
(166 MB of DeepSeek-V3): so a unit is nothing but matrices, which lie next to each other in a shard. The
output head is cut into pieces of rows, since a ring of read buffers is as large as the largest unit in it.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING

from engine.checkpoint.audit import EMBED, HEAD, expected
from engine.checkpoint.checkpoint import SCALE_SUFFIX
from engine.checkpoint.tensor import Dtype
from engine.offload.layout import PAGE_BYTES, lay_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.checkpoint.audit import Audit
    from engine.checkpoint.checkpoint import Checkpoint
    from engine.checkpoint.tensor import TensorRecord
    from engine.config import ModelConfig


class UnitKind(StrEnum):
    """What a unit is a part of."""

    ATTENTION = "attention"
    DENSE = "dense"
    SHARED = "shared"
    PROJECTION = "projection"
    """The MTP layer's eh_proj."""
    HEAD = "head"
    EMBEDDING = "embedding"
    """Never among `Inventory.units`: its rows are read one by one where it is not in RAM."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Matrices that are used, and read, together."""

    name: str
    kind: UnitKind
    records: tuple[TensorRecord, ...]
    mtp: bool
    """Whether only the MTP layer uses it."""

    @property
    def bytes(self) -> int:
        """Memory it takes: whole pages."""
        return lay_out(self.records).bytes

    @property
    def tensor_bytes(self) -> int:
        """What is read to bring it in."""
        return sum(record.bytes for record in self.records)

    @property
    def weights(self) -> int:
        """How many numbers it holds."""
        return sum(math.prod(record.shape) for record in self.records)


@dataclass(frozen=True, slots=True)
class ExpertShape:
    """What is the same for all routed experts, and how many there are."""

    layers: tuple[int, ...]
    """Layers with routed experts, ascending; the MTP layer's is the last, if it is there."""
    per_layer: int
    per_token: int
    slot_bytes: int
    """Memory of the largest one: whole pages."""
    bytes_per_expert: int
    """What is read to bring one in, on average."""
    weights_per_expert: int

    @property
    def count(self) -> int:
        """Of all layers."""
        return len(self.layers) * self.per_layer


@dataclass(frozen=True, slots=True)
class Inventory:
    """Every tensor that is used, by how it is kept in memory. Routed experts' matrices are only counted."""

    resident: tuple[TensorRecord, ...]
    """Norms, biases, routers and all scales: always in RAM."""
    units: tuple[Unit, ...]
    """In order of use: the main model's, the head's pieces last of them, then the MTP layer's."""
    embedding: TensorRecord
    head_is_embedding: bool
    """The head's pieces hold the embedding as well (tied embeddings)."""
    experts: ExpertShape | None
    has_mtp: bool
    dtype: Dtype
    """What most bytes of the units and the experts are stored as."""

    @property
    def embedding_unit(self) -> Unit:
        """The embedding as something to keep in RAM whole."""
        return Unit(self.embedding.name, UnitKind.EMBEDDING, (self.embedding,), mtp=False)

    @property
    def main(self) -> tuple[Unit, ...]:
        """Units that every pass of the main model uses."""
        return tuple(unit for unit in self.units if not unit.mtp)

    @property
    def mtp(self) -> tuple[Unit, ...]:
        """Units that only the MTP layer uses; it uses the head as well."""
        return tuple(unit for unit in self.units if unit.mtp)


def inventory(checkpoint: Checkpoint, config: ModelConfig, audit: Audit) -> Inventory:
    """Sort the records of a checkpoint that has passed its audit."""
    resident: list[TensorRecord] = []
    groups: dict[tuple[str, UnitKind, bool], list[TensorRecord]] = {}
    experts: dict[str, list[TensorRecord]] = {}
    layers: dict[int, None] = {}
    for tensor in expected(config):
        if tensor.name in (EMBED, HEAD) or (tensor.mtp and not audit.has_mtp):
            continue
        if tensor.shared_with is not None:
            continue  # the MTP layer's copies: the originals serve
        record = checkpoint.records[tensor.name]
        if record.dtype is Dtype.F8_E4M3:
            resident.append(checkpoint.records[tensor.name + SCALE_SUFFIX])
        prefix, middle, rest = tensor.name.partition(".mlp.experts.")
        if middle:
            experts.setdefault(f"{prefix}.{rest.partition('.')[0]}", []).append(record)
            layers[int(prefix.rpartition(".")[2])] = None
            continue
        place = _unit_of(tensor.name)
        if place is None:
            resident.append(record)
        else:
            groups.setdefault((*place, tensor.mtp), []).append(record)
    units = [Unit(name, kind, tuple(records), mtp) for (name, kind, mtp), records in groups.items()]
    main = [unit for unit in units if not unit.mtp]
    head = checkpoint.records[audit.head]
    # Not the largest unit of all: once the first layers' dense nets are pinned, what is left to stream is
    # attention and shared nets, and larger pieces of the head alone would keep the buffers large.
    limit = max(unit.bytes for unit in main if unit.kind is UnitKind.ATTENTION)
    stored: Counter[Dtype] = Counter()
    for record in (head, *chain.from_iterable((*groups.values(), *experts.values()))):
        stored[record.dtype] += record.bytes
    return Inventory(
        resident=tuple(resident),
        units=(*main, *_pieces(head, limit), *(unit for unit in units if unit.mtp)),
        embedding=checkpoint.records[EMBED],
        head_is_embedding=audit.head == EMBED,
        experts=_shape(config, tuple(layers), experts.values()) if experts else None,
        has_mtp=audit.has_mtp,
        dtype=stored.most_common(1)[0][0],
    )


def _unit_of(name: str) -> tuple[str, UnitKind] | None:
    """The unit's name and kind, or None for a tensor that is always in RAM."""
    module, _, last = name.removesuffix(".weight").rpartition(".")
    # kv_a_proj_with_mqa is the one projection whose name does not end so; all else here is a norm or router.
    if not last.endswith(("_proj", "_proj_with_mqa")):
        return None
    if last == "eh_proj":
        return f"{module}.{last}", UnitKind.PROJECTION
    kinds = {
        "self_attn": UnitKind.ATTENTION,
        "mlp": UnitKind.DENSE,
        "shared_experts": UnitKind.SHARED,
    }
    return module, kinds[module.rpartition(".")[2]]


def _pieces(head: TensorRecord, limit: int) -> Iterator[Unit]:
    """The head cut into ranges of rows, none of which takes more than `limit` bytes of memory."""
    rows, columns = head.shape
    row_bytes = columns * head.dtype.bytes
    # A piece begins and ends in mid-page, so it may take two pages more than its rows do.
    most = max(1, (limit - 2 * PAGE_BYTES) // row_bytes)
    count = -(-rows // most)
    for piece in range(count):
        first, end = rows * piece // count, rows * (piece + 1) // count
        record = replace(
            head,
            name=f"{head.name}[{first}:{end}]",
            shape=(end - first, columns),
            offset=head.offset + first * row_bytes,
            bytes=(end - first) * row_bytes,
        )
        yield Unit(record.name, UnitKind.HEAD, (record,), mtp=False)


def _shape(
    config: ModelConfig, layers: tuple[int, ...], experts: Iterable[list[TensorRecord]]
) -> ExpertShape:
    slot_bytes = tensor_bytes = weights = count = 0
    for records in experts:
        count += 1
        slot_bytes = max(slot_bytes, lay_out(records).bytes)
        tensor_bytes += sum(record.bytes for record in records)
        weights += sum(math.prod(record.shape) for record in records)
    return ExpertShape(
        layers=layers,
        per_layer=config.n_routed_experts,
        per_token=config.num_experts_per_tok,
        slot_bytes=slot_bytes,
        bytes_per_expert=tensor_bytes // count,
        weights_per_expert=weights // count,
    )
