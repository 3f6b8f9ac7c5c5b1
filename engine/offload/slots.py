"""The equal pieces of memory that an expert store fills: what is in each, what arrives, what leaves next.

Nothing that is done in every layer walks through all slots in Python: on a machine with much memory they are
thousands. What leaves is decided by `popularity`, for all of them at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from engine.kernels.base import Expert
    from engine.offload.layout import Layout
    from engine.offload.popularity import Eviction, Key
    from engine.offload.reader import Priority, Read, Reader
    from engine.offload.traffic import TrafficCounter


@dataclass(slots=True, eq=False)
class Slot:
    """A piece of memory with an expert, or room for one."""

    memory: memoryview
    key: Key | None = None
    read: Read | None = None
    """The last into it."""
    net: Expert | None = None
    """Made when it is first handed out."""

    @property
    def quiet(self) -> bool:
        """Whether nothing writes to it any more."""
        return self.read is None or self.read.settled


class Slots:
    """All of a store's. For the thread that runs the model."""

    def __init__(
        self,
        reader: Reader,
        counter: TrafficCounter,
        layouts: Mapping[Key, Layout],
        memories: Sequence[memoryview],
        eviction: Eviction,
    ) -> None:
        """`layouts` of every expert; `memories` are equal, and large enough for each."""
        self.count = len(memories)
        self.eviction = eviction
        self.where: dict[Key, Slot] = {}
        """The experts in memory or on their way there."""
        self.guessed: set[Key] = set()
        """Read because they were expected, and not used since."""
        self._reader, self._counter, self._layouts = reader, counter, layouts
        self._free = [Slot(memory) for memory in reversed(memories)]
        self._leaving: list[Slot] = []
        """Given up while bytes were still on their way into them."""
        self._arriving: dict[Key, Slot] = {}
        """Whose reads had not come to their end when last looked at."""
        self._held = np.zeros([1 + max(axis) for axis in zip(*layouts, strict=True)], np.bool_)
        """[layers, experts]: the keys of `where`."""
        self._order: Iterator[Key] | None = None
        """What may leave: sorted once for all the slots that are asked for together."""

    @property
    def has_free(self) -> bool:
        """Whether nothing needs to leave for the next expert."""
        return bool(self._free)

    def read_of(self, key: Key) -> Read | None:
        """The read that brings an expert, or has brought it."""
        slot = self.where.get(key)
        return None if slot is None else slot.read

    def take_free(self) -> Slot:
        """One of the free slots, of which there must be one."""
        return self._free.pop()

    def fill(self, slot: Slot, key: Key, priority: Priority, guessed: bool = False) -> None:
        """Begin to read an expert into an empty slot."""
        slot.key, slot.net = key, None
        slot.read = self._reader.submit(self._layouts[key].spans, slot.memory, priority)
        self.where[key] = self._arriving[key] = slot
        self._held[key] = True
        if guessed:
            self.guessed.add(key)

    def sort_anew(self) -> None:
        """Forget in which order experts leave: it was that of another layer, or another moment."""
        self._order = None

    def vacate(self, layer: int, keep: AbstractSet[Key], may_drop: bool) -> Slot | None:
        """A slot without an expert: a free one, or that of the expert that will be missed last.

        With `may_drop` a read that nobody waits for is given up where nothing else is left.
        """
        if self._leaving:
            self._free += [slot for slot in self._leaving if slot.quiet]
            self._leaving = [slot for slot in self._leaving if not slot.quiet]
        if self._free:
            return self._free.pop()
        if self._order is None:
            self._order = self._by_cost(layer)
        for key in self._order:
            slot = self.where.get(key)
            if slot is not None and key not in keep and slot.quiet:
                self.empty(slot)
                return slot
        self._order = None
        if may_drop:
            under_way = [slot for key, slot in self._arriving.items() if key not in keep]
            if under_way:
                self.drop(under_way[-1])
        return self._free.pop() if self._free else None

    def empty(self, slot: Slot) -> None:
        """Forget the expert in a slot."""
        key = slot.key
        if key is not None:
            del self.where[key]
            self._arriving.pop(key, None)
            self._held[key] = False
            if key in self.guessed:
                self.guessed.remove(key)
                self._counter.prefetch_wasted += 1
        slot.key, slot.net = None, None

    def drop(self, slot: Slot) -> None:
        """Give up a read, and its slot as soon as nothing more arrives there."""
        if slot.read is not None:
            self._reader.drop(slot.read)
        self.empty(slot)
        (self._free if slot.quiet else self._leaving).append(slot)

    def discard_failed(self) -> None:
        """Give up what could not be read, so that it is asked for anew."""
        for key, slot in list(self._arriving.items()):
            if slot.read is not None and slot.read.error is not None:
                self.drop(slot)
            elif slot.quiet:
                del self._arriving[key]

    def free_the_left(self) -> None:
        """Take back all that was given up. Nothing may be outstanding."""
        self._free += self._leaving
        self._leaving = []

    def leaving_reads(self) -> list[Read]:
        """Of these, one that settles makes a slot fall free."""
        return [slot.read for slot in self._leaving if slot.read is not None]

    def _by_cost(self, layer: int) -> Iterator[Key]:
        """The keys of `where`, the cheapest to lose first; of equals the lowest key."""
        keys = np.argwhere(self._held)
        order = np.argsort(self.eviction.costs(keys, layer), kind="stable")
        return ((int(layer), int(number)) for layer, number in keys[order])
