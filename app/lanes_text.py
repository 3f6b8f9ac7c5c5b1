"""Lanes as one types them: `0, 1, 2, 4`, `ngram 2`, `auto`. A depth alone is of who drafts in the chat."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from engine.errors import UsageError, shown
from engine.lanes import Lane
from engine.options import MAX_DEPTH, Mode

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT = "0, 1, 2, 4"

_WORDS = re.compile(r"[^\s,;]+")
_WITHOUT_DEPTH = (Mode.AUTO, Mode.ORDINARY)


def read_lanes(text: str, drafter: Mode) -> tuple[Lane, ...]:
    """Return the lanes, each once; UsageError says in one sentence what is wrong."""
    words = ["ngram" if word == "n-gram" else word for word in _WORDS.findall(text.lower())]
    lanes: list[Lane] = []
    place = 0
    while place < len(words):
        word, place = words[place], place + 1
        if word.isdecimal():
            lanes.append(Lane(drafter, _depth(word)))
            continue
        mode = _mode(word)
        if mode in _WITHOUT_DEPTH:
            lanes.append(Lane(mode, 0))
            continue
        if place == len(words) or not words[place].isdecimal():
            raise UsageError(f"{mode} needs a depth after it, such as {mode} 2.")
        lanes.append(Lane(mode, _depth(words[place])))
        place += 1
    if not lanes:
        raise UsageError(f"Name at least one lane, such as {DEFAULT}.")
    return tuple(dict.fromkeys(lanes))


def lanes_text(lanes: Sequence[Lane], drafter: Mode) -> str:
    """Return the lanes as `read_lanes` reads them."""
    return ", ".join(
        str(lane.depth) if lane.is_baseline or lane.mode is drafter else lane.label for lane in lanes
    )


def _depth(word: str) -> int:
    if len(word) > len(str(MAX_DEPTH)) + 1:
        raise UsageError(f"depth must be from 0 to {MAX_DEPTH}, not {shown(word)}.")
    return int(word)


def _mode(word: str) -> Mode:
    if word in set(Mode):
        return Mode(word)
    near = difflib.get_close_matches(word, list(Mode), n=1)
    hint = f"did you mean {near[0]}?" if near else f"give depths from 0 to {MAX_DEPTH}, or a mode and one."
    raise UsageError(f"There is no lane {shown(word)}: {hint}")
