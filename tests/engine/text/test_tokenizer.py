"""Reading a checkpoint's tokenizer, and what is text and what is a token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tokenizers import processors

from engine.errors import CheckpointError, UsageError
from engine.text.tokenizer import Tokenizer
from tests.engine.text import made

if TYPE_CHECKING:
    from pathlib import Path


def test_text_goes_to_ids_and_back(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(made.write(tmp_path))
    text = "the sea, naïve 🌊\n"
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("id_", [-1, 10_000, (1 << 32) - 1, 1 << 32, 1 << 64])
def test_ids_beyond_the_vocabulary_have_no_text(tmp_path: Path, id_: int) -> None:
    tokenizer = Tokenizer.load(made.write(tmp_path))
    sea = tokenizer.encode("the sea")
    assert tokenizer.decode([*sea, id_, *sea]) == "the seathe sea"
    assert tokenizer.piece(id_) == ""
    assert not tokenizer.is_special(id_)


def test_special_tokens_are_read_as_text_or_as_objects(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(made.write(tmp_path))
    assert tokenizer.special_tokens == {"bos_token": made.BOS, "eos_token": made.EOS}
    assert (tokenizer.bos_id, tokenizer.eos_id) == (0, 1)


def test_no_tokenizer_leaves_ids_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no tokenizer\.json.*--ids"):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"model": 3}',
        '{"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "b"]]}}',
    ],
)
def test_a_damaged_tokenizer_is_refused_with_its_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is damaged"):
        Tokenizer.load(tmp_path)


def test_a_tokenizer_that_is_not_text_is_refused_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is not UTF-8"):
        Tokenizer.load(tmp_path)


def test_prompts_are_neither_cut_nor_padded(tmp_path: Path) -> None:
    inner = made.byte_level()
    inner.enable_truncation(2)
    inner.enable_padding(length=50)
    tokenizer = Tokenizer.load(made.write(tmp_path, inner))
    assert tokenizer.decode(tokenizer.encode("the sea was blue")) == "the sea was blue"
    assert len(tokenizer.encode("the sea was blue")) < 20


@pytest.mark.parametrize("text", ["the sea", made.BOS + "the sea"])
@pytest.mark.parametrize("post_processor", [False, True])
@pytest.mark.parametrize("flag", [True, False, None])
def test_a_raw_prompt_begins_once(tmp_path: Path, text: str, post_processor: bool, flag: bool | None) -> None:
    inner = made.byte_level()
    if post_processor:
        inner.post_processor = processors.TemplateProcessing(
            single=f"{made.BOS} $A", special_tokens=[(made.BOS, 0)]
        )
    config = {} if flag is None else {"add_bos_token": flag}
    tokenizer = Tokenizer.load(made.write(tmp_path, inner, **config))
    begins = text.startswith(made.BOS) or (post_processor if flag is None else flag)
    sea = tokenizer.encode("the sea")
    assert tokenizer.encode_raw(text) == ([0, *sea] if begins else sea)


def test_control_tokens_are_read_only_where_asked(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(made.write(tmp_path))
    text = f"a{made.USER}b{made.EOS}"
    user = tokenizer.encode(made.USER)
    assert len(user) == 1
    assert user[0] in tokenizer.encode(text)
    plain = tokenizer.encode(text, special=False)
    assert user[0] not in plain
    assert 1 not in plain
    assert tokenizer.decode(plain) == text


def test_what_is_a_control_token() -> None:
    tokenizer = Tokenizer(made.byte_level())
    assert tokenizer.control_texts() == {made.BOS, made.EOS, made.USER, made.ASSISTANT}
    assert "<think>" in tokenizer.control_texts(template="... <think> ...")
    assert "a b" not in tokenizer.control_texts(template="")


def test_overlapping_control_texts_are_all_cut() -> None:
    controls = frozenset({"aba", "bab"})
    cuts = Tokenizer.literal_cuts("xababa", controls)
    parts = ["xababa"[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)]
    assert "".join(parts) == "xababa"
    assert not any(control in part for part in parts for control in controls)


def test_pieces_show_single_tokens() -> None:
    tokenizer = Tokenizer(made.byte_level())
    assert tokenizer.piece(1) == made.EOS
    assert tokenizer.piece(tokenizer.encode("🦑")[0]) == "\ufffd"
    assert tokenizer.piece(99_999) == ""


def test_arguments_that_are_not_utf8_can_be_encoded() -> None:
    tokenizer = Tokenizer(made.byte_level())
    assert tokenizer.decode(tokenizer.encode("a\udcffb")) == "a?b"
