"""The number of threads follows how long threads wait for a core; clock and counter are the test's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.kernels.free_cores import (
    RETRY_SECONDS,
    STEP_THREADS,
    WINDOW_SECONDS,
    FreeCores,
    waiting_nanoseconds,
)


class Machine:
    """Calls one after the other on some cores, of which neighbours keep some busy.

    Each thread also waits a share of the time for no neighbour's sake.
    """

    def __init__(self, cores: int, most: int, usual_share: float = 0.0) -> None:
        self.now, self.waited, self.looks = 1000.0, 0, 0
        self.cores, self.neighbours, self.usual_share = cores, 0, usual_share
        self.free_cores = FreeCores(most, self.look)

    def look(self) -> int:
        self.looks += 1
        return self.waited

    def run(self, seconds: float, call_seconds: float = 0.001) -> list[int]:
        """The threads of each call in a span of time."""
        used, end = [], self.now + seconds
        while self.now < end:
            used.append(self.free_cores.threads(self.now))
            self.now += call_seconds
            over = used[-1] + self.neighbours - self.cores
            shares = 0.6 * max(over, 0) + self.usual_share * used[-1]
            self.waited += int(shares * call_seconds * 1e9)
        return used


def test_all_threads_while_nobody_waits() -> None:
    assert set(Machine(2, 2).run(10)) == {2}


def test_a_neighbour_takes_one_thread_until_it_leaves() -> None:
    machine = Machine(4, 4)
    machine.run(1)
    machine.neighbours = 1
    assert machine.run(3 * WINDOW_SECONDS)[-1] == 3
    used = machine.run(20)
    assert used.count(3) > 0.95 * len(used)
    assert set(used) == {3, 4}  # now and then one more is tried
    machine.neighbours = 0
    machine.run(RETRY_SECONDS + 3 * WINDOW_SECONDS)
    assert set(machine.run(10)) == {4}


@pytest.mark.parametrize("threads", [2, 16, 32, 33, 64, 128, 192])
def test_what_threads_wait_anyhow_is_no_neighbour(threads: int) -> None:
    machine = Machine(threads, threads, usual_share=0.01)
    assert set(machine.run(30)) == {threads}


@pytest.mark.parametrize("threads", [2, 16, 64])
def test_a_neighbour_is_noticed_beside_what_threads_wait_anyhow(threads: int) -> None:
    machine = Machine(threads, threads, usual_share=0.005)
    machine.run(1)
    machine.neighbours = 1
    used = machine.run(20)
    fewer = threads - -(-threads // STEP_THREADS)
    assert used.count(fewer) > 0.95 * len(used)
    assert set(used) == {fewer, threads}
    machine.neighbours = 0
    machine.run(2 * RETRY_SECONDS * (threads - fewer))
    assert set(machine.run(10)) == {threads}


@pytest.mark.parametrize("threads", [16, 64, 192])
def test_threads_are_given_up_as_quickly_whatever_their_number(threads: int) -> None:
    machine = Machine(threads, threads)
    machine.run(1)
    machine.neighbours = threads
    step = -(-threads // STEP_THREADS)
    machine.run(step * WINDOW_SECONDS)  # the window in which they came
    given_up = threads - machine.run(12 * WINDOW_SECONDS)[-1]
    assert 12 - step <= given_up <= 12 + step


def test_the_more_threads_the_fewer_looks() -> None:
    few, many = Machine(8, 8), Machine(128, 128)
    for machine in (few, many):
        machine.run(20)
    assert few.looks == pytest.approx(20 / WINDOW_SECONDS, rel=0.1)
    assert many.looks * 128 / STEP_THREADS == pytest.approx(few.looks, rel=0.1)


def test_one_thread_is_always_left() -> None:
    machine = Machine(2, 3)
    machine.neighbours = 5
    assert set(machine.run(5)[2000:]) <= {1, 2}
    assert machine.run(1)[-1] >= 1


def test_waiting_in_a_long_pause_is_not_held_against_the_calls() -> None:
    machine = Machine(2, 2)
    machine.run(1)
    machine.now += 60
    machine.waited += 50_000_000_000
    assert set(machine.run(1)) == {2}


def test_without_the_figure_all_threads_are_used() -> None:
    free_cores = FreeCores(2, lambda: None)
    assert {free_cores.threads(now / 100) for now in range(500)} == {2}


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 4)), max_size=20), st.integers(1, 5))
def test_the_number_stays_within_its_bounds(spans: list[tuple[float, int]], most: int) -> None:
    machine = Machine(4, most)
    for seconds, machine.neighbours in spans:
        assert all(1 <= used <= most for used in machine.run(seconds, 0.02))


def test_this_system_counts_the_waiting() -> None:
    first = waiting_nanoseconds()
    if first is None:
        pytest.skip("this system does not count it")
    assert 0 <= first <= (waiting_nanoseconds() or 0) + 10**12
