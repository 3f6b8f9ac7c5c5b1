"""The `draftscope` command: reads the command line, and ends every mistake in one sentence.

Imports are light, so that `--help` is instant: what needs torch is imported by the engine when a command
loads a checkpoint.

Exit codes: 0 done · 1 the reply failed · 2 usage · 3 checkpoint · 4 memory · 130 interrupted · 141 nobody
reads the output any more.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from dataclasses import fields
from typing import TYPE_CHECKING, NoReturn

from app.commands.terminal import harmless
from engine.demo.place import DEMO
from engine.errors import DraftscopeError, MemoryBudgetError
from engine.kernels.passive import wait_passively
from engine.offload.sizes import parse_ram, parse_speed
from engine.options import MAX_DEPTH, Acceptance, Mode
from engine.surface import LoadSettings, load_engine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.surface import Load

INTERRUPTED = 130
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
        return _command(argv, load)
    except DraftscopeError as error:
        return _fail(str(error), error.exit_code)
    except MemoryError:
        return _fail(
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


def _command(argv: Sequence[str] | None, load: Load) -> int:
    parser = _parser()
    arguments = vars(parser.parse_args(argv))
    command = arguments.pop("command")
    if command is None:
        parser.print_help()
        return 0
    if command == "logits":
        from app.commands.logits import LogitsArguments, logits

        return logits(LogitsArguments(**arguments), load)
    if command == "plan":
        from app.commands.plan import PlanArguments, plan

        return plan(PlanArguments(**arguments))
    if command == "doctor":
        from app.commands.doctor import DoctorArguments, doctor

        return doctor(DoctorArguments(**arguments))
    from app.commands.run import RunArguments, run

    options = {name: arguments.pop(name) for name in _OPTIONS}
    given = {name: value for name, value in options.items() if value is not None}
    settings = LoadSettings(**{field.name: arguments.pop(field.name) for field in fields(LoadSettings)})
    return run(RunArguments(**arguments, settings=settings, options=given), load)


class _Parser(argparse.ArgumentParser):
    """An argument parser that ends a mistake in one sentence, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        sys.exit(_fail(f"{message}; see {self.prog} --help.", 2))


class _Version(argparse.Action):
    """Print the version, looked up only now: reading a distribution's metadata takes its time."""

    def __call__(self, parser: argparse.ArgumentParser, *_unused: object) -> NoReturn:
        from importlib.metadata import version

        print(f"draftscope {version('draftscope')}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="draftscope",
        description="Run a DeepSeek-V3 checkpoint and watch its own MTP layer draft.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help="print the version"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    _add_run(commands.add_parser("run", help="print one reply", allow_abbrev=False))
    _add_logits(commands.add_parser("logits", help="write a prompt's logits to a file", allow_abbrev=False))
    _add_plan(commands.add_parser("plan", help="show how a RAM budget would be spent", allow_abbrev=False))
    _add_doctor(commands.add_parser("doctor", help="say what to expect of this machine", allow_abbrev=False))
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Print one reply to standard output and everything else to standard error. On a terminal, control "
        "characters in the reply are made visible; a pipe or a file gets the text as it is."
    )
    add = parser.add_argument
    add("prompt", nargs="?", metavar="PROMPT", help="what to reply to; - reads standard input")
    _add_model(parser)
    add("--system", metavar="TEXT", help="a system message before the prompt")
    add("--raw", action="store_true", help="pass the prompt as it is, without the chat template")
    add("--ids", type=_ids, metavar="5,6,7", help="token ids as the whole prompt")
    add("--json", action="store_true", help="print events, one JSON object a line")
    drafting = parser.add_argument_group("drafting")
    add = drafting.add_argument
    add("--mode", choices=list(Mode), help="who drafts (mtp where the checkpoint has the layer, else ngram)")
    add("--depth", type=int, metavar="N", help=f"tokens drafted a round, 0 to {MAX_DEPTH} (1)")
    add(
        "--accept",
        choices=list(Acceptance),
        help="how drafts are judged when sampling: coupled keeps the text of every depth the same, "
        "rejection accepts more and keeps only its law (coupled)",
    )
    sampling = parser.add_argument_group(
        "sampling", "Defaults come from the checkpoint, else decoding is greedy."
    )
    add = sampling.add_argument
    add("--temperature", type=float, metavar="T", help="0 is greedy")
    add("--top-p", type=float, metavar="P", help="keep the likeliest tokens that together reach P")
    add("--top-k", type=int, metavar="K", help="keep the K likeliest tokens; 0 keeps all")
    add("--min-p", type=float, metavar="P", help="keep tokens at least P times as likely as the likeliest")
    add("--seed", type=int, metavar="N", help="one seed, one text (0)")
    limits = parser.add_argument_group("limits")
    add = limits.add_argument
    add("--max-tokens", type=int, metavar="N", help="the reply's most tokens (512)")
    add("--ignore-eos", action="store_true", default=None, help="go on past the end-of-text token")
    add("--context", type=_positive, metavar="N", help="tokens of prompt and reply together (4096)")
    _add_ram(limits)
    add("--threads", type=_positive, metavar="N", help="threads of the kernels (all usable cores)")
    disk = parser.add_argument_group("disk", "What does not fit into the RAM budget is read from disk.")
    add = disk.add_argument
    add("--disk-limit", type=_speed, metavar="SPEED", help="be as slow as a drive of 200MB/s")
    add("--readers", type=_positive, metavar="N", help="threads that read (measured)")
    add("--direct", action=argparse.BooleanOptionalAction, help="read past the page cache (measured)")


def _add_logits(parser: argparse.ArgumentParser) -> None:
    parser.description = "Write the array logits, float32 [tokens, vocabulary], to a NumPy archive."
    add = parser.add_argument
    _add_model(parser)
    add("--ids", type=_ids, required=True, metavar="5,6,7", help="the prompt's token ids")
    add("--out", required=True, metavar="FILE.npz", help="the file to write")
    _add_ram(parser)
    add("--threads", type=_positive, metavar="N", help="threads of the kernels (all usable cores)")


def _add_plan(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Show how a RAM budget would be spent on a checkpoint, and forecast what a round costs at each draft "
        "depth. Reads the checkpoint's headers only."
    )
    add = parser.add_argument
    add(
        "model",
        nargs="?",
        default=DEMO,
        metavar="MODEL",
        help="the checkpoint's folder (demo, the embedded one)",
    )
    add("--ram", metavar="SIZE", help="the budget: 12GB, 12GiB or 50%% of what is available (60%%)")
    add("--context", type=_positive, metavar="N", help="tokens of prompt and reply together (4096)")
    add("--disk-speed", metavar="SPEED", help="the drive's speed for the forecast of seconds: 7GB/s")
    add("--json", action="store_true", help="print one JSON object")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-m", "--model", default=DEMO, metavar="PATH", help="the checkpoint's folder (demo, the embedded one)"
    )


def _add_ram(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--ram",
        type=_ram,
        metavar="SIZE",
        help="memory for weights and all else: 12GB, 12GiB or 50%% of what is available (60%%)",
    )


def _ram(text: str) -> str:
    parse_ram(text, available_bytes=1 << 40)  # its share is worked out when the checkpoint is loaded
    return text


def _speed(text: str) -> str:
    parse_speed(text)
    return text


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Measure this machine's processor and memory, and a checkpoint's drive, and say what to expect and "
        "what to change. Takes some seconds; pages of the checkpoint leave the system's cache."
    )
    add = parser.add_argument
    add("model", nargs="?", metavar="MODEL", help="the checkpoint's folder, or demo")
    add("--json", action="store_true", help="print one JSON object")


def _ids(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.strip().isascii() and part.strip().isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of token ids such as 5,6,7")
    return tuple(int(part) for part in parts)


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _fail(sentence: str, code: int) -> int:
    print(harmless(f"draftscope: {sentence}"), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
