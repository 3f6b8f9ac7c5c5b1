"""Vectors of sixteen float32 lanes in LLVM IR: loads, decoding, fused multiply-add, loops.

Weights are read as stored. FP8 (e4m3) becomes float16 by moving its bits (sign, and the other seven bits
seven places up), which is the value times 2^-8: float16 has room for FP8's subnormals, and the processor's
float16 conversion honours subnormals whatever flush-to-zero mode the thread is in. The factor 2^8 is folded
into the block scale, so nothing here can overflow that the true product would not.

LLVM splits the sixteen lanes into whatever the processor has (AVX-512: one register; AVX2: two; NEON: four).
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from llvmlite import ir

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


FLOAT, HALF, POINTER = ir.FloatType(), ir.HalfType(), ir.PointerType()
I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
VECTOR = ir.VectorType(FLOAT, LANES)
STORED = {Kind.FP8: I8, Kind.BF16: I16, Kind.F16: HALF, Kind.F32: FLOAT}


def splat(element: ir.Type, value: float) -> ir.Constant:
    return ir.Constant(ir.VectorType(element, LANES), [ir.Constant(element, value)] * LANES)


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


def decode(b: ir.IRBuilder, kind: Kind, stored: ir.Value) -> ir.Value:
    """Sixteen stored weights as float32; FP8 comes out divided by `FP8_FACTOR`. Exact in every case."""
    if kind is Kind.FP8:
        wide = b.shl(b.sext(stored, ir.VectorType(I16, LANES)), splat(I16, 7))
        half = b.and_(wide, splat(I16, 0xBFFF))  # the sign was doubled into bit 14
        return b.fpext(b.bitcast(half, ir.VectorType(HALF, LANES)), VECTOR)
    if kind is Kind.BF16:
        wide = b.shl(b.zext(stored, ir.VectorType(I32, LANES)), splat(I32, 16))
        return b.bitcast(wide, VECTOR)
    if kind is Kind.F16:
        return b.fpext(stored, VECTOR)
    return stored


def load_weights(b: ir.IRBuilder, kind: Kind, address: ir.Value) -> ir.Value:
    stored = b.load(b.inttoptr(address, POINTER), typ=ir.VectorType(STORED[kind], LANES), align=1)
    return decode(b, kind, stored)


def load_tail(b: ir.IRBuilder, kind: Kind, address: ir.Value, count: ir.Value) -> ir.Value:
    """The first `count` (below 16) weights, zeros after them; nothing behind them is touched."""
    vector = ir.VectorType(STORED[kind], LANES)
    lanes = ir.Constant(ir.VectorType(I64, LANES), [I64(lane) for lane in range(LANES)])
    spread = b.insert_element(ir.Constant(ir.VectorType(I64, LANES), ir.Undefined), count, I32(0))
    zeros = ir.Constant(ir.VectorType(I32, LANES), [I32(0)] * LANES)
    mask = b.icmp_signed("<", lanes, b.shuffle_vector(spread, spread, zeros))
    suffix = {Kind.FP8: "i8", Kind.BF16: "i16", Kind.F16: "f16", Kind.F32: "f32"}[kind]
    load = declare(b, f"llvm.masked.load.v16{suffix}.p0", vector, [POINTER, ir.VectorType(I1, LANES), vector])
    nothing = ir.Constant(vector, [ir.Constant(STORED[kind], 0)] * LANES)
    return decode(b, kind, b.call(load, [b.inttoptr(address, POINTER), mask, nothing]))


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
