"""What a RAM budget is spent on: what is pinned, what is streamed through buffers, how many experts fit.

Every unit is used by every token, and an expert by few: so units are pinned first, in order of use (the main
model's, then the MTP layer's), and what is left becomes expert slots. The embedding comes last: a token reads
one row of it, and V3's whole would take the place of 42 experts. More budget never
pins less, and with the same pinned set never gives fewer slots. It may give fewer slots when it suffices for
one unit more: that unit saves its whole size at every token, the slots it costs a few percent of theirs.

Weights are counted in whole pages, as they are laid out for reading. accelerate decides which units go where
from a skeleton of the model on the meta device, so that a GPU's memory can become one more place to fill.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import torch
from accelerate import infer_auto_device_map
from torch import nn

from engine.checkpoint.checkpoint import SCALE_SUFFIX
from engine.checkpoint.tensor import Dtype
from engine.decoding.sequence import SequenceState
from engine.errors import MemoryBudgetError
from engine.model.feed_forward import USES_AT_ONCE
from engine.model.steps import SLICE_TOKENS
from engine.offload.sizes import shown_bytes
from engine.options import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.checkpoint.tensor import TensorRecord
    from engine.config import ModelConfig
    from engine.offload.units import Inventory, Unit

Device: TypeAlias = int | str
"""As accelerate names them: 0, 1, … for GPUs, "cpu", and "disk" for what has no place."""

CPU, DISK = "cpu", "disk"
MAIN_BUFFERS = 2
"""Of the ring that the main model's streamed units share: one is used while the next is filled."""
MTP_BUFFERS = 1
LEAST_SLOTS = 2
"""One expert is used while the next is read."""

_FLOAT = 4
_ALIGNMENT = 64
_META_DTYPES = {
    Dtype.F8_E4M3: torch.float8_e4m3fn,
    Dtype.BF16: torch.bfloat16,
    Dtype.F16: torch.float16,
    Dtype.F32: torch.float32,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How a budget is spent."""

    context: int
    budget_bytes: int
    least_bytes: int
    """The smallest budget that works for this context, at any draft depth."""
    resident_bytes: int
    """Norms, biases, routers and scales."""
    cache_bytes: int
    activation_bytes: int
    buffer_bytes: int
    """The rings that streamed units pass through."""
    pinned: tuple[Unit, ...]
    streamed: tuple[Unit, ...]
    embedding_bytes: int
    """0 where it is not pinned, and where the pinned head holds it (tied embeddings)."""
    embedding_pinned: bool
    slots: int
    slot_bytes: int
    expert_count: int

    @property
    def pinned_bytes(self) -> int:
        """Of the pinned units, without the embedding."""
        return sum(unit.bytes for unit in self.pinned)

    @property
    def planned_bytes(self) -> int:
        """What is spent of the budget."""
        fixed = self.resident_bytes + self.cache_bytes + self.activation_bytes + self.buffer_bytes
        return fixed + self.pinned_bytes + self.embedding_bytes + self.slots * self.slot_bytes

    @property
    def holds_everything(self) -> bool:
        """Whether nothing is read from disk once it was read."""
        return not self.streamed and self.embedding_pinned and self.slots >= self.expert_count


def make_plan(inventory: Inventory, config: ModelConfig, context: int, devices: Mapping[Device, int]) -> Plan:
    """Spend a budget, `{"cpu": bytes}`. Raises MemoryBudgetError, naming the least, where it is too small."""
    if set(devices) != {CPU}:
        message = f"weights can be placed on the CPU only, not on {sorted(map(str, devices))}"
        raise ValueError(message)
    budget = devices[CPU]
    resident = sum(_resident_bytes(record) for record in inventory.resident)
    caches = SequenceState.bytes_for(config, context, inventory.has_mtp)
    activations = activation_bytes(config, context, inventory.has_mtp)
    count = inventory.experts.count if inventory.experts else 0
    slot_bytes = inventory.experts.slot_bytes if inventory.experts else 0
    slots = min(LEAST_SLOTS, count)
    main, mtp = _Sizes.of(inventory.main, MAIN_BUFFERS), _Sizes.of(inventory.mtp, MTP_BUFFERS)

    fixed = resident + caches + activations + slots * slot_bytes
    least = fixed + min(main.costs) + mtp.costs[0]
    if budget < least:
        raise MemoryBudgetError(
            f"A RAM budget of {shown_bytes(budget)} is too small for this model with a context of "
            f"{context:,} tokens: it takes at least {shown_bytes(least, up=True)}. Give a larger budget or a "
            f"smaller context."
        )
    # The rings come first: how many units are pinned decides how large they are. Then accelerate fills what
    # they leave, and so pins just these units.
    pinned_main = main.most_pinned(budget - fixed - mtp.costs[0])
    all_main = pinned_main == len(inventory.main)
    pinned_mtp = mtp.most_pinned(budget - fixed - main.costs[-1]) if all_main else 0
    buffers = main.rings[pinned_main] + mtp.rings[pinned_mtp]
    order = [*inventory.main, *inventory.mtp]
    places = place(order, {CPU: budget - fixed - buffers})
    pinned = tuple(unit for unit, where in zip(order, places, strict=True) if where != DISK)
    left = budget - fixed - buffers - sum(unit.bytes for unit in pinned)
    if count:
        more = min(count - slots, left // slot_bytes)
        slots, left = slots + more, left - more * slot_bytes
    whole = inventory.embedding_unit.bytes
    embedding = whole if slots == count and left >= whole and not inventory.head_is_embedding else 0
    return Plan(
        context=context,
        budget_bytes=budget,
        least_bytes=least,
        resident_bytes=resident,
        cache_bytes=caches,
        activation_bytes=activations,
        buffer_bytes=buffers,
        pinned=pinned,
        streamed=tuple(order[len(pinned) :]),
        embedding_bytes=embedding,
        embedding_pinned=all_main if inventory.head_is_embedding else embedding > 0,
        slots=slots,
        slot_bytes=slot_bytes,
        expert_count=count,
    )


def activation_bytes(config: ModelConfig, context: int, has_mtp: bool) -> int:
    """What a pass over `context` tokens at once needs beside weights and caches; no pass needs more.

    A sum, not a maximum: what was freed is not always given back to the system at once.
    """
    c, k = config, config.num_experts_per_tok
    tokens, hidden = context, config.hidden_size
    part, uses = min(tokens, SLICE_TOKENS), min(tokens * k, USES_AT_ONCE)
    # The residual stream, its normed copy and the sum over experts. The MTP layer's catch-up holds the normed
    # embeddings and states beside them (and before that, the two side by side).
    streams = (5 if has_mtp else 3) * tokens * hidden * _FLOAT
    # Router logits; each use's id, weight, and its place when uses are sorted by expert (four int64).
    routes = tokens * (c.n_routed_experts * _FLOAT + k * (8 + _FLOAT + 4 * 8))
    latent = c.kv_lora_rank + c.qk_rope_head_dim
    # A slice in attention: normed input and output, latents, low-rank queries and their norm; of each head
    # the query, the query among latents, the mixed latents and the values.
    head = c.qk_head_dim + latent + c.kv_lora_rank + c.v_head_dim
    attention = (
        part * (2 * hidden + latent + 2 * (c.q_lora_rank or 0) + c.num_attention_heads * head) * _FLOAT
    )
    # A slice in a dense or shared net: its output, gate and up.
    inner = max(c.intermediate_size, c.shared_intermediate_size)
    net = part * (hidden + 2 * inner) * _FLOAT
    experts = uses * (hidden + 2 * c.moe_intermediate_size) * _FLOAT
    # A row of logits for each token of the widest verification: the head's pieces and the whole, the draft's,
    # and in float64 what both are drawn from; then some ten float64 rows to filter and draw one.
    rows = MAX_DEPTH + 1
    logits = c.vocab_size * (rows * (3 * _FLOAT + 2 * 8) + 10 * 8)
    rotary = tokens * c.qk_rope_head_dim * _FLOAT
    return streams + routes + attention + net + experts + logits + rotary


def place(units: Sequence[Unit], devices: Mapping[Device, int]) -> tuple[Device, ...]:
    """Return each unit's place. Devices are filled in accelerate's order (GPUs, then the CPU), each until a
    unit does not fit; units keep their order and are never split, and the rest stays on "disk".
    """
    skeleton = nn.Module()
    for number, unit in enumerate(units):
        skeleton.add_module(f"u{number}", _UnitSkeleton(unit))
    # On the CPU and the first GPU, accelerate keeps room free for the largest module still to be placed, in
    # which it would load offloaded ones. Our rings are that room, and counted already. A last module, as
    # large as the largest, makes the room it keeps the same all along, and so much is added to what it may
    # fill.
    room = max((unit.bytes for unit in units), default=0)
    skeleton.add_module("room", _Skeleton(room))
    gpus = [device for device in devices if device != CPU]
    keepers = ({CPU} if "mps" not in gpus else set()) | set(gpus[:1])
    found: Mapping[str, Device] = infer_auto_device_map(
        skeleton,
        max_memory={device: size + room * (device in keepers) for device, size in devices.items()},
        no_split_module_classes=[_UnitSkeleton.__name__, _Skeleton.__name__],
        clean_result=False,
    )
    return tuple(found[f"u{number}"] for number in range(len(units)))


class _Skeleton(nn.Module):
    """Takes up a number of bytes, on the meta device."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.bytes = _meta((size,), torch.uint8)


class _UnitSkeleton(nn.Module):
    """A unit's matrices on the meta device, and what its pages hold beside them."""

    def __init__(self, unit: Unit) -> None:
        super().__init__()
        self.matrices = nn.ParameterList(_meta(each.shape, _META_DTYPES[each.dtype]) for each in unit.records)
        self.rest_of_pages = _meta((unit.bytes - unit.tensor_bytes,), torch.uint8)


def _meta(shape: tuple[int, ...], dtype: torch.dtype) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape, dtype=dtype, device="meta"), requires_grad=False)


@dataclass(frozen=True, slots=True)
class _Sizes:
    """For every number of units pinned, the first ones: the ring the others need, and the bytes of both."""

    rings: tuple[int, ...]
    costs: tuple[int, ...]

    @classmethod
    def of(cls, units: Sequence[Unit], buffers: int) -> _Sizes:
        sizes = [unit.bytes for unit in units]
        largest, total = 0, sum(sizes)
        rings, costs = [0], [total]
        for left, size in enumerate(reversed(sizes), start=1):
            largest, total = max(largest, size), total - size
            rings.append(min(buffers, left) * largest)
            costs.append(total + rings[-1])
        return cls(tuple(reversed(rings)), tuple(reversed(costs)))

    def most_pinned(self, room: int) -> int:
        """The most units that can be pinned. Costs may fall where a large unit is pinned: its ring goes."""
        return max(pinned for pinned, cost in enumerate(self.costs) if cost <= room)


def _resident_bytes(record: TensorRecord) -> int:
    """As stored, and once more in float32 where vectors and scales are not: they are used so."""
    size = record.bytes
    is_matrix = len(record.shape) == 2 and not record.name.endswith(SCALE_SUFFIX)
    if not is_matrix and record.dtype is not Dtype.F32:
        size += record.bytes // record.dtype.bytes * _FLOAT
    return -(-size // _ALIGNMENT) * _ALIGNMENT
