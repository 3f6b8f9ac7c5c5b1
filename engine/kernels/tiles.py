"""The tiles that every product is made of, with one summation order, written in LLVM IR.

Loops in Python syntax leave it to the compiler which sums run in which order, and how a remainder is
handled. These leave nothing to it, so that one token's sum is the same bits in every tile shape:

- `row_dots`: `rows x tokens` dot products along the columns. Each product owns sixteen running sums, one a
  lane; groups of 64 columns ascend, within one the four vectors have a fixed order, every step is one fused
  multiply-add, and the lanes are added in a fixed tree at the end. Neither `rows` nor `tokens` appears in it.
- `row_mix`: `tokens x 64` columns of a weighted sum of rows, rows ascending, one fused multiply-add each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from engine.kernels.vectors import (
    FLOAT,
    FP8_FACTOR,
    GROUP,
    I64,
    LANES,
    POINTER,
    POSITIONS,
    Kind,
    broadcast,
    element_at,
    fma,
    load_floats,
    load_weights,
    loop,
    order_like,
    prefetch,
    splat,
    sum_lanes,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@numba.njit(nogil=True)
def place_of(kind: int, column: int) -> int:
    """Where in [4, 16] a group's column is, for a kind of storage."""
    if kind != 0:
        return column
    byte = column % 4
    position = 3 if byte == 0 else 0 if byte == 3 else byte
    return position * 16 + column // 4


def _function_of_its_own(
    b: ir.IRBuilder,
    name: str,
    arguments: list[ir.Value],
    emit: Callable[[ir.IRBuilder, list[ir.Value]], None],
) -> None:
    """Call a function of int64s, which `emit` fills when the module has none of that name yet.

    A tile has nearly as many running sums as there are registers. Among others in one function, the compiler
    keeps values for them in registers too, and spills sums in the innermost loop: half the speed.
    """
    function = b.module.globals.get(name)
    if function is None:
        function = ir.Function(b.module, ir.FunctionType(ir.VoidType(), [I64] * len(arguments)), name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        inside = ir.IRBuilder(function.append_basic_block("entry"))
        emit(inside, list(function.args))
        inside.ret_void()
    b.call(function, arguments)


def _literals(*arguments: types.Type) -> tuple[int, ...] | None:
    if not all(isinstance(argument, types.IntegerLiteral) for argument in arguments):
        return None
    return tuple(argument.literal_value for argument in arguments)


@intrinsic(prefer_literal=True)
def pack(
    _typing: Any, kind: Any, x: Any, begin: Any, end: Any, factor: Any, packed: Any, slot_bytes: Any
) -> Any:
    """Copy columns `begin` (a multiple of 64) to `end` of a row of x, times `factor`, ordered like weights.

    `kind` is a literal. The vectors follow each other at `packed`, which is column 0's place, with
    `slot_bytes` from one to the next; columns past `end` become zero.
    """
    literals = _literals(kind)
    if literals is None:
        return None
    storage = Kind(literals[0])
    signature = types.void(kind, *[types.int64] * 3, types.float32, types.int64, types.int64)

    def codegen(context: Any, b: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        _, x, begin, end, factor, packed, slot_bytes = arguments
        by = broadcast(b, factor)

        def group(left_of: Callable[[ir.Value], ir.Value | None]) -> Callable[..., list[ir.Value]]:
            def body(c: ir.Value, _totals: list[ir.Value]) -> list[ir.Value]:
                at = element_at(b, x, c, 4)
                vectors = [load_weights(b, Kind.F32, at, p, left_of(c)) for p in range(POSITIONS)]
                first = b.mul(b.sdiv(c, I64(LANES)), slot_bytes)
                for p, vector in enumerate(order_like(b, storage, vectors)):
                    place = b.add(packed, b.add(first, b.mul(slot_bytes, I64(p))))
                    b.store(b.fmul(vector, by), b.inttoptr(place, POINTER), align=4)
                return []

            return body

        whole = b.and_(end, I64(-GROUP))
        loop(b, begin, whole, GROUP, [], group(lambda _: None))
        loop(b, whole, end, GROUP, [], group(lambda c: b.sub(end, c)))
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
    """`out[token][first + row] = sum over c of weight[first + row, c] * x[token, c]` for a tile.

    `kind`, `rows`, `tokens` are literals. `weights` is the address of row 0, `stride` bytes from row to row;
    rows past `last` are taken as `last`, so a partial tile needs no code of its own. `packed` holds x as
    [ceil(cols / 64), 4, tokens, 16] float32 (see `pack`), zero past `cols`. `ahead` is how many bytes in
    front of the reads to prefetch. `out` is the address of each token's row 0, [tokens] int64.
    """
    literals = _literals(kind, rows, tokens)
    if literals is None:
        return None
    storage, r, t = Kind(literals[0]), literals[1], literals[2]
    size = storage.bytes
    signature = types.void(kind, rows, tokens, *[types.int64] * 8)

    def emit(b: ir.IRBuilder, arguments: list[ir.Value]) -> None:
        base, stride, first, last, cols, packed, ahead, out = arguments
        indices = []
        for row in range(r):
            index = b.add(first, I64(row))
            indices.append(b.select(b.icmp_signed("<", index, last), index, last))
        row_at = [b.add(base, b.mul(index, stride)) for index in indices]

        def group(c: ir.Value, totals: list[ir.Value], left: ir.Value | None) -> list[ir.Value]:
            """64 columns. Up to three tokens: x is held, two positions at a time, and rows pass by, so that
            what a row's positions share is computed once. More: the rows' weights are held, tokens pass.
            """
            x_at = element_at(b, packed, c, t * 4)
            at = [element_at(b, row, c, size) for row in row_at]
            updated = list(totals)

            def load_x(position: int, token: int) -> ir.Value:
                return load_floats(b, b.add(x_at, I64((position * t + token) * LANES * 4)))

            def add(row: int, token: int, weights: ir.Value, x: ir.Value) -> None:
                updated[row * t + token] = fma(b, weights, x, updated[row * t + token])

            if t <= 3:
                for pair in ((0, 1), (2, 3)):
                    xs = {(p, token): load_x(p, token) for p in pair for token in range(t)}
                    for row in range(r):
                        for p in pair:
                            weights = load_weights(b, storage, at[row], p, left)
                            for token in range(t):
                                add(row, token, weights, xs[p, token])
            else:
                for p in range(POSITIONS):
                    held = [load_weights(b, storage, at[row], p, left) for row in range(r)]
                    for token in range(t):
                        x = load_x(p, token)
                        for row in range(r):
                            add(row, token, held[row], x)
            return updated

        def whole_group(c: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
            for row in row_at:
                for line in range(size):
                    prefetch(b, b.add(b.add(element_at(b, row, c, size), I64(64 * line)), ahead))
            return group(c, totals, None)

        totals: list[ir.Value] = [splat(FLOAT, 0.0)] * (r * t)
        whole = b.and_(cols, I64(-GROUP))
        totals = loop(b, I64(0), whole, GROUP, totals, whole_group)
        totals = loop(b, whole, cols, GROUP, totals, lambda c, sums: group(c, sums, b.sub(cols, c)))
        for token in range(t):
            place = b.inttoptr(b.add(out, I64(token * 8)), POINTER)
            token_out = b.load(place, typ=I64, align=8)
            for row in range(r):
                total = sum_lanes(b, totals[row * t + token])
                if storage is Kind.FP8:
                    total = b.fmul(total, ir.Constant(FLOAT, FP8_FACTOR))
                at = element_at(b, token_out, indices[row], 4)
                b.store(total, b.inttoptr(at, POINTER), align=4)

    def codegen(context: Any, b: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        _function_of_its_own(b, f"row_dots_{storage.name}_{r}_{t}", arguments[3:], emit)
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
    only `cols` (at most 64) columns are read. `factors` is [rows, tokens] float32; `sums` is [tokens, 4, 16]
    with columns where `place_of` says, and for FP8 still to be multiplied with FP8_FACTOR.
    """
    literals = _literals(kind, tokens)
    if literals is None:
        return None
    storage, t = Kind(literals[0]), literals[1]
    signature = types.void(kind, tokens, *[types.int64] * 6)

    def emit(b: ir.IRBuilder, arguments: list[ir.Value]) -> None:
        base, stride, rows, cols, factors, sums = arguments
        places = [b.add(sums, I64(i * LANES * 4)) for i in range(t * POSITIONS)]

        def accumulate(left: ir.Value | None) -> None:
            def body(row: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
                at = b.add(base, b.mul(row, stride))
                for line in range(storage.bytes):  # of the next 64 columns, which are this row's turn next
                    prefetch(b, b.add(at, I64(64 * (storage.bytes + line))))
                loaded = [load_weights(b, storage, at, p, left) for p in range(POSITIONS)]
                updated = []
                for token in range(t):
                    place = element_at(b, b.add(factors, I64(token * 4)), row, t * 4)
                    factor = broadcast(b, b.load(b.inttoptr(place, POINTER), typ=FLOAT, align=4))
                    updated += [
                        fma(b, loaded[p], factor, totals[token * POSITIONS + p]) for p in range(POSITIONS)
                    ]
                return updated

            totals = loop(b, I64(0), rows, 1, [load_floats(b, place) for place in places], body)
            for place, total in zip(places, totals, strict=True):
                b.store(total, b.inttoptr(place, POINTER), align=4)

        with b.if_else(b.icmp_signed("==", cols, I64(GROUP))) as (full, partial):
            with full:
                accumulate(None)
            with partial:
                accumulate(cols)

    def codegen(context: Any, b: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        _function_of_its_own(b, f"row_mix_{storage.name}_{t}", arguments[2:], emit)
        return context.get_dummy_value()

    return signature, codegen
