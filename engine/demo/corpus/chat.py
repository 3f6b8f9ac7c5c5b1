"""What the corpus is made of: skills, turns with what their reply must hold, and chats."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engine.text.template import Message


class Skill(StrEnum):
    """What a reply takes."""

    STORY = "story"
    CAPITAL = "capital"
    SUM = "sum"
    NAME = "name"
    """Something the user said about themselves, most often their name."""
    REPEAT = "repeat"
    UNKNOWN = "unknown"
    """A question the model cannot know the answer to, and says so."""
    DEFINITION = "definition"
    LIST = "list"
    EXPLANATION = "explanation"
    CODE = "code"
    TALK = "talk"


@dataclass(frozen=True, slots=True)
class Turn:
    """A request, its reply, and what any right reply to it must hold."""

    skill: Skill
    user: str
    assistant: str
    wanted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chat:
    """A whole chat."""

    messages: tuple[Message, ...]
    skill: Skill
    """Of the last reply."""


def chat_of(turns: tuple[Turn, ...], system: str | None = None) -> Chat:
    """Return the turns as a chat."""
    messages = [] if system is None else [Message("system", system)]
    for turn in turns:
        messages += [Message("user", turn.user), Message("assistant", turn.assistant)]
    return Chat(tuple(messages), turns[-1].skill)
