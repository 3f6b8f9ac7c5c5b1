"""Units that share buffers: whoever has waited for one finds its bytes there, in whatever order."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import CheckpointError
from engine.offload.layout import lay_out
from engine.offload.reader import Priority
from engine.offload.stream import Stream
from engine.offload.traffic import TrafficCounter
from tests.engine.offload.sources import (
    SHARDS,
    MadeSource,
    SteppedReader,
    expected,
    found,
    noise,
    pages,
    record,
)

if TYPE_CHECKING:
    from pathlib import Path

FILES = {shard: noise(40_000, number) for number, shard in enumerate(SHARDS)}


class Bench:
    """A stream with all that it needs."""

    def __init__(self, units: int, buffers: int, seed: int = 0) -> None:
        self.rng = random.Random(seed)
        self.layouts = [
            lay_out(
                record(f"{part}", 1000 * unit + 300 * part, self.rng.randint(1, 300), SHARDS[unit % 3])
                for part in range(3)
            )
            for unit in range(units)
        ]
        self.source = MadeSource(FILES)
        self.reader = SteppedReader(self.source, self.rng)
        self.buffers = [pages(max(layout.bytes for layout in self.layouts)) for _ in range(buffers)]
        self.counter = TrafficCounter(self.reader)
        self.stream = Stream(self.reader, self.counter, self.layouts, self.buffers)
        self.unit_of = {layout.spans: unit for unit, layout in enumerate(self.layouts)}

    @property
    def asked(self) -> list[tuple[int, Priority]]:
        """The units asked for so far."""
        return [(self.unit_of[tuple(spans)], priority) for spans, priority in self.reader.asked]

    def check(self, unit: int) -> None:
        """Assert that a unit is in its buffer, now."""
        layout = self.layouts[unit]
        assert found(layout, self.buffers[unit % len(self.buffers)]) == expected(layout, self.source.files)

    def use(self, unit: int) -> None:
        for _ in self.stream.arrive(unit):
            pass
        self.check(unit)
        self.reader.steps(5)
        self.check(unit)
        self.stream.leave(unit)


@settings(deadline=None, max_examples=150)
@given(seed=st.integers(0, 2**32), units=st.integers(1, 7), buffers=st.integers(1, 3))
def test_whoever_waited_finds_the_units_own_bytes(seed: int, units: int, buffers: int) -> None:
    bench = Bench(units, min(buffers, units), seed)
    rng, bad = bench.rng, set[int]()

    def before(file: Path, offset: int, needed: int) -> None:
        if offset // 1000 in bad:
            raise OSError(5, "Input/output error")

    bench.source.before = before
    unit = 0
    for _ in range(60):
        unit = rng.randrange(units) if rng.random() < 0.3 else (unit + 1) % units
        if rng.random() < 0.2:
            bad = set() if bad else {rng.randrange(units)}
        bench.reader.steps(3)
        supply = bench.stream.supply(unit)
        try:
            arriving = supply.arrive()
            given_up = False
            for _ in arriving:
                if rng.random() < 0.2:
                    given_up = True
                    break
        except CheckpointError as error:
            if unit not in bad or SHARDS[unit % 3].name not in str(error):
                raise AssertionError("no such fault now") from error
            continue
        if given_up:
            continue
        bench.check(unit)
        bench.reader.steps(4)
        bench.check(unit)
        if rng.random() < 0.9:  # or the pass was given up with the unit in use
            supply.leave()
            bench.reader.steps(2)
    bad = set()
    for unit in range(units):
        bench.use(unit)
    assert bench.reader.bytes_read == bench.source.served


@pytest.mark.parametrize(("units", "buffers"), [(2, 1), (3, 2), (4, 2), (7, 2), (7, 3), (9, 3)])
def test_in_their_order_each_is_read_once_and_ahead(units: int, buffers: int) -> None:
    bench = Bench(units, buffers)
    for unit in range(units):
        bench.use(unit)
    for _ in range(3):
        bench.reader.asked.clear()
        for unit in range(units):
            bench.use(unit)
        alone = [unit for unit in range(units) if unit % buffers >= units - buffers]
        assert sorted([*alone, *(unit for unit, _ in bench.asked)]) == list(range(units))
        assert {priority for _, priority in bench.asked} == {Priority.NEXT}, "none was waited for unasked"


def test_the_next_is_on_its_way_while_one_is_used() -> None:
    bench = Bench(units=5, buffers=2)
    bench.use(0)
    bench.reader.drain()
    for _ in bench.stream.arrive(1):
        pytest.fail("it was there")
    bench.check(1)
    assert bench.asked == [(0, Priority.NEEDED), (1, Priority.NEXT), (2, Priority.NEXT)]
    bench.reader.drain()
    bench.check(1)
    bench.stream.leave(1)
    assert bench.asked[-1] == (3, Priority.NEXT)


def test_as_many_buffers_as_units_are_read_once_for_good() -> None:
    bench = Bench(units=2, buffers=2)
    for _ in range(3):
        bench.use(0)
        bench.use(1)
    assert sorted(unit for unit, _ in bench.asked) == [0, 1]


def test_a_unit_on_its_way_is_promoted_when_it_is_waited_for() -> None:
    bench = Bench(units=4, buffers=2)
    bench.use(0)
    read = bench.stream._buffers[1].read
    assert read is not None
    for _ in bench.stream.arrive(1):
        pass
    assert read.priority is Priority.NEEDED


def test_a_fault_is_told_once_and_a_mended_drive_is_believed() -> None:
    bench = Bench(units=4, buffers=2)

    def before(*_: object) -> None:
        raise OSError(5, "Input/output error")

    bench.use(0)
    bench.source.before = before
    bench.reader.drain()  # unit 1, ahead of its use
    with pytest.raises(CheckpointError, match=f"{SHARDS[1].name} cannot be read: .*Input/output error"):
        bench.use(1)
    with pytest.raises(CheckpointError, match="Input/output error"):
        bench.use(1)
    bench.source.before = lambda *_: None
    for unit in (1, 2, 3, 0):
        bench.use(unit)


def test_a_fault_ahead_of_use_that_is_gone_by_then_is_nobodys_trouble() -> None:
    bench = Bench(units=4, buffers=2)

    def before(*_: object) -> None:
        raise OSError(5, "Input/output error")

    bench.use(0)
    bench.source.before = before
    bench.reader.drain()
    bench.source.before = lambda *_: None
    bench.use(1)


def test_a_unit_whose_read_was_given_up_is_read_again() -> None:
    bench = Bench(units=4, buffers=2)
    arriving = bench.stream.arrive(0)
    bench.reader.wait = lambda reads, seconds: False  # type: ignore[method-assign]  # nothing comes
    next(arriving)
    bench.reader.step()
    next(bench.stream.arrive(2))  # waits for what is under way, and then the pass is given up
    del bench.reader.wait
    bench.reader.drain()
    bench.use(0)


def test_closing_fails_what_is_waited_for() -> None:
    bench = Bench(units=4, buffers=2)
    bench.use(0)
    bench.reader.close()
    with pytest.raises(CheckpointError, match="closed"):
        bench.use(2)
