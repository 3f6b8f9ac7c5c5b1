"""A pretend engine for tests of the screen and its benchmarks: no model, no process, no thread.

It is called "scripted" wherever a model's name stands. Everything it says follows from its seed and from
what it is asked; `drain` moves it on, by a number of rounds or by a clock. A round takes two drains at least:
its drafts are news of one, their verification of the next, so that they can be seen.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from app.backends.base import (
    CacheKept,
    ComparisonNews,
    ExpertsSeen,
    Loaded,
    Loading,
    Lost,
    Memory,
    Refused,
    Trimmed,
)
from app.backends.scripted_job import ScriptedJob
from app.backends.scripted_lanes import scripted_lanes
from app.backends.scripted_prompt import ScriptedPrompt
from app.backends.scripted_reply import ScriptedReply
from engine.errors import UsageError
from engine.events import Finished, FinishReason, Header, Prefilled, Prefilling, Verified
from engine.experts import ExpertUse, UnionRow
from engine.lanes import LaneEvent, LanesFinished
from engine.options import GenerateOptions, Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from app.backends.base import ChatMessage, News
    from engine.lanes import Lane, LanesNews

MODEL = "scripted"
_WEIGHTS_BYTES = 671_000_000
_MEMORY = Memory(350_000_000, 500_000_000)
_NOT_RUNNING = "The scripted engine is not running: restart it first."


class ScriptedBackend:
    """See the module."""

    def __init__(
        self,
        seed: int = 0,
        *,
        reply_tokens: int = 80,
        acceptance: Sequence[float] = (0.8, 0.55, 0.35, 0.25),
        rounds_per_second: float = 0.0,
        rounds_per_drain: int = 1,
        context: int = 4096,
        has_mtp: bool = True,
        fail_after_rounds: int | None = None,
        lose_after_rounds: int | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Drafts of each position are right at the rates of `acceptance`, later ones never.

        Without a `rounds_per_second` and without a pace every drain does `rounds_per_drain`. The first reply
        to come so far ends with an error after `fail_after_rounds`, or is lost after `lose_after_rounds`.
        """
        self._seed, self._reply_tokens, self._acceptance = seed, reply_tokens, tuple(acceptance)
        self._rounds_per_second, self._rounds_per_drain = rounds_per_second, rounds_per_drain
        self._context, self._has_mtp, self._clock = context, has_mtp, clock
        self._fail_after, self._lose_after = fail_after_rounds, lose_after_rounds
        self._news: list[News] = []
        self._loading: deque[tuple[News, ...]] = deque()
        self._is_running = False
        self._settings: dict[str, object] = {}
        self._pace = 0.0
        self._paused = False
        self._steps = 0
        self._jobs: deque[ScriptedJob] = deque()
        """The first one is under way."""
        self._at = 0.0
        """Until when rounds have been done, by the clock."""
        self._cached_tokens = 0

    @property
    def is_live(self) -> bool:
        """Replies can be asked for."""
        return True

    def start(self) -> None:
        """Pretend to load, which takes two drains."""
        self._is_running, self._paused = True, False
        file, half = "scripted.safetensors", _WEIGHTS_BYTES // 2
        options = GenerateOptions(mode=Mode.MTP if self._has_mtp else Mode.NGRAM)
        loaded = Loaded(MODEL, self._context, self._has_mtp, options, _WEIGHTS_BYTES)
        self._loading.append((Loading(file, half, _WEIGHTS_BYTES),))
        self._loading.append((Loading(file, _WEIGHTS_BYTES, _WEIGHTS_BYTES), loaded, _MEMORY))

    def drain(self) -> Sequence[News]:
        """Move on, and return what has happened since the last call."""
        if self._loading:
            self._news += self._loading.popleft()
        elif self._jobs:
            self._advance(self._jobs[0])
        news, self._news = self._news, []
        return news

    def generate(self, messages: Sequence[ChatMessage], options: Mapping[str, object]) -> None:
        """Ask for a reply."""
        try:
            GenerateOptions().changed(options)
            if not self._is_running:
                raise UsageError(_NOT_RUNNING)
        except UsageError as error:
            self._news.append(Finished(FinishReason.ERROR, 0, 0.0, str(error)))
            return
        self._jobs.append(ScriptedJob(tuple(messages), dict(options)))

    def change(self, values: Mapping[str, object]) -> None:
        """Set options, and pace; depth and mode hold from the next round."""
        changed = dict(values)
        pace = changed.pop("pace", self._pace)
        try:
            GenerateOptions().changed(changed)
            if isinstance(pace, bool) or not isinstance(pace, (int, float)) or not 0 <= pace < float("inf"):
                raise UsageError(f"pace must be 0 (full speed) or rounds a second, not {pace!r}.")
            if changed.get("mode") == Mode.MTP and not self._has_mtp:
                raise UsageError("This checkpoint has no MTP layer: use mode ngram or ordinary.")
        except UsageError as error:
            self._news.append(Refused("set", str(error)))
            return
        if pace != self._pace:
            self._pace, self._at = float(pace), self._clock()
        self._settings |= changed
        live: dict[str, object] = {name: changed[name] for name in ("depth", "mode") if name in changed}
        for job in self._jobs:
            if job.comparison is None:
                job.values |= live
                job.options = job.options.changed(live)

    def cancel(self) -> None:
        """End all that was asked for so far."""
        for job in self._jobs:
            if job.comparison is not None:
                self._news.append(ComparisonNews(LanesFinished(complete=False)))
            elif job.reply is not None:
                self._news.append(job.reply.finished(FinishReason.CANCELLED))
            else:
                self._news += (
                    Header(MODEL, self._options(job)),
                    Finished(FinishReason.CANCELLED, 0, 0.0),
                )
        self._jobs.clear()

    def pause(self, on: bool) -> None:
        """Stand still before the next round, or go on."""
        self._paused, self._steps = on, 0

    def step(self) -> None:
        """Do one round while paused."""
        if self._paused:
            self._steps += 1

    def compare(
        self,
        messages: Sequence[ChatMessage],
        lanes: Sequence[Lane],
        max_tokens: int,
        repeats: int,
        options: Mapping[str, object],
    ) -> None:
        """Decode the script's reply in every lane."""
        if not self._is_running:
            self._news.append(ComparisonNews(LanesFinished(complete=False, message=_NOT_RUNNING)))
            return
        job = ScriptedJob(tuple(messages), {**options, "max_tokens": max_tokens})
        chosen = self._options(job)
        prompt = ScriptedPrompt.of(messages, self._seed, chosen, self._context)
        job.comparison = scripted_lanes(prompt, lanes, chosen, repeats, self._reply_tokens, self._acceptance)
        self._jobs.append(job)

    def wiring(self) -> None:
        """Refuse: a script has no layer to run."""
        self._news.append(Refused("wiring", "The scripted engine has no MTP layer to run."))

    def experts(self) -> None:
        """Tell of two layers of eight experts that the script pretends to have."""
        use = ExpertUse(
            (1, 2), 8, 2, (tuple(range(8)), (5, 0) * 4), (UnionRow(1, 28, 2.0),), ((5, 6, 7), (0, 2))
        )
        self._news.append(ExpertsSeen(use))

    def keep_cache(self, path: Path) -> None:
        """Say so at once, without a file: a script has no cache."""
        self._news.append(CacheKept(0))

    def recall_cache(self, path: Path) -> None:
        """Do nothing: a script has no cache."""

    def restart(self) -> None:
        """Load again; what was set still holds."""
        self._jobs.clear()
        self._loading.clear()
        self.start()

    def close(self) -> None:
        """End everything."""
        self._is_running = False
        self._jobs.clear()
        self._loading.clear()

    def _options(self, job: ScriptedJob) -> GenerateOptions:
        base = GenerateOptions(mode=Mode.MTP if self._has_mtp else Mode.NGRAM)
        return base.changed({**self._settings, **job.values})

    def _advance(self, job: ScriptedJob) -> None:
        if job.comparison is not None:
            self._compare(job, job.comparison)
        elif job.reply is None:
            self._begin(job)
        elif not job.prefilled:
            self._prefill(job, job.reply)
        else:
            for _ in range(self._rounds_due(job)):
                if self._jobs and self._jobs[0] is job and job.reply is not None:
                    self._round(job, job.reply)

    def _begin(self, job: ScriptedJob) -> None:
        """Open a reply."""
        job.options, job.prefilled, job.drafted = self._options(job), False, False
        prompt = ScriptedPrompt.of(job.messages, self._seed, job.options, self._context)
        if prompt.dropped_turns:
            self._news.append(Trimmed(prompt.dropped_turns))
        job.prompt_tokens = prompt.tokens
        job.reply = ScriptedReply(prompt.key, job.options, self._reply_tokens, prompt.room, self._acceptance)
        self._news.append(Header(MODEL, job.options))
        if prompt.room < 1:
            message = f"The prompt has {job.prompt_tokens:,} tokens and the context holds {self._context:,}."
            self._end(job.reply.finished(FinishReason.ERROR, message))
        else:
            self._news.append(Prefilling(1, 3, job.prompt_tokens, 0, 0.0005 * job.prompt_tokens))

    def _compare(self, job: ScriptedJob, comparison: Iterator[LanesNews]) -> None:
        """Go on to the end of as many rounds as a drain does."""
        rounds = 0
        for news in comparison:
            self._news.append(ComparisonNews(news))
            if isinstance(news, LanesFinished):
                self._jobs.popleft()
                return
            if isinstance(news, LaneEvent) and isinstance(news.event, Verified):
                rounds += 1
                job.compared_rounds += 1
                if job.compared_rounds == self._lose_after:
                    self._lose(job)
                    return
            if rounds == self._rounds_per_drain:
                return

    def _prefill(self, job: ScriptedJob, reply: ScriptedReply) -> None:
        reused = min(self._cached_tokens, job.prompt_tokens - 1)
        self._cached_tokens, job.prefilled = job.prompt_tokens, True
        self._news.append(Prefilled(job.prompt_tokens, reused, 0.001 * (job.prompt_tokens - reused)))
        self._at = self._clock()
        reply.draft(job.options.mode, 0)
        job.drafted = True
        self._round(job, reply)

    def _rounds_due(self, job: ScriptedJob) -> int:
        rates = (self._rounds_per_second, self._pace)
        rate = min((each for each in rates if each > 0), default=0.0)
        now = self._clock()
        if rate == 0 or (self._paused and not job.drafted):
            self._at = now  # a pause is not made up for
            return self._rounds_per_drain
        due = int((now - self._at) * rate)
        self._at += due / rate
        return due

    def _round(self, job: ScriptedJob, reply: ScriptedReply) -> None:
        """Verify what was drafted, and draft again."""
        if job.drafted:
            self._news.append(reply.verify())
            job.drafted = False
            if reply.reason is not None:
                self._end(reply.finished(reply.reason))
                return
            if reply.rounds == self._lose_after:
                self._news.append(reply.finished(FinishReason.ERROR, "The scripted engine was lost."))
                self._lose(job)
                return
            if reply.rounds == self._fail_after:
                self._fail_after = None
                message = "The script says that this reply fails; what there is of it is kept."
                self._end(reply.finished(FinishReason.ERROR, message))
                return
        if self._paused:
            if not self._steps:
                return
            self._steps -= 1
        drafted = reply.draft(job.options.mode, job.options.depth)
        job.drafted = True
        if drafted is not None:
            self._news.append(drafted)

    def _end(self, finished: Finished) -> None:
        self._jobs.popleft()
        self._news += (finished, _MEMORY)

    def _lose(self, job: ScriptedJob) -> None:
        self._lose_after, self._is_running = None, False
        self._jobs.clear()
        message = "The scripted engine was lost, as it was told: your next prompt starts it again."
        self._news.append(Lost(message))
        if job.comparison is not None:
            self._news.append(ComparisonNews(LanesFinished(complete=False, message=message)))
