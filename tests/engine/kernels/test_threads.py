"""How many threads there are, how they wait, and what the light modules leave unimported."""

from __future__ import annotations

import os
import subprocess
import sys

import numba
import pytest

from engine.kernels.passive import wait_passively
from engine.kernels.threads import choose_threads, usable_cores

OMP_POOL = "numba.np.ufunc.omppool"


@pytest.fixture
def _four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 4)
    monkeypatch.setattr(numba.config, "THREADING_LAYER", "default")
    monkeypatch.setattr("engine.kernels.threads.usable_cores", lambda: 4)


@pytest.mark.usefixtures("_four_cores")
class TestChoice:
    def test_all_usable_cores_unless_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, OMP_POOL, sys)  # any module: it is only imported
        assert choose_threads(None) == (4, None)
        assert choose_threads(3) == (3, None)
        assert numba.config.THREADING_LAYER == "omp"

    def test_more_than_there_are(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, OMP_POOL, sys)
        threads, warning = choose_threads(9)
        assert threads == 4
        assert warning is not None
        assert "9 threads asked for" in warning
        assert "using 4" in warning

    def test_without_openmp_one_thread_and_how_to_get_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, OMP_POOL, None)  # importing it raises ImportError
        for wanted in (None, 2, 9):
            threads, warning = choose_threads(wanted)
            assert threads == 1
            assert warning is not None
            assert "libgomp" in warning

    def test_one_thread_needs_no_openmp(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, OMP_POOL, None)
        assert choose_threads(1) == (1, None)
        assert numba.config.THREADING_LAYER == "default"


def test_usable_cores_are_those_of_this_process() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(("before", "after"), [(None, "passive"), ("active", "active")])
def test_waiting_is_passive_unless_the_user_chose(
    before: str | None, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", before or "")  # so that monkeypatch puts back what there was
    if before is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    wait_passively()
    assert os.environ["OMP_WAIT_POLICY"] == after


def run(code: str, environment: dict[str, str]) -> str:
    """What a fresh interpreter prints."""
    inherited = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return str(done.stdout).strip()


# Stands in torch's way, says what it would have found, and so spares the test its import.
FIRST_TORCH = """
import importlib.abc, os, sys
class Guard(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "numba"):
            print(os.environ.get("OMP_WAIT_POLICY"))
            sys.stdout.flush()
            os._exit(0)
sys.meta_path.insert(0, Guard())
import engine
print(os.environ.get("OMP_WAIT_POLICY"))
engine.{name}
print("torch was not asked for")
"""


@pytest.mark.parametrize("name", ["load", "Engine"])
def test_the_engine_waits_passively_before_torch_is_imported(name: str) -> None:
    # Nothing is set by `import engine` alone.
    assert run(FIRST_TORCH.format(name=name), {}).split() == ["None", "passive"]


def test_the_engine_leaves_the_users_choice() -> None:
    code = FIRST_TORCH.format(name="load")
    assert run(code, {"OMP_WAIT_POLICY": "active"}).split() == ["active", "active"]


@pytest.mark.parametrize("modules", ["engine", "engine.events, engine.options", "engine.kernels.passive"])
def test_light_modules_bring_neither_torch_nor_numba(modules: str) -> None:
    code = f"import sys, {modules}; print(sorted({{'torch', 'numba', 'numpy'}} & set(sys.modules)))"
    assert run(code, {}) == "[]"
