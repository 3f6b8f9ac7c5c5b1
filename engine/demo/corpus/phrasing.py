"""How requests are worded: templates with alternatives, and the noise of real typing.

A template holds alternatives, `{a|b}`, which may nest, and slots, `<name>`. Requests are made to vary as much
as possible; replies have few shapes, since a small model learns those, and its drafts of them are accepted.
Noise never touches what fills a slot, except that it may write it in lower case, and then says so: a reply
copies what the user typed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

_OPENINGS = (
    "hey, ", "ok, ", "so, ", "hi! ", "hello, ", "well, ", "Hey! ", "Hi, ", "Okay, ", "um, ", "now, ",
    "Hello! ",
)  # fmt: skip
_CLOSINGS = (" please", ", please", " thanks", " Thanks!", " :)", " Please.", ", thank you")
_WORD = re.compile(r"(?<![<\w])[a-z]{4,}(?![\w>])")
_PRONOUN = re.compile(r"^I\b")


@dataclass(frozen=True, slots=True)
class _Choice:
    options: tuple[_Sequence, ...]


_Sequence: TypeAlias = "tuple[str | _Choice, ...]"


class Phrases:
    """Templates, read once."""

    def __init__(self, *templates: str) -> None:
        self._templates = tuple(_read(each) for each in templates)

    def pick(self, rng: random.Random) -> str:
        """Return one wording, its slots still open."""
        parts: list[str] = []
        _expand(rng.choice(self._templates), rng, parts)
        return "".join(parts)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as typed, and its slots as typed."""

    text: str
    slots: Mapping[str, str]
    used: frozenset[str]
    """The slots that this wording has."""


def ask(rng: random.Random, phrases: Phrases, slots: Mapping[str, str], *, lower: float = 0.3) -> Asked:
    """Word a request; where all of it is in lower case, the slots are too with probability `lower`."""
    frame = phrases.pick(rng)
    if rng.random() < 0.3:
        frame = frame.lower()
        if rng.random() < lower:
            slots = {key: value.lower() for key, value in slots.items()}
    used = frozenset(key for key in slots if f"<{key}>" in frame)
    return Asked(fill(_noisy(rng, frame), slots).strip(), slots, used)


def fill(text: str, slots: Mapping[str, str]) -> str:
    """Put the slots' values into a wording."""
    for key, value in slots.items():
        text = text.replace(f"<{key}>", value)
    return text


def with_article(noun: str) -> str:
    """Return a noun with `a` or `an`, or as it is where it brings its own article."""
    if noun.startswith(("some ", "a ", "an ", "the ")):
        return noun
    vowel = noun[:1].lower() in "aeiou" and not noun.lower().startswith(("uni", "use", "one", "eu"))
    return f"{'an' if vowel else 'a'} {noun}"


def capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def joined(items: tuple[str, ...]) -> str:
    """Return `a, b and c`."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def _noisy(rng: random.Random, frame: str) -> str:
    if rng.random() < 0.25:
        frame = frame.rstrip("?.!")
    if rng.random() < 0.07:
        first = frame if _PRONOUN.match(frame) else frame[:1].lower() + frame[1:]
        frame = rng.choice(_OPENINGS) + first
    if rng.random() < 0.05 and frame[-1].isalpha():
        # Never straight behind a slot: it would look like part of what is to be copied.
        frame += rng.choice(_CLOSINGS)
    if rng.random() < 0.04:
        frame = _with_typo(rng, frame)
    return frame


def _with_typo(rng: random.Random, frame: str) -> str:
    words = list(_WORD.finditer(frame))
    if not words:
        return frame
    at = rng.choice(words).start() + rng.randrange(1, 3)
    kind = rng.randrange(3)
    if kind == 0:  # two letters swapped
        return frame[:at] + frame[at + 1] + frame[at] + frame[at + 2 :]
    if kind == 1:  # one left out
        return frame[:at] + frame[at + 1 :]
    return frame[:at] + frame[at] + frame[at:]


def _expand(sequence: _Sequence, rng: random.Random, parts: list[str]) -> None:
    for part in sequence:
        if isinstance(part, str):
            parts.append(part)
        else:
            _expand(rng.choice(part.options), rng, parts)


def _read(template: str) -> _Sequence:
    sequence, end = _read_sequence(template, 0)
    if end != len(template):
        raise ValueError(f"the braces of {template!r} do not match")
    return sequence


def _read_sequence(template: str, at: int) -> tuple[_Sequence, int]:
    """Read up to the `|` or `}` that ends this alternative."""
    parts: list[str | _Choice] = []
    plain = at
    while at < len(template) and template[at] not in "|}":
        if template[at] != "{":
            at += 1
            continue
        if plain < at:
            parts.append(template[plain:at])
        options: list[_Sequence] = []
        while template[at] != "}":
            option, at = _read_sequence(template, at + 1)
            if at == len(template):
                raise ValueError(f"the braces of {template!r} do not match")
            options.append(option)
        parts.append(_Choice(tuple(options)))
        at += 1
        plain = at
    if plain < at:
        parts.append(template[plain:at])
    return tuple(parts), at
