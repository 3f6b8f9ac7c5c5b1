"""What one thread does at a time: the jobs that a product, an expert mixture or attention falls into.

Each is a C function `(parameters, job, thread)`; the parameters are an array of int64 whose order the
docstring gives. Jobs write disjoint outputs and none depends on another, so it makes no difference which
thread runs which, or when. All work on rows or heads; nothing here splits a sum.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numba import types

from engine.kernels.elementwise import exponential, silu_product
from engine.kernels.machine import call, floats, int64s
from engine.kernels.matrix_kernels import DESCRIPTOR_FIELDS, DOTS, MIX, ROWS

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK_POSITIONS = 64
"""Attention goes through the context in blocks of this many positions, counted from position 0."""
EXPERT_FIELDS = 5
GROUP_HEADS = 8
"""Heads of one token that attend together, sharing each load of the cache."""


def _linear(parameters: int, job: int, thread: int) -> None:
    """matrix, x, x_stride, tokens, out, out_stride, scratch, scratch_bytes, chunk; a job is `chunk` rows."""
    p = int64s(parameters, 9)
    d = int64s(p[0], DESCRIPTOR_FIELDS)
    begin = job * p[8]
    end = min(begin + p[8], d[ROWS])
    scratch = p[6] + thread * p[7]
    call(d[DOTS], (p[0], begin, end, p[1], p[2], 0, p[3], p[4], p[5], 0, scratch))


def _absorb(parameters: int, job: int, thread: int) -> None:
    """kv_b, rows a head, q_nope of a head, latent, q, q_stride, q_head_stride, tokens, out, out_stride,
    out_head_stride, scratch, scratch_bytes; a job is a head: `out = q_nope . W_UK`."""
    p = int64s(parameters, 13)
    d = int64s(p[0], DESCRIPTOR_FIELDS)
    begin = job * p[1]
    q, out = p[4] + job * p[6], p[8] + job * p[10]
    scratch = p[11] + thread * p[12]
    call(d[MIX], (p[0], begin, begin + p[2], p[3], q, p[5], p[7], out, p[9], 0, scratch))


def _expand(parameters: int, job: int, thread: int) -> None:
    """kv_b, rows a head, values a head, latents, stride, head_stride, tokens, out, out_stride, scratch,
    scratch_bytes; a job is a head: `out = W_UV . latent`."""
    p = int64s(parameters, 11)
    d = int64s(p[0], DESCRIPTOR_FIELDS)
    end = (job + 1) * p[1]
    begin = end - p[2]
    out = p[7] + (job * p[2] - begin) * 4
    scratch = p[9] + thread * p[10]
    call(d[DOTS], (p[0], begin, end, p[3] + job * p[5], p[4], 0, p[6], out, p[8], 0, scratch))


def _attend(parameters: int, job: int, thread: int) -> None:
    """cache matrix, latent, width, heads, groups, q, start position, address of the softmax scale, out,
    scratch, scratch_bytes; a job is a token and a group of its heads.

    q is [tokens, heads, width], out [tokens, heads, latent]. Softmax is taken online, block by block from
    position 0; a token's sums do not see how many tokens are attended with it.
    """
    p = int64s(parameters, 11)
    cache_matrix, latent, width, heads = p[0], p[1], p[2], p[3]
    d = int64s(cache_matrix, DESCRIPTOR_FIELDS)
    token, group = job // p[4], job % p[4]
    first_head = group * GROUP_HEADS
    count = min(GROUP_HEADS, heads - first_head)
    q = p[5] + (token * heads + first_head) * width * 4
    out = p[8] + (token * heads + first_head) * latent * 4
    length = p[6] + token + 1
    softmax_scale = floats(p[7], 1)[0]
    scratch = p[9] + thread * p[10]
    peak = floats(scratch + 4 * GROUP_HEADS * BLOCK_POSITIONS, GROUP_HEADS)
    total = floats(scratch + 4 * GROUP_HEADS * (BLOCK_POSITIONS + 1), GROUP_HEADS)
    inner = scratch + 4 * GROUP_HEADS * (BLOCK_POSITIONS + 2)
    mixed = floats(out, count * latent)
    for head in range(count):
        peak[head] = -np.inf
        total[head] = 0.0
    for i in range(count * latent):
        mixed[i] = 0.0
    row_bytes = BLOCK_POSITIONS * 4
    for begin in range(0, length, BLOCK_POSITIONS):
        end = min(begin + BLOCK_POSITIONS, length)
        call(
            d[DOTS],
            (cache_matrix, begin, end, q, width * 4, 0, count, scratch - begin * 4, row_bytes, 0, inner),
        )
        for head in range(count):
            row = floats(scratch + head * row_bytes, BLOCK_POSITIONS)
            highest = peak[head]
            for i in range(end - begin):
                row[i] = row[i] * softmax_scale
                highest = max(highest, row[i])
            shrink = exponential(peak[head] - highest)
            mass = np.float32(0)
            for i in range(end - begin):
                row[i] = exponential(row[i] - highest)
                mass += row[i]
            peak[head] = highest
            total[head] = total[head] * shrink + mass
            if shrink != np.float32(1):
                for i in range(latent):
                    mixed[head * latent + i] *= shrink
        call(d[MIX], (cache_matrix, begin, end, latent, scratch, row_bytes, count, out, latent * 4, 1, inner))
    for head in range(count):
        for i in range(latent):
            mixed[head * latent + i] /= total[head]


def _gate_up(parameters: int, job: int, thread: int) -> None:
    """experts, token_of, slot_of, x, x_stride, h, h_stride, inner, chunk, scratch, scratch_bytes.

    `experts` is [experts, 5]: addresses of gate, up and down, the first of its uses and their number.
    `token_of` and `slot_of` say for each use which row of x it reads and which row of h it writes. h is
    [slots, 2 * inner]: gate and up side by side, and when the job is done silu(gate) * up in gate's place.
    A job is an expert and `chunk` of its rows.
    """
    p = int64s(parameters, 11)
    inner, h, h_stride = p[7], p[5], p[6]
    chunks = -(-inner // p[8])
    expert = int64s(p[0] + job // chunks * EXPERT_FIELDS * 8, EXPERT_FIELDS)
    token_of, slot_of, uses = p[1] + expert[3] * 8, p[2] + expert[3] * 8, expert[4]
    begin = job % chunks * p[8]
    end = min(begin + p[8], inner)
    scratch = p[9] + thread * p[10]
    for half in range(2):
        m = expert[half]
        out = h + half * inner * 4
        dots = int64s(m, DESCRIPTOR_FIELDS)[DOTS]
        call(dots, (m, begin, end, p[3], p[4], token_of, uses, out, h_stride, slot_of, scratch))
    slots = int64s(slot_of, uses)
    for i in range(uses):
        at = h + slots[i] * h_stride + begin * 4
        silu_product(floats(at, end - begin), floats(at + inner * 4, end - begin))


def _down(parameters: int, job: int, thread: int) -> None:
    """experts, slot_of, h, h_stride, y, y_stride, rows, chunk, scratch, scratch_bytes.

    As `_gate_up`; y is [slots, rows]. A job is an expert and `chunk` of its rows.
    """
    p = int64s(parameters, 10)
    chunks = -(-p[6] // p[7])
    expert = int64s(p[0] + job // chunks * EXPERT_FIELDS * 8, EXPERT_FIELDS)
    matrix, slot_of, uses = expert[2], p[1] + expert[3] * 8, expert[4]
    begin = job % chunks * p[7]
    end = min(begin + p[7], p[6])
    scratch = p[8] + thread * p[9]
    function = int64s(matrix, DESCRIPTOR_FIELDS)[DOTS]
    call(function, (matrix, begin, end, p[2], p[3], slot_of, uses, p[4], p[5], slot_of, scratch))


@cache
def _compiled(task: Callable[[int, int, int], None]) -> Any:
    return numba.cfunc(types.void(types.int64, types.int64, types.int64), cache=True)(task)


def linear_task() -> int:
    """Address of the jobs of one product."""
    return int(_compiled(_linear).address)


def absorb_task() -> int:
    """Address of the jobs that take queries to the latent space."""
    return int(_compiled(_absorb).address)


def expand_task() -> int:
    """Address of the jobs that take latents to values."""
    return int(_compiled(_expand).address)


def attend_task() -> int:
    """Address of the jobs of latent attention."""
    return int(_compiled(_attend).address)


def gate_up_task() -> int:
    """Address of the jobs of the experts' first half."""
    return int(_compiled(_gate_up).address)


def down_task() -> int:
    """Address of the jobs of the experts' second half."""
    return int(_compiled(_down).address)


def attention_scratch_bytes(inner: int) -> int:
    """Scratch that one thread needs for attention, on top of `inner` for its products."""
    return 4 * GROUP_HEADS * (BLOCK_POSITIONS + 2) + inner
