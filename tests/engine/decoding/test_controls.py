"""Depth, mode, pace, pause, step and cancel, from the thread that decodes and from another."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from engine.decoding.controls import Controls
from engine.errors import CheckpointError, UsageError
from engine.events import Drafted, FinishReason, Verified
from engine.options import Mode
from tests.engine.decoding.replies import BASE, Outcome, options, plain, reply, watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine import Engine
    from engine.events import Event

PATIENCE = 30.0
"""Seconds after which something that should have happened has not; far more than it ever takes."""


@pytest.mark.parametrize("value", [-1, 9, 1.0, "3", None, True])
def test_depth_is_checked(value: object) -> None:
    controls = Controls(has_mtp=True)
    with pytest.raises(UsageError, match="depth must be from 0 to 8"):
        controls.depth = value  # type: ignore[assignment]
    assert controls.depth == 1


@pytest.mark.parametrize("value", ["models", "MTP", "", None, 3])
def test_mode_is_checked(value: object) -> None:
    controls = Controls(has_mtp=True)
    with pytest.raises(UsageError, match="mode must be one of ordinary, mtp, ngram"):
        controls.mode = value  # type: ignore[assignment]
    assert controls.mode is Mode.MTP


@pytest.mark.parametrize("value", [-0.5, float("nan"), float("inf"), 10**400, "2", None, True])
def test_pace_is_checked(value: object) -> None:
    controls = Controls(has_mtp=True)
    with pytest.raises(UsageError, match="pace must be 0"):
        controls.pace = value  # type: ignore[assignment]
    assert controls.pace == 0


def test_values_are_kept() -> None:
    controls = Controls(has_mtp=True, has_draft_model=True)
    for depth in range(9):
        controls.depth = depth
        assert controls.depth == depth
    for mode in Mode:
        controls.mode = mode.value
        assert controls.mode is mode
    controls.pace = 3
    assert controls.pace == 3.0


def test_without_an_mtp_layer() -> None:
    controls = Controls(has_mtp=False)
    assert controls.mode is Mode.NGRAM
    with pytest.raises(CheckpointError, match="no MTP layer: use mode ngram or ordinary"):
        controls.mode = Mode.MTP
    assert controls.mode is Mode.NGRAM
    controls.mode = Mode.ORDINARY


def test_a_reply_sets_depth_and_mode_to_its_options(engine: Engine) -> None:
    reply(engine, BASE, mode="ngram", depth=6, max_tokens=1)
    assert (engine.controls.mode, engine.controls.depth) == (Mode.NGRAM, 6)
    reply(engine, BASE, max_tokens=1)
    assert (engine.controls.mode, engine.controls.depth) == (Mode.MTP, 1)


def never(*_args: object) -> None:
    """Stand in for a wait that must not happen."""
    raise AssertionError("the engine waited")


def test_at_full_speed_nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    controls = Controls(has_mtp=True)
    monkeypatch.setattr(threading.Condition, "wait", never)
    controls.hold(time.perf_counter())
    controls.pace = 1e-6
    controls.hold(time.perf_counter() - 1e7)  # the last round is long ago
    controls.cancel()
    controls.hold(time.perf_counter())  # cancelled: at once, whatever the pace
    controls.pause()
    controls.hold(time.perf_counter())


@pytest.mark.parametrize("pace", [1e-11, 5e-324])
def test_at_a_tiny_pace_it_waits_no_longer_at_once_than_the_system_can(
    monkeypatch: pytest.MonkeyPatch, pace: float
) -> None:
    controls = Controls(has_mtp=True)
    waits: list[float] = []

    def wait(_self: threading.Condition, timeout: float | None = None) -> bool:
        assert timeout is not None
        waits.append(timeout)
        if len(waits) == 3:
            controls.pace = 0.0
        return False

    monkeypatch.setattr(threading.Condition, "wait", wait)
    controls.pace = pace
    controls.hold(time.perf_counter())
    assert len(waits) == 3
    assert 0 < max(waits) < threading.TIMEOUT_MAX


class Elsewhere:
    """`hold` in another thread, which ends when the engine may go on."""

    def __init__(self, controls: Controls) -> None:
        self.waited = -1.0
        self._controls = controls
        self._thread = threading.Thread(target=self._hold, daemon=True)
        self._thread.start()

    def _hold(self) -> None:
        self.waited = self._controls.hold(time.perf_counter())

    def ends(self) -> bool:
        """Whether it ends in good time."""
        self._thread.join(PATIENCE)
        return not self._thread.is_alive()

    def stands(self) -> bool:
        """Whether it still waits after a moment."""
        self._thread.join(0.05)
        return self._thread.is_alive()


def slow_pace(controls: Controls) -> None:
    """A round an hour."""
    controls.pace = 1 / 3600


def pause(controls: Controls) -> None:
    """Until it is resumed."""
    controls.pause()


def full_speed(controls: Controls) -> None:
    """No pace at all."""
    controls.pace = 0


@pytest.mark.parametrize(
    ("stop", "go"),
    [
        (slow_pace, full_speed),
        (slow_pace, Controls.cancel),
        (pause, Controls.resume),
        (pause, Controls.step),
        (pause, Controls.cancel),
    ],
)
def test_what_makes_it_wait_and_what_makes_it_go_on_at_once(
    stop: Callable[[Controls], None], go: Callable[[Controls], None]
) -> None:
    controls = Controls(has_mtp=True)
    stop(controls)
    holding = Elsewhere(controls)
    assert holding.stands()
    go(controls)
    assert holding.ends()
    assert 0.03 < holding.waited < PATIENCE


def test_a_pause_while_it_waits_for_its_pace() -> None:
    controls = Controls(has_mtp=True)
    slow_pace(controls)
    holding = Elsewhere(controls)
    controls.pause()
    controls.pace = 0
    assert holding.stands(), "paused, so the pace does not matter"
    controls.resume()
    assert holding.ends()


def test_a_step_is_one_round_and_needs_a_pause() -> None:
    controls = Controls(has_mtp=True)
    controls.step()  # not paused: nothing to step
    controls.pause()
    assert controls.paused
    holding = Elsewhere(controls)
    assert holding.stands()
    controls.step()
    assert holding.ends()
    holding = Elsewhere(controls)
    assert holding.stands(), "one step, one round"
    controls.step()
    controls.step()
    assert holding.ends()
    assert Elsewhere(controls).ends(), "the second step was kept"
    holding = Elsewhere(controls)
    assert holding.stands()
    controls.resume()
    assert holding.ends()
    assert not controls.paused


def test_steps_that_were_not_taken_are_forgotten() -> None:
    controls = Controls(has_mtp=True)
    for forget in (Controls.pause, Controls.begin):
        controls.pause()
        controls.step()
        forget(controls)
        holding = Elsewhere(controls)
        assert holding.stands()
        controls.resume()
        assert holding.ends()


def test_a_cancel_is_for_the_reply_under_way() -> None:
    controls = Controls(has_mtp=True)
    controls.cancel()
    assert controls.cancelled
    controls.begin()
    assert not controls.cancelled


@pytest.fixture
def running(engine_of: Callable[[str], Engine]) -> Iterator[Running]:
    """A reply decoded in another thread, paused before its first round."""
    engine = engine_of("fp8")
    engine.controls.pause()
    reply_ = Running(engine)
    yield reply_
    engine.controls.cancel()
    engine.controls.resume()
    reply_.thread.join(PATIENCE)
    engine.controls.begin()
    assert not reply_.thread.is_alive()


class Running:
    """A reply under way in another thread, and its events so far."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.events: list[Event] = []
        self._news = threading.Condition()
        self.thread = threading.Thread(target=self._run, args=(engine.generate(BASE, options(depth=2)),))
        self.thread.start()

    def _run(self, events: Iterator[Event]) -> None:
        for event in events:
            with self._news:
                self.events.append(event)
                self._news.notify_all()

    def rounds(self) -> int:
        """Rounds done so far."""
        return sum(isinstance(event, Verified) for event in self.events)

    def reaches(self, rounds: int) -> bool:
        """Whether that many rounds are done in good time, and no more follow within a moment."""
        with self._news:
            if not self._news.wait_for(lambda: self.rounds() >= rounds, PATIENCE):
                return False
        time.sleep(0.05)
        return self.rounds() == rounds


def test_step_and_resume_a_reply_from_another_thread(running: Running) -> None:
    controls = running.engine.controls
    assert running.reaches(1), "the prompt is read and its token shown, paused or not"
    for number in (2, 3, 4):
        controls.step()
        assert running.reaches(number)
    controls.depth, controls.mode = 3, "ngram"
    controls.step()
    assert running.reaches(5)
    last = running.events[-1]
    assert isinstance(last, Verified)
    assert last.mode is Mode.NGRAM
    controls.resume()
    running.thread.join(PATIENCE)
    outcome = Outcome(tuple(running.events))
    assert outcome.finished.reason is FinishReason.LENGTH
    assert outcome.ids == plain(running.engine, BASE)


def test_cancel_a_paused_reply_from_another_thread(running: Running) -> None:
    assert running.reaches(1)
    running.engine.controls.cancel()
    running.thread.join(PATIENCE)
    outcome = Outcome(tuple(running.events))
    assert outcome.finished.reason is FinishReason.CANCELLED
    assert outcome.ids == plain(running.engine, BASE)[:1]


def test_waiting_and_whoever_reads_the_events_cost_the_reply_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that only moves while the engine waits, and while its events are read, shows no time passed."""
    now = [100.0]
    waits: list[float] = []

    def wait(_self: threading.Condition, timeout: float | None = None) -> bool:
        assert timeout is not None
        waits.append(timeout)
        now[0] += timeout
        return False

    def between(event: Event) -> bool:
        now[0] += 0.125 if isinstance(event, Drafted) else 0.0
        return True

    text = plain(engine, BASE)
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(threading.Condition, "wait", wait)
    engine.controls.pace = 2.0
    try:
        outcome = watched(engine, BASE, between, depth=2)
    finally:
        engine.controls.pace = 0.0
    assert outcome.ids == text
    assert outcome.finished.seconds == 0.0
    assert all(event.draft_seconds == event.verify_seconds == 0.0 for event in outcome.verified)
    rounds = outcome.verified[1:]
    drafting = [event.depth > 0 for event in rounds]
    # Half a second from the beginning of one round to that of the next, the reading of events included.
    expected = [0.5, *(0.375 if drafted else 0.5 for drafted in drafting[:-1])]
    assert waits == pytest.approx(expected)


def test_closing_an_engine_ends_its_reply(fresh: Callable[..., Engine]) -> None:
    with fresh("f32") as engine:
        events = engine.generate(BASE, options())
        first = [next(events), next(events)]
    rest = list(events)
    outcome = Outcome((*first, *rest))
    assert outcome.finished.reason is FinishReason.CANCELLED
    assert not any(isinstance(event, Verified) for event in rest)
