"""What a model under training can do, measured on its FP8 export by the engine itself.

Cases of all skills take turns until the time is up, so that a slow machine asks fewer of each and none is
left out.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from engine import GenerateOptions, Mode, load
from engine.decoding.counters import Counters
from engine.demo import judge
from engine.demo.batches import LONGEST
from engine.demo.converse import converse
from engine.demo.corpus.chat import Skill

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from engine.demo.batches import Document
    from engine.engine import Engine

SKILLS = (Skill.STORY, Skill.CAPITAL, Skill.SUM, Skill.NAME, Skill.REPEAT, Skill.UNKNOWN)
DEPTH = 4
REPLY_TOKENS = 200


@dataclass(frozen=True, slots=True)
class Probed:
    """One probe's findings."""

    loss: float
    """Held-out, nats a token of the assistant's, main model."""
    acceptance: tuple[float, ...]
    mean_length: float | None
    skills: tuple[tuple[str, int, int], ...]
    """Skill, right, asked."""
    wrong: tuple[str, ...]
    """For each skill the first complaint, with the reply."""
    seconds: float

    def lines(self) -> list[str]:
        """For the log."""
        rates = " ".join(f"{rate:.2f}" for rate in self.acceptance)
        length = f"{self.mean_length:.2f}" if self.mean_length is not None else "-"
        scores = "  ".join(f"{skill} {right}/{asked}" for skill, right, asked in self.skills)
        return [
            f"PROBE held-out loss {self.loss:.3f}  accepted {rates}  tokens a round {length}  "
            f"{self.seconds:.0f} s",
            f"PROBE right: {scores}",
            *(f"PROBE wrong: {one}" for one in self.wrong),
        ]


def probe(
    folder: Path, heldout: Sequence[Document], seed: int, threads: int, count: int = 10, seconds: float = 30.0
) -> Probed:
    """Load the checkpoint and ask `count` cases of every skill, or as many as `seconds` allow."""
    began = time.monotonic()
    counters = Counters()
    right, asked = dict.fromkeys(SKILLS, 0), dict.fromkeys(SKILLS, 0)
    wrong: dict[Skill, str] = {}
    cases = [[(skill, case) for case in judge.heldout(skill, count, seed)] for skill in SKILLS]
    options = GenerateOptions(max_tokens=REPLY_TOKENS, mode=Mode.MTP, depth=DEPTH)
    with load(folder, threads=threads) as engine:
        loss = heldout_loss(engine, heldout)
        for skill, case in (entry for row in zip_longest(*cases) for entry in row if entry is not None):
            if time.monotonic() - began > seconds:
                break
            reply = converse(engine, case.turns, options, counters)
            complaint = judge.right(case, reply.text, reply.ended)
            asked[skill] += 1
            right[skill] += complaint is None
            if complaint is not None:
                wrong.setdefault(skill, f"{skill}: {complaint}: {_one_line(reply.text)}")
    return Probed(
        loss,
        counters.acceptance_by_position,
        counters.mean_length,
        tuple((skill.value, right[skill], asked[skill]) for skill in SKILLS),
        tuple(wrong.values()),
        time.monotonic() - began,
    )


def heldout_loss(engine: Engine, documents: Iterable[Document]) -> float:
    """Mean cross-entropy of the assistant's tokens, documents cut as in training."""
    total, counted = 0.0, 0
    for document in documents:
        ids = document.ids[:LONGEST].tolist()
        weights = torch.from_numpy(document.weights[1 : len(ids)].astype(bool))
        logits = torch.from_numpy(engine.logits(ids[:-1]))
        targets = torch.tensor(ids[1:])
        total += F.cross_entropy(logits[weights], targets[weights], reduction="sum").item()
        counted += int(weights.sum())
    return total / max(1, counted)


def _one_line(text: str, most: int = 160) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most else f"{flat[:most]}..."
