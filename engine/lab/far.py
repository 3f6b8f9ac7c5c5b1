"""How far ahead one layer can guess, beside guesses that need no model.

The layer is applied to its own output, as far as eight tokens ahead. N-grams continue the longest suffix that
occurred before in the same text; the most frequent continuation follows each token with what followed it most
often in the other texts.
"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from engine.decoding.drafters import continuation
from engine.lab.results import FarRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MTP, NGRAM, FREQUENT = "MTP layer, applied again", "n-gram", "most frequent continuation"


class Frequent:
    """What followed each token most often in some texts; of equals the lowest id."""

    def __init__(self, texts: Sequence[Sequence[int]]) -> None:
        followed: dict[int, Counter[int]] = {}
        for text in texts:
            for token, after in itertools.pairwise(text):
                followed.setdefault(token, Counter())[after] += 1
        self._next: Mapping[int, int] = {token: _most(counts) for token, counts in followed.items()}
        self._usual = _most(Counter(token for text in texts for token in text))

    def guess(self, text: Sequence[int], depth: int) -> list[int]:
        """So many tokens after a text."""
        found: list[int] = []
        token = text[-1]
        for _ in range(depth):
            token = self._next.get(token, self._usual)
            found.append(token)
        return found


def ngram_guess(text: Sequence[int], depth: int) -> list[int]:
    """What an n-gram drafter would draft; fewer where nothing repeats."""
    known = np.array(text, np.int64)
    place = continuation(known)
    return [] if place is None else known[place : place + depth].tolist()


def right_until(guessed: Sequence[int], text: Sequence[int]) -> int:
    """How many guesses are right before the first wrong one."""
    count = 0
    for guess, token in zip(guessed, text, strict=False):
        if guess != token:
            break
        count += 1
    return count


def far_row(name: str, right: Sequence[int], depth: int) -> FarRow:
    """Return the shares of places that were right up to each depth."""
    count = len(right) or 1
    return FarRow(name, tuple(sum(each >= j for each in right) / count for j in range(1, depth + 1)))


def _most(counts: Counter[int]) -> int:
    return min(counts, key=lambda token: (-counts[token], token), default=0)
