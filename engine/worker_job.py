"""A job of the worker's main thread, and what the user is told where one fails."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.errors import DraftscopeError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(eq=False, slots=True)
class Job:
    """Something for the main thread to do, and what was heard about it since it was asked for."""

    name: str
    run: Callable[[Job], None]
    cancelled: bool = False
    changed: dict[str, object] = field(default_factory=dict)
    """Depth and mode as set since."""


def sentence(error: Exception) -> str:
    """Return what the user is told of an error; a bug's traceback goes to standard error."""
    if isinstance(error, DraftscopeError):
        return str(error)
    traceback.print_exception(error, file=sys.stderr)
    if isinstance(error, MemoryError):
        return "The machine's memory does not suffice: close other programs, or choose a smaller context."
    return f"Something went wrong that should not have ({type(error).__name__}: {error})."
