"""The tiles that every product is made of, with one summation order, written in LLVM IR.

Loops in Python syntax leave it to the compiler which sums run in which order, and how a remainder is
handled. These leave nothing to it, so that one token's sum is the same bits in every tile shape:

- `row_dots`: `rows x tokens` dot products along the columns. Each product owns sixteen running sums, one a
  lane; column `c` goes to lane `c % 16`, columns ascend, every step is one fused multiply-add, and the lanes
  are added in a fixed tree at the end. Neither `rows` nor `tokens` appears in that order.
- `row_mix`: `tokens x 64` columns of a weighted sum of rows, rows ascending, one fused multiply-add each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from engine.kernels.vectors import (
    FLOAT,
    I32,
    I64,
    LANES,
    POINTER,
    UNROLL,
    VECTOR,
    Kind,
    element_at,
    fma,
    load_floats,
    load_tail,
    load_weights,
    loop,
    prefetch,
    splat,
    sum_lanes,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def _literals(*arguments: types.Type) -> tuple[int, ...] | None:
    if not all(isinstance(argument, types.IntegerLiteral) for argument in arguments):
        return None
    return tuple(argument.literal_value for argument in arguments)


@intrinsic
def pack(_typing: Any, x: Any, begin: Any, end: Any, factor: Any, packed: Any, step: Any) -> Any:
    """Copy columns `begin` (a multiple of 16) to `end` of a row of x, times `factor`, vector by vector.

    Column c goes to `packed + (c // 16) * step` bytes, lane c % 16; lanes past `end` become zero.
    """
    signature = types.void(types.int64, types.int64, types.int64, types.float32, types.int64, types.int64)

    def codegen(context: Any, b: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        x, begin, end, factor, packed, step = arguments
        one = b.insert_element(ir.Constant(VECTOR, ir.Undefined), factor, I32(0))
        spread = b.shuffle_vector(one, one, ir.Constant(ir.VectorType(I32, LANES), [I32(0)] * LANES))

        def store(c: ir.Value, vector: ir.Value) -> list[ir.Value]:
            place = b.add(packed, b.mul(b.sdiv(c, I64(LANES)), step))
            b.store(b.fmul(vector, spread), b.inttoptr(place, POINTER), align=4)
            return []

        whole = b.and_(end, I64(-LANES))
        loop(b, begin, whole, LANES, [], lambda c, _: store(c, load_floats(b, element_at(b, x, c, 4))))
        loop(
            b,
            whole,
            end,
            LANES,
            [],
            lambda c, _: store(c, load_tail(b, Kind.F32, element_at(b, x, c, 4), b.sub(end, c))),
        )
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def row_dots(
    _typing: Any,
    kind: Any,
    rows: Any,
    tokens: Any,
    weights: Any,
    stride: Any,
    first: Any,
    last: Any,
    cols: Any,
    packed: Any,
    ahead: Any,
    out: Any,
) -> Any:
    """`out[token, row] = sum over c of weight[first + row, c] * x[token, c]` for a tile; addresses are int64.

    `kind`, `rows`, `tokens` are literals. `weights` is the address of row 0, `stride` bytes from row to row;
    rows past `last` are read as `last`, so a partial tile needs no code of its own. `packed` holds x as
    [ceil(cols / 16), tokens, 16] float32, zero past `cols`. `ahead` is how many bytes in front of the reads
    to prefetch. `out` is [tokens, rows] float32.
    """
    literals = _literals(kind, rows, tokens)
    if literals is None:
        return None
    storage, r, t = Kind(literals[0]), literals[1], literals[2]
    size = storage.bytes
    signature = types.void(kind, rows, tokens, *[types.int64] * 8)

    def codegen(context: Any, b: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        _, _, _, base, stride, first, last, cols, packed, ahead, out = arguments
        row_at = []
        for row in range(r):
            index = b.add(first, I64(row))
            index = b.select(b.icmp_signed("<", index, last), index, last)
            row_at.append(b.add(base, b.mul(index, stride)))

        def step(c: ir.Value, totals: list[ir.Value], load: Callable[[int], ir.Value]) -> list[ir.Value]:
            """One vector of columns. What there is more of, rows or tokens, is loaded only when its turn
            comes: a tile has up to 24 running sums for 32 registers, and spilling one halves the speed."""
            x_at = element_at(b, packed, c, t * 4)

            def load_x(token: int) -> ir.Value:
                return load_floats(b, b.add(x_at, I64(token * LANES * 4)))

            updated = list(totals)
            outer, inner = (r, t) if r > t else (t, r)
            held = [load_x(i) if r > t else load(i) for i in range(inner)]
            for i in range(outer):
                current = load(i) if r > t else load_x(i)
                for j in range(inner):
                    place = i * t + j if r > t else j * t + i
                    updated[place] = fma(b, current, held[j], totals[place])
            return updated

        def body(c: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
            at = [element_at(b, row, c, size) for row in row_at]
            for address in at:
                for line in range(size):
                    prefetch(b, b.add(b.add(address, I64(64 * line)), ahead))
            for vector in range(UNROLL):
                offset = I64(vector * LANES * size)

                def load(row: int, offset: ir.Value = offset) -> ir.Value:
                    return load_weights(b, storage, b.add(at[row], offset))

                totals = step(b.add(c, I64(vector * LANES)), totals, load)
            return totals

        def single(c: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
            return step(c, totals, lambda row: load_weights(b, storage, element_at(b, row_at[row], c, size)))

        def tail(c: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
            left = b.sub(cols, c)
            return step(
                c, totals, lambda row: load_tail(b, storage, element_at(b, row_at[row], c, size), left)
            )

        totals: list[ir.Value] = [splat(FLOAT, 0.0)] * (r * t)
        blocks = b.and_(cols, I64(-UNROLL * LANES))
        whole = b.and_(cols, I64(-LANES))
        totals = loop(b, I64(0), blocks, UNROLL * LANES, totals, body)
        totals = loop(b, blocks, whole, LANES, totals, single)
        totals = loop(b, whole, cols, LANES, totals, tail)
        for row in range(r):
            for token in range(t):
                at = b.add(out, I64((token * r + row) * 4))
                b.store(sum_lanes(b, totals[row * t + token]), b.inttoptr(at, POINTER), align=4)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def row_mix(
    _typing: Any,
    kind: Any,
    tokens: Any,
    weights: Any,
    stride: Any,
    rows: Any,
    cols: Any,
    factors: Any,
    sums: Any,
) -> Any:
    """`sums[token, c] += sum over row of factor[row, token] * weight[row, c]` for up to 64 columns.

    `kind` and `tokens` are literals. `weights` is the address of the first row's first column of interest;
    only `cols` (at most 64) columns are read. `factors` is [rows, tokens] float32, `sums` [tokens, 64].
    """
    literals = _literals(kind, tokens)
    if literals is None:
        return None
    storage, t = Kind(literals[0]), literals[1]
    size = storage.bytes
    signature = types.void(kind, tokens, *[types.int64] * 6)

    def codegen(context: Any, b: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        _, _, base, stride, rows, cols, factors, sums = arguments
        zeros = ir.Constant(ir.VectorType(I32, LANES), [I32(0)] * LANES)

        def accumulate(vectors: int, load: Callable[[ir.Value], ir.Value], start: ir.Value) -> None:
            places = [
                b.add(sums, b.mul(b.add(start, I64(token * UNROLL * LANES + v * LANES)), I64(4)))
                for token in range(t)
                for v in range(vectors)
            ]

            def body(row: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
                at = b.add(b.add(base, b.mul(row, stride)), b.mul(start, I64(size)))
                loaded = [load(b.add(at, I64(v * LANES * size))) for v in range(vectors)]
                updated = []
                for token in range(t):
                    place = element_at(b, b.add(factors, I64(token * 4)), row, t * 4)
                    factor = b.load(b.inttoptr(place, POINTER), typ=FLOAT, align=4)
                    one = b.insert_element(ir.Constant(VECTOR, ir.Undefined), factor, I32(0))
                    spread = b.shuffle_vector(one, one, zeros)
                    updated += [
                        fma(b, loaded[v], spread, totals[token * vectors + v]) for v in range(vectors)
                    ]
                return updated

            totals = [load_floats(b, place) for place in places]
            totals = loop(b, I64(0), rows, 1, totals, body)
            for place, total in zip(places, totals, strict=True):
                b.store(total, b.inttoptr(place, POINTER), align=4)

        full = b.icmp_signed("==", cols, I64(UNROLL * LANES))
        with b.if_else(full) as (wide, narrow):
            with wide:
                accumulate(UNROLL, lambda at: load_weights(b, storage, at), I64(0))
            with narrow:

                def one(start: ir.Value, _totals: list[ir.Value]) -> list[ir.Value]:
                    count = b.sub(cols, start)
                    accumulate(1, lambda at: load_tail(b, storage, at, count), start)
                    return []

                loop(b, I64(0), cols, LANES, [], one)
        return context.get_dummy_value()

    return signature, codegen
