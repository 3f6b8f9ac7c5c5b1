"""The app put together from a backend and settings, by the command line and by tests alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.chat import Chat
from app.conversation import Conversation
from app.kept import Kept
from app.main import DraftscopeApp
from app.sessions import Sessions
from app.themes import ThemeFolder
from engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.backends.base import Backend
    from app.settings import Settings

_OPTIONS = ("depth", "mode", "accept", "temperature", "top_p", "top_k", "min_p", "seed")
LATEST = "latest"


def assemble(
    backend: Backend,
    settings: Settings,
    pace: float,
    *,
    model: str,
    resume: str | None = None,
    options: Mapping[str, object] | None = None,
    sessions: Sessions | None = None,
    checkpoint: str | None = None,
) -> DraftscopeApp:
    """Return the app. `resume` is a chat's id, or LATEST; `options` go before the settings' own; `checkpoint`
    is the folder of the model on this machine, or "demo", if it has one.

    Raises UsageError where that chat cannot be gone on with.
    """
    notices: list[str] = []
    sessions = sessions or Sessions()
    kept = Kept(sessions, model, notices.append)
    conversation = Conversation(system=settings.system)
    record = kept.writer
    if resume == LATEST:
        latest = sessions.latest()
        if latest is None:
            raise UsageError("No chat has been kept yet: start draftscope without --continue.")
        resume = latest.id
    if resume is not None:
        record, conversation = kept.resume(resume)
    elif settings.system:
        record.system(settings.system)
    wanted: dict[str, object] = {"max_tokens": settings.max_tokens}
    wanted |= {name: getattr(settings, name) for name in _OPTIONS if getattr(settings, name) is not None}
    wanted |= options or {}
    if backend.is_live:
        chat = Chat(backend, record, conversation, wanted, pace)
    else:  # a recording was decoded as it was
        chat = Chat(backend, None, conversation, {}, pace)
    return DraftscopeApp(chat, settings, kept, notices, ThemeFolder(), checkpoint)
