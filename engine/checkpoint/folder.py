"""Whether a path is a folder at all: one sentence for every command, and light, for those that load later."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from engine.errors import CheckpointError, shown

if TYPE_CHECKING:
    from pathlib import Path


def check_folder(path: Path) -> None:
    """Raise CheckpointError where the path is no folder; one with a name that is too long is none."""
    if not os.path.isdir(path):  # noqa: PTH112  Path.is_dir raises where a name is too long
        there = os.path.exists(path)  # noqa: PTH110  and so does Path.exists
        kind = "is not a folder" if there else "does not exist"
        raise CheckpointError(f"{shown(path)} {kind}. Give the folder of a checkpoint.")
