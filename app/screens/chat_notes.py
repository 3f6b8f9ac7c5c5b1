"""What the chat screen says in a few words of what is going on: in the header, and in the panel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.chat import Status
from app.widgets.bars import percentage

if TYPE_CHECKING:
    from app.chat import Chat

_UNDER_WAY = {
    Status.LOADING: "loading",
    Status.MEASURING: "measuring",
    Status.COMPARING: "comparing",
    Status.LOST: "engine lost",
}


def notice_of(chat: Chat) -> str:
    """What is under way, or waits, in a few words."""
    is_ending = chat.is_stopping and chat.busy
    found = "stopping" if is_ending else _UNDER_WAY.get(chat.status, "")
    if chat.measurement is not None and not is_ending:
        found += f" {percentage(chat.measurement.share_done)}"
    if chat.waiting_prompt is not None:
        return f"{found} · a prompt waits" if found else "a prompt waits"
    return found or ("editing: esc keeps the reply" if chat.is_editing else "")


def panel_note(chat: Chat) -> str | None:
    """What the panel says of a depth that was not measured, where it cannot be now."""
    if not chat.backend.is_live:
        return "These are the recording's own figures: nothing is measured now."
    if chat.trouble is not None:
        return "There is no engine to measure with."
    if chat.measurement is not None:
        return f"Measuring each depth: {percentage(chat.measurement.share_done)}."
    return None
