"""The emulated drive: never faster than its rate, never slower while it is busy, whoever asks."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.offload.throttle import Throttle


class Clock:
    """Time that passes only while somebody sleeps, or when the test says so."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@given(st.lists(st.tuples(st.integers(1, 10**8), st.sampled_from([0.0, 0.0, 0.001, 5.0])), min_size=1))
def test_each_read_ends_when_the_drive_would_have_delivered_it(reads: list[tuple[int, float]]) -> None:
    clock = Clock()
    throttle = Throttle(1e6, clock, clock.sleep)
    free = clock.now
    for size, idle in reads:
        clock.now += idle
        free = max(free, clock.now) + size / 1e6
        throttle.take(size)
        assert clock.now == pytest.approx(free)


def test_time_spent_otherwise_is_not_waited_for_again() -> None:
    clock = Clock()
    throttle = Throttle(100.0, clock, clock.sleep)
    throttle.take(100)
    assert clock.now == 51
    clock.now = 60.0
    throttle.take(100)
    assert clock.now == 61, "nothing is saved up while nobody reads"


def test_threads_share_one_drive() -> None:
    lock = threading.Lock()
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        with lock:
            waits.append(seconds)

    throttle = Throttle(1000.0, lambda: 0.0, sleep)  # a clock that stands still: all come at once

    def read() -> None:
        for _ in range(50):
            throttle.take(10)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == pytest.approx([0.01 * place for place in range(1, 201)])
