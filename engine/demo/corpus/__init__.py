"""The demo model's corpus: chats without end, written by this project and made from a seed.

Nothing is read from anywhere: words, facts and texts are all in this package. One seed gives the same chats
on every machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.demo.corpus.capitals import countries
from engine.demo.corpus.chat import Chat, Skill, Turn, chat_of
from engine.demo.corpus.compose import conversations
from engine.text.template import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Chat", "Message", "Skill", "Turn", "chats", "conversations", "countries", "single"]


def chats(seed: int) -> Iterator[Chat]:
    """Yield the corpus's chats, without end."""
    for each in conversations(seed):
        yield chat_of(each.turns, each.system)


def single(skill: Skill, seed: int) -> Iterator[Chat]:
    """Yield chats whose last reply takes one skill, without end."""
    for each in conversations(seed, skill):
        yield chat_of(each.turns, each.system)
