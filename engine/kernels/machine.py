"""What jitted code needs below Python's level: memory at an address, calls through a pointer, one counter.

Kernels hand each other addresses, as int64. Big kernels are compiled once, each behind a C function pointer;
everything that uses them calls through the pointer and so compiles in moments.
"""

from __future__ import annotations

import platform
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_I32, _I64, _POINTER = ir.IntType(32), ir.IntType(64), ir.PointerType()


@intrinsic
def pointer(_typing: Any, address: Any) -> Any:
    """An address as a pointer, which `numba.carray` takes."""

    def codegen(_context: Any, b: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        return b.inttoptr(arguments[0], _POINTER)

    return types.voidptr(types.int64), codegen


@intrinsic
def call(_typing: Any, function: Any, arguments: Any) -> Any:
    """Call the C function at an address with a tuple of int64; it returns nothing."""
    signature = types.void(types.int64, arguments)

    def codegen(context: Any, b: ir.IRBuilder, _signature: Any, values: Any) -> ir.Value:
        address, packed = values
        items = [b.extract_value(packed, i) for i in range(len(arguments))]
        kind = ir.FunctionType(ir.VoidType(), [_I64] * len(items))
        # The function's type rides on the pointer: opaque pointers carry none, and a call needs one.
        target = b.inttoptr(address, kind.as_pointer())
        b.call(target, items)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def take(_typing: Any, address: Any) -> Any:
    """The int64 at an address, which grows by one: no two threads take the same number."""

    def codegen(_context: Any, b: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        return b.atomic_rmw("add", b.inttoptr(arguments[0], _POINTER), _I64(1), "monotonic")

    return types.int64(types.int64), codegen


@intrinsic
def float_of_bits(_typing: Any, bits: Any) -> Any:
    """The float32 whose pattern an int32 holds."""

    def codegen(_context: Any, b: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        return b.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), codegen


_TREATS_SUBNORMALS_AS_ZERO = {"x86_64": 0x8040, "aarch64": 1 << 24}
"""The bits of the processor's floating-point control register: inputs, and on x86 results as well."""


@intrinsic
def honour_subnormals(_typing: Any) -> Any:
    """Compute with subnormals from here on in this thread; returns the mode it had, for `restore_mode`.

    Some library may have switched them off, and the smallest FP8 weights would become zero.
    """
    machine = platform.machine().lower().replace("amd64", "x86_64").replace("arm64", "aarch64")

    def codegen(_context: Any, b: ir.IRBuilder, _signature: Any, _arguments: Any) -> ir.Value:
        if machine not in _TREATS_SUBNORMALS_AS_ZERO:
            return _I64(0)
        mode = _read_mode(b, machine)
        _write_mode(b, machine, b.and_(mode, _I64(~_TREATS_SUBNORMALS_AS_ZERO[machine])))
        return mode

    return types.int64(), codegen


@intrinsic
def restore_mode(_typing: Any, mode: Any) -> Any:
    """Give this thread the floating-point mode back that `honour_subnormals` returned."""
    machine = platform.machine().lower().replace("amd64", "x86_64").replace("arm64", "aarch64")

    def codegen(context: Any, b: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        if machine in _TREATS_SUBNORMALS_AS_ZERO:
            _write_mode(b, machine, arguments[0])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


def _read_mode(b: ir.IRBuilder, machine: str) -> ir.Value:
    if machine == "aarch64":
        return b.call(_declare(b, "llvm.aarch64.get.fpcr", _I64, []), [])
    place = b.alloca(_I32)
    b.call(_declare(b, "llvm.x86.sse.stmxcsr", ir.VoidType(), [_POINTER]), [b.bitcast(place, _POINTER)])
    return b.zext(b.load(place), _I64)


def _write_mode(b: ir.IRBuilder, machine: str, mode: ir.Value) -> None:
    if machine == "aarch64":
        b.call(_declare(b, "llvm.aarch64.set.fpcr", ir.VoidType(), [_I64]), [mode])
        return
    place = b.alloca(_I32)
    b.store(b.trunc(mode, _I32), place)
    b.call(_declare(b, "llvm.x86.sse.ldmxcsr", ir.VoidType(), [_POINTER]), [b.bitcast(place, _POINTER)])


def _declare(b: ir.IRBuilder, name: str, result: ir.Type, arguments: list[ir.Type]) -> ir.Function:
    found = b.module.globals.get(name)
    return found or ir.Function(b.module, ir.FunctionType(result, arguments), name)


@numba.njit(nogil=True, inline="always")
def int64s(address: int, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """`count` int64 at an address, as an array without a copy."""
    return numba.carray(pointer(address), count, dtype=np.int64)


@numba.njit(nogil=True, inline="always")
def floats(address: int, count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """`count` float32 at an address, as an array without a copy."""
    return numba.carray(pointer(address), count, dtype=np.float32)


@numba.njit(nogil=True, cache=True)
def run_here(task: int, parameters: int, jobs: int) -> None:
    """`task(parameters, job, thread=0)` for each job, in this thread."""
    mode = honour_subnormals()
    for job in range(jobs):
        call(task, (parameters, job, 0))
    restore_mode(mode)


@numba.njit(nogil=True, parallel=True, cache=True)
def run_parallel(task: int, parameters: int, jobs: int, counter: int, threads: int) -> None:
    """`task(parameters, job, thread)` for each job; whichever thread is free takes the next one."""
    for thread in numba.prange(threads):
        mode = honour_subnormals()
        job = take(counter)
        while job < jobs:
            call(task, (parameters, job, thread))
            job = take(counter)
        restore_mode(mode)
