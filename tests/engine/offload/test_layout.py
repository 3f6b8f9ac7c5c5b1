"""Where tensors go: every byte in its place, in few reads, and aligned for whoever uses or reads it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from engine.checkpoint.tensor import Dtype, TensorRecord
from engine.offload.layout import PAGE_BYTES, lay_out
from tests.engine.offload.sources import SHARDS, expected, found, noise, record

if TYPE_CHECKING:
    from pathlib import Path

DTYPES = (Dtype.F8_E4M3, Dtype.BF16, Dtype.F32, Dtype.F64)
FILES = {shard: noise(60_000, number) for number, shard in enumerate(SHARDS)}


@st.composite
def records(draw: st.DrawFn) -> list[TensorRecord]:
    """Tensors in several shards, touching or not, at any offsets, given in any order."""
    made: list[TensorRecord] = []
    for shard in draw(st.lists(st.sampled_from(SHARDS), unique=True, min_size=1)):
        at = draw(st.integers(0, 9000))
        for _ in range(draw(st.integers(1, 5))):
            dtype = draw(st.sampled_from(DTYPES))
            count = draw(st.one_of(st.integers(1, 9), st.integers(1, 9000 // dtype.bytes)))
            made.append(record(f"t{len(made)}", at, count, shard, dtype))
            at = made[-1].end + draw(st.one_of(st.just(0), st.integers(1, 5), st.integers(1, 5000)))
    return draw(st.permutations(made))


@given(records())
def test_reading_the_spans_puts_every_tensor_in_its_place(given_records: list[TensorRecord]) -> None:
    layout = lay_out(given_records)
    memory = bytearray(layout.bytes)
    for span in layout.spans:
        memory[span.place : span.place + span.bytes] = FILES[span.shard][span.offset : span.end]
    for each, place in zip(given_records, layout.places, strict=True):
        assert memory[place : place + each.bytes] == FILES[each.shard][each.offset : each.end]
        assert place % each.dtype.bytes == 0
    assert found(layout, memoryview(memory)) == expected(layout, FILES)


@given(records())
def test_spans_are_exactly_the_tensors_bytes(given_records: list[TensorRecord]) -> None:
    layout = lay_out(given_records)
    wanted: dict[Path, set[int]] = {}
    for each in given_records:
        wanted.setdefault(each.shard, set()).update(range(each.offset, each.end))
    covered: dict[Path, set[int]] = {}
    for span in layout.spans:
        covered.setdefault(span.shard, set()).update(range(span.offset, span.end))
    assert covered == wanted
    assert layout.bytes_read == sum(span.bytes for span in layout.spans) == sum(map(len, wanted.values()))


@given(records())
def test_spans_have_pages_of_their_own(given_records: list[TensorRecord]) -> None:
    layout = lay_out(given_records)
    assert layout.bytes % PAGE_BYTES == 0
    spans = sorted(layout.spans, key=lambda span: span.place)
    for one, other in pairwise(spans):
        assert -(-(one.place + one.bytes) // PAGE_BYTES) <= other.place // PAGE_BYTES
    assert spans[0].place < PAGE_BYTES
    assert spans[-1].place + spans[-1].bytes <= layout.bytes
    assert layout.bytes - layout.bytes_read < 2 * PAGE_BYTES * len(spans)


@given(records())
def test_whole_pages_can_be_read_unless_an_element_would_be_misaligned(
    given_records: list[TensorRecord],
) -> None:
    by_place = {(each.shard, each.offset): each for each in given_records}
    for span in lay_out(given_records).spans:
        first = by_place[span.shard, span.offset]
        assert span.by_pages == (first.offset % first.dtype.bytes == 0)


@given(records())
def test_tensors_that_touch_are_one_read(given_records: list[TensorRecord]) -> None:
    layout = lay_out(given_records)
    ends = {(span.shard, span.end): span for span in layout.spans}
    for span in layout.spans:
        before = ends.get((span.shard, span.offset))
        if before is not None:  # only where joining them would misalign the elements of the second
            first = next(
                each for each in given_records if (each.shard, each.offset) == (span.shard, span.offset)
            )
            assert (before.place + before.bytes) % first.dtype.bytes


def test_an_expert_as_published_is_one_read() -> None:
    parts = [record(name, 9_001 + 4_000 * i, 4_000, dtype=Dtype.F8_E4M3) for i, name in enumerate("gud")]
    layout = lay_out(parts[::-1])
    (span,) = layout.spans
    assert (span.offset, span.bytes, span.place) == (9_001, 12_000, 9_001 % PAGE_BYTES)
    assert layout.places == (span.place + 8_000, span.place + 4_000, span.place)
    assert layout.bytes == 4 * PAGE_BYTES
