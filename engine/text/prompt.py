"""From messages to the prompt's token ids.

Two things make this more than encoding what the template rendered. A reply that was generated enters as its
own ids, so that its cache is found again: encoding its text anew may split it otherwise. And content is
content: a control token's text in it (`<｜User｜>`, pasted from a manual) stays letters, it does not become
the token. Only what the template itself writes does.

Both need to know where the content went, which `engine.text.spans` finds out. Where a template changes
content in another way than trimming it, that message is encoded as rendered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import UsageError
from engine.text.spans import locate
from engine.text.template import NO_TEMPLATE
from engine.text.tokenizer import NO_TOKENIZER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.text.spans import Span
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


def chat_prompt(tokenizer: Tokenizer, template: ChatTemplate, messages: Sequence[Message]) -> list[int]:
    """Return the ids of a chat up to where the assistant's next reply begins."""
    rendered = template.render(messages)
    controls = tokenizer.control_texts(template.source)
    wanted = [
        index
        for index, message in enumerate(messages)
        if (message.ids and message.content) or tokenizer.literal_cuts(message.content, controls)
    ]
    ids: list[int] = []
    done = 0
    for span in locate(template, messages, rendered, wanted):
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


def _reply_ids(tokenizer: Tokenizer, span: Span, rendered: str) -> list[int] | None:
    """Return a reply's own ids without its end token, which the template writes, if they are its text's.

    The text of a reply that was cancelled, or ended by an error, lacks what its last tokens left half said.
    """
    ids = list(span.message.ids or ())
    while ids and tokenizer.is_special(ids[-1]):
        ids.pop()
    if not ids:
        return None
    content, decoded = rendered[span.start : span.end], tokenizer.decode(ids)
    if decoded == content:
        return ids
    detokenizer = tokenizer.detokenizer()
    if decoded.startswith(content) and "".join(map(detokenizer.push, ids)) == content:
        return ids
    return None
