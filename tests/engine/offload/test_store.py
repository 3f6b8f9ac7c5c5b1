"""The expert store under random passes: every expert has its own bytes for as long as it is used.

Experts' bytes are noise of their own, and while a read is under way its memory holds something else; whoever
is handed an expert compares all of it, lets reads go on meanwhile, and compares again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import CheckpointError
from engine.offload.layout import lay_out
from engine.offload.popularity import LeastRecentlyUsed, NextUse
from engine.offload.reader import Priority, Reader
from engine.offload.store import ExpertStore
from engine.offload.traffic import TrafficCounter
from tests.engine.offload.sources import (
    SHARDS,
    Gate,
    MadeSource,
    SteppedReader,
    expected,
    found,
    noise,
    pages,
    record,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from engine.kernels.base import Expert
    from engine.offload.layout import Layout
    from engine.offload.popularity import Eviction, Key

FILES = {shard: noise(40_000, number) for number, shard in enumerate(SHARDS)}


@dataclass(frozen=True)
class Net:
    """What stands for an expert's net: whose it is, and where its bytes are."""

    key: Key
    memory: memoryview


def experts_of(layers: int, per_layer: int) -> dict[Key, Layout]:
    """Experts of one to three reads, of sizes of their own, next to each other in the shards."""
    rng = random.Random(layers * 100 + per_layer)
    layouts: dict[Key, Layout] = {}
    ends = [5, 0, 1001]
    for layer in range(layers):
        for number in range(per_layer):
            shard = rng.randrange(3)
            records = []
            for part in range(3):
                size = rng.randint(1, 120)
                records.append(record(f"{part}", ends[shard], size, SHARDS[shard]))
                ends[shard] += size + rng.choice((0, 0, 9))
            layouts[layer, number] = lay_out(records)
    return layouts


class Bench:
    """A store with all that it needs, and what drives it."""

    def __init__(
        self,
        slots: int,
        layers: int = 2,
        per_layer: int = 8,
        seed: int = 0,
        eviction: Eviction | None = None,
        reader: Reader | None = None,
        source: MadeSource | None = None,
    ) -> None:
        self.rng = random.Random(seed)
        self.source = source or MadeSource(FILES)
        self.stepped = SteppedReader(self.source, self.rng)
        self.reader = reader or self.stepped
        self.counter = TrafficCounter(self.reader)
        self.layouts = experts_of(layers, per_layer)
        self.keys = {layout.spans: key for key, layout in self.layouts.items()}
        size = max(layout.bytes for layout in self.layouts.values())
        memory = pages(size * slots)
        self.store = ExpertStore(
            self.reader,
            self.counter,
            self.layouts,
            lambda key, place: cast("Expert", Net(key, place)),
            [memory[i * size : (i + 1) * size] for i in range(slots)],
            eviction or NextUse(range(layers), per_layer, 0.25),
        )

    @property
    def asked(self) -> list[tuple[Key, Priority]]:
        """The reads that were asked for so far."""
        return [(self.keys[tuple(spans)], priority) for spans, priority in self.stepped.asked]

    def check(self, layer: int, group: Mapping[int, Expert]) -> None:
        """Assert that the experts of a group are what their names say, now."""
        for number, expert in group.items():
            net = cast("Net", expert)
            layout = self.layouts[layer, number]
            assert net.key == (layer, number)
            assert found(layout, net.memory) == expected(layout, self.source.files)

    def take(self, layer: int, numbers: tuple[int, ...], in_order: bool = False) -> list[tuple[int, ...]]:
        """A pass to its end; the groups, without the empty ones."""
        groups = []
        for group in self.store.fetch(layer, numbers, in_order):
            self.check(layer, group)
            if group:
                groups.append(tuple(group))
        assert sorted(number for group in groups for number in group) == list(numbers)
        return groups


class Driver:
    """Random passes, some of them abandoned, over a source that fails now and then."""

    def __init__(self, bench: Bench, layers: int, per_layer: int) -> None:
        self.bench, self.layers, self.per_layer = bench, layers, per_layer
        self.rng = bench.rng
        self.uses = 0
        self.bad: set[Path] = set()
        bench.source.before = self._before

    def run(self, turns: int) -> None:
        rng, store = self.rng, self.bench.store
        store.preload(rng.sample(sorted(self.bench.layouts), rng.randint(0, len(self.bench.layouts))))
        for turn in range(turns):
            if rng.random() < 0.15 or turn == turns - 1:  # the last one without faults
                self.bad = set() if self.bad or turn == turns - 1 else {rng.choice(SHARDS)}
            if rng.random() < 0.1:
                self.bench.source.cached = set(rng.sample(SHARDS, rng.randint(0, 2)))
            self._pass(turn % self.layers, last=turn == turns - 1)
            self.check_counters()

    def check_counters(self) -> None:
        moved, source = self.bench.counter.traffic(), self.bench.source
        assert moved.expert_uses == self.uses == moved.expert_hits + moved.expert_loads
        assert moved.bytes_read == source.served
        guesses = sum(priority is Priority.GUESSED for _, priority in self.bench.asked)
        assert moved.prefetch_used + moved.prefetch_wasted <= guesses
        assert moved.prefetch_used <= moved.expert_hits

    def _before(self, file: Path, offset: int, needed: int) -> None:
        if file in self.bad:
            raise OSError(5, "Input/output error")

    def _numbers(self) -> tuple[int, ...]:
        count = self.rng.choice((1, 2, self.rng.randint(1, self.per_layer), self.per_layer))
        return tuple(sorted(self.rng.sample(range(self.per_layer), min(count, self.per_layer))))

    def _pass(self, layer: int, last: bool) -> None:
        rng, store, stepped = self.rng, self.bench.store, self.bench.stepped
        numbers, in_order = self._numbers(), rng.random() < 0.5
        needed = {(layer, number) for number in numbers}
        self.uses += len(numbers)
        before = len(stepped.asked)
        arrivals = store.fetch(layer, numbers, in_order)
        if rng.random() < 0.5:
            there = set(store._slots.where)
            store.expect((layer + 1) % self.layers, self._numbers())
            assert there & needed <= set(store._slots.where), "a guess threw out what the pass needs"
        handed: list[int] = []
        try:
            for group in arrivals:
                assert not set(group) & set(handed), "handed out twice"
                assert set(group) <= set(numbers)
                if in_order and handed and group:
                    assert min(group) > max(handed)
                handed += group
                self.bench.check(layer, group)
                stepped.steps(4)
                self.bench.check(layer, group)
                if not last and rng.random() < 0.05:
                    return  # cancelled: nobody asks for the rest
        except CheckpointError as error:
            if not any(str(shard) in str(error) for shard in self.bad):
                raise AssertionError("no such fault now") from error
            return
        assert sorted(handed) == list(numbers)
        asked = [key for key, priority in self.bench.asked[before:] if priority is Priority.NEEDED]
        if store._slots.count >= len(numbers):
            assert len(set(asked)) == len(asked), "read twice in a pass"
        assert set(asked) <= needed


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 2**32),
    layers=st.integers(1, 4),
    per_layer=st.integers(1, 8),
    share=st.floats(0, 1),
    least_recent=st.booleans(),
)
def test_random_passes(seed: int, layers: int, per_layer: int, share: float, least_recent: bool) -> None:
    slots = 2 + round(share * max(0, layers * per_layer - 2))
    eviction = LeastRecentlyUsed() if least_recent else None
    bench = Bench(slots, layers, per_layer, seed, eviction)
    Driver(bench, layers, per_layer).run(30)
    resident = bench.store.resident()
    assert len(set(resident)) == len(resident) <= slots


@pytest.mark.timeout(60)
@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("slots", [2, 3, 7, 12, 32])
def test_random_passes_with_real_threads(slots: int, threads: int) -> None:
    source = MadeSource(FILES)
    reader = Reader(source, threads)
    try:
        bench = Bench(slots, layers=4, reader=reader, source=source)
        bad: set[Path] = set()
        faults = [0, 0]

        def before(file: Path, *_: object) -> None:
            if file in bad:
                raise OSError(5, "Input/output error")

        source.before = before
        rng = bench.rng
        for turn in range(120):
            layer, numbers = turn % 4, tuple(sorted(rng.sample(range(8), rng.randint(1, 8))))
            bad = {rng.choice(SHARDS)} if turn % 10 == 9 else set()
            try:
                groups = bench.store.fetch(layer, numbers, in_order=turn % 3 == 0)
                bench.store.expect((layer + 1) % 4, tuple(sorted(rng.sample(range(8), 3))))
                handed: list[int] = []
                for group in groups:
                    bench.check(layer, group)
                    handed += group
                    if turn % 11 == 5:
                        break
                else:
                    assert sorted(handed) == list(numbers)
            except CheckpointError:
                faults[not bad] += 1
            if bad:
                reader.drain()  # no read that has failed is told of later
        bad = set()
        reader.drain()
        bench.take(0, tuple(range(8)))
        reader.drain()
        assert faults[0] or slots > 12
        assert not faults[1]
        assert reader.bytes_read == source.served
    finally:
        reader.close()


def test_one_slot_is_refused() -> None:
    with pytest.raises(ValueError, match="two slots"):
        Bench(1)


def test_all_misses_are_asked_for_at_once_and_hits_come_first() -> None:
    bench = Bench(slots=8)
    bench.take(0, (1, 4))
    bench.stepped.asked.clear()
    arrivals = bench.store.fetch(0, (0, 1, 3, 4, 6), in_order=False)
    assert bench.asked == [((0, number), Priority.NEEDED) for number in (0, 3, 6)]
    assert set(next(iter(arrivals))) == {1, 4}
    moved = bench.counter.traffic()
    assert (moved.expert_uses, moved.expert_hits, moved.expert_loads) == (7, 2, 5)


def test_in_order_a_hit_waits_for_what_comes_before_it() -> None:
    bench = Bench(slots=8)
    bench.take(0, (1, 4))
    arrivals = bench.store.fetch(0, (0, 1, 4), in_order=True)
    first = next(group for group in arrivals if group)
    assert set(first) == {0, 1, 4}
    bench.check(0, first)


def handed_after(bench: Bench, arrivals: Iterator[Mapping[int, Expert]]) -> list[int]:
    handed: list[int] = []
    for group in arrivals:
        bench.check(0, group)
        handed += group
        bench.stepped.drain()
    return handed


def test_with_two_slots_the_next_is_read_while_one_is_used() -> None:
    bench = Bench(slots=2)
    arrivals = bench.store.fetch(0, tuple(range(8)), in_order=True)
    assert [key for key, _ in bench.asked] == [(0, 0), (0, 1)]
    assert handed_after(bench, arrivals) == list(range(8))
    assert [key for key, _ in bench.asked] == [(0, number) for number in range(8)], "each is read once"


def test_what_the_pass_needs_later_stays_where_there_is_something_else_to_evict() -> None:
    bench = Bench(slots=4)
    bench.take(0, (6, 7))
    bench.take(1, (0, 1))
    bench.stepped.asked.clear()
    assert handed_after(bench, bench.store.fetch(0, (0, 1, 6, 7), in_order=True)) == [0, 1, 6, 7]
    assert [key for key, _ in bench.asked] == [(0, 0), (0, 1)]


def test_what_the_pass_needs_last_leaves_where_there_is_nothing_else() -> None:
    bench = Bench(slots=2)
    bench.take(0, (6, 7))
    bench.stepped.asked.clear()
    assert handed_after(bench, bench.store.fetch(0, (0, 6, 7), in_order=True)) == [0, 6, 7]
    assert [key for key, _ in bench.asked] == [(0, 0), (0, 7)]


def test_guesses_are_read_last_and_promoted_when_right() -> None:
    bench = Bench(slots=12)
    list(bench.store.fetch(0, (0,), in_order=False))
    bench.store.expect(1, (2, 3, 5))
    guesses = bench.asked[1:]
    assert guesses == [((1, number), Priority.GUESSED) for number in (2, 3, 5)]
    reads = [bench.store._slots.read_of((1, number)) for number in (2, 3, 5)]
    bench.store.fetch(1, (2, 3, 7), in_order=False)
    moved = bench.counter.traffic()
    assert (moved.prefetch_used, moved.prefetch_wasted) == (2, 1), "the wrong one had not begun"
    assert [read and read.priority for read in reads[:2]] == [Priority.NEEDED] * 2
    assert reads[2] is not None
    assert reads[2].dropped
    assert bench.store._slots.where.keys() == {(0, 0), (1, 2), (1, 3), (1, 7)}
    assert (moved.expert_hits, moved.expert_loads) == (2, 2)


def test_a_wrong_guess_that_has_arrived_stays_until_it_is_in_the_way() -> None:
    bench = Bench(slots=3)
    bench.store.expect(1, (5,))
    bench.stepped.drain()
    bench.take(1, (2,))
    assert (1, 5) in bench.store.resident()
    assert bench.counter.prefetch_wasted == 0
    bench.take(1, (0, 1, 2))
    assert bench.counter.prefetch_wasted == 1
    assert bench.counter.prefetch_used == 0


def test_nothing_is_guessed_where_slots_are_few() -> None:
    bench = Bench(slots=5)
    bench.store.expect(1, (0, 1))
    assert bench.asked == []
    bench.store.expect(1, (0,))
    assert bench.asked == [((1, 0), Priority.GUESSED)]


def test_guesses_do_not_evict_each_other_or_what_is_on_its_way() -> None:
    bench = Bench(slots=6)
    bench.store.fetch(0, (0, 1, 2, 3, 4, 5), in_order=False)
    bench.store.expect(1, (0, 1))
    assert len(bench.asked) == 6
    assert not any(
        read.dropped for read in (slot.read for slot in bench.store._slots.where.values()) if read is not None
    )


def test_preloading_fills_free_slots_only_and_in_the_order_given() -> None:
    bench = Bench(slots=4)
    bench.store.preload([(1, 3), (9, 9), (0, 2), (1, 3)])
    assert bench.asked == [((1, 3), Priority.NEXT), ((0, 2), Priority.NEXT)]
    assert bench.store.resident() == (), "not there yet"
    bench.stepped.drain()
    assert set(bench.store.resident()) == {(1, 3), (0, 2)}
    bench.store.preload([(0, 0), (0, 1), (0, 3), (0, 4)])
    assert len(bench.asked) == 4
    bench.take(1, (3,))
    moved = bench.counter.traffic()
    assert (moved.expert_hits, moved.prefetch_used) == (1, 0)


def test_a_read_that_nobody_waits_for_gives_its_slot_once_it_is_quiet() -> None:
    source, gate = MadeSource(FILES), Gate()
    source.before = gate
    reader = Reader(source, threads=1)
    try:
        bench = Bench(slots=2, reader=reader, source=source)
        bench.store.preload([(1, 0), (1, 1)])
        gate.until_one_stands()
        arrivals = bench.store.fetch(0, (3, 4), in_order=False)
        assert next(arrivals) == {}, "both slots are taken, one by a read that cannot be stopped"
        gate.open()
        handed: list[int] = []
        for group in arrivals:
            bench.check(0, group)
            handed += group
        assert sorted(handed) == [3, 4]
    finally:
        gate.open()
        reader.close()


@pytest.mark.timeout(60)
def test_a_slot_is_filled_anew_only_when_the_read_given_up_has_written_its_last() -> None:
    source, gate = MadeSource(FILES), Gate()
    reader = Reader(source, threads=8)
    try:
        bench = Bench(slots=2, reader=reader, source=source)
        old = {span.offset for number in (0, 1) for span in bench.layouts[1, number].spans}
        source.before = lambda file, offset, _: gate() if offset in old else None
        bench.store.preload([(1, 0), (1, 1)])
        for _ in old:
            gate.until_one_stands()
        arrivals = bench.store.fetch(0, (3,), in_order=False)
        assert next(arrivals) == {}, "there is no slot yet"
        assert len(source.calls) == len(old)
        gate.open()
        group = next(group for group in arrivals if group)
        reader.drain()
        bench.check(0, group)
    finally:
        gate.open()
        reader.close()


def test_a_fault_ends_the_pass_and_the_next_one_reads_again() -> None:
    bench = Bench(slots=16)
    broken = bench.layouts[0, 2].spans[0].shard

    def before(file: Path, *_: object) -> None:
        if file == broken:
            raise OSError(5, "Input/output error")

    bench.source.before = before
    for _ in range(2):
        with pytest.raises(CheckpointError, match=f"{broken.name} cannot be read: .*Input/output error"):
            bench.take(0, (1, 2))
    bench.source.before = lambda *_: None
    bench.take(0, (1, 2))
    assert bench.reader.bytes_read == bench.source.served


def test_a_guess_that_failed_is_read_again_when_it_is_needed() -> None:
    bench = Bench(slots=8)
    bench.source.before = lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error"))
    bench.store.expect(1, (2,))
    bench.stepped.drain()
    bench.source.before = lambda *_: None
    bench.take(1, (2,))
    assert bench.counter.expert_loads == 1


def test_closing_ends_a_pass_that_waits_in_order() -> None:
    bench = Bench(slots=4)
    arrivals = bench.store.fetch(0, (0, 1), in_order=True)
    bench.reader.close()
    with pytest.raises(CheckpointError, match="closed"):
        list(arrivals)
    with pytest.raises(CheckpointError, match="closed"):
        bench.take(1, (0, 1))


def test_findings_are_the_evictions() -> None:
    bench = Bench(slots=4)
    bench.take(0, (1, 4))
    assert bench.store.findings().keys() == {(0, 1), (0, 4)}
    bank = bench.store.bank(1)
    assert {number for group in bank.fetch((3,), in_order=False) for number in group} == {3}
    bank.expect((5,))
    assert bench.asked[-1] == ((1, 5), Priority.GUESSED)
