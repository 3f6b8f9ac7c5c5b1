"""What is wrong with the small files beside a checkpoint's weights, found by reading them as loading does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import CheckpointError
from engine.text.generation import GenerationDefaults
from engine.text.template import ChatTemplate
from engine.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def text_faults(folder: Path) -> tuple[str, ...]:
    """Return why the tokenizer, the chat template and the recommended options cannot be loaded.

    What is not there is no fault: token ids can be given without any of them.
    """
    readers: tuple[Callable[[Path], object], ...] = (ChatTemplate.load, GenerationDefaults.load)
    if (folder / "tokenizer.json").exists():
        readers = (Tokenizer.load, *readers)
    faults = []
    for read in readers:
        try:
            read(folder)
        except CheckpointError as error:
            faults.append(str(error))
    return tuple(dict.fromkeys(faults))  # two of them read tokenizer_config.json
