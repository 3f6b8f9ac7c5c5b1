"""Routed experts in a fixed number of equal slots of memory, filled from disk as passes need them.

When a layer's router has chosen, all misses are asked for at once and those already there are handed out
while they arrive. With fewer slots than a pass needs, slots are filled again as soon as their expert has been
used; two are enough. An expert that the pass under way still needs leaves only when nothing else can.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.offload.reader import Priority
from engine.offload.slots import Slots
from engine.offload.waiting import wait_for_any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from engine.kernels.base import Expert
    from engine.offload.layout import Layout
    from engine.offload.popularity import Eviction, Key
    from engine.offload.reader import Read, Reader
    from engine.offload.slots import Slot
    from engine.offload.traffic import TrafficCounter

    MakeNet = Callable[[Key, memoryview], Expert]
    """The net of an expert whose bytes are in a slot's memory."""

_GUESSING_SLOTS = 3
"""So many times a pass's experts must fit before guesses are worth the slots they take."""


@dataclass(frozen=True, slots=True)
class StoreRecord:
    """What a store held at one moment, and what its eviction had learned by then."""

    keys: frozenset[Key]
    """Experts in memory."""
    eviction: Eviction


class ExpertStore:
    """The slots, and what is in them. For the thread that runs the model."""

    def __init__(
        self,
        reader: Reader,
        counter: TrafficCounter,
        layouts: Mapping[Key, Layout],
        make_net: MakeNet,
        memories: Sequence[memoryview],
        eviction: Eviction,
    ) -> None:
        """`layouts` of every expert; `memories` are equal, and large enough for each. At least two."""
        if len(memories) < 2:
            message = f"an expert store needs two slots, not {len(memories)}"
            raise ValueError(message)
        self._reader, self._counter = reader, counter
        self._layouts, self._make_net = layouts, make_net
        self._slots = Slots(reader, counter, layouts, memories, eviction)
        self._needed: set[Key] = set()
        """By the pass under way, and not handed out yet."""

    def bank(self, layer: int) -> StoredExperts:
        """One layer's experts, for its `MixtureOfExperts`."""
        return StoredExperts(self, layer)

    def resident(self) -> tuple[Key, ...]:
        """The experts that are in memory now. May be asked from any thread."""
        held = list(
            self._slots.where.items()
        )  # in one step, since the model's thread may change it meanwhile
        return tuple(key for key, slot in held if slot.read is not None and slot.read.complete)

    def findings(self) -> dict[Key, float]:
        """The share of passes that use an expert, of all that were ever used: for the next run."""
        return self._slots.eviction.findings()

    def recorded(self) -> StoreRecord:
        """What to restore later. Nothing may be outstanding."""
        return StoreRecord(frozenset(self.resident()), copy.deepcopy(self._slots.eviction))

    def restore(self, record: StoreRecord) -> None:
        """Hold what was held then, of which what is missing begins to be read. Nothing may be outstanding."""
        slots = self._slots
        for key, slot in list(slots.where.items()):
            if key not in record.keys or slot.read is None or not slot.read.complete:
                slots.drop(slot)
        slots.guessed.clear()
        slots.free_the_left()
        slots.sort_anew()
        self._needed = set()
        self.preload(sorted(record.keys))
        slots.eviction = copy.deepcopy(record.eviction)

    def preload(self, keys: Iterable[Key]) -> None:
        """Start reading experts that will probably be wanted, as far as there are free slots."""
        for key in keys:
            if not self._slots.has_free:
                return
            if key in self._layouts and key not in self._slots.where:
                self._slots.fill(self._slots.take_free(), key, Priority.NEXT)

    def expect(self, layer: int, numbers: tuple[int, ...]) -> None:
        """Start reading these if they are not there: a layer's router is expected to choose them."""
        if self._slots.count < _GUESSING_SLOTS * len(numbers):
            return
        keys = [(layer, number) for number in numbers]
        keep = self._needed.union(keys)
        self._slots.sort_anew()
        for key in keys:
            if key not in self._slots.where:
                slot = self._slots.vacate(layer, keep, may_drop=False)
                if slot is None:
                    return
                self._slots.fill(slot, key, Priority.GUESSED, guessed=True)

    def fetch(self, layer: int, numbers: tuple[int, ...], in_order: bool) -> Iterator[Mapping[int, Expert]]:
        """See `engine.model.feed_forward.ExpertBank`: asks now, hands out as the result is iterated."""
        self._slots.eviction.used(layer, numbers)
        keys = [(layer, number) for number in numbers]
        self._needed = set(keys)
        self._slots.discard_failed()
        self._forget_wrong_guesses(layer)
        self._count(keys)
        if not in_order:  # what is there first, then what is on its way
            keys.sort(key=self._distance)
        self._ask(layer, keys)
        return self._hand_out(layer, keys, in_order)

    def _hand_out(self, layer: int, keys: list[Key], in_order: bool) -> Iterator[Mapping[int, Expert]]:
        left = keys
        while left:
            failed = next((read for read in map(self._slots.read_of, left) if read and read.error), None)
            if failed is not None:
                raise failed.failure()
            ready = self._ready(left, in_order)
            if ready:
                yield {key[1]: self._net(key) for key in ready}
                self._needed.difference_update(ready)
                left = [key for key in left if key in self._needed]
            else:
                for _ in wait_for_any(self._reader, self._counter, self._awaited(left, in_order)):
                    yield {}
            self._ask(layer, left)

    def _awaited(self, left: list[Key], in_order: bool) -> list[Read]:
        """Reads of which one must settle before anything can be handed out."""
        first = self._slots.read_of(left[0])
        if in_order and first is not None:
            return [first]
        reads = [self._slots.read_of(key) for key in left]
        awaited = [read for read in reads if read is not None and not read.settled]
        if None in reads:  # a slot that falls free would be of use
            awaited += self._slots.leaving_reads()
        return awaited

    def _ready(self, left: list[Key], in_order: bool) -> list[Key]:
        ready = []
        for key in left:
            read = self._slots.read_of(key)
            if read is not None and read.complete:
                ready.append(key)
            elif in_order:
                break
        return ready

    def _ask(self, layer: int, left: list[Key]) -> None:
        """Begin or promote the reads of what is needed, in its order, as far as there are slots."""
        self._slots.sort_anew()
        for place, key in enumerate(left):
            read = self._slots.read_of(key)
            if read is not None:
                self._reader.promote(read, Priority.NEEDED)
                continue
            slot = self._slots.vacate(layer, self._needed, may_drop=True)
            if slot is None and place == 0:
                slot = self._vacate_last(left)
            if slot is None:
                return
            self._slots.fill(slot, key, Priority.NEEDED)

    def _vacate_last(self, left: list[Key]) -> Slot | None:
        """Where everything in memory is needed by this pass: the slot of what it needs last."""
        for key in reversed(left[1:]):
            slot = self._slots.where.get(key)
            if slot is not None and slot.quiet:
                self._slots.empty(slot)
                return slot
        return None

    def _forget_wrong_guesses(self, layer: int) -> None:
        """Drop the guesses for this layer that have not begun to arrive; the others may still be of use."""
        for key in [key for key in self._slots.guessed if key[0] == layer and key not in self._needed]:
            slot = self._slots.where[key]
            if slot.read is not None and not slot.read.begun:
                self._slots.drop(slot)

    def _count(self, keys: list[Key]) -> None:
        counter = self._counter
        counter.expert_uses += len(keys)
        for key in keys:
            if key not in self._slots.where:
                counter.expert_loads += 1
                continue
            counter.expert_hits += 1
            if key in self._slots.guessed:
                self._slots.guessed.remove(key)
                counter.prefetch_used += 1

    def _distance(self, key: Key) -> int:
        read = self._slots.read_of(key)
        return 2 if read is None else 0 if read.complete else 1

    def _net(self, key: Key) -> Expert:
        slot = self._slots.where[key]
        if slot.net is None:
            slot.net = self._make_net(key, slot.memory)
        return slot.net


@dataclass(frozen=True, slots=True)
class StoredExperts:
    """One layer's experts in a store; see `engine.model.feed_forward.ExpertBank`."""

    store: ExpertStore
    layer: int

    def fetch(self, numbers: tuple[int, ...], in_order: bool) -> Iterator[Mapping[int, Expert]]:
        """Ask now, hand out as they arrive."""
        return self.store.fetch(self.layer, numbers, in_order)

    def expect(self, numbers: tuple[int, ...]) -> None:
        """Start reading what is not there."""
        self.store.expect(self.layer, numbers)
