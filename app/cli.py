"""The `draftscope` command: reads the command line, and ends every mistake in one sentence.

Imports are light, so that `--help` is instant: what needs torch is imported by the engine when a command
loads a checkpoint.

Exit codes: 0 done · 1 the reply failed · 2 usage · 3 checkpoint · 4 memory · 130 interrupted · 141 nobody
reads the output any more.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from app.arguments import command_parser
from app.commands.interrupt import INTERRUPTED
from app.commands.terminal import fail
from engine.errors import DraftscopeError, MemoryBudgetError
from engine.kernels.passive import wait_passively
from engine.surface import LoadSettings, load_engine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.surface import Load

BROKEN_PIPE = 141

_OPTIONS = (
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "mode",
    "depth",
    "accept",
    "ignore_eos",
)
"""Arguments of `run` that are options of the reply, under the same names."""


def main(argv: Sequence[str] | None = None, load: Load = load_engine) -> int:
    """Run the command line; return the exit code. `load` replaces the engine's, for tests."""
    wait_passively()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal of few letters gets question marks, no crash
    try:
        return _flushed(argv, load)
    except DraftscopeError as error:
        return fail(str(error), error.exit_code)
    except MemoryError:
        return fail(
            "The machine's memory does not suffice: close other programs, or choose a smaller --ram "
            "or --context.",
            MemoryBudgetError.exit_code,
        )
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # the interpreter flushes standard output once more at exit, which must not fail again
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


def _flushed(argv: Sequence[str] | None, load: Load) -> int:
    """Run the command to its last byte: a reader that has left is noticed here, not by the interpreter."""
    try:
        code = _command(argv, load)
    except SystemExit:  # --help, whose text may still be on its way
        _flush()
        raise
    _flush()
    return code


def _flush() -> None:
    try:
        print(end="", flush=True)
    except BrokenPipeError:
        raise
    except OSError:
        pass  # the app's terminal went away, which it knows; a full disk the interpreter reports itself


def _command(argv: Sequence[str] | None, load: Load) -> int:
    given = sys.argv[1:] if argv is None else argv
    arguments = vars(command_parser().parse_args(given or ["chat"]))
    command = arguments.pop("command")
    if command in ("chat", "replay"):
        from app.commands.chat import ChatArguments, ReplayArguments, chat, replay

        if command == "replay":
            return replay(ReplayArguments(**arguments))
        options, settings = _taken(arguments)
        return chat(ChatArguments(**arguments, settings=settings, options=options))
    if command == "config":
        from app.commands.config import config

        return config(arguments["what"])
    if command == "sessions":
        from app.commands.sessions import sessions

        return sessions(**arguments)
    if command == "logits":
        from app.commands.logits import LogitsArguments, logits

        return logits(LogitsArguments(**arguments), load)
    if command == "compare":
        from app.commands.compare import CompareArguments, compare

        options, settings = _taken(arguments)
        return compare(CompareArguments(**arguments, settings=settings, options=options), load)
    if command == "plan":
        from app.commands.plan import PlanArguments, plan

        return plan(PlanArguments(**arguments))
    if command == "doctor":
        from app.commands.doctor import DoctorArguments, doctor

        return doctor(DoctorArguments(**arguments))
    if command == "wiring":
        from app.commands.wiring import WiringArguments, wiring

        settings = _loading(arguments)
        return wiring(WiringArguments(**arguments, settings=settings), load)
    if command == "inspect":
        from app.commands.inspect import InspectArguments, inspect

        return inspect(InspectArguments(**arguments))
    from app.commands.run import RunArguments, run

    options, settings = _taken(arguments)
    return run(RunArguments(**arguments, settings=settings, options=options), load)


def _taken(arguments: dict[str, Any]) -> tuple[dict[str, object], LoadSettings]:
    """Take the options of the reply that were given, and how to load, out of the arguments."""
    options = {name: arguments.pop(name) for name in _OPTIONS}
    return {name: value for name, value in options.items() if value is not None}, _loading(arguments)


def _loading(arguments: dict[str, Any]) -> LoadSettings:
    """Take how to load out of the arguments."""
    known = [field.name for field in fields(LoadSettings) if field.name in arguments]
    return LoadSettings(**{name: arguments.pop(name) for name in known})


if __name__ == "__main__":
    sys.exit(main())
