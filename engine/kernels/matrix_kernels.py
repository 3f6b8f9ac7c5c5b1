"""The two products with a stored matrix, compiled once for each way of storing: `dots` and `mix`.

`dots` multiplies rows with tokens (every projection, the head, attention's scores); `mix` adds up rows by
factors (kv_b towards the latent, attention's values). Both decode a tile of weights once and use it for
every token of the tile, and both sum in the one order that `tiles` fixes.

A matrix is passed as the address of a descriptor, eight int64: `dots` and `mix` for its storage, the
address of its weights, bytes from row to row, rows, columns, address of its block scales (or 0) and scale
columns. Block scales are folded into x while it is packed for the tile, once for every 128 rows.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numba import types

from engine.kernels.machine import floats, int64s
from engine.kernels.tiles import pack, place_of, row_dots, row_mix
from engine.kernels.vectors import FP8_FACTOR, GROUP, LANES, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

SCALE_BLOCK = 128
"""Rows and columns that share one scale (weight_block_size of every FP8 checkpoint)."""
CHUNK_ROWS = 128
"""Rows for which x is packed at once: those that share their scales."""
AHEAD_BYTES = 8192
"""How far beyond the next tile weights are fetched. Measured on Zen 4, cold weights, one thread: 17-19 GB/s
for rows of 768 to 7168 bytes from 8 KB on; 8-15 without."""
TILE_TOKENS = 8
"""Of which a thread's scratch has room: a line of addresses."""
TILE_ROWS = 4
WIDEST_TILE = 5
"""Tokens. Measured on Zen 4, one thread, 7168 x 2048: 8 tokens take 0.99 ms as 4 + 4 and 1.83 as one tile of
3 rows by 8; 128 take 16.7 ms and 23.4."""

DOTS, MIX, WEIGHTS, STRIDE, ROWS, COLS, SCALES, SCALE_COLS = range(8)
"""The fields of a matrix's descriptor."""
DESCRIPTOR_FIELDS = 8


def scratch_bytes(cols: int) -> int:
    """Scratch that one thread needs for `dots` and `mix` on matrices of `cols` columns."""
    packed = -(-cols // GROUP) * GROUP * TILE_TOKENS
    mixed = TILE_TOKENS * (GROUP + SCALE_BLOCK)
    return 4 * (packed + 2 * TILE_TOKENS + mixed)


def _compile_dots(kind: Kind) -> Any:
    storage = int(kind)
    factor = FP8_FACTOR if kind is Kind.FP8 else 1.0

    def dots(
        matrix: int,
        begin: int,
        end: int,
        x: int,
        x_stride: int,
        x_index: int,
        tokens: int,
        out: int,
        out_stride: int,
        out_index: int,
        scratch: int,
    ) -> None:
        d = int64s(matrix, DESCRIPTOR_FIELDS)
        w, stride, cols = d[WEIGHTS], d[STRIDE], d[COLS]
        outputs = int64s(scratch, TILE_TOKENS)
        packed = scratch + TILE_TOKENS * 8
        first = begin
        while first < end:
            stop = min(end, (first // CHUNK_ROWS + 1) * CHUNK_ROWS)
            last = stop - 1
            scales = d[SCALES]
            if scales:
                scales += (first // SCALE_BLOCK) * d[SCALE_COLS] * 4
            token = 0
            while token < tokens:
                # As few tiles as possible, and all about as wide: 6 tokens run as 3 + 3, not 5 + 1, because
                # a narrow tile decodes as many weights as a wide one.
                left = tokens - token
                tiles = -(-left // WIDEST_TILE)
                width = -(-left // tiles)
                for slot in range(width):
                    source = target = token + slot
                    if x_index:
                        source = int64s(x_index, tokens)[source]
                    if out_index:
                        target = int64s(out_index, tokens)[target]
                    outputs[slot] = out + target * out_stride
                    values, at = x + source * x_stride, packed + slot * LANES * 4
                    if scales:
                        scale = floats(scales, -(-cols // SCALE_BLOCK))
                        for c in range(0, cols, SCALE_BLOCK):
                            by = np.float32(np.float32(factor) * scale[c // SCALE_BLOCK])
                            e = min(c + SCALE_BLOCK, cols)
                            pack(storage, values, c, e, by, at, width * LANES * 4)
                    else:
                        pack(storage, values, 0, cols, np.float32(factor), at, width * LANES * 4)
                for row in range(first, stop, TILE_ROWS):
                    ahead = TILE_ROWS * stride + AHEAD_BYTES
                    if (row + TILE_ROWS) * stride + ahead > end * stride:
                        ahead = 0  # behind the last row is another thread's work, or nobody's
                    if width == 1:
                        row_dots(storage, 4, 1, w, stride, row, last, cols, packed, ahead, scratch)
                    elif width == 2:
                        row_dots(storage, 4, 2, w, stride, row, last, cols, packed, ahead, scratch)
                    elif width == 3:
                        row_dots(storage, 4, 3, w, stride, row, last, cols, packed, ahead, scratch)
                    elif width == 4:
                        row_dots(storage, 4, 4, w, stride, row, last, cols, packed, ahead, scratch)
                    else:
                        row_dots(storage, 4, 5, w, stride, row, last, cols, packed, ahead, scratch)
                token += width
            first = stop

    return numba.cfunc(types.void(*[types.int64] * 11), cache=True)(dots)


def _compile_mix(kind: Kind) -> Any:
    storage, size = int(kind), kind.bytes
    factor = FP8_FACTOR if kind is Kind.FP8 else 1.0

    def mix(
        matrix: int,
        begin: int,
        end: int,
        cols: int,
        x: int,
        x_stride: int,
        tokens: int,
        out: int,
        out_stride: int,
        accumulate: int,
        scratch: int,
    ) -> None:
        d = int64s(matrix, DESCRIPTOR_FIELDS)
        weights, stride, scales = d[WEIGHTS], d[STRIDE], d[SCALES]
        sums = floats(scratch, TILE_TOKENS * GROUP)
        factors_at = scratch + TILE_TOKENS * GROUP * 4
        factors = floats(factors_at, TILE_TOKENS * SCALE_BLOCK)
        token = 0
        while token < tokens:
            width = 4 if tokens - token >= 3 else tokens - token
            count = min(width, tokens - token)
            for c in range(0, cols, GROUP):
                wide = min(GROUP, cols - c)
                for slot in range(width):
                    if accumulate and slot < count:
                        before = floats(out + (token + slot) * out_stride + c * 4, wide)
                        for i in range(wide):
                            sums[slot * GROUP + place_of(storage, i)] = before[i] / np.float32(factor)
                    else:
                        for i in range(GROUP):
                            sums[slot * GROUP + i] = np.float32(0)
                first = begin
                while first < end:
                    stop = min(end, (first // SCALE_BLOCK + 1) * SCALE_BLOCK)
                    by = np.float32(factor)
                    if scales:
                        place = (first // SCALE_BLOCK) * d[SCALE_COLS] + c // SCALE_BLOCK
                        by = np.float32(by * floats(scales, place + 1)[place])
                    for slot in range(width):
                        values = floats(x + min(token + slot, tokens - 1) * x_stride, end - begin)
                        for row in range(first, stop):
                            factors[(row - first) * width + slot] = values[row - begin] * by
                    at = weights + first * stride + c * size
                    if width == 1:
                        row_mix(storage, 1, at, stride, stop - first, wide, factors_at, scratch)
                    elif width == 2:
                        row_mix(storage, 2, at, stride, stop - first, wide, factors_at, scratch)
                    else:
                        row_mix(storage, 4, at, stride, stop - first, wide, factors_at, scratch)
                    first = stop
                for slot in range(count):
                    into = floats(out + (token + slot) * out_stride + c * 4, wide)
                    for i in range(wide):
                        into[i] = sums[slot * GROUP + place_of(storage, i)] * np.float32(factor)
            token += width

    return numba.cfunc(types.void(*[types.int64] * 11), cache=True)(mix)


@cache
def _compiled(compile_kernel: Callable[[Kind], Any], kind: Kind) -> Any:
    return compile_kernel(kind)


def dots_address(kind: Kind) -> int:
    """The C function `dots` for a storage, compiled on first use.

    `(matrix, begin, end, x, x_stride, x_index, tokens, out, out_stride, out_index, scratch)`, all int64:
    `out[o(t)] [row] = matrix[row] . x[i(t)]` for rows begin..end-1 and each token t, where `x_index` and
    `out_index` are addresses of int64 row numbers, or 0 for t itself. Strides are in bytes; `out` is the
    address that row 0 would have.
    """
    return int(_compiled(_compile_dots, kind).address)


def mix_address(kind: Kind) -> int:
    """The C function `mix` for a storage, compiled on first use.

    `(matrix, begin, end, cols, x, x_stride, tokens, out, out_stride, accumulate, scratch)`, all int64:
    `out[t, c] (+)= sum over rows of x[t, row - begin] * matrix[row, c]` for the first `cols` columns.
    """
    return int(_compiled(_compile_mix, kind).address)
