"""The small steps between products: norms, rotary, SiLU, routing, the latent cache, weighted sums.

Plain loops in float32, and the only sums in them have a fixed order: RMSNorm's runs in sixteen lanes that
are added in halves, like the products'. `exponential` is this project's own, because a vectorised loop and
its scalar remainder may call different library functions, whose last bits differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from engine.kernels.machine import float_of_bits
from engine.kernels.vectors import LANES

if TYPE_CHECKING:
    Floats = np.ndarray[Any, np.dtype[np.float32]]
    Integers = np.ndarray[Any, np.dtype[np.int64]]

_LOG2_E = np.float32(1.4426950408889634)
_LN2_HIGH = np.float32(0.693359375)  # ln 2 in two parts: the first times any exponent is exact
_LN2_LOW = np.float32(-2.12194440e-4)


@numba.njit(nogil=True)
def exponential(x: float) -> float:
    """e^x in float32, within 2 units of the last place; e^-87 below -87, infinite above 88.

    x = k ln 2 + r with |r| <= ln 2 / 2, and e^r by its Taylor series to the seventh power.
    """
    clamped = min(max(np.float32(x), np.float32(-87.0)), np.float32(88.0))
    k = np.floor(clamped * _LOG2_E + np.float32(0.5))
    r = clamped - k * _LN2_HIGH - k * _LN2_LOW
    p = np.float32(1.0 / 5040.0)
    p = p * r + np.float32(1.0 / 720.0)
    p = p * r + np.float32(1.0 / 120.0)
    p = p * r + np.float32(1.0 / 24.0)
    p = p * r + np.float32(1.0 / 6.0)
    p = p * r + np.float32(0.5)
    p = p * r + np.float32(1.0)
    p = p * r + np.float32(1.0)
    if x > np.float32(88.0):
        return np.inf
    return p * float_of_bits(np.int32((np.int32(k) + np.int32(127)) << np.int32(23)))


@numba.njit(nogil=True)
def silu_product(gate: Floats, up: Floats) -> None:
    """`gate = gate * sigmoid(gate) * up`, in place."""
    for i in range(gate.shape[0]):
        gate[i] = gate[i] / (np.float32(1) + exponential(-gate[i])) * up[i]


@numba.njit(nogil=True)
def _inverse_rms(x: Floats, eps: float) -> float:
    lanes = np.zeros(LANES, np.float32)
    whole = x.shape[0] // LANES * LANES
    for first in range(0, whole, LANES):
        for lane in range(LANES):
            lanes[lane] += x[first + lane] * x[first + lane]
    for i in range(whole, x.shape[0]):
        lanes[i - whole] += x[i] * x[i]
    width = LANES // 2
    while width:
        for lane in range(width):
            lanes[lane] += lanes[lane + width]
        width //= 2
    mean = lanes[0] / np.float32(x.shape[0])
    return np.float32(1) / np.sqrt(mean + np.float32(eps))


@numba.njit(nogil=True, cache=True)
def rms_norm(x: Floats, weight: Floats, eps: float, out: Floats) -> None:
    """`out = x / sqrt(mean(x^2) + eps) * weight` for each row; x and out are [tokens, size]."""
    for token in range(x.shape[0]):
        by = _inverse_rms(x[token], eps)
        for i in range(weight.shape[0]):
            out[token, i] = x[token, i] * by * weight[i]


@numba.njit(nogil=True)
def _rotate(source: Floats, cosine: Floats, sine: Floats, out: Floats) -> None:
    for pair in range(cosine.shape[0]):
        a, b = source[2 * pair], source[2 * pair + 1]
        out[2 * pair] = a * cosine[pair] - b * sine[pair]
        out[2 * pair + 1] = a * sine[pair] + b * cosine[pair]


@numba.njit(nogil=True, cache=True)
def rotate_queries(
    q: Floats, nope: int, cosine: Floats, sine: Floats, start: int, out: Floats, at: int
) -> None:
    """Turn each head's last part by its position, into `out[token, head, at:]`.

    q is [tokens, heads, nope + rope]; cosine and sine are [context, rope / 2]; row `start + token` is used.
    Pairs are neighbours, (0, 1), (2, 3), ..., as the checkpoint has them.
    """
    for token in range(q.shape[0]):
        for head in range(q.shape[1]):
            _rotate(q[token, head, nope:], cosine[start + token], sine[start + token], out[token, head, at:])


@numba.njit(nogil=True, cache=True)
def write_latents(
    kv: Floats, weight: Floats, eps: float, cosine: Floats, sine: Floats, start: int, cache: Floats
) -> None:
    """Put tokens into the cache: the latent normed, the shared key turned by its position.

    kv is [tokens, latent + rope], the rows of kv_a_proj_with_mqa; cache is [context, latent + rope] and gets
    rows start..start + tokens - 1.
    """
    latent = weight.shape[0]
    for token in range(kv.shape[0]):
        row = cache[start + token]
        by = _inverse_rms(kv[token, :latent], eps)
        for i in range(latent):
            row[i] = kv[token, i] * by * weight[i]
        _rotate(kv[token, latent:], cosine[start + token], sine[start + token], row[latent:])


@numba.njit(nogil=True, cache=True)
def route(
    logits: Floats,
    bias: Floats,
    groups: int,
    kept_groups: int,
    normalise: bool,
    factor: float,
    ids: Integers,
    weights: Floats,
) -> None:
    """noaux_tc: which experts a token takes, and with what weight (DeepSeek-V3 report, equations 12-16).

    logits is [tokens, experts], bias [experts]; ids and weights are [tokens, k]. Scores are sigmoids; the
    choice is by score + bias, among the groups whose two best choices add up highest; the weights are the
    scores without bias, divided by their sum (plus 1e-20) if `normalise`, times `factor`. Ties, of groups and
    experts, go to the lowest number. A token's experts are ascending: the order in which they are summed.
    """
    experts, k = logits.shape[1], ids.shape[1]
    size = experts // groups
    score = np.empty(experts, np.float32)
    choice = np.empty(experts, np.float32)
    group_score = np.empty(groups, np.float32)
    for token in range(logits.shape[0]):
        for e in range(experts):
            score[e] = np.float32(1) / (np.float32(1) + exponential(-logits[token, e]))
            choice[e] = score[e] + bias[e]
        if kept_groups < groups:
            for g in range(groups):
                best, second = np.float32(-np.inf), np.float32(-np.inf)
                for e in range(g * size, (g + 1) * size):
                    if choice[e] > best:
                        best, second = choice[e], best
                    elif choice[e] > second:
                        second = choice[e]
                group_score[g] = best + second
            for _ in range(groups - kept_groups):
                worst = 0
                for g in range(1, groups):
                    if group_score[g] <= group_score[worst]:
                        worst = g
                group_score[worst] = np.inf  # dropped: never the worst again
                for e in range(worst * size, (worst + 1) * size):
                    choice[e] = -np.inf
        total = np.float32(0)
        for rank in range(k):
            top = 0
            for e in range(1, experts):
                if choice[e] > choice[top]:
                    top = e
            total += score[top]
            choice[top] = -np.inf
            place = rank
            while place > 0 and ids[token, place - 1] > top:
                ids[token, place] = ids[token, place - 1]
                place -= 1
            ids[token, place] = top
        for rank in range(k):
            weights[token, rank] = score[ids[token, rank]]
        for rank in range(k):
            if normalise:
                weights[token, rank] /= total + np.float32(1e-20)
            weights[token, rank] *= np.float32(factor)


@numba.njit(nogil=True, cache=True)
def group_by_expert(
    ids: Integers, experts: int, numbers: Integers, starts: Integers, tokens: Integers, slots: Integers
) -> int:
    """Sort [tokens, k] expert numbers by expert; returns how many different experts are used.

    The used experts' numbers, ascending, go to `numbers`; the i-th one's uses are starts[i]..starts[i + 1],
    each a token and a slot (token * k + rank). Lengths: numbers tokens * k, starts one more, the others
    tokens * k.
    """
    count = np.zeros(experts, np.int64)
    for token in range(ids.shape[0]):
        for rank in range(ids.shape[1]):
            count[ids[token, rank]] += 1
    used, at = 0, 0
    for e in range(experts):
        if count[e]:
            numbers[used], starts[used] = e, at
            at += count[e]
            count[e] = starts[used]
            used += 1
    starts[used] = at
    for token in range(ids.shape[0]):
        for rank in range(ids.shape[1]):
            e = ids[token, rank]
            tokens[count[e]] = token
            slots[count[e]] = token * ids.shape[1] + rank
            count[e] += 1
    return used


@numba.njit(nogil=True)
def _add_scaled(output: Floats, by: float, total: Floats) -> None:
    for i in range(total.shape[0]):
        total[i] += output[i] * by


@numba.njit(nogil=True, cache=True)
def combine(outputs: Floats, weights: Floats, out: Floats) -> None:
    """`out[token] = sum over ranks of weight * output`, ranks ascending; outputs is [tokens * k, size]."""
    k = weights.shape[1]
    for token in range(out.shape[0]):
        out[token] = np.float32(0)
        for rank in range(k):
            _add_scaled(outputs[token * k + rank], weights[token, rank], out[token])


@numba.njit(nogil=True, cache=True)
def accumulate(outputs: Floats, weights: Floats, tokens: Integers, sums: Floats) -> None:
    """`sums[tokens[i]] += weights[i] * outputs[i]` for each use i in turn."""
    for i in range(tokens.shape[0]):
        _add_scaled(outputs[i], weights[i], sums[tokens[i]])


@numba.njit(nogil=True, cache=True)
def count_nan_bytes(stored: np.ndarray[Any, np.dtype[np.uint8]]) -> int:
    """How many FP8 (e4m3) bytes stand for NaN: 0x7F and 0xFF."""
    count = 0
    for i in range(stored.shape[0]):
        count += (stored[i] & 0x7F) == 0x7F
    return count
