"""OpenMP's waiting, decided before anything that brings OpenMP is imported."""

from __future__ import annotations

import os


def wait_passively() -> None:
    """Make OpenMP's threads sleep while they wait, unless the user chose. Call before torch is imported."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
