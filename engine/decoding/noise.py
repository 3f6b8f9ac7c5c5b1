"""Randomness without a generator: every number is a pure function of seed, stream, position and token.

Nothing advances, so it makes no difference how often, in which order or at which depth a position is looked
at. The hash is splitmix64's finaliser (Steele, Lea and Flood 2014), applied once for each argument.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numba import types

if TYPE_CHECKING:
    Doubles = np.ndarray[Any, np.dtype[np.float64]]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


class Stream(IntEnum):
    """What a random number is for; numbers of different streams are independent."""

    PICK = 0
    """The pick at a position; under the coupled rule target and draft share it."""
    DRAFT = 1
    """The draft at a position, under the rejection rule."""
    ACCEPT = 2
    """Whether a draft is accepted, under the rejection rule."""


@numba.njit(nogil=True)
def _mixed(state: np.uint64, value: np.uint64) -> np.uint64:
    z = (state ^ value) + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    return z ^ (z >> np.uint64(31))


@numba.njit(nogil=True)
def _uniform(key: np.uint64, token: int) -> float:
    """A multiple of 2^-53 in (0, 1]."""
    return (np.float64(_mixed(key, np.uint64(token)) >> np.uint64(11)) + 1.0) * 2.0**-53


@numba.njit(nogil=True)
def _key(seed: np.uint64, stream: int, position: int) -> np.uint64:
    return _mixed(_mixed(_mixed(np.uint64(0), seed), np.uint64(stream)), np.uint64(position))


@numba.njit(types.int64(types.float64[::1], types.uint64, types.int64, types.int64), nogil=True, cache=True)
def _perturbed_argmax(scores: Doubles, seed: int, stream: int, position: int) -> int:
    key = _key(seed, stream, position)
    best, value = -1, -np.inf
    for token in range(scores.shape[0]):
        if scores[token] == -np.inf:
            continue
        exponential = max(-math.log(_uniform(key, token)), 2.0**-54)
        perturbed = scores[token] - math.log(exponential)
        if best < 0 or perturbed > value:
            best, value = token, perturbed
    return best


@numba.njit(types.float64(types.uint64, types.int64, types.int64), nogil=True, cache=True)
def _position_uniform(seed: int, stream: int, position: int) -> float:
    return _uniform(_key(seed, stream, position), 0)


def perturbed_argmax(scores: Doubles, seed: int, stream: Stream, position: int) -> int:
    """`argmax(scores + g)` with Gumbel noise g: a draw from softmax(scores) (the Gumbel-max trick).

    Scores of -inf are never drawn; ties go to the lowest token. At least one score must be finite.
    """
    return int(_perturbed_argmax(scores, seed, stream, position))


def uniform(seed: int, stream: Stream, position: int) -> float:
    """One number in (0, 1] for a position."""
    return float(_position_uniform(seed, stream, position))
