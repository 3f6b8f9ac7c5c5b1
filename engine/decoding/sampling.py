"""From a row of logits to a token: temperature, top-k, top-p and min-p, and the pick itself.

Filters work in float64 on a stable sort by (-probability, token), so that nothing depends on the width of
the pass that produced the row. Each filter sees what the one before it left, renormalised: top-k, top-p,
min-p, in this order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.decoding.noise import Stream, perturbed_argmax

if TYPE_CHECKING:
    from engine.options import GenerateOptions

    Doubles = np.ndarray[Any, np.dtype[np.float64]]
    Row = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class Sampler:
    """How tokens are picked in one reply."""

    temperature: float
    top_k: int
    top_p: float
    min_p: float
    seed: int

    @classmethod
    def of(cls, options: GenerateOptions) -> Sampler:
        """The sampler that a reply's options ask for."""
        return cls(options.temperature, options.top_k, options.top_p, options.min_p, options.seed)

    @property
    def greedy(self) -> bool:
        """Whether the pick is the argmax, without noise."""
        return self.temperature == 0

    def scores(self, logits: Row) -> Doubles:
        """`logits / temperature` in float64, the highest moved to 0, and -inf where a filter removed a token.

        Not for greedy. Moving them changes no probability, and lets any temperature above 0 be divided by.
        """
        with np.errstate(over="ignore"):
            scores = (logits.astype(np.float64) - float(logits.max())) / self.temperature
        if self.top_k or self.top_p < 1 or self.min_p > 0:
            scores[~self._kept(scores)] = -np.inf
        return scores

    def probabilities(self, logits: Row) -> Doubles:
        """The distribution tokens are drawn from; it sums to 1. One-hot for greedy."""
        if self.greedy:
            one_hot = np.zeros(logits.shape[0])
            one_hot[logits.argmax()] = 1.0
            return one_hot
        return _softmax(self.scores(logits))

    def pick(self, logits: Row, position: int, stream: Stream = Stream.PICK) -> int:
        """The token at an absolute position: `argmax(logits / T + g)`, ties to the lowest id."""
        if self.greedy:
            return int(logits.argmax())
        return perturbed_argmax(self.scores(logits), self.seed, stream, position)

    def draw(self, probabilities: Doubles, position: int) -> int:
        """A token of a distribution, with the noise that the position's pick would use."""
        with np.errstate(divide="ignore"):
            return perturbed_argmax(np.log(probabilities), self.seed, Stream.PICK, position)

    def _kept(self, scores: Doubles) -> np.ndarray[Any, np.dtype[np.bool_]]:
        order = np.argsort(-scores, kind="stable")
        p = _softmax(scores)[order]
        count = min(self.top_k, p.size) if self.top_k else p.size
        if self.top_p < 1:
            mass = np.cumsum(p[:count] / p[:count].sum())
            # A token stays if those before it do not yet reach top_p; the first always does.
            count = 1 + int(np.searchsorted(mass, self.top_p, side="left"))
            count = min(count, mass.size)
        if self.min_p > 0:
            count = int(np.count_nonzero(p[:count] >= self.min_p * p[0]))
        kept = np.zeros(p.size, dtype=np.bool_)
        kept[order[:count]] = True
        return kept


def log_softmax(logits: Row) -> Doubles:
    """Log probabilities of the raw logits, in float64."""
    shifted = logits.astype(np.float64) - float(logits.max())
    result: Doubles = shifted - np.log(np.exp(shifted).sum())
    return result


def _softmax(scores: Doubles) -> Doubles:
    weights = np.exp(scores - scores.max())
    result: Doubles = weights / weights.sum()
    return result
