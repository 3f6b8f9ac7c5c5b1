"""How soon the window is there: `python -m tests.bench.window`.

`draftscope` in a terminal of its own, from starting the process to the first frame with its prompt;
and how soon `draftscope --help` has ended. The first start is left out, since it compiles Python's bytecode,
as any first start after an installation does. The model loads meanwhile, in its own process.
"""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time

RUNS = 11
PATIENCE_SECONDS = 30.0
SETTLING_SECONDS = 2.0
"""The engine of the app that was ended may take a second to end as well, and would take a core meanwhile."""
FRAME = b"Ask something"
WINDOW_BOUND, HELP_BOUND = 0.5, 0.3
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]")


def environment(folder: str) -> dict[str, str]:
    """Ours, with settings and chats nowhere near the user's, and bytecode kept as it is for users."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    own = {"DRAFTSCOPE_CONFIG_DIR": folder, "DRAFTSCOPE_DATA_DIR": folder}
    return {**kept, **own, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}


def window(folder: str) -> float:
    """Start the app and return the seconds to its first frame."""
    ours, theirs = pty.openpty()
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli"],
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment(folder), start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while FRAME not in _ESCAPES.sub(b"", shown):
        if time.perf_counter() - began > PATIENCE_SECONDS:
            raise RuntimeError(f"no window after {PATIENCE_SECONDS:.0f} s: {shown[-300:]!r}")
        if select.select([ours], [], [], 1.0)[0]:
            shown += os.read(ours, 65536)
    seconds = time.perf_counter() - began
    process.send_signal(signal.SIGTERM)
    os.close(ours)
    process.wait()
    time.sleep(SETTLING_SECONDS)
    return seconds


def helped(folder: str) -> float:
    """Ask for help and return the seconds until it has come."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "app.cli", "--help"], env=environment(folder), capture_output=True, check=True
    )
    return time.perf_counter() - began


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        for name, measured, bound in (("window", window, WINDOW_BOUND), ("--help", helped, HELP_BOUND)):
            measured(folder)
            found = sorted(measured(folder) for _ in range(RUNS))
            kept = "kept" if statistics.median(found) <= bound else "MISSED"
            print(
                f"{name}: median {statistics.median(found):.3f} s, {found[0]:.3f} to {found[-1]:.3f} "
                f"(bound {bound} s: {kept})"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
