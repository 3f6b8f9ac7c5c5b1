"""What may change while a reply is being decoded, from any thread. It holds from the next round."""

from __future__ import annotations

import threading
import time

from engine.errors import UsageError
from engine.options import MAX_DEPTH, Mode, checked_pace

_LONGEST_WAIT = 3600.0
"""Seconds; `hold` looks again after each. A tiny pace asks for centuries, which the system refuses."""


class Controls:
    """Depth, mode and pace of the engine, and the verbs cancel, pause, resume and step."""

    def __init__(self, has_mtp: bool, has_draft_model: bool = False) -> None:
        self._changed = threading.Condition()
        self._has_mtp, self._has_draft_model = has_mtp, has_draft_model
        self._depth = 1
        self._mode = Mode.default(has_mtp=has_mtp, has_draft_model=has_draft_model)
        self._pace = 0.0
        self._paused = False
        self._steps = 0
        self._cancelled = False

    @property
    def depth(self) -> int:
        """Tokens drafted a round, 0 to 8; mode auto chooses its own."""
        return self._depth

    @depth.setter
    def depth(self, value: int) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_DEPTH:
            raise UsageError(f"depth must be from 0 to {MAX_DEPTH}, not {value!r}.")
        self._depth = value

    @property
    def mode(self) -> Mode:
        """Who drafts."""
        return self._mode

    @mode.setter
    def mode(self, value: Mode | str) -> None:
        if value not in set(Mode):
            raise UsageError(f"mode must be one of {', '.join(Mode)}, not {value!r}.")
        mode = Mode(value)
        mode.check(has_mtp=self._has_mtp, has_draft_model=self._has_draft_model)
        self._mode = mode

    @property
    def pace(self) -> float:
        """Rounds a second that the engine is held to; 0 is full speed."""
        return self._pace

    @pace.setter
    def pace(self, value: float) -> None:
        pace = checked_pace(value)
        with self._changed:
            self._pace = pace
            self._changed.notify_all()

    @property
    def paused(self) -> bool:
        """Whether the engine stands before the next round until it is resumed or stepped."""
        return self._paused

    def pause(self) -> None:
        """Stand still before the next round."""
        with self._changed:
            self._paused = True
            self._steps = 0

    def resume(self) -> None:
        """Go on."""
        with self._changed:
            self._paused = False
            self._changed.notify_all()

    def step(self) -> None:
        """Do one round, if paused."""
        with self._changed:
            if self._paused:
                self._steps += 1
                self._changed.notify_all()

    def cancel(self) -> None:
        """End the reply under way at the next step of its pass. Without one, nothing happens."""
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()

    @property
    def cancelled(self) -> bool:
        """Whether the reply under way is to end."""
        return self._cancelled

    def begin(self) -> None:
        """A reply begins: forget a cancel that was meant for the one before."""
        with self._changed:
            self._cancelled = False
            self._steps = 0

    def hold(self, last_round_at: float) -> float:
        """Wait until the next round may run, or the reply is cancelled; the seconds that took.

        `last_round_at` is the perf_counter time at which the last round began. Changes of pace, and pause,
        resume and step, act at once.
        """
        began = time.perf_counter()
        with self._changed:
            while not self._cancelled:
                if self._paused:
                    if self._steps:
                        self._steps -= 1
                        break
                    self._changed.wait()
                    continue
                left = last_round_at + 1 / self._pace - time.perf_counter() if self._pace else 0.0
                if left <= 0:
                    break
                self._changed.wait(min(left, _LONGEST_WAIT))
        return time.perf_counter() - began
