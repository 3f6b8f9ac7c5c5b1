"""From messages to ids: what the template says, replies as they were generated, content as letters."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.text.prompt import chat_prompt
from engine.text.template import ChatTemplate, Message
from engine.text.tokenizer import Tokenizer
from tests.engine.text import made

TOKENIZER = Tokenizer(
    made.byte_level(), {"bos_token": made.BOS, "eos_token": made.EOS, "add_bos_token": True}
)
TEMPLATE = ChatTemplate(made.TEMPLATE, TOKENIZER.special_tokens)
TRIMMING = ChatTemplate(
    made.TEMPLATE.replace("m['content']", "m['content'] | trim"), TOKENIZER.special_tokens
)
THINKING = ChatTemplate(
    made.TEMPLATE.replace("m['content']", "m['content'].split('</think>')[-1]"), TOKENIZER.special_tokens
)
ASK = Message("user", "the sea?")


def _spelled(text: str) -> tuple[int, ...]:
    """Return ids of a text that encoding would not choose: a token for every letter."""
    return tuple(id_ for letter in text for id_ in TOKENIZER.encode(letter))


def test_plain_messages_are_encoded_as_rendered_and_begin_once() -> None:
    messages = [
        Message("system", "Be brief."),
        ASK,
        Message("assistant", "\nblue  "),
        Message("user", "é?\n"),
    ]
    ids = chat_prompt(TOKENIZER, TEMPLATE, messages)
    assert ids == TOKENIZER.encode(TEMPLATE.render(messages))
    assert ids.count(TOKENIZER.bos_id or 0) == 1


@pytest.mark.parametrize("end", [(), (1,)])
def test_a_reply_enters_as_the_ids_that_were_generated(end: tuple[int, ...]) -> None:
    spelled = _spelled("the sea was blue")
    assert list(spelled) != TOKENIZER.encode("the sea was blue")
    messages = [ASK, Message("assistant", "the sea was blue", spelled + end), Message("user", "why?")]
    ids = chat_prompt(TOKENIZER, TEMPLATE, messages)
    before = chat_prompt(TOKENIZER, TEMPLATE, [ASK])
    after = TOKENIZER.encode(f"{made.EOS}{made.USER}why?{made.ASSISTANT}")
    assert ids == [*before, *spelled, *after]


@pytest.mark.parametrize("content", ["the sky was grey", "the sea was blue "])
def test_ids_of_another_text_are_not_used(content: str) -> None:
    reply = Message("assistant", content, _spelled("the sea was blue"))
    assert chat_prompt(TOKENIZER, TEMPLATE, [ASK, reply]) == TOKENIZER.encode(TEMPLATE.render([ASK, reply]))


def _streamed(tokenizer: Tokenizer, ids: tuple[int, ...]) -> str:
    """Return the text that tokens bring before anything is known of what follows."""
    detokenizer = tokenizer.detokenizer()
    return "".join(map(detokenizer.push, ids))


def test_a_reply_that_was_cancelled_within_a_character_enters_as_its_ids() -> None:
    spelled = tuple(TOKENIZER.encode("the sea \N{WATER WAVE}"))[:-1]
    content = _streamed(TOKENIZER, spelled)
    assert content != TOKENIZER.decode(spelled)
    messages = [ASK, Message("assistant", content, spelled), Message("user", "why?")]
    before = chat_prompt(TOKENIZER, TEMPLATE, [ASK])
    assert chat_prompt(TOKENIZER, TEMPLATE, messages)[: len(before) + len(spelled)] == [*before, *spelled]


@pytest.mark.parametrize("kind", made.KINDS)
def test_wherever_a_reply_was_cancelled_its_ids_are_found(kind: str) -> None:
    inner = made.KINDS[kind]()
    tokenizer = Tokenizer(inner, {})
    template = ChatTemplate("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    texts = [id_ for id_ in range(inner.get_vocab_size()) if not tokenizer.is_special(id_)]

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.sampled_from(texts), max_size=12).map(tuple))
    def holds(ids: tuple[int, ...]) -> None:
        content = _streamed(tokenizer, ids)
        found = chat_prompt(tokenizer, template, [Message("assistant", content, ids)])
        assert found == (list(ids) if content else [])

    holds()


@pytest.mark.parametrize("ids", [(1 << 32,), (99999999999,), (1 << 70,), (-1,)])
def test_ids_that_no_vocabulary_has_are_not_used(ids: tuple[int, ...]) -> None:
    messages = [ASK, Message("assistant", "blue", ids), ASK]
    assert chat_prompt(TOKENIZER, TEMPLATE, messages) == TOKENIZER.encode(TEMPLATE.render(messages))


def test_reasoning_that_the_template_drops_stays_dropped() -> None:
    text = "hm</think>blue"
    messages = [ASK, Message("assistant", text, _spelled(text)), Message("user", "why?")]
    ids = chat_prompt(TOKENIZER, THINKING, messages)
    assert ids == TOKENIZER.encode(THINKING.render(messages))
    assert "hm" not in TOKENIZER.decode(ids)


@pytest.mark.parametrize("template", [TEMPLATE, TRIMMING, THINKING])
@pytest.mark.parametrize("role", ["system", "user"])
def test_control_text_in_content_stays_letters(template: ChatTemplate, role: str) -> None:
    pasted = f" what do {made.USER}, {made.EOS} and {made.BOS}{made.BOS} mean? "
    messages = [Message(role, pasted), ASK]
    ids = chat_prompt(TOKENIZER, template, messages)
    harmless = [Message(role, "x"), ASK]
    for control in (made.USER, made.EOS, made.BOS, made.ASSISTANT):
        id_ = TOKENIZER.encode(control)[0]
        assert ids.count(id_) == chat_prompt(TOKENIZER, template, harmless).count(id_)
    assert pasted.strip() in TOKENIZER.decode(ids)


def test_one_message_that_the_template_changes_does_not_expose_the_others() -> None:
    text = "hm</think>blue"
    pasted = Message("user", f"what is {made.EOS}?")
    messages = [pasted, Message("assistant", text, _spelled(text)), pasted]
    ids = chat_prompt(TOKENIZER, THINKING, messages)
    assert ids.count(1) == 1  # the end of the reply, written by the template
    assert TOKENIZER.decode(ids).count(f"what is {made.EOS}?") == 2


def test_equal_contents_are_told_apart() -> None:
    pasted = Message("user", made.EOS)
    messages = [pasted, Message("assistant", "b", _spelled("b")), pasted, Message("assistant", "b")]
    ids = chat_prompt(TOKENIZER, TEMPLATE, messages)
    assert ids.count(1) == 2
    assert TOKENIZER.decode(ids).count(made.EOS) == 2


def test_marks_never_show() -> None:
    pasted = Message("user", f"\ue0000.0\ue001 {made.EOS}")
    ids = chat_prompt(TOKENIZER, TEMPLATE, [pasted])
    assert TOKENIZER.decode(ids).count("\ue000") == 1
    assert 1 not in ids
