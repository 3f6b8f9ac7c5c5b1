"""The doctor: what it reads of control groups, what it finds in a real checkpoint, and what it advises."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine import doctor
from engine.advice import advice
from engine.checkpoint.audit import audit
from engine.checkpoint.checkpoint import open_checkpoint
from engine.checkpoint.tensor import Dtype
from engine.config import ModelConfig
from engine.doctor import (
    CheckpointFacts,
    Diagnosis,
    Memory,
    Processor,
    TokenForecast,
    diagnose,
    look_at_memory,
    vector_width,
)
from engine.errors import CheckpointError
from engine.offload.control_groups import MemoryGroup, core_quota
from engine.offload.forecast import forecast
from engine.offload.measure import DriveSpeed
from engine.offload.plan import CPU, make_plan
from engine.offload.units import inventory
from tests.engine.tiny import SPECS, TinySpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.kernels.cpu import CpuKernels

GB = 1_000_000_000
PROCESSOR = Processor(
    usable_cores=8,
    machine_cores=8,
    core_quota=None,
    load=0.1,
    vectors="AVX2",
    threads=8,
    threading_layer="OpenMP",
    warning=None,
    wait_policy="passive",
    kernel_bytes_per_second=20.0 * GB,
)
MEMORY = Memory(total_bytes=32 * GB, available_bytes=20 * GB, groups=())
V3 = CheckpointFacts(
    path="/models/DeepSeek-V3",
    bytes=688_600_000_000,
    stored_bytes=688_600_000_000,
    dtype="F8_E4M3",
    kernel_bytes_per_second=20.0 * GB,
    direct=True,
    drive=DriveSpeed(1.0 * GB, 1.15 * GB, 4),
    budget_bytes=12 * GB,
    fits=False,
    refusal=None,
    forecast=TokenForecast(bytes_read=23.0 * GB, reading_seconds=20.0, computing_seconds=2.0),
)


def said(
    checkpoint: CheckpointFacts | None = V3, processor: Processor = PROCESSOR, memory: Memory = MEMORY
) -> str:
    sentences = advice(Diagnosis(processor, memory, checkpoint))
    for sentence in sentences:
        assert sentence.endswith(".")
        assert "\n" not in sentence
    return "\n".join(sentences)


def test_what_does_not_fit_is_forecast_from_the_drive() -> None:
    text = said()
    assert "(688.60 GB) and its caches do not fit into the default budget of 12.00 GB" in text
    assert "at 1.15 GB/s, so an ordinary token" in text
    assert "takes at least 20.00 s (forecast)" in text
    assert "The drive is the limit" in text
    assert "a larger --ram" not in text


def test_the_processor_may_be_the_limit() -> None:
    text = said(replace(V3, forecast=TokenForecast(23.0 * GB, 1.5, 2.0)))
    assert "The processor is the limit, since the products take 2.00 s (forecast)" in text
    assert "The drive is the limit" not in text


def test_what_fits_is_read_once() -> None:
    text = said(
        replace(V3, bytes=4 * GB, stored_bytes=4 * GB, fits=True, forecast=TokenForecast(0, 0.0, 0.03))
    )
    assert "fits into the default budget" in text
    assert "at least 30 ms (forecast)" in text
    assert "limit" not in text


def test_what_would_fit_into_more() -> None:
    assert "a larger --ram holds more" in said(replace(V3, bytes=15 * GB, stored_bytes=15 * GB))


def test_nothing_is_forecast_from_what_was_not_measured() -> None:
    for token in (None, TokenForecast(23.0 * GB, None, None), TokenForecast(23.0 * GB, None, 2.0)):
        text = said(replace(V3, drive=None, forecast=token))
        assert "forecast)" not in text
        assert "is the limit" not in text
        assert "too small for its drive to be measured" in text


def test_a_budget_that_is_too_small_is_refused_in_the_plans_words() -> None:
    sentence = "A RAM budget of 2.00 GB is too small for this model: it takes at least 9.00 GB."
    text = said(replace(V3, refusal=sentence, forecast=None))
    assert sentence in text
    assert "does not fit" not in text


def test_holes_are_not_taken_for_a_fast_drive() -> None:
    assert "have holes or are compressed" in said(replace(V3, stored_bytes=GB))
    assert "holes" not in said()
    assert "holes" not in said(replace(V3, stored_bytes=None))


def test_no_o_direct() -> None:
    assert "no O_DIRECT" in said(replace(V3, direct=False, drive=DriveSpeed(1.0 * GB, None, 4)))


def test_without_a_checkpoint() -> None:
    assert said(None) == "Give a checkpoint's folder to have its drive measured and to see whether it fits."


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"threads": 1, "threading_layer": None}
            | {"warning": "no OpenMP library found (x): using one thread; install libgomp to use 8 threads"},
            "No OpenMP library found (x): using one thread; install libgomp to use 8 threads.",
        ),
        ({"machine_cores": 64}, "This process may use 8 of 64 cores."),
        ({"core_quota": 2.5}, "time of 2.5 cores, fewer than the 8 threads: give --threads 2."),
        ({"core_quota": 0.5}, "give --threads 1."),
        ({"wait_policy": "active"}, "OMP_WAIT_POLICY is active"),
        ({"vectors": None}, "none of AVX-512, AVX2 and NEON"),
        ({"load": 7.5}, "Cores were busy already (load 7.5 on 8 cores)"),
    ],
)
def test_the_processor(changes: dict[str, object], sentence: str) -> None:
    assert sentence in said(None, replace(PROCESSOR, **changes))  # type: ignore[arg-type]


def test_a_group_that_limits_less_than_the_machine_is_no_news() -> None:
    groups = (MemoryGroup(2, 64 * GB, GB), MemoryGroup(2, 4 * GB, GB))
    text = said(None, memory=replace(MEMORY, groups=groups))
    assert "A cgroup limits this process to 4.00 GB, of which 1.00 GB are in use." in text
    assert "64.00 GB" not in text


def test_vectors() -> None:
    assert vector_width({"avx512f": True, "avx2": True}) == "AVX-512"
    assert vector_width({"avx512f": False, "avx2": True}) == "AVX2"
    assert vector_width({"neon": True}) == "NEON"
    assert vector_width({"sse2": True}) is None


def write(root: Path, files: dict[str, str]) -> tuple[Path, Path]:
    """Files below a folder; returns what stands for /proc and for /sys/fs/cgroup."""
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return root / "proc", root / "cgroup"


def test_groups_of_version_2_up_to_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "available_bytes", lambda: 20 * GB)
    proc, cgroup = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/user/box\n",
            "cgroup/user/memory.max": f"{8 * GB}\n",
            "cgroup/user/memory.current": f"{5 * GB}\n",
            "cgroup/user/cpu.max": "150000 100000\n",
            "cgroup/user/memory.stat": f"anon 7\ninactive_file {2 * GB}\nactive_file 1\n",
            "cgroup/user/box/memory.max": "max\n",
            "cgroup/user/box/memory.current": "0\n",
            "cgroup/user/box/cpu.max": "max 100000\n",
        },
    )
    found = look_at_memory(proc, cgroup)
    assert found.groups == (MemoryGroup(2, 8 * GB, 5 * GB, 2 * GB),)
    assert found.available_bytes == 5 * GB
    assert found.default_budget_bytes == 3 * GB
    assert core_quota(proc, cgroup) == 1.5


def test_groups_of_version_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "available_bytes", lambda: 20 * GB)
    proc, cgroup = write(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/box\n2:cpu,cpuacct:/box\n1:name=systemd:/\n0::/\n",
            "cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "cgroup/memory/memory.usage_in_bytes": "1\n",
            "cgroup/memory/box/memory.limit_in_bytes": f"{4 * GB}\n",
            "cgroup/memory/box/memory.usage_in_bytes": f"{5 * GB}\n",
            "cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "cgroup/cpu/cpu.cfs_period_us": "100000\n",
            "cgroup/cpu/box/cpu.cfs_quota_us": "400000\n",
            "cgroup/cpu/box/cpu.cfs_period_us": "100000\n",
        },
    )
    found = look_at_memory(proc, cgroup)
    assert found.groups == (MemoryGroup(1, 4 * GB, 5 * GB),)
    assert found.available_bytes == 0
    assert core_quota(proc, cgroup) == 4.0


def test_no_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "available_bytes", lambda: 20 * GB)
    found = look_at_memory(tmp_path / "proc", tmp_path / "cgroup")
    assert (found.groups, found.available_bytes) == ((), 20 * GB)
    assert core_quota(tmp_path / "proc", tmp_path / "cgroup") is None


SPEEDS = {Dtype.F8_E4M3: 20.0 * GB, Dtype.BF16: 30.0 * GB, Dtype.F16: 24.0 * GB, Dtype.F32: 36.0 * GB}


@pytest.fixture
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    def kernel_bandwidth(_kernels: CpuKernels, dtype: Dtype = Dtype.F8_E4M3) -> float:
        return SPEEDS[dtype]

    monkeypatch.setattr(doctor, "kernel_bandwidth", kernel_bandwidth)


@pytest.mark.usefixtures("_fast")
def test_a_real_checkpoint(tiny: Callable[[TinySpec], Path]) -> None:
    steps: list[str] = []
    folder = tiny(SPECS["FP8"])
    found = diagnose(str(folder), steps.append)
    assert steps == ["measuring the kernels", "reading the checkpoint's headers", "measuring the drive"]
    facts = found.checkpoint
    assert facts is not None
    assert (facts.path, facts.fits, facts.drive, facts.refusal) == (str(folder), True, None, None)
    assert facts.forecast is not None
    assert facts.forecast.bytes_read == 0
    assert facts.forecast.computing_seconds == pytest.approx(0, abs=1e-3)
    assert facts.bytes > 0
    assert "fits into the default budget" in "\n".join(advice(found))
    assert found.processor.threads <= found.processor.usable_cores <= found.processor.machine_cores


@pytest.mark.usefixtures("_fast")
@pytest.mark.parametrize(
    ("name", "dtype"),
    [("FP8", Dtype.F8_E4M3), ("BF16", Dtype.BF16), ("F16", Dtype.F16), ("F32", Dtype.F32)],
)
def test_products_take_what_weights_stored_so_take(
    name: str, dtype: Dtype, tiny: Callable[[TinySpec], Path]
) -> None:
    steps: list[str] = []
    folder = tiny(SPECS[name])
    facts = diagnose(str(folder), steps.append).checkpoint
    assert facts is not None
    assert facts.forecast is not None
    assert (facts.dtype, facts.kernel_bytes_per_second) == (dtype.value, SPEEDS[dtype])
    assert (f"measuring the kernels on {name} weights" in steps) == (dtype is not Dtype.F8_E4M3)
    with open_checkpoint(folder) as checkpoint:
        config = ModelConfig.from_json(checkpoint.config, folder / "config.json")
        stock = inventory(checkpoint, config, audit(checkpoint, config))
    plan = make_plan(stock, config, 64, {CPU: 10**12})
    weights = forecast(plan, stock, config).rounds[0].cost.work.weights
    assert facts.forecast.computing_seconds == pytest.approx(weights * dtype.bytes / SPEEDS[dtype])


@pytest.mark.usefixtures("_fast")
def test_too_little_memory_is_said_and_is_no_failure(
    tiny: Callable[[TinySpec], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "available_bytes", lambda: 1000)
    found = diagnose(str(tiny(SPECS["BF16"])))
    assert found.processor.kernel_bytes_per_second is None
    assert found.checkpoint is not None
    assert found.checkpoint.kernel_bytes_per_second is None
    assert found.checkpoint.refusal is not None
    assert found.checkpoint.refusal in advice(found)


@pytest.mark.usefixtures("_fast")
def test_a_checkpoint_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        diagnose(str(tmp_path))
