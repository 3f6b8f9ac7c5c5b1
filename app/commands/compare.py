"""`draftscope compare`: the same prompt at several depths, measured against each other.

The result alone goes to standard output. Texts that differ where that cannot be, under greedy decoding or
coupled acceptance, are a fault of draftscope's: the command ends with 1 and keeps both decodes as traces.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from app.commands.interrupt import INTERRUPTED, interrupt_cancels
from app.commands.terminal import StatusLine, fail, harmless
from app.standstill import standstill
from engine.errors import CheckpointError, UsageError, shown
from engine.event_json import to_json
from engine.events import Finished, Header, Prefilling, Verified, Waiting
from engine.lanes import Lane, LaneEvent, LanesFinished, LanesPlanned, LanesPrepared
from engine.lanes_report import LanesReport
from engine.options import GenerateOptions, Mode
from engine.surface import reply_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.events import Event
    from engine.surface import EngineSurface, Load, LoadSettings

MAX_TOKENS = 64
_BAR_CELLS = 20


@dataclass(frozen=True, slots=True)
class CompareArguments:
    """What was asked for on the command line."""

    model: str
    prompt: str | None
    prompts: str | None
    """A file of them."""
    depths: tuple[int, ...]
    modes: tuple[Mode, ...] | None
    """None: whoever drafts by default."""
    repeats: int
    raw: bool
    json: bool
    settings: LoadSettings
    options: Mapping[str, object]
    """The options of GenerateOptions that were given."""


def compare(arguments: CompareArguments, load: Load) -> int:
    """Print how the lanes compare; return the exit code."""
    values = {"max_tokens": MAX_TOKENS, **arguments.options}
    GenerateOptions().changed(values)  # before the weights are read, not after
    prompts = _prompts(arguments)
    status = StatusLine(sys.stderr)
    try:
        engine = load(arguments.model, arguments.settings, status.loading)
    finally:
        status.clear()
    try:
        lanes = _lanes(arguments, engine)
        measured = _Measured(
            Path(arguments.model).name or arguments.model,
            reply_options(engine, values),
            LanesReport(lanes),
            len(prompts) * arguments.repeats * len(lanes),
            status,
        )
        for warning in engine.warnings:
            _say(warning)
        with interrupt_cancels(engine.controls):
            _measure(engine, arguments, prompts, measured)
    finally:
        status.clear()
        engine.close()
    return measured.print(as_json=arguments.json)


def read_prompts(text: str, name: str) -> list[str]:
    """Return the prompts of a file: one a line, as it is or as a JSON object with `prompt`."""
    prompts: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        prompt: object = line
        if line.lstrip().startswith("{"):
            try:
                prompt = json.loads(line).get("prompt")
            except (ValueError, RecursionError):
                raise UsageError(f"{name}, line {number}, is not JSON: give one object a line.") from None
        if not isinstance(prompt, str) or not prompt.strip():
            raise UsageError(f'{name}, line {number}, has no "prompt": give it a text.')
        prompts.append(prompt)
    if not prompts:
        raise UsageError(f"{name} holds no prompt: give one a line.")
    return prompts


def _prompts(arguments: CompareArguments) -> list[str]:
    prompts = []
    if arguments.prompt is not None:
        prompts.append(os.fsencode(arguments.prompt).decode("utf-8", "replace"))
        if not prompts[0].strip():
            raise UsageError("The prompt is empty.")
    if arguments.prompts is not None:
        path = Path(arguments.prompts)
        try:
            prompts += read_prompts(path.read_text("utf-8", "replace"), shown(path))
        except OSError as error:
            raise UsageError(f"{shown(path)} cannot be read: {error.strerror}.") from None
    if not prompts:
        raise UsageError("There is nothing to compare with: give a PROMPT, or a file of them with --prompts.")
    return prompts


def _lanes(arguments: CompareArguments, engine: EngineSurface) -> tuple[Lane, ...]:
    loaded = {"has_mtp": engine.has_mtp, "has_draft_model": engine.has_draft_model}
    modes = arguments.modes or (Mode.default(**loaded),)
    for mode in modes:
        objection = mode.objection(**loaded)
        if objection is not None:
            raise (CheckpointError if mode.needs_mtp else UsageError)(objection)
    lanes = [Lane(Mode.ORDINARY, 0)] if 0 in arguments.depths else []
    for mode in modes:
        lanes += [Lane(mode, depth) for depth in ((0,) if mode is Mode.AUTO else arguments.depths)]
    return tuple(dict.fromkeys(lanes))


def _measure(
    engine: EngineSurface, arguments: CompareArguments, prompts: Sequence[str], measured: _Measured
) -> None:
    """Let the engine decode every prompt in every lane, until that is done or cannot go on."""
    from engine.text.prompt import Prompt
    from engine.text.template import Message

    encoded = []
    for text in prompts:
        prompt = Prompt(text=text) if arguments.raw else Prompt(messages=(Message("user", text),))
        encoded.append(prompt.encode(engine.tokenizer, engine.chat_template))
    for number, ids in enumerate(encoded):
        for news in engine.compare(ids, measured.report.lanes, measured.options, repeats=arguments.repeats):
            measured.take(number, news)
        if measured.broken_off:
            return


@dataclass(slots=True)
class _Measured:
    """What has come in so far, and what the terminal is told of it."""

    model: str
    options: GenerateOptions
    report: LanesReport
    runs: int
    """In all, of every prompt, repeat and lane."""
    status: StatusLine
    traces: dict[tuple[int, int, int], list[Event]] = field(default_factory=dict)
    """By lane, prompt and repeat."""
    planned: list[LanesPlanned] = field(default_factory=list)
    prepared: list[LanesPrepared] = field(default_factory=list)
    broken_off: bool = False
    error: str | None = None

    def take(self, prompt: int, news: object) -> None:
        """Keep it, and say where things are."""
        if isinstance(news, LanesPlanned):
            self.planned.append(news)
        elif isinstance(news, LanesPrepared):
            self.prepared.append(news)
        elif isinstance(news, LanesFinished):
            self.broken_off, self.error = not news.complete, news.message
        elif isinstance(news, LaneEvent):
            self._take_event(prompt, news)

    def _take_event(self, prompt: int, news: LaneEvent) -> None:
        event = news.event
        if news.lane is not None:
            self.traces.setdefault((news.lane, prompt, news.repeat), []).append(event)
            self.report.observe(prompt, news)
            if isinstance(event, (Verified, Finished)):
                self.status.show(self._progress(self.report.lanes[news.lane].label))
        elif isinstance(event, Prefilling):
            self.status.show(f"reading the prompt, layer {event.layer} of {event.layers}")
        elif isinstance(event, Waiting):
            self.status.show(f"{standstill(event)}, {event.seconds:.0f} s")

    def _progress(self, lane: str) -> str:
        done = sum(_share_done(events, self.options.max_tokens) for events in self.traces.values())
        cells = int(_BAR_CELLS * done / self.runs)
        return f"[{'#' * cells}{'-' * (_BAR_CELLS - cells)}] {done / self.runs:4.0%}  {lane}"

    def print(self, *, as_json: bool) -> int:
        """Write the result to standard output and everything else to standard error; the exit code."""
        from app.commands.compare_table import document, is_promised

        interleaved = all(planned.interleaved for planned in self.planned)
        if as_json:
            print(json.dumps(self.report.to_json(interleaved=interleaved), allow_nan=False))
        else:
            complete = self.error is None and not self.broken_off
            print(document(self.report, self.options, self.planned, self.prepared, complete=complete))
        sys.stdout.flush()
        if self.error is not None:
            return fail(self.error, 1)
        difference = self.report.first_difference()
        if difference is not None and is_promised(self.options):
            files = " and ".join(harmless(str(path)) for path in self._save(difference))
            return fail(f"The lanes' texts differ, which must not be: report it, with {files}.", 1)
        return INTERRUPTED if self.broken_off else 0

    def _save(self, places: Sequence[tuple[int, int, int]]) -> list[Path]:
        """Write decodes as traces that `draftscope replay` plays."""
        folder = Path(tempfile.mkdtemp(prefix="draftscope-compare-"))
        files = []
        for lane, prompt, repeat in places:
            which = self.report.lanes[lane]
            events = [Header(self.model, which.options(self.options)), *self.traces[lane, prompt, repeat]]
            name = f"{which.label.replace(' ', '-')}-prompt-{prompt + 1}-run-{repeat + 1}.jsonl"
            (folder / name).write_text("".join(f"{json.dumps(to_json(event))}\n" for event in events))
            files.append(folder / name)
        return files


def _share_done(events: Sequence[Event], max_tokens: int) -> float:
    if isinstance(events[-1], Finished):
        return 1.0
    return sum(len(event.tokens) for event in events if isinstance(event, Verified)) / max_tokens


def _say(text: str) -> None:
    print(harmless(text), file=sys.stderr, flush=True)
