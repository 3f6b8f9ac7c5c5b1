"""`draftscope doctor`: what this machine, and the drive of a checkpoint, can do; and what that means."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from app.commands.terminal import StatusLine, harmless
from engine.offload.sizes import shown_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.doctor import CheckpointFacts, Diagnosis, Memory, Processor


@dataclass(frozen=True, slots=True)
class DoctorArguments:
    """What was asked for on the command line."""

    model: str | None
    json: bool


def doctor(arguments: DoctorArguments) -> int:
    """Print the diagnosis and the advice; return the exit code."""
    status = StatusLine(sys.stderr)
    status.show("looking at the machine")
    try:
        from engine.advice import advice
        from engine.doctor import diagnose

        diagnosis = diagnose(arguments.model, status.show)
    finally:
        status.clear()
    sentences = advice(diagnosis)
    if arguments.json:
        print(json.dumps({**asdict(diagnosis), "advice": sentences}, allow_nan=False))
    else:
        _print(diagnosis, sentences)
    return 0


def _print(diagnosis: Diagnosis, sentences: tuple[str, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, value in _rows(diagnosis):
        table.add_row(name, harmless(value))
    console.print(table)
    console.print()
    for sentence in sentences:
        console.print(harmless(sentence))


def _rows(diagnosis: Diagnosis) -> Iterator[tuple[str, str]]:
    yield from _processor(diagnosis.processor)
    yield from _memory(diagnosis.memory)
    if diagnosis.checkpoint is not None:
        yield from _checkpoint(diagnosis.checkpoint)


def _processor(found: Processor) -> Iterator[tuple[str, str]]:
    cores = f"{found.usable_cores} usable of {found.machine_cores}"
    if found.core_quota is not None:
        cores += f", time of {found.core_quota:.1f}"
    yield "cores", cores if found.load is None else f"{cores}, load {found.load:.1f}"
    yield "vectors", found.vectors or "none that the kernels are made for"
    policy = "" if found.wait_policy is None else f", waiting {found.wait_policy}"
    yield "threads", f"{found.threads} ({found.threading_layer or 'no threading layer'}{policy})"
    yield "FP8 products", _products(found.kernel_bytes_per_second)


def _memory(found: Memory) -> Iterator[tuple[str, str]]:
    yield "memory", f"{shown_bytes(found.available_bytes)} available of {shown_bytes(found.total_bytes)}"
    for group in found.groups:
        limit, used = shown_bytes(group.limit_bytes), shown_bytes(group.used_bytes)
        yield f"cgroup v{group.version}", f"{limit}, {used} in use"


def _checkpoint(found: CheckpointFacts) -> Iterator[tuple[str, str]]:
    yield "checkpoint", found.path
    stored = "" if found.stored_bytes is None else f", {shown_bytes(found.stored_bytes)} on the drive"
    yield "size", f"{shown_bytes(found.bytes)}{stored}"
    if found.dtype != "F8_E4M3":
        yield f"{found.dtype} products", _products(found.kernel_bytes_per_second)
    if found.drive is None:
        yield "drive", "not measured: too little to read"
    else:
        threads = f"{found.drive.threads} threads, nothing cached"
        buffered = _speed(found.drive.buffered_bytes_per_second, "not measured: pages cannot be dropped here")
        yield "drive, buffered", f"{buffered} ({threads})"
        if found.direct:
            yield (
                "drive, direct",
                f"{_speed(found.drive.direct_bytes_per_second, 'not measured')} ({threads})",
            )
    yield "O_DIRECT", "yes" if found.direct else "refused by the file system"
    yield "fits", "yes, into the default budget" if found.fits else "no"


def _products(bytes_per_second: float | None) -> str:
    if bytes_per_second is None:
        return "not measured: too little memory is available"
    return f"{_speed(bytes_per_second, '')} of weights, for one token"


def _speed(bytes_per_second: float | None, otherwise: str) -> str:
    return otherwise if bytes_per_second is None else f"{bytes_per_second / 1e9:.2f} GB/s"
