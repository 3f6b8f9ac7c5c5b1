"""What is remembered from run to run: the same comes back, and nothing wrong is ever believed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.checkpoint.checkpoint import open_checkpoint
from engine.offload.hot_set import HotSet
from engine.offload.popularity import NextUse
from tests.engine.tiny import SPECS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.engine.tiny import TinySpec


@pytest.fixture
def hot_set(tmp_path: Path) -> HotSet:
    return HotSet(tmp_path / "cache" / "experts" / "one.json")


def test_findings_come_back(hot_set: HotSet) -> None:
    rule = NextUse(range(3), 24, 0.125)
    for turn in range(40):
        for layer in range(3):
            rule.used(layer, (0, 1 + turn % 7))
    hot_set.save(rule.findings())
    loaded = hot_set.load()
    assert loaded == pytest.approx(rule.findings(), abs=1e-6)
    again = NextUse(range(3), 24, 0.125, loaded)
    keys = np.argwhere(np.ones((3, 24)))
    share = dict(zip(map(tuple, keys.tolist()), again.probabilities(keys), strict=True))
    order = sorted(loaded, key=lambda key: (-share[key], key))
    assert order == sorted(loaded, key=lambda key: (-loaded[key], key))
    assert share[1, 0] > share[1, 3] > share[1, 20] > 0


def test_what_is_hardly_ever_used_is_left_out_and_rounding_is_no_damage(hot_set: HotSet) -> None:
    hot_set.save({(1, 2): 1.0000000001, (1, 3): 1e-4, (2, 0): 0.5})
    assert hot_set.load() == {(1, 2): 1.0, (2, 0): 0.5}


def test_nothing_known(hot_set: HotSet) -> None:
    assert hot_set.load() == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"{}",
        b"[]",
        b"7",
        b"null",
        b'{"experts": 3}',
        b'{"experts": null}',
        b'{"experts": [[1, 2]]}',
        b'{"experts": [[1, 2, 0.5, 4]]}',
        b'{"experts": [[1, 2, 0.5], [1, 3, 1.5]]}',
        b'{"experts": [[1, 2, 0.5], [1, 3, NaN]]}',
        b'{"experts": [[1, 2, 0.5], [1, 3, 0]]}',
        b'{"experts": [[1, 2, "0.5"]]}',
        b'{"experts": [["1", 2, 0.5]]}',
        b'{"experts": [[1, 2.5, 0.5]]}',
        b'{"experts": [[[1], 2, 0.5]]}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_file_is_as_none(content: bytes, hot_set: HotSet) -> None:
    hot_set.file.parent.mkdir(parents=True)
    hot_set.file.write_bytes(content)
    assert hot_set.load() == {}
    hot_set.save({(0, 1): 0.25})
    assert hot_set.load() == {(0, 1): 0.25}


def test_saving_replaces_and_leaves_nothing_beside(hot_set: HotSet) -> None:
    hot_set.save({(0, 1): 0.25})
    hot_set.save({(0, 2): 0.5})
    assert json.loads(hot_set.file.read_text()) == {"experts": [[0, 2, 0.5]]}
    assert list(hot_set.file.parent.iterdir()) == [hot_set.file]


def test_a_folder_that_cannot_be_written_is_nobodys_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    hot_set = HotSet(tmp_path / "file" / "experts" / "one.json")
    hot_set.save({(0, 1): 0.25})
    assert hot_set.load() == {}


def test_each_checkpoint_has_a_file_of_its_own(
    tiny: Callable[[TinySpec], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_: str(tmp_path))
    files = set()
    for name in ("BF16", "F32", "BF16"):
        with open_checkpoint(tiny(SPECS[name])) as checkpoint:
            files.add(HotSet.of(checkpoint).file)
    (tmp_path / "link").symlink_to(tiny(SPECS["BF16"]))
    with open_checkpoint(tmp_path / "link") as checkpoint:
        assert HotSet.of(checkpoint).file in files, "the same checkpoint by another name"
    assert len(files) == 2
    assert all(file.is_relative_to(tmp_path) for file in files)
