"""From messages to the prompt's token ids.

Two things make this more than encoding what the template rendered. A reply that was generated enters as its
own ids, so that its cache is found again: encoding its text anew may split it otherwise. And content is
content: a control token's text in it (`<｜User｜>`, pasted from a manual) stays letters, it does not become
the token. Only what the template itself writes does.

Both need to know where the content went. The template is rendered a second time with marks in place of the
content; where putting the content back gives the first rendering, its place is certain. Where a template
changes content in another way than trimming it (R1's drops the reasoning of past replies), that message is
encoded as rendered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.errors import DraftscopeError, UsageError
from engine.text.template import NO_TEMPLATE
from engine.text.tokenizer import NO_TOKENIZER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.text.template import ChatTemplate, Message
    from engine.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a reply is asked for with: a chat, or a text as it is, or token ids."""

    messages: tuple[Message, ...] | None = None
    text: str | None = None
    ids: tuple[int, ...] | None = None

    def encode(self, tokenizer: Tokenizer | None, template: ChatTemplate | None) -> list[int]:
        """Return the token ids, with what the checkpoint has for it."""
        if self.ids is not None:
            return list(self.ids)
        if tokenizer is None:
            raise UsageError(NO_TOKENIZER)
        if self.messages is None:
            return tokenizer.encode_raw(self.text or "")
        if template is None:
            raise UsageError(NO_TEMPLATE)
        return chat_prompt(tokenizer, template, self.messages)


@dataclass(frozen=True, slots=True)
class _Span:
    """Where a message's content stands in the rendered text."""

    message: Message
    start: int
    end: int


def chat_prompt(tokenizer: Tokenizer, template: ChatTemplate, messages: Sequence[Message]) -> list[int]:
    """Return the ids of a chat up to where the assistant's next reply begins."""
    rendered = template.render(messages)
    controls = tokenizer.control_texts(template.source)
    wanted = [
        index
        for index, message in enumerate(messages)
        if message.ids or tokenizer.literal_cuts(message.content, controls)
    ]
    ids: list[int] = []
    done = 0
    for span in _locate(template, messages, rendered, wanted):
        reply = _reply_ids(tokenizer, span, rendered)
        if reply is not None:
            ids += tokenizer.encode(rendered[done : span.start])
            ids += reply
            done = span.end
            continue
        for cut in tokenizer.literal_cuts(rendered[span.start : span.end], controls):
            ids += tokenizer.encode(rendered[done : span.start + cut])
            done = span.start + cut
    return ids + tokenizer.encode(rendered[done:])


def _reply_ids(tokenizer: Tokenizer, span: _Span, rendered: str) -> list[int] | None:
    """Return a reply's own ids without its end token, which the template writes, if they are its text's."""
    ids = list(span.message.ids or ())
    while ids and tokenizer.is_special(ids[-1]):
        ids.pop()
    return ids if ids and tokenizer.decode(ids) == rendered[span.start : span.end] else None


def _locate(
    template: ChatTemplate, messages: Sequence[Message], rendered: str, wanted: Sequence[int]
) -> list[_Span]:
    """Return the spans of the wanted messages whose place is certain, in the text's order."""
    if not wanted:
        return []
    marks = _marks(rendered, wanted)
    # The content as it is, or as a trimming template leaves it; first for all at once, then one by one.
    for contents in (
        {index: messages[index].content for index in wanted},
        {index: messages[index].content.strip() for index in wanted},
    ):
        spans = _spans(template, messages, rendered, marks, contents)
        if spans is not None:
            return spans
    certain = {
        index: content
        for index in wanted
        for content in (messages[index].content.strip(), messages[index].content)
        if _spans(template, messages, rendered, marks, {index: content}) is not None
    }
    return _spans(template, messages, rendered, marks, certain) or []


def _marks(rendered: str, wanted: Sequence[int]) -> dict[int, str]:
    """Return a mark for each message: private-use characters that the text does not hold."""
    nonce = 0
    while f"\ue000{nonce}." in rendered:
        nonce += 1
    return {index: f"\ue000{nonce}.{index}\ue001" for index in wanted}


def _spans(
    template: ChatTemplate,
    messages: Sequence[Message],
    rendered: str,
    marks: Mapping[int, str],
    contents: Mapping[int, str],
) -> list[_Span] | None:
    """Return where the contents stand, or None unless the template copies each of them exactly once."""
    marked_messages = [
        replace(message, content=marks[index]) if index in contents else message
        for index, message in enumerate(messages)
    ]
    try:
        marked = template.render(marked_messages)
    except DraftscopeError:  # a template may look into the content
        return None
    spans: list[_Span] = []
    text = ""
    places = sorted((marked.find(marks[index]), index) for index in contents)
    done = 0
    for place, index in places:
        if place < 0 or marked.count(marks[index]) != 1:
            return None
        text += marked[done:place]
        spans.append(_Span(messages[index], len(text), len(text) + len(contents[index])))
        text += contents[index]
        done = place + len(marks[index])
    return spans if text + marked[done:] == rendered else None
