"""Sixteen float32 lanes: the vector instructions that all kernels are made of, written as LLVM IR.

Loops in Python syntax leave it to the compiler which sums run in which order, and how a remainder is
handled. These two tiles leave nothing to it, so that one token's sum is the same bits in every tile shape:

- `row_dots`: `rows x tokens` dot products along the columns. Each product owns sixteen running sums, one a
  lane; column `c` goes to lane `c % 16`, columns ascend, every step is one fused multiply-add, and the lanes
  are added in a fixed tree at the end. Neither `rows` nor `tokens` appears in that order.
- `row_mix`: `tokens x 64` columns of a weighted sum of rows, rows ascending, one fused multiply-add each.

Weights are read as stored. FP8 (e4m3) becomes float16 by moving its bits (sign, and the other seven bits
seven places up), which is the value times 2^-8: float16 has room for FP8's subnormals, and the processor's
float16 conversion honours subnormals whatever flush-to-zero mode the thread is in. The factor 2^8 is folded
into the block scale, so nothing here can overflow that the true product would not.

LLVM splits the sixteen lanes into whatever the processor has (AVX-512: one register; AVX2: two; NEON: four).
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LANES = 16
UNROLL = 4
"""Vectors a step of the main loop: 64 columns, which is one cache line of FP8 a row."""

FP8_FACTOR = 256.0
"""What an FP8 weight decoded by its bits must still be multiplied with."""


class Kind(IntEnum):
    """How a matrix is stored."""

    FP8 = 0
    BF16 = 1
    F16 = 2
    F32 = 3

    @property
    def bytes(self) -> int:
        """Size of one weight in bytes."""
        return (1, 2, 2, 4)[self]


_FLOAT, _HALF, _POINTER = ir.FloatType(), ir.HalfType(), ir.PointerType()
_I1, _I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
_VECTOR = ir.VectorType(_FLOAT, LANES)
_STORED = {Kind.FP8: _I8, Kind.BF16: _I16, Kind.F16: _HALF, Kind.F32: _FLOAT}


def _splat(element: ir.Type, value: float) -> ir.Constant:
    return ir.Constant(ir.VectorType(element, LANES), [ir.Constant(element, value)] * LANES)


def _declare(b: ir.IRBuilder, name: str, result: ir.Type, arguments: Sequence[ir.Type]) -> ir.Function:
    found = b.module.globals.get(name)
    return found or ir.Function(b.module, ir.FunctionType(result, arguments), name)


def _fma(b: ir.IRBuilder, x: ir.Value, y: ir.Value, total: ir.Value) -> ir.Value:
    return b.call(_declare(b, "llvm.fma.v16f32", _VECTOR, [_VECTOR] * 3), [x, y, total])


def _prefetch(b: ir.IRBuilder, address: ir.Value) -> None:
    # Arguments: for reading; into the nearest cache; data. An address past the matrix does not fault.
    function = _declare(b, "llvm.prefetch.p0", ir.VoidType(), [_POINTER, _I32, _I32, _I32])
    b.call(function, [b.inttoptr(address, _POINTER), _I32(0), _I32(3), _I32(1)])


def _decode(b: ir.IRBuilder, kind: Kind, stored: ir.Value) -> ir.Value:
    """Sixteen stored weights as float32; FP8 comes out divided by `FP8_FACTOR`. Exact in every case."""
    if kind is Kind.FP8:
        wide = b.shl(b.sext(stored, ir.VectorType(_I16, LANES)), _splat(_I16, 7))
        half = b.and_(wide, _splat(_I16, 0xBFFF))  # the sign was doubled into bit 14
        return b.fpext(b.bitcast(half, ir.VectorType(_HALF, LANES)), _VECTOR)
    if kind is Kind.BF16:
        wide = b.shl(b.zext(stored, ir.VectorType(_I32, LANES)), _splat(_I32, 16))
        return b.bitcast(wide, _VECTOR)
    if kind is Kind.F16:
        return b.fpext(stored, _VECTOR)
    return stored


def _load_weights(b: ir.IRBuilder, kind: Kind, address: ir.Value) -> ir.Value:
    stored = b.load(b.inttoptr(address, _POINTER), typ=ir.VectorType(_STORED[kind], LANES), align=1)
    return _decode(b, kind, stored)


def _load_tail(b: ir.IRBuilder, kind: Kind, address: ir.Value, count: ir.Value) -> ir.Value:
    """The first `count` (below 16) weights, zeros after them; nothing behind them is touched."""
    vector = ir.VectorType(_STORED[kind], LANES)
    lanes = ir.Constant(ir.VectorType(_I64, LANES), [_I64(lane) for lane in range(LANES)])
    spread = b.insert_element(ir.Constant(ir.VectorType(_I64, LANES), ir.Undefined), count, _I32(0))
    zeros = ir.Constant(ir.VectorType(_I32, LANES), [_I32(0)] * LANES)
    mask = b.icmp_signed("<", lanes, b.shuffle_vector(spread, spread, zeros))
    suffix = {Kind.FP8: "i8", Kind.BF16: "i16", Kind.F16: "f16", Kind.F32: "f32"}[kind]
    load = _declare(
        b, f"llvm.masked.load.v16{suffix}.p0", vector, [_POINTER, ir.VectorType(_I1, LANES), vector]
    )
    nothing = ir.Constant(vector, [ir.Constant(_STORED[kind], 0)] * LANES)
    return _decode(b, kind, b.call(load, [b.inttoptr(address, _POINTER), mask, nothing]))


def _load_floats(b: ir.IRBuilder, address: ir.Value) -> ir.Value:
    return b.load(b.inttoptr(address, _POINTER), typ=_VECTOR, align=4)


def _sum_lanes(b: ir.IRBuilder, vector: ir.Value) -> ir.Value:
    """Add the lanes in halves: 8 + 8, 4 + 4, 2 + 2, 1 + 1."""
    width = LANES // 2
    while width:
        index = ir.VectorType(_I32, width)
        low = ir.Constant(index, [_I32(lane) for lane in range(width)])
        high = ir.Constant(index, [_I32(lane + width) for lane in range(width)])
        vector = b.fadd(b.shuffle_vector(vector, vector, low), b.shuffle_vector(vector, vector, high))
        width //= 2
    return b.extract_element(vector, _I32(0))


def _loop(
    b: ir.IRBuilder,
    begin: ir.Value,
    end: ir.Value,
    step: int,
    totals: Sequence[ir.Value],
    body: Callable[[ir.Value, list[ir.Value]], list[ir.Value]],
) -> list[ir.Value]:
    """`for i in range(begin, end, step): totals = body(i, totals)`, with the totals kept in registers."""
    before = b.block
    head, inside, after = (b.append_basic_block(name) for name in ("head", "inside", "after"))
    b.branch(head)
    b.position_at_end(head)
    i = b.phi(_I64)
    i.add_incoming(begin, before)
    current = []
    for total in totals:
        phi = b.phi(total.type)
        phi.add_incoming(total, before)
        current.append(phi)
    b.cbranch(b.icmp_signed("<", i, end), inside, after)
    b.position_at_end(inside)
    updated = body(i, list(current))
    i.add_incoming(b.add(i, _I64(step)), b.block)
    for phi, value in zip(current, updated, strict=True):
        phi.add_incoming(value, b.block)
    b.branch(head)
    b.position_at_end(after)
    return list(current)


def _at(b: ir.IRBuilder, base: ir.Value, index: ir.Value, size: int) -> ir.Value:
    return b.add(base, b.mul(index, _I64(size)))


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
        one = b.insert_element(ir.Constant(_VECTOR, ir.Undefined), factor, _I32(0))
        spread = b.shuffle_vector(one, one, ir.Constant(ir.VectorType(_I32, LANES), [_I32(0)] * LANES))

        def store(c: ir.Value, vector: ir.Value) -> list[ir.Value]:
            place = b.add(packed, b.mul(b.sdiv(c, _I64(LANES)), step))
            b.store(b.fmul(vector, spread), b.inttoptr(place, _POINTER), align=4)
            return []

        whole = b.and_(end, _I64(-LANES))
        _loop(b, begin, whole, LANES, [], lambda c, _: store(c, _load_floats(b, _at(b, x, c, 4))))
        _loop(
            b,
            whole,
            end,
            LANES,
            [],
            lambda c, _: store(c, _load_tail(b, Kind.F32, _at(b, x, c, 4), b.sub(end, c))),
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
            index = b.add(first, _I64(row))
            index = b.select(b.icmp_signed("<", index, last), index, last)
            row_at.append(b.add(base, b.mul(index, stride)))

        def step(c: ir.Value, totals: list[ir.Value], load: Callable[[int], ir.Value]) -> list[ir.Value]:
            """One vector of columns. What there is more of, rows or tokens, is loaded only when its turn
            comes: a tile has up to 24 running sums for 32 registers, and spilling one halves the speed."""
            x_at = _at(b, packed, c, t * 4)

            def load_x(token: int) -> ir.Value:
                return _load_floats(b, b.add(x_at, _I64(token * LANES * 4)))

            updated = list(totals)
            outer, inner = (r, t) if r > t else (t, r)
            held = [load_x(i) if r > t else load(i) for i in range(inner)]
            for i in range(outer):
                current = load(i) if r > t else load_x(i)
                for j in range(inner):
                    place = i * t + j if r > t else j * t + i
                    updated[place] = _fma(b, current, held[j], totals[place])
            return updated

        def body(c: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
            at = [_at(b, row, c, size) for row in row_at]
            for address in at:
                for line in range(size):
                    _prefetch(b, b.add(b.add(address, _I64(64 * line)), ahead))
            for vector in range(UNROLL):
                offset = _I64(vector * LANES * size)

                def load(row: int, offset: ir.Value = offset) -> ir.Value:
                    return _load_weights(b, storage, b.add(at[row], offset))

                totals = step(b.add(c, _I64(vector * LANES)), totals, load)
            return totals

        def single(c: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
            return step(c, totals, lambda row: _load_weights(b, storage, _at(b, row_at[row], c, size)))

        def tail(c: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
            left = b.sub(cols, c)
            return step(c, totals, lambda row: _load_tail(b, storage, _at(b, row_at[row], c, size), left))

        totals: list[ir.Value] = [_splat(_FLOAT, 0.0)] * (r * t)
        blocks = b.and_(cols, _I64(-UNROLL * LANES))
        whole = b.and_(cols, _I64(-LANES))
        totals = _loop(b, _I64(0), blocks, UNROLL * LANES, totals, body)
        totals = _loop(b, blocks, whole, LANES, totals, single)
        totals = _loop(b, whole, cols, LANES, totals, tail)
        for row in range(r):
            for token in range(t):
                at = b.add(out, _I64((token * r + row) * 4))
                b.store(_sum_lanes(b, totals[row * t + token]), b.inttoptr(at, _POINTER), align=4)
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
        zeros = ir.Constant(ir.VectorType(_I32, LANES), [_I32(0)] * LANES)

        def accumulate(vectors: int, load: Callable[[ir.Value], ir.Value], start: ir.Value) -> None:
            places = [
                b.add(sums, b.mul(b.add(start, _I64(token * UNROLL * LANES + v * LANES)), _I64(4)))
                for token in range(t)
                for v in range(vectors)
            ]

            def body(row: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
                at = b.add(b.add(base, b.mul(row, stride)), b.mul(start, _I64(size)))
                loaded = [load(b.add(at, _I64(v * LANES * size))) for v in range(vectors)]
                updated = []
                for token in range(t):
                    place = _at(b, b.add(factors, _I64(token * 4)), row, t * 4)
                    factor = b.load(b.inttoptr(place, _POINTER), typ=_FLOAT, align=4)
                    one = b.insert_element(ir.Constant(_VECTOR, ir.Undefined), factor, _I32(0))
                    spread = b.shuffle_vector(one, one, zeros)
                    updated += [
                        _fma(b, loaded[v], spread, totals[token * vectors + v]) for v in range(vectors)
                    ]
                return updated

            totals = [_load_floats(b, place) for place in places]
            totals = _loop(b, _I64(0), rows, 1, totals, body)
            for place, total in zip(places, totals, strict=True):
                b.store(total, b.inttoptr(place, _POINTER), align=4)

        full = b.icmp_signed("==", cols, _I64(UNROLL * LANES))
        with b.if_else(full) as (wide, narrow):
            with wide:
                accumulate(UNROLL, lambda at: _load_weights(b, storage, at), _I64(0))
            with narrow:

                def one(start: ir.Value, _totals: list[ir.Value]) -> list[ir.Value]:
                    count = b.sub(cols, start)
                    accumulate(1, lambda at: _load_tail(b, storage, at, count), start)
                    return []

                _loop(b, _I64(0), cols, LANES, [], one)
        return context.get_dummy_value()

    return signature, codegen
