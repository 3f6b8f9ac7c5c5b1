"""What is said while kernels are compiled, and that nothing is said where they are found cached."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import engine
from engine.kernels.compiling import COMPILING, compiling_said
from engine.surface import LoadSettings, load_engine

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SOURCE = """
import numba


@numba.njit(cache=True)
def kernel(number):
    return number + 1
"""
SAID = (0, 0, COMPILING)


def fresh(folder: Path) -> Any:
    """A kernel as another process has it: compiled by nobody, but perhaps cached."""
    file = folder / "kernels.py"
    if not file.exists():
        file.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("kernels", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.kernel


def test_only_what_is_not_cached_is_said(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    with compiling_said(lambda *news: told.append(news)):
        assert fresh(tmp_path)(1) == 2
    assert told == [SAID]
    with compiling_said(lambda *news: told.append(news)):
        assert fresh(tmp_path)(1) == 2
    assert told == [SAID]


def test_it_is_said_again_only_where_something_else_was_told(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    with compiling_said(lambda *news: told.append(news)) as tell:
        kernel = fresh(tmp_path)
        kernel(1)
        kernel(1.0)
        tell(1, 9, "shard")
        kernel(1j)
    assert told == [SAID, (1, 9, "shard"), SAID]


def test_loading_tells_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_path: str, *, progress: Any, **_settings: object) -> None:
        progress(1, 9, "shard")
        fresh(tmp_path)(1)

    told: list[tuple[int, int, str]] = []
    monkeypatch.setattr(engine, "load", load, raising=False)
    load_engine("model", LoadSettings(), lambda *news: told.append(news))
    assert told == [(1, 9, "shard"), SAID]
