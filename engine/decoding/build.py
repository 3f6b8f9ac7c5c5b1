"""What the bits of a computed row depend on beside the checkpoint: our code, the compiler's, the processor.

Within one build and machine every path sums in one order; across them nobody promises that. Threads, budget
and chunking change no bits, so they are no part of it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.kernels.base import Kernels

_ENGINE = Path(__file__).parents[1]
_COMPUTING = ("kernels", "model")
"""Folders whose code computes rows."""
_SINGLE_FILES = ("yarn.py", "config.py", "decoding/drafters.py", "decoding/sequence.py")
_LIBRARIES = ("torch", "numba", "llvmlite", "numpy")


def build_identity(kernels: Kernels) -> str:
    """The same where the same bits are computed, as hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=32)
    kind = type(kernels)
    versions = [version(library) for library in _LIBRARIES]
    known = [f"{kind.__module__}.{kind.__qualname__}", versions, sys.byteorder, _processor()]
    digest.update(json.dumps(known).encode())
    for file in _sources():
        digest.update(json.dumps([file.name, file.stat().st_size]).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _processor() -> list[str]:
    """What code is compiled for, and what the libraries choose theirs by."""
    import numba
    import torch
    from llvmlite import binding

    chosen = (numba.config.CPU_NAME, numba.config.CPU_FEATURES, torch.backends.cpu.get_cpu_capability())
    return [binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten(), *map(str, chosen)]


def _sources() -> Iterator[Path]:
    for folder in _COMPUTING:
        yield from sorted((_ENGINE / folder).glob("*.py"))
    for name in _SINGLE_FILES:
        yield _ENGINE / name
