"""`draftscope doctor`: its table, its JSON and its exit codes, on diagnoses that are made up."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from app import cli
from engine import doctor
from engine.doctor import Diagnosis
from engine.errors import CheckpointError
from engine.offload.control_groups import MemoryGroup
from engine.offload.measure import DriveSpeed
from tests.engine.test_doctor import GB, MEMORY, PROCESSOR, V3

if TYPE_CHECKING:
    from collections.abc import Callable

    Say = Callable[[Diagnosis], None]

ALL = Diagnosis(
    replace(PROCESSOR, core_quota=2.5),
    replace(MEMORY, groups=(MemoryGroup(2, 4 * GB, GB),)),
    replace(V3, path="/models/\x1b[2Jred"),
)


@pytest.fixture
def finds(monkeypatch: pytest.MonkeyPatch) -> Say:
    """Make the doctor find this."""

    def say(diagnosis: Diagnosis) -> None:
        def diagnose(model: str | None, _progress: object) -> Diagnosis:
            if model == "broken":
                raise CheckpointError("The shard is gone.")
            return diagnosis if model else replace(diagnosis, checkpoint=None)

        monkeypatch.setattr(doctor, "diagnose", diagnose)

    return say


def test_the_table_and_the_advice(finds: Say, capsys: pytest.CaptureFixture[str]) -> None:
    finds(ALL)
    assert cli.main(["doctor", "model"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = [" ".join(line.split()) for line in out.splitlines()]
    for line in (
        "cores 8 usable of 8, time of 2.5, load 0.1",
        "vectors AVX2",
        "threads 8 (OpenMP, waiting passive)",
        "FP8 products 20.00 GB/s of weights, for one token",
        "memory 20.00 GB available of 32.00 GB",
        "cgroup v2 4.00 GB, 1.00 GB in use",
        "size 688.60 GB, 688.60 GB on the drive",
        "drive, buffered 1.00 GB/s (4 threads, nothing cached)",
        "drive, direct 1.15 GB/s (4 threads, nothing cached)",
        "O_DIRECT yes",
        "fits no",
    ):
        assert line in lines
    assert "\x1b" not in out
    assert "20.00 s (forecast)" in " ".join(lines)


def test_what_was_not_measured_is_called_so(finds: Say, capsys: pytest.CaptureFixture[str]) -> None:
    finds(
        Diagnosis(
            replace(PROCESSOR, kernel_bytes_per_second=None, load=None, vectors=None, threading_layer=None),
            MEMORY,
            replace(V3, direct=False, drive=DriveSpeed(None, None, 4), stored_bytes=None, forecast=None),
        )
    )
    assert cli.main(["doctor", "model"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "FP8 products not measured: too little memory is available memory" in out
    assert "drive, buffered not measured" in out
    assert "drive, direct" not in out
    assert "O_DIRECT refused by the file system" in out
    assert "forecast)" not in out


def test_products_of_weights_stored_otherwise(finds: Say, capsys: pytest.CaptureFixture[str]) -> None:
    finds(replace(ALL, checkpoint=replace(V3, dtype="BF16", kernel_bytes_per_second=25.0 * GB)))
    assert cli.main(["doctor", "model"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "FP8 products 20.00 GB/s of weights, for one token" in lines
    assert "BF16 products 25.00 GB/s of weights, for one token" in lines


def test_json(finds: Say, capsys: pytest.CaptureFixture[str]) -> None:
    finds(ALL)
    assert cli.main(["doctor", "model", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"processor", "memory", "checkpoint", "advice"}
    assert found["processor"]["kernel_bytes_per_second"] == 20 * GB
    assert found["memory"] == {
        "total_bytes": 32 * GB,
        "available_bytes": 20 * GB,
        "groups": [{"version": 2, "limit_bytes": 4 * GB, "used_bytes": GB, "reclaimable_bytes": 0}],
    }
    drive = {"buffered_bytes_per_second": 1 * GB, "direct_bytes_per_second": 1.15 * GB, "threads": 4}
    assert found["checkpoint"]["drive"] == drive
    assert set(found["checkpoint"]["forecast"]) == {"bytes_read", "reading_seconds", "computing_seconds"}
    assert all(isinstance(sentence, str) for sentence in found["advice"])


def test_without_a_model(finds: Say, capsys: pytest.CaptureFixture[str]) -> None:
    finds(ALL)
    assert cli.main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["checkpoint"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [(["broken"], 3, "The shard is gone."), (["one", "two"], 2, "two"), (["--jso"], 2, "--jso")],
)
def test_mistakes(
    arguments: list[str], code: int, sentence: str, finds: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    finds(ALL)
    try:
        ended = cli.main(["doctor", *arguments])
    except SystemExit as exit_:
        ended = int(str(exit_.code))
    assert ended == code
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert err.startswith("draftscope: ")
