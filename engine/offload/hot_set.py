"""Which experts were used most, remembered for each checkpoint from one run to the next.

A small file in the user's cache folder. It only decides what is read first: a missing, old or damaged one
costs nothing but a slower start, so nobody is told of it.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.checkpoint.checkpoint import Checkpoint
    from engine.offload.popularity import Key

_LEAST = 1e-3
"""Probabilities below this are not written."""


@dataclass(frozen=True, slots=True)
class HotSet:
    """A checkpoint's file."""

    file: Path

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> HotSet:
        """The file of a checkpoint, known by its place and its size."""
        known_by = f"{os.path.realpath(checkpoint.path)}|{checkpoint.bytes}|{len(checkpoint.records)}"
        name = hashlib.sha256(known_by.encode("utf-8", "surrogateescape")).hexdigest()[:24]
        return cls(Path(platformdirs.user_cache_dir("draftscope")) / "experts" / f"{name}.json")

    def load(self) -> dict[Key, float]:
        """For each expert that was used, the share of passes that used it; empty where nothing is known."""
        found: dict[Key, float] = {}
        with suppress(OSError, ValueError, TypeError, LookupError, RecursionError):
            for layer, number, share in json.loads(self.file.read_bytes())["experts"]:
                if not 0 < share <= 1 or not isinstance(layer, int) or not isinstance(number, int):
                    return {}
                found[layer, number] = float(share)
            return found
        return {}

    def save(self, shares: Mapping[Key, float]) -> None:
        """Write it whole, or leave the old one."""
        rows = [[*key, round(min(share, 1.0), 6)] for key, share in shares.items() if share >= _LEAST]
        beside = self.file.with_suffix(f".{os.getpid()}")
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(json.dumps({"experts": rows}))
            beside.replace(self.file)
