"""Units that do not fit: read again for every use, in their order of use, a step ahead of it.

Every unit has its place for good: the i-th streamed unit uses buffer i modulo the number of buffers, so its
matrices never move and need no new handles. With two buffers the next unit is read while one is used. Units
asked for in another order (drafting, a pass given up) are read when they are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.offload.reader import Priority
from engine.offload.waiting import wait_for_any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.offload.layout import Layout
    from engine.offload.reader import Read, Reader
    from engine.offload.traffic import TrafficCounter


@dataclass(slots=True)
class _Buffer:
    memory: memoryview
    holds: int = -1
    """The unit whose bytes it has, or is getting."""
    read: Read | None = None


class Stream:
    """A ring of buffers for some units, in their order of use."""

    def __init__(
        self,
        reader: Reader,
        counter: TrafficCounter,
        layouts: Sequence[Layout],
        buffers: Sequence[memoryview],
    ) -> None:
        self._reader, self._counter, self._layouts = reader, counter, layouts
        self._buffers = [_Buffer(memory) for memory in buffers]

    def supply(self, unit: int) -> StreamSupply:
        """The supply of one of the units."""
        return StreamSupply(self, unit)

    def arrive(self, unit: int) -> Iterator[None]:
        """See `Supply`."""
        buffer = self._buffers[unit % len(self._buffers)]
        if buffer.read is not None and buffer.read.error is not None:
            buffer.holds = -1  # it failed before anybody wanted it, and perhaps would not now
        while True:
            read = buffer.read
            if read is not None and buffer.holds != unit and not read.settled:
                self._reader.drop(read)
                yield from wait_for_any(self._reader, self._counter, [read])
                continue
            if buffer.holds != unit or read is None or read.dropped:
                self._request(unit, Priority.NEEDED)
                continue
            self._reader.promote(read, Priority.NEEDED)
            yield from wait_for_any(self._reader, self._counter, [read])
            if read.error is not None:
                buffer.holds, buffer.read = -1, None
                raise read.failure()
            return

    def leave(self, unit: int) -> None:
        """The unit's buffer is free: ask for what comes next."""
        taken: set[int] = set()
        for step in range(1, len(self._buffers) + 1):
            following = (unit + step) % len(self._layouts)
            place = following % len(self._buffers)
            if place in taken:
                return
            taken.add(place)
            buffer = self._buffers[place]
            if buffer.holds != following and (buffer.read is None or buffer.read.settled):
                self._request(following, Priority.NEXT)

    def recorded(self) -> tuple[int, ...]:
        """Which unit each buffer holds."""
        return tuple(buffer.holds for buffer in self._buffers)

    def restore(self, recorded: tuple[int, ...]) -> None:
        """Begin to read what the buffers held then. Nothing may be outstanding."""
        for buffer, unit in zip(self._buffers, recorded, strict=True):
            if unit >= 0 and buffer.holds != unit:
                self._request(unit, Priority.NEXT)

    def _request(self, unit: int, priority: Priority) -> None:
        buffer = self._buffers[unit % len(self._buffers)]
        buffer.holds = unit
        buffer.read = self._reader.submit(self._layouts[unit].spans, buffer.memory, priority)


@dataclass(frozen=True, slots=True)
class StreamSupply:
    """One unit of a stream; see `engine.model.supply.Supply`."""

    stream: Stream
    unit: int

    def arrive(self) -> Iterator[None]:
        """Yields while the unit is being read."""
        return self.stream.arrive(self.unit)

    def leave(self) -> None:
        """Its buffer may be given to the next."""
        self.stream.leave(self.unit)
