"""Train the demo model.

    python -m engine.demo.train [--minutes 100] [--out FOLDER] [--seed N] [--threads 2] [--nice 19] [--resume]
                                [--from CHECKPOINT] [--rate 1.0]

FOLDER gets train.log, state.pt (to go on from, with --resume), probe/ (the last probe's export) and, at the
end, checkpoint/. Ctrl-C saves and stops. This module is only the command: OpenMP and glibc read their
settings when a process starts, so it starts itself anew with them before torch is imported.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from engine.kernels.passive import wait_passively

_GIGABYTE = 1 << 30
_TUNABLES = (
    f"glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold={_GIGABYTE}:glibc.malloc.trim_threshold={_GIGABYTE}"
)
"""Huge pages, and memory that is kept between steps: every step allocates the same few hundred megabytes, and
giving them back each time means faulting them in again."""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m engine.demo.train", description="Train the demo model.")
    parser.add_argument("--minutes", type=float, default=100.0, help="of training, probes not counted (100)")
    parser.add_argument("--warmup-minutes", type=float, default=10.0, help="the copy warm-up's most (10)")
    parser.add_argument("--probe-minutes", type=float, default=8.0, help="between two probes (8)")
    parser.add_argument("--out", type=Path, default=Path("demo-training"), help="folder (demo-training)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--nice", type=int, default=19, help="added to the process's niceness (19)")
    parser.add_argument("--resume", action="store_true", help="go on from FOLDER's state")
    parser.add_argument(
        "--from", dest="start", type=Path, metavar="CHECKPOINT", help="start with an exported model's weights"
    )
    parser.add_argument("--rate", type=float, default=1.0, help="factor of all learning rates (1)")
    options = parser.parse_args()
    if "GLIBC_TUNABLES" not in os.environ and sys.platform == "linux":
        os.environ["GLIBC_TUNABLES"] = _TUNABLES
        wait_passively()
        os.execv(sys.executable, [sys.executable, "-m", "engine.demo.train", *sys.argv[1:]])
    wait_passively()
    if options.nice:
        os.nice(options.nice)
    from engine.demo.run import Settings, run

    run(
        Settings(
            out=options.out,
            minutes=options.minutes,
            warmup_minutes=options.warmup_minutes,
            probe_minutes=options.probe_minutes,
            seed=options.seed,
            threads=options.threads,
            resume=options.resume,
            start=options.start,
            rate=options.rate,
        )
    )


if __name__ == "__main__":
    main()
