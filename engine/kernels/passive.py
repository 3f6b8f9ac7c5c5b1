"""OpenMP's waiting, decided before anything that brings OpenMP is imported."""

from __future__ import annotations

import os

SPINS = 5000
"""How often a thread looks for work before it sleeps. A decoded token is some seventy products with little
in between: without looking at all, waking threads took a fifth of the time (36.8 against 29.5 ms a token of
the benchmark's checkpoint, two threads). Without a bound they would burn time slices that others want."""


def wait_passively() -> None:
    """Make OpenMP's threads sleep while they wait, unless the user chose. Call before torch is imported."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "passive"
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
