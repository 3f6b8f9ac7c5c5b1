"""Vectors of sixteen float32 lanes in LLVM IR: loads, decoding, fused multiply-add, loops.

Weights are read as stored, in groups of 64 columns, which are four vectors. FP8 (e4m3) is decoded by moving
its bits into a float32 (sign to sign, the other seven bits to where exponent and mantissa meet), which is the
value times 2^-120: 64 bytes become four vectors by nine shifts and masks, a third faster than through the
processor's float16. Two things follow. The missing 2^120 is given back in two halves, `FP8_FACTOR` to x
before and to the sum after, since x times 2^120 would overflow. And FP8's smallest values are subnormal
float32, so kernels run with subnormals honoured (see `machine`).

LLVM splits the sixteen lanes into whatever the processor has (AVX-512: one register; AVX2: two; NEON: four).
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from llvmlite import ir

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LANES = 16
POSITIONS = 4
"""Vectors of a group."""
GROUP = POSITIONS * LANES
"""Columns of a group: one cache line of FP8."""

FP8_FACTOR = 2.0**60
"""Half of what an FP8 weight decoded by its bits must still be multiplied with; it takes it twice."""
FP8_BYTES = (3, 1, 2, 0)
"""Which byte of its four-byte word a lane holds, by position: decoding leaves each word's bytes apart."""


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


FLOAT, HALF, POINTER = ir.FloatType(), ir.HalfType(), ir.PointerType()
I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
VECTOR = ir.VectorType(FLOAT, LANES)
STORED = {Kind.FP8: I8, Kind.BF16: I16, Kind.F16: HALF, Kind.F32: FLOAT}


def splat(element: ir.Type, value: float, lanes: int = LANES) -> ir.Constant:
    return ir.Constant(ir.VectorType(element, lanes), [ir.Constant(element, value)] * lanes)


def declare(b: ir.IRBuilder, name: str, result: ir.Type, arguments: Sequence[ir.Type]) -> ir.Function:
    found = b.module.globals.get(name)
    return found or ir.Function(b.module, ir.FunctionType(result, arguments), name)


def fma(b: ir.IRBuilder, x: ir.Value, y: ir.Value, total: ir.Value) -> ir.Value:
    return b.call(declare(b, "llvm.fma.v16f32", VECTOR, [VECTOR] * 3), [x, y, total])


def prefetch(b: ir.IRBuilder, address: ir.Value) -> None:
    # For reading, into the second-level cache (it can wait for more lines at once than the first), data.
    # An address past the matrix does not fault.
    function = declare(b, "llvm.prefetch.p0", ir.VoidType(), [POINTER, I32, I32, I32])
    b.call(function, [b.inttoptr(address, POINTER), I32(0), I32(2), I32(1)])


def broadcast(b: ir.IRBuilder, value: ir.Value, lanes: int = LANES) -> ir.Value:
    """A value in every lane."""
    one = b.insert_element(ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined), value, I32(0))
    return b.shuffle_vector(one, one, ir.Constant(ir.VectorType(I32, lanes), [I32(0)] * lanes))


def load_first(b: ir.IRBuilder, element: ir.Type, lanes: int, address: ir.Value, count: ir.Value) -> ir.Value:
    """The first `count` elements, zeros after them; nothing behind them is touched."""
    vector = ir.VectorType(element, lanes)
    numbers = ir.Constant(ir.VectorType(I64, lanes), [I64(lane) for lane in range(lanes)])
    mask = b.icmp_signed("<", numbers, broadcast(b, count, lanes))
    suffix = {I8: "i8", I16: "i16", HALF: "f16", FLOAT: "f32"}[element]
    name = f"llvm.masked.load.v{lanes}{suffix}.p0"
    load = declare(b, name, vector, [POINTER, ir.VectorType(I1, lanes), vector])
    nothing = ir.Constant(vector, [ir.Constant(element, 0)] * lanes)
    return b.call(load, [b.inttoptr(address, POINTER), mask, nothing])


def load_weights(
    b: ir.IRBuilder, kind: Kind, address: ir.Value, position: int, left: ir.Value | None = None
) -> ir.Value:
    """One vector of the group at an address, as float32; of a group with `left` columns, the rest as zeros.

    Lane l of position p holds column 16 p + l, of FP8 column 4 l + FP8_BYTES[p] (times 2^-120). Loads and
    shifts that positions share are written for each; the compiler finds them again.
    """
    if kind is Kind.FP8:
        if left is None:
            raw = b.load(b.inttoptr(address, POINTER), typ=ir.VectorType(I16, 2 * LANES), align=1)
        else:
            raw = b.bitcast(load_first(b, I8, GROUP, address, left), ir.VectorType(I16, 2 * LANES))
        if position >= 2:
            raw = b.shl(raw, splat(I16, 8, 2 * LANES))
        words = b.bitcast(b.ashr(raw, splat(I16, 4, 2 * LANES)), ir.VectorType(I32, LANES))
        if position % 2:
            words = b.shl(words, splat(I32, 16))
        return b.bitcast(b.and_(words, splat(I32, 0x87F00000)), VECTOR)
    stored = STORED[kind]
    address = b.add(address, I64(position * LANES * kind.bytes))
    if left is None:
        loaded = b.load(b.inttoptr(address, POINTER), typ=ir.VectorType(stored, LANES), align=1)
    else:
        loaded = load_first(b, stored, LANES, address, b.sub(left, I64(position * LANES)))
    if kind is Kind.BF16:
        wide = b.zext(loaded, ir.VectorType(I32, LANES))
        return b.bitcast(b.shl(wide, splat(I32, 16)), VECTOR)
    return b.fpext(loaded, VECTOR) if kind is Kind.F16 else loaded


def order_like(b: ir.IRBuilder, kind: Kind, vectors: Sequence[ir.Value]) -> list[ir.Value]:
    """64 floats in the order of columns, as four vectors in the order in which weights of a kind come."""
    if kind is not Kind.FP8:
        return list(vectors)
    pair = ir.Constant(ir.VectorType(I32, 2 * LANES), [I32(i) for i in range(2 * LANES)])
    low, high = b.shuffle_vector(*vectors[:2], pair), b.shuffle_vector(*vectors[2:], pair)
    index = ir.VectorType(I32, LANES)
    return [
        b.shuffle_vector(low, high, ir.Constant(index, [I32(4 * lane + byte) for lane in range(LANES)]))
        for byte in FP8_BYTES
    ]


def load_floats(b: ir.IRBuilder, address: ir.Value) -> ir.Value:
    return b.load(b.inttoptr(address, POINTER), typ=VECTOR, align=4)


def sum_lanes(b: ir.IRBuilder, vector: ir.Value) -> ir.Value:
    """Add the lanes in halves: 8 + 8, 4 + 4, 2 + 2, 1 + 1."""
    width = LANES // 2
    while width:
        index = ir.VectorType(I32, width)
        low = ir.Constant(index, [I32(lane) for lane in range(width)])
        high = ir.Constant(index, [I32(lane + width) for lane in range(width)])
        vector = b.fadd(b.shuffle_vector(vector, vector, low), b.shuffle_vector(vector, vector, high))
        width //= 2
    return b.extract_element(vector, I32(0))


def loop(
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
    i = b.phi(I64)
    i.add_incoming(begin, before)
    current = []
    for total in totals:
        phi = b.phi(total.type)
        phi.add_incoming(total, before)
        current.append(phi)
    b.cbranch(b.icmp_signed("<", i, end), inside, after)
    b.position_at_end(inside)
    updated = body(i, list(current))
    i.add_incoming(b.add(i, I64(step)), b.block)
    for phi, value in zip(current, updated, strict=True):
        phi.add_incoming(value, b.block)
    b.branch(head)
    b.position_at_end(after)
    return list(current)


def element_at(b: ir.IRBuilder, base: ir.Value, index: ir.Value, size: int) -> ir.Value:
    return b.add(base, b.mul(index, I64(size)))
