"""Making a chat fit the context: its oldest turns are left out, whole.

A turn is a user message with all that answers it. System messages stay, and so does the last turn. They go by
quarters of the room, not one by one: a prompt whose beginning changes is read from its start, so a full chat
would be read anew at every turn, and is so at every few now. What is left out follows from the chat alone.
Light: no tokenizer in here, whoever asks says how long a prompt would be.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MOST_RESERVED = 256
_STEPS = 4
"""Of the room, in which oldest turns go."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What is left of a chat."""

    kept: tuple[int, ...]
    """Indices of the messages, ascending."""
    dropped_turns: int


def prompt_room(context: int) -> int:
    """Return the tokens that a prompt may have so that a reply of some length has its place as well."""
    return context - min(_MOST_RESERVED, context // 4)


def fit(roles: Sequence[str], room: int, length: Callable[[tuple[int, ...]], int]) -> Fit:
    """Leave out what is too much, rounded up to quarters of the room; where that is all, all but the last.

    `length` is the tokens of a prompt made from the messages of these indices; it is asked a few times only,
    since the fewer turns there are, the shorter the prompt.
    """
    turns = _turns(roles)

    def kept(dropped: int) -> tuple[int, ...]:
        gone = {index for turn in turns[:dropped] for index in turn}
        return tuple(index for index in range(len(roles)) if index not in gone)

    everything = kept(0)
    whole = length(everything)
    if whole <= room or len(turns) < 2:
        return Fit(everything, 0)
    step = max(1, room // _STEPS)
    most = whole - -(-(whole - room) // step) * step
    # The last turn is never asked about: nothing could be done for it.
    dropped = 1 + bisect_left(range(1, len(turns) - 1), True, key=lambda count: length(kept(count)) <= most)
    return Fit(kept(dropped), dropped)


def _turns(roles: Sequence[str]) -> list[list[int]]:
    turns: list[list[int]] = []
    for index, role in enumerate(roles):
        if role == "system":
            continue
        if role == "user" or not turns:
            turns.append([])
        turns[-1].append(index)
    return turns
