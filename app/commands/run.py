"""`draftscope run`: one reply to standard output, for pipes and screen readers."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.commands.output import IdsOutput, JsonOutput, TextOutput
from app.commands.terminal import StatusLine, harmless
from engine.decoding.counters import Counters
from engine.errors import UsageError
from engine.events import Finished, FinishReason, Header, Prefilled, Prefilling, Verified
from engine.options import GenerateOptions
from engine.surface import reply_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from app.commands.output import Output
    from engine.surface import ControlsSurface, EngineSurface, Load
    from engine.text.prompt import Prompt

INTERRUPTED = 130
"""Exit code after ctrl+c, as shells have it."""


@dataclass(frozen=True, slots=True)
class RunArguments:
    """What was asked for on the command line."""

    model: str
    prompt: str | None
    """`-` stands for standard input."""
    ids: tuple[int, ...] | None
    system: str | None
    raw: bool
    json: bool
    context: int | None
    threads: int | None
    options: Mapping[str, object]
    """The options of GenerateOptions that were given; the checkpoint's defaults hold for the others."""


def run(arguments: RunArguments, load: Load) -> int:
    """Print one reply; return the exit code."""
    GenerateOptions().changed(arguments.options)  # before the weights are read, not after
    prompt = _prompt(arguments)
    status = StatusLine(sys.stderr)
    try:
        engine = load(
            arguments.model, context=arguments.context, threads=arguments.threads, progress=status.loading
        )
    finally:
        status.clear()
    try:
        return _reply(engine, arguments, prompt, status)
    finally:
        status.clear()
        engine.close()


def _reply(engine: EngineSurface, arguments: RunArguments, prompt: Prompt, status: StatusLine) -> int:
    for warning in engine.warnings:
        _say(warning)
    options = reply_options(engine, arguments.options)
    ids = prompt.encode(engine.tokenizer, engine.chat_template)
    output: Output = TextOutput(sys.stdout)
    if arguments.json:
        output = JsonOutput(sys.stdout)
    elif engine.tokenizer is None:
        output = IdsOutput(sys.stdout)
    output.take(Header(Path(arguments.model).name or arguments.model, options))
    counters, prefilled, finished = Counters(), None, None
    with _interrupt_cancels(engine.controls):
        for event in engine.generate(ids, options):
            if isinstance(event, Prefilling):
                status.show(f"reading the prompt, layer {event.layer} of {event.layers}")
            else:
                status.clear()
            output.take(event)
            if isinstance(event, Verified):
                counters.observe(event)
            elif isinstance(event, Prefilled):
                prefilled = event
            elif isinstance(event, Finished):
                finished = event
    output.end()
    if finished is None:
        raise RuntimeError("the engine ended a reply without a finished event")
    _say(summary(prefilled, finished, counters))
    if finished.reason is FinishReason.CONTEXT:
        _say(f"The context of {engine.context:,} tokens is full; --context takes more.")
    if finished.reason is FinishReason.ERROR:
        _say(f"draftscope: {finished.message}")
        return 1
    return INTERRUPTED if finished.reason is FinishReason.CANCELLED else 0


def summary(prefilled: Prefilled | None, finished: Finished, counters: Counters) -> str:
    """Return the reply's figures in one line."""
    parts = []
    if prefilled is not None:
        parts.append(f"prompt {prefilled.prompt_tokens:,} tokens in {prefilled.seconds:.2f} s")
    parts.append(f"reply {finished.tokens:,} tokens in {finished.seconds:.2f} s")
    if counters.tokens_per_second is not None:
        parts.append(f"{counters.tokens_per_second:.1f} tokens/s")
    if counters.acceptance is not None:
        positions = ", ".join(
            f"{position}: {share:.0%}"
            for position, share in enumerate(counters.acceptance_by_position, start=1)
        )
        parts.append(f"drafts accepted {counters.acceptance:.0%} (by position {positions})")
    if counters.mean_length is not None:
        parts.append(f"{counters.mean_length:.2f} tokens a round")
    return " · ".join(parts)


def _prompt(arguments: RunArguments) -> Prompt:
    from engine.text.prompt import Prompt
    from engine.text.template import Message

    if arguments.ids is not None:
        if arguments.prompt is not None or arguments.system is not None or arguments.raw:
            raise UsageError("--ids is the whole prompt: give it without PROMPT, --system and --raw.")
        return Prompt(ids=arguments.ids)
    if arguments.prompt is None:
        raise UsageError("There is nothing to reply to: give a PROMPT, - for standard input, or --ids.")
    if arguments.raw and arguments.system is not None:
        raise UsageError("--raw passes the prompt as it is, so --system has no place in it.")
    text = (
        _standard_input()
        if arguments.prompt == "-"
        else os.fsencode(arguments.prompt).decode("utf-8", "replace")
    )
    if arguments.raw:
        return Prompt(text=text)
    if not text.strip():
        raise UsageError("The prompt is empty.")
    system = () if arguments.system is None else (Message("system", arguments.system),)
    return Prompt(messages=(*system, Message("user", text)))


def _standard_input() -> str:
    """Return standard input without the newline that echo and editors put at its end."""
    return sys.stdin.buffer.read().decode("utf-8", "replace").removesuffix("\n").removesuffix("\r")


@contextmanager
def _interrupt_cancels(controls: ControlsSurface) -> Iterator[None]:
    """Make ctrl+c end the reply between two layers, keeping what there is; a second one ends at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what signals do
        return

    def interrupt(_signal: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        controls.cancel()

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _say(text: str) -> None:
    print(harmless(text), file=sys.stderr, flush=True)
