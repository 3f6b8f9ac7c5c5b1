"""The figures of a trained model, on prompts that were written after its training, and its final checkpoint.

    python -m engine.demo.figures STATE PROMPTS FOLDER

PROMPTS are cases as `judge` reads them. Everything is measured by the engine, greedily, at depth 4: right
replies by skill, drafts accepted by position in FP8 and with the weights as trained, and how much of the
replies stands word for word in the training chats. FOLDER gets the FP8 checkpoint with these on its card.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import tokenizers

from engine import GenerateOptions, Mode, load
from engine.decoding.counters import Counters
from engine.demo.batches import encoded
from engine.demo.card import Measured
from engine.demo.converse import converse
from engine.demo.corpus import chats, countries
from engine.demo.export import Form, export
from engine.demo.judge import cases_from, right
from engine.demo.probe import heldout_loss
from engine.demo.run import HELDOUT_CHATS, HELDOUT_SEED
from engine.demo.state import TrainingState
from engine.demo.tokens import encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.demo.judge import Case

DEPTH = 4
REPLY_TOKENS = 300


@dataclass(frozen=True, slots=True)
class Asked:
    """What a set of weights did with the prompts."""

    counters: Counters
    replies: tuple[str, ...]
    skills: tuple[tuple[str, int, int], ...]
    """Skill, right, asked."""
    misses: tuple[str, ...]


def ask(folder: Path, cases: Sequence[Case]) -> Asked:
    """Load a checkpoint and put all cases to it."""
    counters, replies, misses = Counters(), [], []
    passed: dict[str, int] = {}
    asked: dict[str, int] = {}
    options = GenerateOptions(max_tokens=REPLY_TOKENS, mode=Mode.MTP, depth=DEPTH)
    with load(folder) as engine:
        for case in cases:
            reply = converse(engine, case.turns, options, counters)
            fault = right(case, reply.text, reply.ended)
            asked[case.skill] = asked.get(case.skill, 0) + 1
            passed[case.skill] = passed.get(case.skill, 0) + (fault is None)
            replies.append(reply.text)
            if fault is not None:
                misses.append(f"{case.skill}: {' / '.join(case.turns)}\n    {reply.text!r}\n    {fault}")
    skills = tuple((skill, passed[skill], asked[skill]) for skill in asked)
    return Asked(counters, tuple(replies), skills, tuple(misses))


def memorised_share(replies: Iterable[str], seed: int, documents: int) -> float:
    """Share of the replies' characters in replies that the training chats hold word for word."""
    wanted = [reply.strip() for reply in replies]
    open_ones, found = set(wanted), set[str]()
    for chat in islice(chats(seed), documents):
        for message in chat.messages:
            if message.role == "assistant" and message.content in open_ones:
                open_ones.remove(message.content)
                found.add(message.content)
    return sum(len(reply) for reply in wanted if reply in found) / max(1, sum(map(len, wanted)))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m engine.demo.figures", description=__doc__)
    parser.add_argument("state", type=Path)
    parser.add_argument("prompts", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--earlier-minutes", type=float, help="of a run with whose weights this one began")
    parser.add_argument("--earlier-tokens", type=int)
    given = parser.parse_args()
    saved = TrainingState.load(given.state)
    cases = cases_from(given.prompts)
    tokenizer = tokenizers.Tokenizer.from_str(saved.tokenizer)
    held = encoded(chats(saved.seed + HELDOUT_SEED), lambda chat: encode(tokenizer, chat))
    with tempfile.TemporaryDirectory() as beside:
        trained = Path(beside)
        export(saved.config, saved.network, saved.tokenizer, trained, Form.F32)
        as_trained = ask(trained, cases)
    export(saved.config, saved.network, saved.tokenizer, given.folder)
    shipped = ask(given.folder, cases)
    with load(given.folder) as engine:
        loss = heldout_loss(engine, islice(held, HELDOUT_CHATS))
    measured = Measured(
        heldout_loss=loss,
        acceptance=shipped.counters.acceptance_by_position,
        acceptance_as_trained=as_trained.counters.acceptance_by_position,
        mean_length=shipped.counters.mean_length,
        memorised_share=memorised_share(shipped.replies, saved.seed, saved.documents),
        skills=shipped.skills,
        countries=tuple(country for country, _ in countries()),
        training_minutes=(saved.warmup_seconds + saved.corpus_seconds) / 60,
        training_tokens=saved.tokens,
        earlier_minutes=given.earlier_minutes,
        earlier_tokens=given.earlier_tokens,
    )
    export(saved.config, saved.network, saved.tokenizer, given.folder, measured=measured)
    print(*shipped.misses, sep="\n")
    print(measured)


if __name__ == "__main__":
    main()
