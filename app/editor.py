"""The user's own editor, lent the terminal for a text that outgrows the prompt."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

VARIABLES = ("VISUAL", "EDITOR")


def edited(text: str, suspended: Callable[[], AbstractContextManager[None]]) -> str:
    """Return what the user has made of the text; `suspended` lets go of the terminal meanwhile.

    UsageError says why it could not be edited.
    """
    command = _command()
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            file = Path(folder) / "prompt.md"
            file.write_text(text, encoding="utf-8", errors="replace")
            _open(command, file, suspended)
            if not file.exists():
                raise UsageError(f"{command[0]} left no file: the prompt is as it was.")
            return file.read_text(encoding="utf-8", errors="replace").rstrip("\n")
    except OSError as error:
        raise UsageError(f"The prompt cannot be edited in a file: {error.strerror}.") from None


def _command() -> list[str]:
    """Return the words that start the editor."""
    name = next((each for each in VARIABLES if os.environ.get(each, "").strip()), None)
    if name is None:
        raise UsageError("Set EDITOR to the editor that should open, such as nano or vim.")
    try:
        return shlex.split(os.environ[name])
    except ValueError as error:
        raise UsageError(f"{name} is no command ({error}): set it to one such as nano or vim.") from None


def _open(command: list[str], file: Path, suspended: Callable[[], AbstractContextManager[None]]) -> None:
    failure = None
    try:
        with suspended():
            # Textual takes the terminal back only where nothing is raised in here.
            try:
                subprocess.run([*command, str(file)], check=False)
            except OSError as error:
                failure = error.strerror or "the system refuses"
    except SuspendNotSupported:
        raise UsageError("No editor can have this terminal: go on in the prompt.") from None
    if failure is not None:
        raise UsageError(f"{command[0]} cannot be started: {failure}.")
