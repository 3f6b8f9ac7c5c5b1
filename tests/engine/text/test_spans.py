"""Where contents stand in a rendered chat: found in a few renderings, and as surely as one by one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import DraftscopeError
from engine.text.prompt import chat_prompt
from engine.text.spans import Span, locate
from engine.text.template import ChatTemplate, Message
from engine.text.tokenizer import Tokenizer
from tests.engine.text import made

if TYPE_CHECKING:
    from collections.abc import Sequence

INNER = made.byte_level()
TOKENIZER = Tokenizer(INNER, {"bos_token": made.BOS, "eos_token": made.EOS})
LOOK = "{% if m['content'].startswith('<') %}!{% endif %}"


def template_with(content: str) -> ChatTemplate:
    """Return a template that writes each content so."""
    source = made.TEMPLATE.replace("{{ m['content'] }}", content)
    return ChatTemplate(source, TOKENIZER.special_tokens)


PLAIN = {
    "copies": template_with("{{ m['content'] }}"),
    "trims": template_with("{{ m['content'] | trim }}"),
    "trims and adds": template_with("{{ m['content'] | trim }}\n"),
    "adds": template_with(" {{ m['content'] }}\n"),
    "drops reasoning": template_with("{{ m['content'].split('</think>')[-1] }}"),
    "drops and trims": template_with("{{ m['content'].split('</think>')[-1] | trim }}"),
    "doubles": template_with("{{ m['content'] }}{{ m['content'] }}"),
    "shouts": template_with("{{ m['content'] | upper }}"),
    "leaves out": template_with("{% if m['role'] == 'user' %}{{ m['content'] }}{% endif %}"),
}
"""Templates that do with a marked content what they do with it unmarked."""
PEEKING = {
    "looks": template_with(LOOK + "{{ m['content'] }}"),
    "refuses": template_with("{% if '.' in m['content'] %}{{ 1 / 0 }}{% endif %}{{ m['content'] }}"),
    "parses reasoning": template_with(
        "{% if '</think>' in m['content'] %}{{ m['content'].split('</think>')[0].strip() }}</think>"
        "{{ m['content'].split('</think>')[-1].lstrip() }}{% else %}</think>{{ m['content'] }}{% endif %}"
    ),
}
PIECES = [
    "sea",
    " ",
    "\n",
    "hm</think>",
    "<think>",
    "東",
    "🌊",
    made.EOS,
    made.USER,
    "\ue000",
    "0.",
    "\ue001",
    "<",
]
contents = st.lists(st.sampled_from(PIECES), max_size=5).map("".join)
chats = st.lists(
    st.builds(Message, st.sampled_from(["system", "user", "assistant"]), contents), min_size=1, max_size=7
)


@dataclass
class Counted:
    """A template that counts how often it is rendered."""

    template: ChatTemplate
    count: int = field(default=0)

    @property
    def source(self) -> str:
        return self.template.source

    def render(self, messages: Sequence[Message]) -> str:
        self.count += 1
        return self.template.render(messages)


def stands_alone(
    template: ChatTemplate, messages: Sequence[Message], rendered: str, index: int
) -> Span | None:
    """Find one content, all others as they are: by putting it back for a letter that nothing else holds."""
    mark = "\uf8ff."
    try:
        parts = template.render(
            [replace(each, content=mark) if i == index else each for i, each in enumerate(messages)]
        ).split(mark)
    except DraftscopeError:
        return None
    for content in (messages[index].content, messages[index].content.strip()):
        if len(parts) == 2 and content.join(parts) == rendered:
            return Span(messages[index], len(parts[0]), len(parts[0]) + len(content))
    return None


@pytest.mark.parametrize("name", [*PLAIN, *PEEKING])
def test_a_span_is_where_the_content_stands_by_itself(name: str) -> None:
    template = (PLAIN | PEEKING)[name]

    @settings(max_examples=300, deadline=None)
    @given(chats, st.data())
    def holds(messages: list[Message], data: st.DataObject) -> None:
        try:
            rendered = template.render(messages)
        except DraftscopeError:
            return
        wanted = [i for i in range(len(messages)) if data.draw(st.booleans())]
        alone = [stands_alone(template, messages, rendered, index) for index in wanted]
        expected = sorted((span for span in alone if span is not None), key=lambda span: span.start)
        found = locate(template, messages, rendered, wanted)
        assert [(id(span.message), span.start, span.end) for span in found] == [
            (id(span.message), span.start, span.end) for span in expected
        ]
        assert all(left.end <= right.start for left, right in pairwise(found))

    holds()


@pytest.mark.parametrize("name", PLAIN)
def test_however_many_messages_a_template_changes_it_is_rendered_a_few_times(name: str) -> None:
    @settings(max_examples=60, deadline=None)
    @given(chats)
    def holds(messages: list[Message]) -> None:
        counted = Counted(PLAIN[name])
        chat_prompt(TOKENIZER, counted, messages * 5)  # type: ignore[arg-type]
        assert counted.count <= 4

    holds()


def test_a_few_messages_that_a_template_looks_into_cost_a_few_renderings_more() -> None:
    messages = [Message("user", f"what is {made.EOS}?"), Message("assistant", "the end")] * 64
    messages[40] = Message("user", f"<{made.EOS}")
    counted = Counted(PEEKING["looks"])
    ids = chat_prompt(TOKENIZER, counted, messages)  # type: ignore[arg-type]
    assert counted.count <= 20
    assert ids.count(1) == 64 + 1  # the template's own, and the one message that cannot be told apart


@pytest.mark.parametrize("name", [*PLAIN, *PEEKING])
def test_the_ids_are_those_of_the_rendered_text(name: str) -> None:
    template = (PLAIN | PEEKING)[name]

    @settings(max_examples=200, deadline=None)
    @given(chats)
    def holds(messages: list[Message]) -> None:
        try:
            rendered = template.render(messages)
        except DraftscopeError:
            return
        spelled = [
            replace(each, ids=tuple(TOKENIZER.encode(each.content, special=False)))
            if each.role == "assistant"
            else each
            for each in messages
        ]
        for chat in (messages, spelled):
            ids = chat_prompt(TOKENIZER, template, chat)
            assert INNER.decode(ids, skip_special_tokens=False) == rendered

    holds()
