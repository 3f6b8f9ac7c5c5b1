"""How an engine is loaded for a command or the worker."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from engine.surface import LoadSettings, load_engine
from tests.engine.tiny import build, partly_right_spec

if TYPE_CHECKING:
    from pathlib import Path


def test_no_round_waits_while_all_that_was_imported_is_looked_through(tmp_path: Path) -> None:
    engine = load_engine(str(build(tmp_path / "tiny", partly_right_spec())), LoadSettings(), lambda *_: None)
    try:
        assert gc.get_freeze_count() > 10 * len(gc.get_objects(generation=2))
    finally:
        engine.close()
        gc.unfreeze()
