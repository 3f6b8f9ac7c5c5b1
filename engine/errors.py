"""The errors a user can cause, each with the exit code of the command line.

Every message is one sentence or two: it names the file, tensor or figure, and says what to do. Whoever
catches a `DraftscopeError` prints `str(error)` and nothing else; everything that is not one is a bug.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path


class DraftscopeError(Exception):
    """Something the user can mend. `exit_code` is what the command line ends with."""

    exit_code = 1


class UsageError(DraftscopeError):
    """A request that cannot be carried out as it was made: a bad option, a prompt that is too long."""

    exit_code = 2


class CheckpointError(DraftscopeError):
    """A checkpoint that is incomplete, damaged, or of an architecture that is not supported."""

    exit_code = 3


class MemoryBudgetError(DraftscopeError):
    """The RAM budget is too small for the request."""

    exit_code = 4


def shown(value: object) -> str:
    """A value from a file as an error message may print it: short, and without control characters.

    Strings come in quotes, paths without; both with everything unprintable escaped.
    """
    if isinstance(value, Path):
        return repr(str(value))[1:-1]
    if isinstance(value, str):
        return repr(value if len(value) <= 160 else f"{value[:100]}…{value[-40:]}")
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 128 else f"an integer of {value.bit_length():,} bits"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, (list, tuple)):
        if len(value) <= 8 and not any(isinstance(item, (list, tuple, Mapping)) for item in value):
            return f"[{', '.join(shown(item) for item in value)}]"
        return f"a list of {len(value):,} values"
    if isinstance(value, Mapping):
        return f"an object of {len(value):,} keys"
    return f"a {type(value).__name__}"


def shown_error(error: Exception) -> str:
    """What a JSON or system error says, short and without control characters."""
    return shown(str(error))[1:-1].removesuffix(".")
