"""The demo model's tokenizer and chat form, both DeepSeek's own but for the small vocabulary.

Digits stand alone, a word carries the space before it, and the control tokens have the first ids. A small
vocabulary is what makes copying learnable in the time there is: rare words are spelt, piece by piece.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from engine.demo.corpus import Chat

BOS = "<｜begin▁of▁sentence｜>"
EOS = "<｜end▁of▁sentence｜>"
PAD = "<｜▁pad▁｜>"
USER = "<｜User｜>"
ASSISTANT = "<｜Assistant｜>"
SPECIAL_TOKENS = (BOS, EOS, PAD, USER, ASSISTANT)
"""In the order of their ids, from 0."""

_BOS_ID, _EOS_ID, _, _USER_ID, _ASSISTANT_ID = range(len(SPECIAL_TOKENS))

CHAT_TEMPLATE = (
    f"{BOS}"
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] }}"
    "{% elif message['role'] == 'user' %}{{ '" + USER + "' + message['content'] }}"
    "{% else %}{{ '" + ASSISTANT + "' + message['content'] + '" + EOS + "' }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '" + ASSISTANT + "' }}{% endif %}"
)

_DIGIT = r"\p{N}"
_PIECE = r"'s|'t|'re|'ve|'m|'ll|'d|\n+| +(?= )| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+"


@dataclass(frozen=True, slots=True)
class Encoded:
    """A chat as a document to train on."""

    ids: NDArray[np.uint16]  # [tokens]
    weights: NDArray[np.uint8]  # [tokens]
    """1 where the token is the assistant's own, its end of sentence included; 0 elsewhere."""


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Train a byte-level BPE tokenizer of so many tokens, the special ones included."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_DIGIT), "isolated"),
            pre_tokenizers.Split(Regex(_PIECE), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def encode(tokenizer: Tokenizer, chat: Chat) -> Encoded:
    """Return the tokens of what the chat template renders, and which of them are the assistant's."""
    ids = [_BOS_ID]
    weights = [0]
    for message in chat.messages:
        content: list[int] = tokenizer.encode(message.content, add_special_tokens=False).ids
        if message.role == "assistant":
            ids += [_ASSISTANT_ID, *content, _EOS_ID]
            weights += [0] + [1] * (len(content) + 1)
        else:
            opening = [_USER_ID] if message.role == "user" else []
            ids += [*opening, *content]
            weights += [0] * (len(opening) + len(content))
    return Encoded(np.array(ids, dtype=np.uint16), np.array(weights, dtype=np.uint8))
