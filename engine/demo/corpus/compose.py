"""Chats out of turns: how often each skill comes, and what stands before a request.

Shares are of chats by the skill of their last reply; stories, the longest, are half of the text all the same.
Most chats are one turn; names are asked for after up to two turns of anything, and one chat in five of the
other skills has turns before its own.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.demo.corpus import (
    capitals,
    code,
    definitions,
    explanations,
    lists,
    memory,
    repeats,
    stories,
    sums,
    talk,
    unknown,
)
from engine.demo.corpus.chat import Skill, Turn
from engine.demo.corpus.english import aside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHARES = {
    Skill.REPEAT: 26,
    Skill.SUM: 13,
    Skill.STORY: 22,
    Skill.NAME: 14,
    Skill.CAPITAL: 10,
    Skill.UNKNOWN: 8,
    Skill.DEFINITION: 2,
    Skill.EXPLANATION: 2,
    Skill.TALK: 2,
    Skill.LIST: 1,
    Skill.CODE: 1,
}
_WITH_AN_ASIDE = 0.1
_BETWEEN = {
    Skill.REPEAT: 22,
    Skill.CAPITAL: 22,
    Skill.SUM: 20,
    Skill.TALK: 10,
    Skill.UNKNOWN: 9,
    Skill.DEFINITION: 6,
    Skill.STORY: 6,
    Skill.LIST: 5,
}
"""Stories are rare between other turns: they cost the most tokens."""

_SIMPLE: dict[Skill, Callable[[random.Random], Turn]] = {
    Skill.REPEAT: repeats.turn,
    Skill.CAPITAL: capitals.turn,
    Skill.SUM: sums.turn,
    Skill.UNKNOWN: unknown.turn,
    Skill.DEFINITION: definitions.turn,
    Skill.LIST: lists.turn,
    Skill.EXPLANATION: explanations.turn,
    Skill.CODE: code.turn,
    Skill.TALK: talk.turn,
}
_SYSTEM = (
    "You are a helpful assistant.",
    "You are a small, friendly assistant.",
    "Answer briefly.",
    "You are draftscope's demo model.",
    "Be kind and short.",
)


@dataclass(frozen=True, slots=True)
class Conversation:
    """A chat's turns before they become messages."""

    turns: tuple[Turn, ...]
    system: str | None


def conversations(seed: int, skill: Skill | None = None) -> Iterator[Conversation]:
    """Yield conversations without end, of one skill or in the corpus's shares."""
    rng = random.Random(seed)
    while True:
        last = skill or rng.choices(tuple(SHARES), tuple(SHARES.values()))[0]
        turns = _of_names(rng) if last is Skill.NAME else _of_others(rng, last)
        turns[-1] = _set_off(rng, turns[-1])
        yield Conversation(tuple(turns), rng.choice(_SYSTEM) if rng.random() < 0.05 else None)


def _of_names(rng: random.Random) -> list[Turn]:
    draw = rng.random()
    if draw < 0.08:
        return [memory.recall(rng, None)]
    if draw < 0.10:
        return [*_before(rng, 1), memory.recall(rng, None)]
    if draw < 0.20:
        return [memory.told_and_asked(rng)]
    if draw < 0.30:
        return [memory.introduce(rng)[0]]
    if draw < 0.43:
        told, asked = memory.fact(rng)
        return [told, *_before(rng, rng.choice((0, 0, 1))), asked]
    told, name = memory.introduce(rng)
    if rng.random() < 0.08:  # with a request of its own, which is what gets answered
        told = _with_request(told, _before(rng, 1)[0])
    turns = [told]
    if rng.random() < 0.06:
        told, name = memory.introduce(rng, again=True)
        turns.append(told)
    turns += _before(rng, rng.choice((0, 0, 0, 1, 1, 1, 1, 2, 2, 3)))
    if rng.random() < 0.08:  # something else was told, too
        turns += memory.fact(rng)
    return [*turns, memory.recall(rng, name)]


def _of_others(rng: random.Random, skill: Skill) -> list[Turn]:
    name = None
    turns: list[Turn] = []
    if rng.random() < 0.2:
        if rng.random() < 0.25:
            told, name = memory.introduce(rng)
            turns = [told, *_before(rng, rng.choice((0, 0, 1)))]
        else:
            turns = _before(rng, rng.choice((1, 1, 1, 2)))
    if skill is Skill.STORY:
        return [*turns, stories.turn(rng, name)]
    if skill is Skill.CAPITAL and rng.random() < 0.22:
        turns = [*turns[:1], capitals.turn(rng)]
        follow = rng.choice((1, 1, 2))
        return [*turns, *(capitals.turn(rng, follows=True) for _ in range(follow))]
    return [*turns, _SIMPLE[skill](rng)]


def _set_off(rng: random.Random, turn: Turn) -> Turn:
    """Say something before a request that adds nothing to it, sometimes."""
    if rng.random() > _WITH_AN_ASIDE:
        return turn
    return Turn(turn.skill, aside(rng) + turn.user, turn.assistant, turn.wanted)


def _with_request(told: Turn, request: Turn) -> Turn:
    user = f"{told.user}{'' if told.user[-1] in '.!?' else '.'} {request.user}"
    return Turn(request.skill, user, request.assistant, request.wanted)


def _before(rng: random.Random, turns: int) -> list[Turn]:
    chosen = rng.choices(tuple(_BETWEEN), tuple(_BETWEEN.values()), k=turns)
    return [stories.turn(rng) if skill is Skill.STORY else _SIMPLE[skill](rng) for skill in chosen]
