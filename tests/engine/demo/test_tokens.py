"""The demo's tokenizer: chats encode as the chat template renders them, and decode to the same text."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.demo.corpus import Chat, Message, Skill, chats
from engine.demo.tokens import CHAT_TEMPLATE, SPECIAL_TOKENS, Encoded, encode, train_tokenizer
from engine.text.template import ChatTemplate
from engine.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    import tokenizers

SOME = list(itertools.islice(chats(1), 400))


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(_trained())


def _trained() -> tokenizers.Tokenizer:
    return train_tokenizer((m.content for chat in SOME for m in chat.messages), 768)


@pytest.fixture(scope="module")
def encoded() -> list[Encoded]:
    inner = _trained()
    return [encode(inner, chat) for chat in SOME]


def test_the_vocabulary_is_as_large_as_asked_and_begins_with_the_control_tokens(tokenizer: Tokenizer) -> None:
    assert tokenizer.vocab_size == 768
    assert [tokenizer.encode(token) for token in SPECIAL_TOKENS] == [[0], [1], [2], [3], [4]]
    assert all(tokenizer.is_special(id_) for id_ in range(5))


def test_encode_is_what_the_template_renders(tokenizer: Tokenizer, encoded: list[Encoded]) -> None:
    template = ChatTemplate(CHAT_TEMPLATE)
    for chat, document in zip(SOME, encoded, strict=True):
        assert tokenizer.encode(template.render(chat.messages, reply=False)) == document.ids.tolist()


def test_a_prompt_is_the_document_up_to_its_last_reply(tokenizer: Tokenizer, encoded: list[Encoded]) -> None:
    template = ChatTemplate(CHAT_TEMPLATE)
    for chat, document in zip(SOME, encoded, strict=True):
        prompt = tokenizer.encode(template.render(chat.messages[:-1]))
        assert document.ids[: len(prompt)].tolist() == prompt
        assert tokenizer.decode(document.ids[len(prompt) :].tolist()) == chat.messages[-1].content


def test_weights_cover_exactly_the_replies(tokenizer: Tokenizer, encoded: list[Encoded]) -> None:
    for chat, document in zip(SOME, encoded, strict=True):
        replies = [m.content for m in chat.messages if m.role == "assistant"]
        own = document.ids[document.weights == 1]
        assert document.ids.dtype == np.uint16
        assert document.weights.dtype == np.uint8
        assert tokenizer.decode(own.tolist()) == "".join(replies)
        assert (own == 1).sum() == len(replies)  # each with its end of sentence
        assert not (own == 4).any()


def test_any_text_comes_back(tokenizer: Tokenizer) -> None:
    for text in ("naïve café – 漢字 🦊", "a  b\n\n\tc", "1234", "I'm <b>"):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_digits_stand_alone(tokenizer: Tokenizer) -> None:
    assert [tokenizer.piece(id_) for id_ in tokenizer.encode("1234")] == ["1", "2", "3", "4"]


def test_a_system_message_comes_first() -> None:
    inner = _trained()
    chat = Chat(
        (Message("system", "Be kind."), Message("user", "Hi"), Message("assistant", "Hello!")), Skill.TALK
    )
    document = encode(inner, chat)
    assert document.ids[0] == 0
    assert document.ids.tolist().index(3) > 1
    assert document.weights[: document.ids.tolist().index(4) + 1].sum() == 0
