"""What this machine is to a checkpoint: processor, memory and drive, looked at and measured.

A `Diagnosis` holds what was found. What is derived from it is a forecast, by the same reckoning as
`draftscope plan`, and is called one; where something could not be found out, the field is None.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
from llvmlite import binding

from engine.checkpoint.audit import audit
from engine.checkpoint.checkpoint import open_checkpoint
from engine.checkpoint.tensor import Dtype
from engine.config import ModelConfig
from engine.demo.place import default_ram, resolve
from engine.errors import MemoryBudgetError
from engine.kernels.cpu import CpuKernels
from engine.kernels.threads import usable_cores
from engine.offload.control_groups import CGROUP, PROC, MemoryGroup, core_quota, memory_groups
from engine.offload.forecast import Multiplier, forecast
from engine.offload.kernel_speed import kernel_bandwidth
from engine.offload.measure import DriveSpeed, direct_works, drive_speed
from engine.offload.memory import available_bytes
from engine.offload.plan import CPU, make_plan
from engine.offload.planned import sampled_spans
from engine.offload.sizes import DEFAULT_RAM_SHARE, context_tokens, parse_ram
from engine.offload.units import inventory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from engine.checkpoint.checkpoint import Checkpoint

    Progress = Callable[[str], None]

_MEASURING_BYTES = 600_000_000
"""Memory that must be available to measure the kernels: their weights, and as much again to spare."""


@dataclass(frozen=True, slots=True)
class Processor:
    """What computes."""

    usable_cores: int
    machine_cores: int
    core_quota: float | None
    """Cores' worth of time that a control group grants; None without a limit."""
    load: float | None
    """Threads that wanted a core in the last minute, of all processes: others' take from what is measured."""
    vectors: str | None
    """The widest of AVX-512, AVX2 and NEON, for which the kernels are made."""
    threads: int
    threading_layer: str | None
    """None where products run on one thread."""
    warning: str | None
    """The kernels' own."""
    wait_policy: str | None
    """OMP_WAIT_POLICY."""
    kernel_bytes_per_second: float | None
    """FP8 weights that products with one token take from memory; None where too little is available."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What weights can be kept in."""

    total_bytes: int
    available_bytes: int
    """The lesser of what the machine has left and what every control group does."""
    groups: tuple[MemoryGroup, ...]

    @property
    def default_budget_bytes(self) -> int:
        """What --ram is where it is not given."""
        return int(self.available_bytes * DEFAULT_RAM_SHARE)


@dataclass(frozen=True, slots=True)
class TokenForecast:
    """An ordinary token under the default budget, experts taken to be used evenly. No field is measured."""

    bytes_read: float
    reading_seconds: float | None
    computing_seconds: float | None


@dataclass(frozen=True, slots=True)
class CheckpointFacts:
    """A checkpoint, and the drive it is on."""

    path: str
    bytes: int
    stored_bytes: int | None
    """What its shards take on the drive: less than `bytes` where they have holes or are compressed."""
    dtype: str
    """What most bytes of its matrices are stored as."""
    kernel_bytes_per_second: float | None
    """As the processor's, of weights stored so; None where it was not measured."""
    direct: bool
    """Whether its file system has O_DIRECT."""
    drive: DriveSpeed | None
    """None where it is too small to measure."""
    budget_bytes: int
    """The default --ram: the demo's own, for others a share of what is available."""
    fits: bool
    """Whether the default budget holds all of it, caches and activations included."""
    refusal: str | None
    """Why it cannot run with the default budget, where it cannot."""
    forecast: TokenForecast | None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that was found."""

    processor: Processor
    memory: Memory
    checkpoint: CheckpointFacts | None


def diagnose(model: str | None = None, progress: Progress = lambda _: None) -> Diagnosis:
    """Look at the machine and, if given, at a checkpoint's folder; some seconds.

    `progress` is told what is being done. Raises CheckpointError for a checkpoint that would not load.
    """
    memory = look_at_memory()
    progress("measuring the kernels")
    kernels = CpuKernels()
    processor = _processor(kernels, memory.available_bytes)
    if model is None:
        return Diagnosis(processor, memory, None)
    progress("reading the checkpoint's headers")
    with open_checkpoint(resolve(model)) as checkpoint:
        own = default_ram(model)
        budget = parse_ram(own, memory.available_bytes) if own else memory.default_budget_bytes
        facts = _checkpoint(checkpoint, budget, kernels, processor.kernel_bytes_per_second, progress)
    return Diagnosis(processor, memory, facts)


def vector_width(features: Mapping[str, bool]) -> str | None:
    """The widest vectors that the kernels are made for, from LLVM's names of a processor's features."""
    names = (("avx512f", "AVX-512"), ("avx2", "AVX2"), ("neon", "NEON"), ("asimd", "NEON"))
    return next((name for feature, name in names if features.get(feature)), None)


def look_at_memory(proc: Path = PROC, cgroup: Path = CGROUP) -> Memory:
    """The machine's memory, and the limits of this process's control groups and of those above them."""
    groups = memory_groups(proc, cgroup)
    available = min((available_bytes(), *(group.room_bytes for group in groups)))
    return Memory(int(psutil.virtual_memory().total), available, groups)


def _processor(kernels: CpuKernels, available: int) -> Processor:
    bandwidth = kernel_bandwidth(kernels) if available >= _MEASURING_BYTES else None
    return Processor(
        usable_cores=usable_cores(),
        machine_cores=os.cpu_count() or usable_cores(),
        core_quota=core_quota(),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        vectors=vector_width(dict(binding.get_host_cpu_features())),
        threads=kernels.threads,
        threading_layer="OpenMP" if kernels.threads > 1 else None,
        warning=kernels.warning,
        wait_policy=os.environ.get("OMP_WAIT_POLICY"),
        kernel_bytes_per_second=bandwidth,
    )


def _checkpoint(
    checkpoint: Checkpoint,
    budget_bytes: int,
    kernels: CpuKernels,
    fp8_bytes_per_second: float | None,
    progress: Progress,
) -> CheckpointFacts:
    config = ModelConfig.from_json(checkpoint.config, checkpoint.path / "config.json")
    found = inventory(checkpoint, config, audit(checkpoint, config))
    stored = _stored_bytes(checkpoint)
    bandwidth = fp8_bytes_per_second
    if found.dtype is not Dtype.F8_E4M3 and bandwidth is not None:
        progress(f"measuring the kernels on {found.dtype.value} weights")
        bandwidth = kernel_bandwidth(kernels, found.dtype)
    progress("measuring the drive")
    drive = drive_speed(sampled_spans(checkpoint, found))
    fits, refusal, token = False, None, None
    try:
        context = context_tokens(None, config.max_position_embeddings)
        plan = make_plan(found, config, context, {CPU: budget_bytes})
    except MemoryBudgetError as error:
        refusal = str(error)
    else:
        fits = plan.holds_everything
        speed = drive.best_bytes_per_second if drive and not has_holes(checkpoint.bytes, stored) else None
        # Of matrices stored otherwise than most, the time is not their own; with one token each is used once.
        multiplier = None if bandwidth is None else Multiplier(found.dtype.bytes / bandwidth, 0.0)
        cost = forecast(plan, found, config, speed, multiplier, depths=(0,), prompts=()).rounds[0].cost
        token = TokenForecast(cost.work.bytes_read, cost.reading_seconds, cost.computing_seconds)
    return CheckpointFacts(
        path=str(checkpoint.path),
        bytes=checkpoint.bytes,
        stored_bytes=stored,
        dtype=found.dtype.value,
        kernel_bytes_per_second=bandwidth,
        direct=direct_works(checkpoint.source, checkpoint.shards[0]),
        drive=drive,
        budget_bytes=budget_bytes,
        fits=fits,
        refusal=refusal,
        forecast=token,
    )


def _stored_bytes(checkpoint: Checkpoint) -> int | None:
    try:
        return sum(shard.stat().st_blocks * 512 for shard in checkpoint.shards)
    except (OSError, AttributeError):  # Windows has no st_blocks
        return None


def has_holes(size: int, stored_bytes: int | None) -> bool:
    """Whether files take so much less than their size that reading them is not reading the drive."""
    return stored_bytes is not None and stored_bytes < 0.9 * size
