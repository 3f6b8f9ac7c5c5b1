"""The errors a user can cause, each with the exit code of the command line.

Every message is one sentence or two: it names the file, tensor or figure, and says what to do. Whoever
catches a `DraftscopeError` prints `str(error)` and nothing else; everything that is not one is a bug.
"""

from __future__ import annotations


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
