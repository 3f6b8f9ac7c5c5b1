"""The command line's grammar: every command with its arguments, checked as far as text can be.

Light, like everything that `--help` waits for.
"""

from __future__ import annotations

import argparse
from typing import NoReturn

from app.argument_parser import CommandParser
from app.argument_types import depths, integer, modes, number, positive, ram, rate, speed, token_ids
from engine.demo.place import DEMO
from engine.offload.sizes import DEFAULT_CONTEXT
from engine.options import MAX_DEPTH, Acceptance, Mode


def command_parser() -> argparse.ArgumentParser:
    """Return the parser; its result has `command`, None for the bare command."""
    parser = CommandParser(
        prog="draftscope",
        description="Run a DeepSeek-V3 checkpoint and watch its own MTP layer draft.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help="print the version"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    _add_chat(commands.add_parser("chat", help="chat in the terminal (the default)", allow_abbrev=False))
    _add_run(commands.add_parser("run", help="print one reply", allow_abbrev=False))
    _add_compare(commands.add_parser("compare", help="measure depths against each other", allow_abbrev=False))
    _add_logits(commands.add_parser("logits", help="write a prompt's logits to a file", allow_abbrev=False))
    _add_plan(commands.add_parser("plan", help="show how a RAM budget would be spent", allow_abbrev=False))
    _add_doctor(commands.add_parser("doctor", help="say what to expect of this machine", allow_abbrev=False))
    _add_wiring(commands.add_parser("wiring", help="find out how the MTP layer is wired", allow_abbrev=False))
    _add_inspect(commands.add_parser("inspect", help="show what a checkpoint is made of", allow_abbrev=False))
    _add_replay(commands.add_parser("replay", help="play a recorded chat", allow_abbrev=False))
    _add_config(commands.add_parser("config", help="show the settings", allow_abbrev=False))
    _add_sessions(commands.add_parser("sessions", help="list the chats on disk", allow_abbrev=False))
    return parser


class _Version(argparse.Action):
    """Print the version, looked up only now: reading a distribution's metadata takes its time."""

    def __call__(self, parser: argparse.ArgumentParser, *_unused: object) -> NoReturn:
        from importlib.metadata import version

        print(f"draftscope {version('draftscope')}")
        parser.exit()


def _add_chat(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Chat with a checkpoint, every token coloured by where it came from. Without a command, draftscope "
        "chats with the embedded demo. What is not given here is as the settings have it (draftscope config "
        "show says what holds and why), and only then as the brackets say."
    )
    add = parser.add_argument
    add("model", nargs="?", default=DEMO, metavar="MODEL", help="the checkpoint's folder (demo)")
    add("--system", metavar="TEXT", help="a system message before the chat")
    add("--pace", type=rate, metavar="ROUNDS", help="hold the engine to rounds a second; 0 is full speed")
    add("--theme", metavar="NAME", help="the colours")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--continue", dest="resume_latest", action="store_true", help="go on with the last chat"
    )
    which.add_argument("--resume", metavar="ID", help="go on with a chat; ctrl+o in the app lists them")
    _add_decoding(parser, depth="the settings' depth, which f7 and f8 write; without one 1")
    parser.add_argument("--scripted", action="store_true", help=argparse.SUPPRESS)


def _add_replay(parser: argparse.ArgumentParser) -> None:
    parser.description = "Play a trace (run --json, an export, or a chat's file) at its own speed."
    add = parser.add_argument
    add("file", metavar="FILE", help="the trace")
    add("--speed", type=rate, default=1.0, metavar="TIMES", help="times its own speed; 0 is all at once (1)")
    add("--theme", metavar="NAME", help="the colours")


def _add_sessions(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "List the chats on disk, newest first; `draftscope chat --resume ID` goes on with one."
    )
    parser.add_argument("--json", dest="as_json", action="store_true", help="print one JSON object")


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Show the settings in effect and where each comes from, or the file's path. They are the chat's: "
        "run, compare and the rest go by their command line alone."
    )
    parser.add_argument("what", choices=("path", "show"), help="the file's path, or the settings")


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
    add("--ids", type=token_ids, metavar="5,6,7", help="token ids as the whole prompt")
    add("--json", action="store_true", help="print events, one JSON object a line")
    _add_decoding(parser)


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Decode the same prompt at several depths, with the same seed, and print how their speeds compare. "
        "Where all weights are in RAM lanes take turns round by round, else each runs alone."
    )
    add = parser.add_argument
    add("prompt", nargs="?", metavar="PROMPT", help="what to reply to")
    _add_model(parser)
    add("--depths", type=depths, default=(0, 1, 2, 4), metavar="0,1,2,4", help="tokens drafted a round")
    add(
        "--modes",
        type=modes,
        metavar="mtp,ngram,model,auto",
        help="who drafts, each at every depth; auto chooses its own (mtp where there is one, else ngram)",
    )
    add("--prompts", metavar="FILE", help='prompts, one a line, or JSON objects with "prompt"')
    add("--repeats", type=positive, default=2, metavar="N", help="runs of every lane and prompt (2)")
    add("--raw", action="store_true", help="pass prompts as they are, without the chat template")
    add("--json", action="store_true", help="print one JSON object")
    _add_decoding(parser, lanes=True)


def _add_decoding(parser: argparse.ArgumentParser, *, lanes: bool = False, depth: str = "1") -> None:
    """Add what `run`, `chat` and `compare` have in common: drafting, sampling, limits and disk.

    With `lanes`, mode and depth are left out: each lane has its own. `depth` is what holds without --depth.
    """
    drafting = parser.add_argument_group("drafting")
    add = drafting.add_argument
    if lanes:
        parser.set_defaults(mode=None, depth=None)
    else:
        add(
            "--mode",
            choices=list(Mode),
            help="who drafts; auto is mtp at the depth that is fastest "
            "(model with --draft-model, else mtp where the checkpoint has the layer, else ngram)",
        )
        add("--depth", type=integer, metavar="N", help=f"tokens drafted a round, 0 to {MAX_DEPTH} ({depth})")
    add(
        "--draft-model",
        metavar="MODEL",
        help="a second, smaller checkpoint of the same tokenizer, which drafts in mode model, inside --ram",
    )
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
    add("--temperature", type=number, metavar="T", help="0 is greedy")
    add("--top-p", type=number, metavar="P", help="keep the likeliest tokens that together reach P")
    add("--top-k", type=integer, metavar="K", help="keep the K likeliest tokens; 0 keeps all")
    add("--min-p", type=number, metavar="P", help="keep tokens at least P times as likely as the likeliest")
    add("--seed", type=integer, metavar="N", help="one seed, one text (0)")
    limits = parser.add_argument_group("limits")
    add = limits.add_argument
    add("--max-tokens", type=integer, metavar="N", help=f"the reply's most tokens ({64 if lanes else 512})")
    add("--ignore-eos", action="store_true", default=None, help="go on past the end-of-text token")
    _add_context(limits)
    _add_ram(limits)
    add("--threads", type=positive, metavar="N", help="threads of the kernels (all usable cores)")
    disk = parser.add_argument_group("disk", "What does not fit into the RAM budget is read from disk.")
    add = disk.add_argument
    add("--disk-limit", type=speed, metavar="SPEED", help="be as slow as a drive of 200MB/s")
    add("--readers", type=positive, metavar="N", help="threads that read (measured)")
    add("--direct", action=argparse.BooleanOptionalAction, help="read past the page cache (measured)")


def _add_logits(parser: argparse.ArgumentParser) -> None:
    parser.description = "Write the array logits, float32 [tokens, vocabulary], to a NumPy archive."
    add = parser.add_argument
    _add_model(parser)
    add("--ids", type=token_ids, required=True, metavar="5,6,7", help="the prompt's token ids")
    add("--out", required=True, metavar="FILE.npz", help="the file to write")
    _add_ram(parser)
    add("--threads", type=positive, metavar="N", help="threads of the kernels (all usable cores)")


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
    _add_context(parser)
    add("--disk-speed", metavar="SPEED", help="the drive's speed for the forecast of seconds: 7GB/s")
    add("--json", action="store_true", help="print one JSON object")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-m", "--model", default=DEMO, metavar="PATH", help="the checkpoint's folder (demo, the embedded one)"
    )


def _add_context(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--context",
        type=positive,
        metavar="N",
        help="tokens of prompt and reply together, at most what the model was made for "
        f"({DEFAULT_CONTEXT}, or that if it is less)",
    )


def _add_ram(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--ram",
        type=ram,
        metavar="SIZE",
        help="memory for weights and all else: 12GB, 12GiB or 50%% of what is available (60%%)",
    )


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Measure this machine's processor and memory, and a checkpoint's drive, and say what to expect and "
        "what to change. Takes some seconds; pages of the checkpoint leave the system's cache."
    )
    add = parser.add_argument
    add("model", nargs="?", metavar="MODEL", help="the checkpoint's folder, or demo")
    add("--json", action="store_true", help="print one JSON object")


def _add_wiring(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Run a checkpoint's MTP layer in all the ways it might be wired, on the model's own continuations or "
        "on a text, and say which is right; then how far ahead it guesses. The checkpoint is loaded for it."
    )
    add = parser.add_argument
    add("model", nargs="?", default=DEMO, metavar="MODEL", help="the checkpoint's folder (demo)")
    add("--text", metavar="FILE", help="measure on this text (the model's own continuations of some prompts)")
    add("--json", action="store_true", help="print one JSON object")
    add("--svg", metavar="FILE", help="write the plot of how far ahead to this file")
    _add_context(parser)
    _add_ram(parser)
    add("--threads", type=positive, metavar="N", help="threads of the kernels (all usable cores)")


def _add_inspect(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Show the parts of a checkpoint, its MTP layers, what loaders leave over and what is wrong with it, "
        "from its headers alone; of an index without shards, what it names."
    )
    add = parser.add_argument
    add("model", nargs="?", default=DEMO, metavar="MODEL", help="the checkpoint's folder (demo)")
    add("--hash", dest="by_value", action="store_true", help="read what may be copies, and compare it")
    add("--json", action="store_true", help="print one JSON object")
