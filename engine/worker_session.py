"""What the worker holds between commands: the engine, the settings, and how a reply is carried out.

Methods marked so are called by the listening thread while the main thread decodes; everything they share
is under one lock. Whatever was heard after a job was asked for holds over what the job was asked with.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import DraftscopeError, UsageError
from engine.event_json import to_json
from engine.events import Finished, FinishReason, Header, Prefilled, Verified
from engine.lanes import LanesFinished
from engine.lanes_json import to_json as lanes_to_json
from engine.options import GenerateOptions, checked_pace
from engine.surface import reply_options
from engine.worker_job import sentence
from engine.worker_memory import used_bytes
from engine.worker_prompt import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from engine.lanes import Lane
    from engine.surface import EngineSurface, Load, LoadSettings
    from engine.text.prompt import Prompt
    from engine.worker_job import Job

PROGRESS_SECONDS = 0.1
"""How often loading says where it is."""

_UNSAID = "The engine ended without saying why."

MEMORY_SECONDS = 1.0
"""How often decoding says what memory is used."""


class Session:
    """One engine, the jobs asked of it, and the settings that hold between them."""

    def __init__(self, send: Callable[[Mapping[str, object]], None], load: Load) -> None:
        self._send = send
        self._load = load
        self._engine: EngineSurface | None = None
        self._model = ""
        self._settings: dict[str, object] = {}
        self._pace = 0.0
        self._measuring = False
        self._memory_told = 0.0
        self._jobs: list[Job] = []
        self._lock = threading.Lock()

    @property
    def engine(self) -> EngineSurface:
        """The engine; UsageError while there is none."""
        if self._engine is None:
            raise UsageError("No checkpoint is loaded; send load first.")
        return self._engine

    def add(self, job: Job) -> None:
        """Count a job in, from the listening thread: what is heard from now on concerns it."""
        with self._lock:
            self._jobs.append(job)

    def remove(self, job: Job) -> None:
        """Count a job out."""
        with self._lock:
            self._jobs.remove(job)

    def cancel(self) -> None:
        """End what was asked for so far and nothing asked for later. From the listening thread."""
        with self._lock:
            for job in self._jobs:
                job.cancelled = True
            if self._engine is not None and self._jobs:
                self._engine.controls.cancel()

    def change(self, values: Mapping[str, object]) -> None:
        """Set options, and pace, from the listening thread. Depth, mode and pace hold at once."""
        values = dict(values)
        given = values.pop("pace", None)
        pace = None if given is None else checked_pace(given)
        mode = GenerateOptions().changed(values).mode
        live: dict[str, object] = {name: values[name] for name in ("depth", "mode") if name in values}
        with self._lock:
            if self._engine is not None:  # the mode is refused before anything is kept
                if "mode" in live:
                    mode.check(has_mtp=self._engine.has_mtp, has_draft_model=self._engine.has_draft_model)
                if not self._measuring:
                    _apply(self._engine, live)
            if pace is not None:
                self._pace = pace
                if self._engine is not None and not self._measuring:
                    self._engine.controls.pace = self._pace
            self._settings.update(values)
            for job in self._jobs:
                job.changed.update(live)

    def open(self, path: str, settings: LoadSettings) -> None:
        """Load a checkpoint in place of the one there is."""
        self.close()  # first, since memory may not hold both
        reported = 0.0

        def progress(done_bytes: int, total_bytes: int, what: str) -> None:
            nonlocal reported
            now = time.perf_counter()
            if now - reported >= PROGRESS_SECONDS or done_bytes >= total_bytes:
                reported = now
                line = {"what": what, "done_bytes": done_bytes, "total_bytes": total_bytes}
                self._send({"event": "loading", **line})

        engine = self._load(path, settings, progress)
        refused = None
        with self._lock:
            self._engine, self._model = engine, Path(path).name or path
            try:
                _apply(engine, self._settings)
            except DraftscopeError as error:  # the mode, which the last checkpoint could run
                del self._settings["mode"]
                refused = error
            engine.controls.pace = self._pace
            header = Header(self._model, reply_options(engine, self._settings))
        self._send(
            {
                "event": "loaded",
                "model": self._model,
                "context": engine.context,
                "mtp": engine.has_mtp,
                "draft_model": engine.has_draft_model,
                "tokenizer": engine.tokenizer is not None,
                "chat_template": engine.chat_template is not None,
                "weights_bytes": engine.weights_bytes,
                "warnings": list(engine.warnings),
                "options": to_json(header)["options"],
            }
        )
        self._tell_memory()
        if refused is not None:
            raise refused

    def close(self) -> None:
        """Let the engine go, and with it its memory."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def reply(self, job: Job, prompt: Prompt, values: Mapping[str, object], *, fit: bool = False) -> None:
        """Decode one reply and send its events."""
        ids = self._encode(prompt, fit)
        with self._lock:
            chosen = {**self._settings, **values, **job.changed}
        self._decode(job, ids, reply_options(self.engine, chosen))

    def compare(
        self,
        job: Job,
        prompt: Prompt,
        values: Mapping[str, object],
        lanes: Sequence[Lane],
        repeats: int,
        *,
        fit: bool = False,
    ) -> None:
        """Decode the reply in every lane; its last line is the one `LanesFinished`, unless this raises."""
        ids = self._encode(prompt, fit)
        finished = LanesFinished(complete=False, message=None if job.cancelled else _UNSAID)
        with self._deaf(values) as options:
            # A cancel heard before this is wiped out when the engine begins, and done again by `_catch_up`.
            news = iter(()) if job.cancelled else self.engine.compare(ids, lanes, options, repeats=repeats)
            for each in news:
                if isinstance(each, LanesFinished):
                    finished = each
                    break
                self._send(lanes_to_json(each))
                self._tell_memory(MEMORY_SECONDS)
                self._catch_up(job)
        self._send(lanes_to_json(finished))

    def wiring(self, job: Job, text: str | None) -> None:
        """Run the wiring lab and send its report, or None for one that was cancelled."""

        def progress(done: int, total: int, what: str) -> None:
            self._send({"event": "wiring_progress", "done": done, "total": total, "what": what})
            self._catch_up(job)

        with self._deaf({}):
            report = None if job.cancelled else self.engine.wiring(text, progress)
        if report is not None:
            report = replace(report, model=self._model)
        self._send({"event": "wiring", "report": None if report is None else report.to_json()})

    @contextmanager
    def _deaf(self, values: Mapping[str, object]) -> Iterator[GenerateOptions]:
        """Decode for figures' sake: at full speed, and deaf to changes; yields the options to do it with."""
        engine = self.engine
        with self._lock:
            options = reply_options(engine, {**self._settings, **values})
            self._measuring = True
            engine.controls.pace = 0.0
        try:
            yield options
        finally:
            with self._lock:
                self._measuring = False
                engine.controls.pace = self._pace

    def keep_cache(self, path: str) -> None:
        """Write the last text and its caches to a file."""
        kept = self.engine.keep_cache(Path(path))
        self._send({"event": "kept", "bytes": kept.bytes, "tokens": kept.tokens})

    def recall_cache(self, path: str) -> None:
        """Have a kept text's caches in place of the last one's."""
        self._send({"event": "recalled", "tokens": self.engine.recall_cache(Path(path))})

    def _encode(self, prompt: Prompt, fit: bool) -> list[int]:
        """Return the prompt's ids, without its oldest turns if it is to fit and does not."""
        ids, dropped_turns = encode(self.engine, prompt, fit=fit)
        if dropped_turns:
            self._send({"event": "dropped", "turns": dropped_turns})
        return ids

    def _tell_memory(self, every_seconds: float = 0.0) -> None:
        """Send what memory is used, if that was not done so lately."""
        now = time.perf_counter()
        if now - self._memory_told >= every_seconds:
            self._memory_told = now
            self._send(
                {"event": "memory", "used_bytes": used_bytes(), "budget_bytes": self.engine.budget_bytes}
            )

    def _decode(self, job: Job, ids: list[int], options: GenerateOptions) -> None:
        """Send a reply's events, from header to finished whatever happens."""
        tokens, seconds = 0, 0.0
        self._send(to_json(Header(self._model, options)))
        if job.cancelled:
            self._send(to_json(Finished(FinishReason.CANCELLED, 0, 0.0)))
            return
        try:
            for event in self.engine.generate(ids, options):
                self._send(to_json(event))
                if isinstance(event, Finished):
                    return
                self._tell_memory(MEMORY_SECONDS)
                if isinstance(event, Prefilled):
                    seconds += event.seconds
                elif isinstance(event, Verified):
                    tokens += len(event.tokens)
                    seconds += event.draft_seconds + event.verify_seconds
                self._catch_up(job)
            message = _UNSAID
        except Exception as error:
            message = sentence(error)
        self._send(to_json(Finished(FinishReason.ERROR, tokens, seconds, message)))

    def _catch_up(self, job: Job) -> None:
        """Do again what was heard after the job began and before the engine took its options."""
        with self._lock:
            if job.cancelled:
                self.engine.controls.cancel()
            if job.changed and not self._measuring:
                _apply(self.engine, job.changed)
                job.changed.clear()


def _apply(engine: EngineSurface, values: Mapping[str, object]) -> None:
    """Put depth and mode, where they are among the values, into the engine's controls."""
    options = GenerateOptions().changed({name: values[name] for name in ("depth", "mode") if name in values})
    if "mode" in values:
        engine.controls.mode = options.mode
    if "depth" in values:
        engine.controls.depth = options.depth
