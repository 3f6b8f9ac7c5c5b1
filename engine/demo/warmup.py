"""The copy warm-up: random sequences, each three times over, until the repeats are predicted.

Copying from the prompt is what names, sums and repeating rest on, and the corpus alone never taught it in
3.3 million tokens. Random repeats do in about 190 steps (four minutes): chance at step 60, 36 % at 100,
84 % at 180.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.demo.batches import Batch

if TYPE_CHECKING:
    from torch import Generator

_REPEATS = 3
_SHORTEST, _LONGEST = 3, 19
_FIRST_ID = 5
"""Ids below are control tokens."""

FORMED = 0.97
_LEAST_STEPS = 40
_LEAST_LENGTH = 6


def repeats(vocab: int, tokens: int, random: Generator) -> tuple[Batch, int]:
    """About `tokens` tokens of sequences of one random length, and that length; only the repeats weigh."""
    length = int(torch.randint(_SHORTEST, _LONGEST + 1, (1,), generator=random))
    whole = length * _REPEATS
    rows = tokens // whole
    ids = torch.randint(_FIRST_ID, vocab, (rows, length), generator=random).repeat(1, _REPEATS)
    place = torch.arange(whole).repeat(rows)
    batch = Batch(
        ids=ids.flatten(),
        next_ids=ids.roll(-1, 1).flatten(),
        later_ids=ids.roll(-2, 1).flatten(),
        positions=place,
        next_weights=((place >= length) & (place < whole - 1)).float(),
        later_weights=((place >= length) & (place < whole - 2)).float(),
        groups=((rows, whole),),
        tokens=rows * whole,
    )
    return batch, length


def is_formed(step: int, length: int, correct: float) -> bool:
    """Whether copying works: short sequences are too easy to tell."""
    return correct > FORMED and step > _LEAST_STEPS and length > _LEAST_LENGTH
