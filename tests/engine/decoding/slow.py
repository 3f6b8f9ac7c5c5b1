"""Sampling as a textbook would write it, one token after the other, to judge the engine's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_MASK = (1 << 64) - 1
CLOSE = 1e-9
"""A filter's bound this near to a mass or a ratio is decided by rounding."""


def softmax(logits: Sequence[float], temperature: float) -> list[float]:
    """Probabilities at a temperature."""
    top = max(logits)
    weights = [math.exp((float(logit) - float(top)) / temperature) for logit in logits]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def kept(p: Sequence[float], top_k: int, top_p: float, min_p: float) -> tuple[list[int], bool]:
    """The tokens that the filters leave, likeliest first, and whether rounding may have decided it."""
    order = sorted(range(len(p)), key=lambda token: (-p[token], token))
    close = False
    if top_k:
        order = order[:top_k]
    if top_p < 1:
        total = math.fsum(p[token] for token in order)
        some: list[int] = []
        for token in order:
            mass = math.fsum(p[each] for each in some) / total
            close |= abs(mass - top_p) < CLOSE
            if some and mass >= top_p:
                break
            some.append(token)
        order = some
    if min_p > 0:
        total = math.fsum(p[token] for token in order)
        close |= any(abs(p[token] / p[order[0]] - min_p) < CLOSE for token in order[1:])
        order = [token for token in order if p[token] / total >= min_p * p[order[0]] / total]
    return order, close


def probabilities(
    logits: Sequence[float], temperature: float, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0
) -> list[float]:
    """The law that tokens are drawn from."""
    p = softmax(logits, temperature)
    order, _ = kept(p, top_k, top_p, min_p)
    total = math.fsum(p[token] for token in order)
    return [p[token] / total if token in order else 0.0 for token in range(len(p))]


def uniform(seed: int, stream: int, position: int, token: int) -> float:
    """A number in (0, 1], by splitmix64's finaliser over each argument in turn."""
    state = 0
    for value in (seed, stream, position, token):
        z = ((state ^ value) + 0x9E3779B97F4A7C15) & _MASK
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK
        state = z ^ (z >> 31)
    return ((state >> 11) + 1) * 2.0**-53


def pick(logits: Sequence[float], temperature: float, seed: int, position: int, stream: int = 0) -> int:
    """`argmax(logits / T + g)` with Gumbel noise for a seed and an absolute position, without filters."""
    perturbed = [
        float(logit) / temperature - math.log(-math.log(uniform(seed, stream, position, token)))
        for token, logit in enumerate(logits)
    ]
    return perturbed.index(max(perturbed))
