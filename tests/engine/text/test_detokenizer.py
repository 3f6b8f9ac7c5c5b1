"""The streaming detokenizer against `tokenizers`' own decoding of the whole sequence."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from engine.errors import CheckpointError
from engine.text.detokenizer import build_stages
from engine.text.tokenizer import Tokenizer
from tests.engine.text import made

MADE = {kind: make() for kind, make in made.KINDS.items()}


@pytest.mark.parametrize("kind", MADE)
def test_pushed_texts_are_the_decoded_text(kind: str) -> None:
    inner = MADE[kind]
    tokenizer = Tokenizer(inner)
    size = inner.get_vocab_size()

    @settings(max_examples=400, deadline=None)
    @given(st.lists(st.integers(0, size + 3), max_size=30), st.data())
    def holds(ids: list[int], data: st.DataObject) -> None:
        text = inner.decode(ids, skip_special_tokens=True)
        detokenizer = tokenizer.detokenizer()
        assert "".join(map(detokenizer.push, ids)) + detokenizer.flush() == text
        assert tokenizer.decode(ids) == text

        # a copy goes its own way, and leaves the original where it was
        half = data.draw(st.integers(0, len(ids)))
        original = tokenizer.detokenizer()
        pushed = [original.push(each) for each in ids[:half]]
        heir = original.copy()
        assert "".join(pushed) + "".join(map(heir.push, ids[half:])) + heir.flush() == text
        twin = original.copy()
        for each in data.draw(st.lists(st.integers(0, size - 1), max_size=5)):
            twin.push(each)
        twin.flush()
        pushed += [original.push(each) for each in ids[half:]]
        assert "".join(pushed) + original.flush() == text

    holds()


def _alphabet() -> dict[int, str]:
    """Return the character of every byte, from the library where a text can hold the byte."""
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    characters = [
        chr(code) for code in (*range(0x800), *range(0x800, 0xD800, 0x40), 0x10000, 0x40000, 0x100000)
    ]
    seen = {byte: chr(byte) for byte in range(0xC0, 0x100)}  # C0, C1 and F5 on are in no text
    for character in characters:
        seen.update(zip(character.encode(), level.pre_tokenize_str(character)[0][0], strict=True))
    return seen


ALPHABET = _alphabet()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_decode_as_the_library_decodes_them(data: bytes) -> None:
    inner = MADE["byte level"]
    ids = [inner.token_to_id(ALPHABET[byte]) for byte in data]
    detokenizer = Tokenizer(inner).detokenizer()
    assert "".join(map(detokenizer.push, ids)) + detokenizer.flush() == inner.decode(ids)


# The library reads an added token of Latin-1 letters as bytes ("é" becomes U+FFFD), and so must we.
@given(st.text(max_size=40).filter(lambda text: "é" not in text))
@settings(deadline=None)
def test_text_survives_the_round_trip(text: str) -> None:
    tokenizer = Tokenizer(MADE["byte level"])
    detokenizer = tokenizer.detokenizer()
    ids = tokenizer.encode(text)
    assert "".join(map(detokenizer.push, ids)) + detokenizer.flush() == text


def test_half_a_character_comes_with_the_token_that_completes_it() -> None:
    tokenizer = Tokenizer(MADE["byte level"])
    ids = tokenizer.encode("🦑")  # four bytes that training did not see together
    assert len(ids) > 1
    detokenizer = tokenizer.detokenizer()
    texts = [detokenizer.push(each) for each in ids]
    assert texts[-1] == "🦑"
    assert not any(texts[:-1])


def test_flush_returns_what_never_became_a_character() -> None:
    tokenizer = Tokenizer(MADE["byte level"])
    detokenizer = tokenizer.detokenizer()
    assert detokenizer.push(tokenizer.encode("🦑")[0]) == ""
    assert detokenizer.flush() == "\ufffd"
    assert detokenizer.flush() == ""


def test_special_tokens_have_no_text_and_break_no_character() -> None:
    tokenizer = Tokenizer(MADE["byte level"], {"eos_token": made.EOS})
    first, *rest = tokenizer.encode("🦑")
    detokenizer = tokenizer.detokenizer()
    assert tokenizer.eos_id is not None
    assert [detokenizer.push(each) for each in (first, tokenizer.eos_id, *rest)][-1] == "🦑"


@pytest.mark.parametrize(
    "decoder",
    [
        {"type": "WordPiece", "prefix": "##", "cleanup": True},
        {"type": "Strip", "content": " ", "start": 0, "stop": 1},
        {"type": "Replace", "pattern": {"Regex": "a+"}, "content": ""},
        {"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "ByteLevel"}]},
        {"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "ByteFallback"}]},
        {"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "Metaspace"}]},
        "ByteLevel",
    ],
)
def test_a_decoder_that_cannot_be_streamed_is_refused(decoder: object) -> None:
    with pytest.raises(CheckpointError, match="decoder"):
        build_stages(decoder)
