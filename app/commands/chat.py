"""`draftscope chat` and `draftscope replay`: the app in the terminal, as the command line asked for it."""

from __future__ import annotations

import gc
import os
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from engine.checkpoint.folder import check_folder
from engine.demo.place import DEMO, resolve
from engine.errors import UsageError
from engine.options import GenerateOptions
from engine.surface import LoadSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.backends.base import Backend
    from app.settings import Settings

DEMO_PACE = 12.0
"""Rounds a second: slow enough to see drafts come and go."""
_OPTIONS = ("depth", "mode", "accept", "temperature", "top_p", "top_k", "min_p", "seed", "max_tokens")
"""Settings that are options of a reply, under the same names."""


@dataclass(frozen=True, slots=True)
class ChatArguments:
    """What was asked for on the command line."""

    model: str
    system: str | None
    pace: float | None
    theme: str | None
    resume_latest: bool
    resume: str | None
    scripted: bool
    settings: LoadSettings
    options: Mapping[str, object]
    """The options of GenerateOptions that were given."""


@dataclass(frozen=True, slots=True)
class ReplayArguments:
    """What was asked for on the command line."""

    file: str
    speed: float
    theme: str | None


def chat(arguments: ChatArguments) -> int:
    """Open the chat; return the exit code."""
    # Importing makes little garbage, and looking for it took a tenth of the time to the window. The app looks
    # for it again once that is there.
    gc.disable()
    try:
        return _chat(arguments)
    finally:
        gc.enable()


def _chat(arguments: ChatArguments) -> int:
    from app.settings import Settings

    GenerateOptions().changed(arguments.options)
    of_loading = {field.name: getattr(arguments.settings, field.name) for field in fields(LoadSettings)}
    flags = {**of_loading, **{key: arguments.options.get(key) for key in _OPTIONS}}
    settings = Settings.load(
        {**flags, "system": arguments.system, "pace": arguments.pace, "theme": arguments.theme}
    )
    is_demo = arguments.model == DEMO
    check_folder(resolve(arguments.model))
    load = LoadSettings(**{field.name: getattr(settings, field.name) for field in fields(LoadSettings)})
    pace = settings.pace if settings.pace is not None else DEMO_PACE if is_demo else 0.0
    return _open(_backend(arguments, load), settings, pace, arguments)


def replay(arguments: ReplayArguments) -> int:
    """Play a recording; return the exit code."""
    from app.backends.replay import ReplayBackend
    from app.settings import Settings

    settings = Settings.load({"theme": arguments.theme})
    return _open(ReplayBackend(Path(arguments.file), speed=arguments.speed), settings, 0.0, None)


def _backend(arguments: ChatArguments, load: LoadSettings) -> Backend:
    if arguments.scripted:
        from app.backends.scripted import ScriptedBackend

        return ScriptedBackend()
    from app.backends.local import LocalBackend

    return LocalBackend(arguments.model, load)


def _open(backend: Backend, settings: Settings, pace: float, arguments: ChatArguments | None) -> int:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("The chat needs a terminal; `draftscope run` writes to pipes and files.")
    from app.assemble import assemble

    if settings.animations is not None:
        os.environ["TEXTUAL_ANIMATIONS"] = settings.animations
    app = assemble(
        backend,
        settings,
        pace,
        model="recording" if arguments is None else Path(arguments.model).name or arguments.model,
        resume="latest" if arguments and arguments.resume_latest else arguments.resume if arguments else None,
        options=arguments.options if arguments else {},
        checkpoint=None if arguments is None or arguments.scripted else arguments.model,
    )
    app.run()
    return app.return_code or 0
