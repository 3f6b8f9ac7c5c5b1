"""`draftscope plan`: what it prints, as tables and as JSON, and how mistakes end. Checkpoints are holes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from app import cli
from engine.checkpoint.tensor import Dtype
from engine.offload import kernel_speed, memory
from engine.offload.forecast import Multiplier
from tests.engine.checkpoint.files import write_checkpoint
from tests.engine.offload.made import TINY, TINY_CONFIG, records_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A checkpoint's folder, of the right headers and no contents."""
    folder: Path = tmp_path_factory.mktemp("plan") / "tiny-model"
    records = records_of(TINY_CONFIG)
    write_checkpoint(folder, {name: (each.dtype, each.shape) for name, each in records.items()}, TINY)
    return str(folder)


def plan(*arguments: str) -> int:
    return cli.main(["plan", *arguments])


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, object]]:
    assert plan(*arguments, "--json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    found: dict[str, dict[str, object]] = json.loads(line)
    return found


def test_tables_without_the_drives_speed(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(model, "--ram", "100MB") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("tiny-model: ")
    assert "3 shards" in out
    assert "RAM budget 100.00 MB; context 4,096 tokens" in out
    assert "Everything fits" in out
    assert "expert slots: 32 of 32 experts" in out
    assert out.count("Forecast, for") == 2
    assert "forecasts, not measurements" in out
    assert "`draftscope doctor MODEL`" in " ".join(out.split())
    assert " ms" not in out
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 80


def test_seconds_with_the_drives_speed(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    least = planned(capsys, model, "--ram", "100MB", "--context", "64")["plan"]["least_bytes"]
    assert plan(model, "--ram", f"{least}B", "--context", "64", "--disk-speed", "1.15GB/s") == 0
    out = capsys.readouterr().out
    assert "pays above" in out
    assert "The drive: 1.15 GB/s, as given" in " ".join(out.split())
    assert "measured on this machine" in " ".join(out.split())
    assert "Read from disk: " in out
    assert "pinned: 0 of" in out
    assert "expert slots: 2 of 32 experts" in out
    assert "…" not in out


def test_json_is_one_object(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = planned(capsys, model, "--ram", "100MB", "--context", "64", "--disk-speed", "200MB/s")
    spent, expected = found["plan"], found["forecast"]
    assert (spent["budget_bytes"], spent["context"], spent["holds_everything"]) == (100_000_000, 64, True)
    assert found["available_bytes"] is None
    assert expected["disk_bytes_per_second"] == 200e6
    rounds = expected["rounds"]
    assert isinstance(rounds, list)
    assert [one["depth"] for one in rounds] == [0, 1, 2, 3, 4]
    assert {one["bound"] for one in rounds} == {"the multiplier"}
    assert rounds[0]["seconds"] == rounds[0]["computing_seconds"] > 0


@pytest.mark.parametrize("stored", [Dtype.F8_E4M3, Dtype.BF16])
def test_the_multiplier_is_measured_with_weights_as_they_are_stored(
    stored: Dtype, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    multipliers = {Dtype.F8_E4M3: Multiplier(1e-9, 0.0), Dtype.BF16: Multiplier(2e-9, 0.0)}
    monkeypatch.setattr(kernel_speed, "measure_multiplier", lambda dtype: multipliers[dtype])
    records = records_of(TINY_CONFIG, stored=stored)
    tensors = {name: (each.dtype, each.shape) for name, each in records.items()}
    write_checkpoint(tmp_path / "model", tensors, TINY)
    found = planned(capsys, str(tmp_path / "model"), "--ram", "100MB", "--disk-speed", "1GB/s")
    assert found["forecast"]["weights_per_second"] == round(multipliers[stored].weights_per_second)


def test_the_default_is_a_share_of_what_is_available(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 1_000_000_000)
    assert plan(model) == 0
    assert "RAM budget 600.00 MB, 60% of the 1.00 GB available" in " ".join(capsys.readouterr().out.split())
    assert planned(capsys, model, "--ram", "25%")["plan"]["budget_bytes"] == 250_000_000


def test_a_budget_too_small_names_one_that_works(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(model, "--ram", "1MB") == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("draftscope: A RAM budget of 1.00 MB is too small")
    named = err.partition("at least ")[2].partition(". Give")[0]
    assert plan(model, "--ram", named) == 0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--ram", "12"), "unit"),
        (("--ram", "lots"), "amount"),
        (("--ram", "120%"), "share"),
        (("--disk-speed", "7GB"), "speed"),
        (("--context", "1"), "context"),
        (("--context", "999999999"), "context"),
    ],
)
def test_mistakes_end_in_a_sentence(
    model: str, arguments: tuple[str, str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan(model, "--ram", "100MB", *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert word in err


def test_a_folder_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(str(tmp_path / "gone")) == 3
    assert "does not exist" in capsys.readouterr().err


def test_a_name_cannot_command_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "c[red]\x1b]0;d"
    write_checkpoint(
        folder, {name: (each.dtype, each.shape) for name, each in records_of(TINY_CONFIG).items()}, TINY
    )
    assert plan(str(folder), "--ram", "100MB") == 0
    assert capsys.readouterr().out.startswith("c[red]␛]0;d: ")


def test_importing_the_command_is_light() -> None:
    script = (
        "import sys, app.commands.plan; print([m for m in ('torch', 'numba', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
