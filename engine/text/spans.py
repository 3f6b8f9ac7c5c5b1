"""Where the messages' contents stand in what a chat template made of them.

The template is rendered again with marks in place of the contents: where putting each back, as it is or
trimmed, gives the first rendering, its place is certain. A single message that the template changes in
another way (R1's drops the reasoning of past replies) would spoil that for all. Those are found with marks on
both sides of every content: they lack one, or have something else between the two. So a chat is rendered four
times at most, however many of its messages are changed.

Only a template that looks into contents, and renders marked ones otherwise, costs more: the messages that it
does so with are searched for by halves.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from engine.errors import DraftscopeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.text.template import ChatTemplate, Message

_OPENS, _STANDS, _CLOSES = "\ue001", "\ue002", "\ue003"
"""What a mark ends in: before a content, in place of it, after it."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where a message's content stands in the rendered text."""

    message: Message
    start: int
    end: int


def locate(
    template: ChatTemplate, messages: Sequence[Message], rendered: str, wanted: Sequence[int]
) -> list[Span]:
    """Return the spans of the wanted messages whose place is certain, in the text's order.

    `rendered` is what the template makes of all messages, `wanted` are indices of those to find.
    """
    if not wanted:
        return []
    chat = _Chat(template, messages, rendered)
    spans = chat.spans(wanted)
    return chat.most_spans(chat.unchanged(wanted)) if spans is None else spans


@dataclass(frozen=True, slots=True)
class _Mark:
    """A mark that came out."""

    index: int
    """Of its message."""
    kind: str
    place: int
    """In what was rendered, had it no marks."""


@dataclass(frozen=True, slots=True)
class _Chat:
    """A rendered chat, to be rendered again with marks of private-use characters that it does not hold."""

    template: ChatTemplate
    messages: Sequence[Message]
    rendered: str

    def spans(self, wanted: Sequence[int]) -> list[Span] | None:
        """Return where the contents stand, or None unless the template copies each of them exactly once."""
        prefix = self._prefix()
        text, marks = self._render(prefix, {index: f"{prefix}{index}{_STANDS}" for index in wanted})
        if sorted(mark.index for mark in marks) != sorted(wanted):
            return None
        bounds = [*(mark.place for mark in marks), len(text)]
        done = bounds[0]
        if not self.rendered.startswith(text[:done]):
            return None
        spans: list[Span] = []
        for mark, (start, end) in zip(marks, pairwise(bounds), strict=True):
            message, follows = self.messages[mark.index], text[start:end]
            content = self._standing(message.content, done, follows)
            if content is None:
                return None
            spans.append(Span(message, done, done + len(content)))
            done += len(content) + len(follows)
        return spans if done == len(self.rendered) else None

    def most_spans(self, wanted: Sequence[int]) -> list[Span]:
        """Return the spans of all, or, where that does not work out, what each half has."""
        spans = self.spans(wanted) if wanted else []
        if spans is not None:
            return spans
        middle = len(wanted) // 2
        if not middle:
            return []
        found = [*self.most_spans(wanted[:middle]), *self.most_spans(wanted[middle:])]
        return sorted(found, key=lambda span: span.start)

    def unchanged(self, wanted: Sequence[int]) -> list[int]:
        """Return those whose contents come out whole, and once; all of them where marks change the text."""
        prefix = self._prefix()
        text, marks = self._render(
            prefix, {index: _enclosed(self.messages[index].content, f"{prefix}{index}") for index in wanted}
        )
        if text != self.rendered:
            return list(wanted)
        count = Counter(mark.index for mark in marks)
        return [
            left.index
            for left, right in pairwise(marks)
            if (left.kind, right.kind) == (_OPENS, _CLOSES)
            and left.index == right.index
            and count[left.index] == 2
            and text[left.place : right.place] == self.messages[left.index].content.strip()
        ]

    def _standing(self, content: str, place: int, follows: str) -> str | None:
        """Return the content as it is or as a trimming template leaves it, whichever stands there."""
        for each in (content, content.strip()):
            if self.rendered.startswith(each, place) and self.rendered.startswith(follows, place + len(each)):
                return each
        return None

    def _prefix(self) -> str:
        """Return what a mark begins with."""
        nonce = 0
        while f"\ue000{nonce}." in self.rendered:
            nonce += 1
        return f"\ue000{nonce}."

    def _render(self, prefix: str, contents: Mapping[int, str]) -> tuple[str, list[_Mark]]:
        """Return the text with some contents replaced, and its marks, which it is rid of."""
        replaced = [
            replace(message, content=contents[index]) if index in contents else message
            for index, message in enumerate(self.messages)
        ]
        try:
            marked = self.template.render(replaced)
        except DraftscopeError:  # a template may look into the content
            return "", []
        pieces: list[str] = []
        marks: list[_Mark] = []
        place = done = 0
        for match in re.finditer(rf"{re.escape(prefix)}(\d+)([{_OPENS}{_STANDS}{_CLOSES}])", marked):
            pieces.append(marked[done : match.start()])
            place += len(pieces[-1])
            marks.append(_Mark(int(match[1]), match[2], place))
            done = match.end()
        return "".join([*pieces, marked[done:]]), marks


def _enclosed(content: str, mark: str) -> str:
    """The marks stand within the white space at both ends, which a template then trims as it would anyway."""
    core = content.strip()
    lead = content[: len(content) - len(content.lstrip())]
    return f"{lead}{mark}{_OPENS}{core}{mark}{_CLOSES}{content[len(lead) + len(core) :]}"
