"""The name "demo": what it stands for, and what it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import engine
from engine.demo import place
from engine.demo.place import DEMO, demo_folder, resolve
from engine.errors import CheckpointError
from tests.engine.tiny import SPECS, build


def test_the_name_stands_for_the_embedded_checkpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert demo_folder() == Path(engine.__file__).parent / "demo" / "checkpoint"
    monkeypatch.setattr(place, "demo_folder", lambda: tmp_path)
    assert resolve(DEMO) == tmp_path


@pytest.mark.parametrize(
    "path", ["./demo", "models/demo", "demo/", "Demo", Path("demo"), Path("/models/demo")]
)
def test_any_other_path_is_itself(path: str | Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "demo_folder", lambda: pytest.fail("no demo is meant"))
    assert resolve(path) == Path(path)


def test_an_installation_without_it_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(place, "demo_folder", lambda: tmp_path / "nothing")
    with pytest.raises(CheckpointError, match=r"not part of this installation .*nothing is missing.*\./demo"):
        engine.load(DEMO)


def test_the_engine_loads_it_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = build(tmp_path / "checkpoint", SPECS["F32"])
    monkeypatch.setattr(place, "demo_folder", lambda: folder)
    with engine.load(DEMO, threads=1, context=16) as loaded:
        assert loaded.has_mtp


def test_it_is_light() -> None:
    code = (
        "import sys, engine.demo.place; print([m for m in ('torch', 'numba', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
