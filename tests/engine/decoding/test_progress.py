"""When a prompt's pass says how far it is, and a round that it stands still: by a clock of the test's own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from engine.decoding.progress import PromptProgress, Standstill
from engine.events import Phase, Prefilling, Waiting
from engine.offload.traffic import SharedTraffic, Traffic

if TYPE_CHECKING:
    from engine.offload.traffic import TrafficSource


class Weights:
    """They wait as long as the test says."""

    def __init__(self) -> None:
        self.wait_seconds = 0.0
        self.bytes_read = 0

    def traffic(self) -> Traffic:
        return Traffic(wait_seconds=self.wait_seconds, bytes_read=self.bytes_read)


def standstill(weights: TrafficSource) -> Standstill:
    return Standstill(weights, 3, Phase.DRAFTING, 61)


def test_every_second_of_waiting_is_told() -> None:
    weights = Weights()
    weights.wait_seconds = 100.0  # by earlier rounds
    told = standstill(weights)
    found = []
    for _ in range(12):
        weights.wait_seconds += 0.25
        found.append(told(0))
    waits = [event for event in found if event is not None]
    assert [found.index(event) for event in waits] == [4, 9], "more than a second each"
    assert waits == [
        Waiting(3, 0, 61, 1.25, Phase.DRAFTING),
        Waiting(3, 0, 61, 2.5, Phase.DRAFTING),
    ]


def test_what_computes_does_not_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = Weights()
    told = standstill(weights)
    monkeypatch.setattr("time.perf_counter", lambda: 1e9)
    weights.wait_seconds = 0.9
    assert [told(0) for _ in range(1000)] == [None] * 1000


def test_a_layer_that_is_done_begins_a_new_stretch() -> None:
    weights = Weights()
    told = standstill(weights)
    weights.wait_seconds = 0.9
    assert told(0) is None
    weights.wait_seconds = 1.8
    assert told(1) is None
    weights.wait_seconds = 3.0
    event = told(1)
    assert event is not None
    assert (event.layer, event.seconds) == (1, pytest.approx(1.2))
    weights.wait_seconds = 4.5  # the next draft begins with the first layer again
    assert told(0) is None


def test_waits_of_both_models_count() -> None:
    both = Weights(), Weights()
    told = standstill(SharedTraffic(both))
    both[0].wait_seconds, both[1].wait_seconds = 0.6, 0.7
    event = told(0)
    assert event is not None
    assert event.seconds == pytest.approx(1.3)
    assert SharedTraffic(both).traffic() == both[0].traffic() + both[1].traffic()


def test_a_prompt_is_told_of_four_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, now = Weights(), 50.0
    monkeypatch.setattr("engine.decoding.progress.time", SimpleNamespace(perf_counter=lambda: now))
    weights.bytes_read = 1000
    told = PromptProgress(weights, 61, 57)
    weights.bytes_read = 1700
    found = []
    for _ in range(8):
        now += 0.125
        found.append(told(2))
    assert found == [
        None if beat % 2 == 0 else Prefilling(2, 61, 57, 700, (beat + 1) * 0.125) for beat in range(8)
    ]
