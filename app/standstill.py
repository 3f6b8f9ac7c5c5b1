"""What is said while a reply stands still for the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.events import Phase

if TYPE_CHECKING:
    from engine.events import Waiting

_MEANWHILE = {
    Phase.CATCHING_UP: " while catching up",
    Phase.DRAFTING: " while drafting",
    Phase.VERIFYING: "",  # the round's main part, and in ordinary decoding the only one
}


def standstill(waiting: Waiting) -> str:
    """What it waits for, without how long."""
    return f"waiting for the disk{_MEANWHILE[waiting.phase]}"
