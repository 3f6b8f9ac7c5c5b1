"""Where the embedded demo model lies, and its name. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path

from engine.errors import CheckpointError, shown

DEMO = "demo"
"""The name by which every command and `engine.load` know it."""

_DEMO_RAM = "25MB"
"""About half of its experts fit into it, so that the demo shows what a large model does: loads and hits."""


def default_ram(path: str | Path) -> str | None:
    """The RAM budget of a model for which none was given; None leaves it to what the machine has."""
    return _DEMO_RAM if path == DEMO else None


def demo_folder() -> Path:
    """The folder of the embedded checkpoint; nothing says that it is there."""
    return Path(__file__).parent / "checkpoint"


def resolve(path: str | Path) -> Path:
    """Return the folder that is meant: the embedded checkpoint's for the name "demo", else the path itself.

    A folder of one's own that is called demo is meant by "./demo", and by any Path. Raises CheckpointError
    where draftscope was installed without the embedded checkpoint.
    """
    if path != DEMO:
        return Path(path)
    folder = demo_folder()
    if not folder.is_dir():
        raise CheckpointError(
            f"The demo model is not part of this installation ({shown(folder)} is missing): install "
            f"draftscope again, or give a checkpoint's folder (a folder of yours called demo is ./demo)."
        )
    return folder
