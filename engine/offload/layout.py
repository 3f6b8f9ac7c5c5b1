"""Where in memory the tensors of a unit go, and what is read to fill it.

Tensors whose bytes touch in a shard are one read. Memory for a unit is in whole pages, and a read starts at
the place in a page that its first byte has in the file: that is what a read past the page cache needs
(O_DIRECT moves whole pages), and costs at most two pages a read for one that does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from engine.checkpoint.tensor import TensorRecord

PAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of one shard that are read as one, and where they go in the unit's memory."""

    shard: Path
    offset: int
    bytes: int
    place: int
    """Of the first byte, from the start of the unit's memory."""

    @property
    def end(self) -> int:
        """Just past the last byte, in the shard."""
        return self.offset + self.bytes

    @property
    def by_pages(self) -> bool:
        """Whether file and memory agree on where pages begin: then whole pages can be read."""
        return (self.place - self.offset) % PAGE_BYTES == 0


@dataclass(frozen=True, slots=True)
class Layout:
    """A unit's reads and its tensors' places."""

    spans: tuple[Span, ...]
    places: tuple[int, ...]
    """Of the records' first bytes, in the order in which the records were given."""
    bytes: int
    """Memory it takes: whole pages."""
    bytes_read: int
    """What the reads bring in: the tensors' bytes."""


def lay_out(records: Iterable[TensorRecord]) -> Layout:
    """Lay out the tensors of one unit."""
    given = tuple(records)
    spans: list[Span] = []
    places: dict[str, int] = {}
    end = 0  # of the memory given out, a whole number of pages
    for record in sorted(given, key=lambda each: (str(each.shard), each.offset)):
        last = spans[-1] if spans else None
        touches = last is not None and last.shard == record.shard and last.end == record.offset
        if last is not None and touches and (last.place + last.bytes) % record.dtype.bytes == 0:
            spans[-1] = last = Span(last.shard, last.offset, last.bytes + record.bytes, last.place)
        else:
            # An element must not straddle its own alignment in memory, as it may in the file.
            shift = record.offset % PAGE_BYTES
            place = end + (shift if shift % record.dtype.bytes == 0 else 0)
            last = Span(record.shard, record.offset, record.bytes, place)
            spans.append(last)
        places[record.name] = last.place + record.offset - last.offset
        end = -(-(last.place + last.bytes) // PAGE_BYTES) * PAGE_BYTES
    return Layout(
        spans=tuple(spans),
        places=tuple(places[record.name] for record in given),
        bytes=end,
        bytes_read=sum(record.bytes for record in given),
    )
