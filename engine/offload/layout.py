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
    """Of the first byte, from the start of the unit's memory; `place % PAGE_BYTES == offset % PAGE_BYTES`."""


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
        if last is not None and last.shard == record.shard and last.offset + last.bytes == record.offset:
            spans[-1] = last = Span(last.shard, last.offset, last.bytes + record.bytes, last.place)
        else:
            last = Span(record.shard, record.offset, record.bytes, end + record.offset % PAGE_BYTES)
            spans.append(last)
        places[record.name] = last.place + record.offset - last.offset
        end = -(-(last.place + last.bytes) // PAGE_BYTES) * PAGE_BYTES
    return Layout(
        spans=tuple(spans),
        places=tuple(places[record.name] for record in given),
        bytes=end,
        bytes_read=sum(record.bytes for record in given),
    )
