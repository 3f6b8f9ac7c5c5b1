"""`draftscope run`: one reply to standard output, for pipes and screen readers."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.commands.interrupt import INTERRUPTED, interrupt_cancels
from app.commands.output import IdsOutput, JsonOutput, TextOutput
from app.commands.terminal import StatusLine, harmless
from app.standstill import standstill
from engine.decoding.counters import Counters
from engine.errors import UsageError
from engine.events import Finished, FinishReason, Header, Prefilled, Prefilling, Verified, Waiting
from engine.offload.sizes import parse_speed, shown_bytes
from engine.options import GenerateOptions
from engine.surface import reply_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.commands.output import Output
    from engine.events import Event
    from engine.surface import EngineSurface, Load, LoadSettings
    from engine.text.prompt import Prompt


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
    settings: LoadSettings
    options: Mapping[str, object]
    """The options of GenerateOptions that were given; the checkpoint's defaults hold for the others."""


def run(arguments: RunArguments, load: Load) -> int:
    """Print one reply; return the exit code."""
    GenerateOptions().changed(arguments.options)  # before the weights are read, not after
    prompt = _prompt(arguments)
    status = StatusLine(sys.stderr)
    try:
        engine = load(arguments.model, arguments.settings, status.loading)
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
    with interrupt_cancels(engine.controls):
        try:
            for event in engine.generate(ids, options):
                news = _news(event)
                if news is None or arguments.json:
                    status.clear()
                output.take(event)
                if news is not None:
                    status.show(news, below=output.in_line and sys.stdout.isatty())
                if isinstance(event, Verified):
                    counters.observe(event)
                elif isinstance(event, Prefilled):
                    prefilled = event
                elif isinstance(event, Finished):
                    finished = event
        finally:
            status.clear()
            output.end()
    if finished is None:
        raise RuntimeError("the engine ended a reply without a finished event")
    _say(summary(prefilled, finished, counters))
    moved = disk_summary(counters, arguments.settings.disk_limit)
    if moved:
        _say(moved)
    if finished.reason is FinishReason.CONTEXT:
        most = engine.most_context
        more = f"--context takes up to {most}" if engine.context < most else "this model was made for no more"
        _say(f"The context of {engine.context:,} tokens is full; {more}.")
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


def disk_summary(counters: Counters, disk_limit: str | None) -> str:
    """Return what moving weights cost in one line, empty where everything was in RAM."""
    figures = []
    if counters.hit_rate is not None and counters.loads_per_token is not None:
        figures.append(f"{counters.hit_rate:.0%} in memory")
        ahead = f" ({counters.prefetch_used / counters.tokens:.1f} ahead)" if counters.prefetch_used else ""
        figures.append(f"{counters.loads_per_token:.1f} loads a token{ahead}")
    if counters.bytes_read and counters.bytes_per_token is not None:
        figures.append(f"{_short_bytes(counters.bytes_per_token)} a token")
    if figures and counters.wait_share is not None:
        figures.append(f"{counters.wait_share:.0%} of the time waiting")
    parts = []
    if figures:
        parts.append(f"{'experts' if counters.expert_uses else 'weights from disk'}: {', '.join(figures)}")
    if disk_limit is not None:
        speed, unit = shown_bytes(parse_speed(disk_limit)).split()
        parts.append(f"drive held to {float(speed):g} {unit}/s (emulated)")
    return " · ".join(parts)


def _news(event: Event) -> str | None:
    """What the status line says of an event; None for those that end what it said."""
    if isinstance(event, Prefilling):
        read = f", {_short_bytes(event.bytes_read)} read" if event.bytes_read else ""
        return f"reading the prompt, layer {event.layer} of {event.layers}{read}"
    if isinstance(event, Waiting):  # the layer after those done is the one that waits, or the head
        layer = min(event.layer + 1, event.layers)
        return f"{standstill(event)}, {event.seconds:.0f} s (layer {layer} of {event.layers})"
    return None


def _short_bytes(count: float) -> str:
    """An amount in two digits or more."""
    number, unit = shown_bytes(count).split()
    return f"{float(number):.{0 if float(number) >= 10 or unit == 'B' else 1}f} {unit}"


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


def _say(text: str) -> None:
    print(harmless(text), file=sys.stderr, flush=True)
