"""`draftscope logits`: the main model's logits after every token of a prompt, as a NumPy archive."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.commands.terminal import StatusLine
from engine.errors import UsageError
from engine.surface import LoadSettings

if TYPE_CHECKING:
    from engine.surface import Load


@dataclass(frozen=True, slots=True)
class LogitsArguments:
    """What was asked for on the command line."""

    model: str
    ids: tuple[int, ...]
    out: str
    ram: str | None
    threads: int | None


def logits(arguments: LogitsArguments, load: Load) -> int:
    """Write the array `logits`, float32 [tokens, vocabulary]; return the exit code."""
    out = Path(arguments.out)
    if out.is_dir() or not out.parent.is_dir():
        raise UsageError(f"{out} cannot be written: give the name of a file in a folder that exists.")
    status = StatusLine(sys.stderr)
    try:
        settings = LoadSettings(
            ram=arguments.ram, context=max(2, len(arguments.ids)), threads=arguments.threads
        )
        engine = load(arguments.model, settings, status.loading)
    finally:
        status.clear()
    try:
        rows = engine.logits(arguments.ids)
    finally:
        engine.close()
    import numpy as np

    try:
        with out.open("wb") as file:  # savez would put .npz behind any other name
            np.savez(file, logits=rows)
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror or error}.") from None
    return 0
