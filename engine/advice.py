"""What a diagnosis means, in sentences: what to expect of this machine and what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.doctor import has_holes
from engine.offload.sizes import shown_bytes

if TYPE_CHECKING:
    from engine.doctor import CheckpointFacts, Diagnosis, Memory, Processor


def advice(diagnosis: Diagnosis) -> tuple[str, ...]:
    """What to expect and what to change, in sentences."""
    return (
        *_on_processor(diagnosis.processor),
        *_on_memory(diagnosis.memory),
        *(_on_checkpoint(diagnosis.checkpoint, diagnosis.memory) if diagnosis.checkpoint else _NO_MODEL),
    )


_NO_MODEL = ("Give a checkpoint's folder to have its drive measured and to see whether it fits.",)


def _on_processor(found: Processor) -> list[str]:
    said = []
    if found.warning is not None:
        said.append(f"{found.warning[0].upper()}{found.warning[1:]}.")
    if found.usable_cores < found.machine_cores:
        said.append(f"This process may use {found.usable_cores} of {found.machine_cores} cores.")
    if found.core_quota is not None and found.core_quota < found.threads:
        fewer = max(1, int(found.core_quota))
        said.append(
            f"A cgroup grants this process the time of {found.core_quota:.1f} cores, fewer than the "
            f"{found.threads} threads: give --threads {fewer}."
        )
    if (found.wait_policy or "passive").lower() != "passive":
        said.append(
            f"OMP_WAIT_POLICY is {found.wait_policy}: threads that spin while they wait lose time slices "
            f"beside any busy process; unset it, unless the cores are yours alone."
        )
    if found.vectors is None:
        said.append("This processor has none of AVX-512, AVX2 and NEON, for which the kernels are made.")
    if found.load is not None and found.load > found.usable_cores / 2:
        said.append(
            f"Cores were busy already (load {found.load:.1f} on {found.machine_cores} cores): what was "
            f"measured now is less than this machine can do."
        )
    return said


def _on_memory(found: Memory) -> list[str]:
    return [
        f"A cgroup limits this process to {shown_bytes(group.limit_bytes)}, of which "
        f"{shown_bytes(group.used_bytes)} are in use."
        for group in found.groups
        if group.limit_bytes < found.total_bytes
    ]


def _on_checkpoint(found: CheckpointFacts, memory: Memory) -> list[str]:
    size, budget = shown_bytes(found.bytes), shown_bytes(found.budget_bytes)
    said = []
    if has_holes(found.bytes, found.stored_bytes):
        said.append(
            f"Its files take {shown_bytes(found.stored_bytes or 0)} on the drive and not {size}: they have "
            f"holes or are compressed, so the speed of reading them is not the drive's."
        )
    if found.refusal is not None:
        said.append(found.refusal)
    elif found.fits:
        said.append(f"This checkpoint ({size}) fits into the default budget of {budget}: it is read once.")
    else:
        said.append(_streamed(found, size, budget))
        if found.bytes < memory.available_bytes:
            said.append(
                f"{shown_bytes(memory.available_bytes)} of memory are available: a larger --ram holds more."
            )
    said += _on_drive(found)
    said.append("`draftscope plan` shows what other budgets and draft depths would cost.")
    return said


def _streamed(found: CheckpointFacts, size: str, budget: str) -> str:
    text = f"This checkpoint ({size}) and its caches do not fit into the default budget of {budget}: "
    token = found.forecast
    speed = found.drive.best_bytes_per_second if found.drive else None
    if token is None or speed is None or token.reading_seconds is None:
        return f"{text}the rest is read from the drive as it is needed."
    return (
        f"{text}the rest is read from the drive at {speed / 1e9:.2f} GB/s, so an ordinary token, which needs "
        f"{shown_bytes(token.bytes_read)} of it if experts are used evenly, takes at least "
        f"{_seconds(token.reading_seconds)} (forecast)."
    )


def _on_drive(found: CheckpointFacts) -> list[str]:
    said = []
    token, drive = found.forecast, found.drive
    if token and token.computing_seconds is not None and (found.fits or token.reading_seconds is not None):
        reading, computing = token.reading_seconds or 0.0, token.computing_seconds
        if found.fits:
            said.append(f"The products of an ordinary token take at least {_seconds(computing)} (forecast).")
        elif reading > computing:
            said.append(
                f"The drive is the limit, since the products take {_seconds(computing)} (forecast): a "
                f"faster one helps more than more cores."
            )
        else:
            said.append(
                f"The processor is the limit, since the products take {_seconds(computing)} (forecast): a "
                f"faster drive would not help."
            )
    if drive is None and not found.fits:
        said.append("It is too small for its drive to be measured.")
    if not found.direct:
        said.append("Its file system has no O_DIRECT: all reads go through the page cache.")
    return said


def _seconds(seconds: float) -> str:
    """A time in three digits: a small model's tokens take microseconds, V3's seconds."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"
