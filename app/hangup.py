"""Whether the terminal is still there. Where it goes without a signal (no controlling terminal, an init that
swallows SIGHUP), Textual would read its end for ever, at the cost of a core; and its writer, once it has
failed, leaves a queue behind that blocks whoever writes next, the event loop included. So a thread of its own
waits for the hang-up, and ends the process if leaving by the front door takes too long."""

from __future__ import annotations

import os
import select
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HANGUP = 129
"""Exit code, as shells have it after SIGHUP."""
LEAVING_SECONDS = 2.0
"""How long the app may take to close what is open."""


def watch_terminal(on_hangup: Callable[[], object]) -> None:
    """Call `on_hangup`, in a thread of its own, when standard input is hung up, and end the process with code
    129 two seconds later. Nothing happens where a hang-up cannot be asked for."""
    if not hasattr(select, "poll") or sys.__stdin__ is None:
        return
    gone = select.POLLHUP | select.POLLNVAL | select.POLLERR
    asked = select.poll()
    try:
        asked.register(sys.__stdin__.fileno(), 0)  # a hang-up is told without being asked for
    except (OSError, ValueError):
        return

    def wait() -> None:
        while not any(found & gone for _, found in asked.poll()):
            pass
        on_hangup()
        threading.Event().wait(LEAVING_SECONDS)
        os._exit(HANGUP)

    threading.Thread(target=wait, daemon=True, name="terminal").start()
