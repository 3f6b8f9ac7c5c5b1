"""How many threads the kernels use, and by which pool.

Numba's `omp` layer is the one that bears a busy neighbour: with OMP_WAIT_POLICY=passive its threads sleep
between products instead of spinning, so a call does not lose a time slice when another process wants a core.
The layer named workqueue aborts the process when two threads use it, so without omp there is one thread.
"""

from __future__ import annotations

import importlib
import os

import numba


def usable_cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_threads(wanted: int | None) -> tuple[int, str | None]:
    """Threads to use (all usable cores unless `wanted` is given), and a warning if there will be fewer."""
    threads = wanted or usable_cores()
    most = int(numba.config.NUMBA_NUM_THREADS)
    warning = None
    if threads > most:
        threads, warning = most, f"{threads} threads asked for, {most} cores usable: using {most}"
    if threads == 1:
        return 1, warning
    try:
        importlib.import_module("numba.np.ufunc.omppool")
    except ImportError as error:
        return 1, f"no OpenMP library found ({error}): using one thread; install libgomp to use {threads}"
    numba.config.THREADING_LAYER = "omp"
    return threads, warning
