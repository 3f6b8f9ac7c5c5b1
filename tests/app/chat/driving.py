"""The app as a test drives it: a scripted engine, folders of its own, and waiting for what is to happen."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from app.assemble import assemble
from app.backends.scripted import ScriptedBackend
from app.sessions import Sessions
from app.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual.pilot import Pilot

    from app.backends.base import Backend
    from app.main import DraftscopeApp

PATIENCE_SECONDS = 30.0


def made_app(
    folder: Path,
    backend: Backend | None = None,
    *,
    pace: float = 0.0,
    resume: str | None = None,
    **settings: object,
) -> DraftscopeApp:
    """An app over a scripted engine, its chats kept in the folder."""
    return assemble(
        backend or ScriptedBackend(seed=1, reply_tokens=40),
        Settings(**{"first_run_help": False, **settings}),  # type: ignore[arg-type]
        pace,
        model="scripted",
        resume=resume,
        sessions=Sessions(folder),
    )


async def wait_until(pilot: Pilot[None], holds: Callable[[], bool]) -> None:
    """Let the app run until something holds; fails where it does not come to that."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < end, "it did not come to that"
        await pilot.pause()
        await asyncio.sleep(0.005)


async def sent(pilot: Pilot[None], text: str) -> None:
    """Type a prompt and send it."""
    for letter in text:
        await pilot.press("space" if letter == " " else "slash" if letter == "/" else letter)
    await pilot.press("enter")


def shown(app: DraftscopeApp) -> str:
    """What is on the screen, as text."""
    width, height = app.size
    strips = app.screen._compositor.render_strips(app.size)  # Textual has no public way to the whole screen
    return "\n".join(strip.text.ljust(width) for strip in strips[:height])
