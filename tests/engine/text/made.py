"""Tokenizers made in memory: the kinds that checkpoints use, small enough to enumerate."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

if TYPE_CHECKING:
    from pathlib import Path

BOS = "<｜begin▁of▁sentence｜>"
EOS = "<｜end▁of▁sentence｜>"
USER = "<｜User｜>"
ASSISTANT = "<｜Assistant｜>"
TEXTS = ["the sea was blue and the sky was grey", "naïve café, 東京 🌊", "hello  world\n\nagain\n"] * 4
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m['role'] == 'system' %}{{ m['content'] }}"
    "{% elif m['role'] == 'user' %}<｜User｜>{{ m['content'] }}"
    "{% else %}<｜Assistant｜>{{ m['content'] }}<｜end▁of▁sentence｜>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<｜Assistant｜>{% endif %}"
)


def byte_level() -> Tokenizer:
    """DeepSeek-V3's kind: byte-level BPE; of its control tokens only the first two are marked special."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=300,
            special_tokens=[BOS, EOS],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.add_tokens(
        [
            AddedToken(text, special=False, normalized=False)
            for text in (USER, ASSISTANT, "<think>", "a b", "é")
        ]
    )
    return tokenizer


def _sentencepiece() -> Tokenizer:
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += ["▁", "▁the", "▁▁", "sea", "s", "e", "▁a▁b", "é", "�", " ", "<0x+A>", "<0xZZ>"]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={p: i for i, p in enumerate(pieces)}, merges=[], unk_token="<unk>", byte_fallback=True
        )
    )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    return tokenizer


def llama() -> Tokenizer:
    """Sentencepiece as Llama 2's tokenizer.json states it."""
    tokenizer = _sentencepiece()
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


def unfused() -> Tokenizer:
    """As above, but each token loses its own first spaces."""
    tokenizer = _sentencepiece()
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Replace("▁", " "), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


def metaspace(prepend_scheme: str = "always") -> Tokenizer:
    tokenizer = _sentencepiece()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=prepend_scheme)
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(prepend_scheme=prepend_scheme)]
    )
    return tokenizer


def undecoded() -> Tokenizer:
    """No decoder: tokens stand apart by spaces."""
    return _sentencepiece()


KINDS = {
    "byte level": byte_level,
    "llama": llama,
    "unfused": unfused,
    "metaspace": metaspace,
    "metaspace, never": lambda: metaspace("never"),
    "undecoded": undecoded,
}


def write(folder: Path, tokenizer: Tokenizer | None = None, **config: object) -> Path:
    """Write a checkpoint folder's text files; keywords go into tokenizer_config.json."""
    folder.mkdir(exist_ok=True)
    (tokenizer or byte_level()).save(str(folder / "tokenizer.json"))
    standard = {"bos_token": {"content": BOS, "special": True}, "eos_token": EOS}
    (folder / "tokenizer_config.json").write_text(json.dumps({**standard, **config}), "utf-8")
    return folder
