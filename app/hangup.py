"""Whether the terminal is still there. Where it goes without a signal (no controlling terminal, an init that
swallows SIGHUP), Textual would read its end for ever, at the cost of a core."""

from __future__ import annotations

import select
import sys


def terminal_is_gone() -> bool:
    """Return whether standard input has been hung up; False where that cannot be asked."""
    if not hasattr(select, "poll") or sys.__stdin__ is None:
        return False
    try:
        asked = select.poll()
        asked.register(sys.__stdin__.fileno(), 0)  # a hang-up is told without being asked for
        return any(found & (select.POLLHUP | select.POLLNVAL) for _, found in asked.poll(0))
    except (OSError, ValueError):
        return False
