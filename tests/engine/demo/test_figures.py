"""Measuring a trained model: conversations, the share of memorised text, and the card that comes of it."""

from __future__ import annotations

import itertools
import json
import sys
from typing import TYPE_CHECKING

from engine import GenerateOptions, load
from engine.decoding.counters import Counters
from engine.demo import figures
from engine.demo.converse import converse
from engine.demo.corpus import chats
from engine.demo.figures import memorised_share
from engine.demo.trainer import Plan, Trainer
from tests.engine.demo.made import made_documents, made_tokenizer, small_json

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def untrained() -> Trainer:
    """A run that has not begun."""
    return Trainer(Plan(), small_json(), made_tokenizer(), lambda _: made_documents(), print)


def test_memorised_replies_are_those_of_the_chats_that_were_trained_on() -> None:
    texts = [
        message.content
        for chat in itertools.islice(chats(3), 40)
        for message in chat.messages
        if message.role == "assistant"
    ]
    assert memorised_share(texts, 3, 40) == 1.0
    new = "This sentence is in no chat at all."
    text = max(texts, key=len)
    share = memorised_share([text, new, new], 3, 40)
    assert share == len(text) / (len(text) + 2 * len(new))
    assert memorised_share([text], 3, 0) == 0.0


def test_a_conversation_feeds_replies_back_and_stops_at_the_contexts_end(tmp_path: Path) -> None:
    figures.export(small_json(), untrained().network.state_dict(), made_tokenizer(), tmp_path / "model")
    counters = Counters()
    with load(tmp_path / "model", threads=1) as engine:
        options = GenerateOptions(max_tokens=5, depth=2)
        once = converse(engine, ["ab"], options, counters)
        assert once.tokens == counters.tokens + 1 <= 5, "round 0 is outside the counters"
        assert once.ended == (once.tokens < 5)
        assert converse(engine, ["ab"], options).text == once.text
        assert converse(engine, ["ab" * 200], options) == converse(engine, ["a b " * 100], options)
        assert not converse(engine, ["ab" * 200], options).ended


def test_the_card_gets_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    untrained().state().save(tmp_path / "state.pt")
    cases = tmp_path / "cases.jsonl"
    cases.write_text(json.dumps({"skill": "sum", "turns": ["1 + 1"], "wanted": ["2"]}) + "\n")
    monkeypatch.setattr(figures, "encoded", lambda *_: made_documents())
    arguments = [str(tmp_path / "state.pt"), str(cases), str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["figures", *arguments])
    figures.main()
    card = (tmp_path / "out" / "README.md").read_text()
    assert "sum: right replies | 0 of 1" in card
    assert "word for word" in card
    assert "held-out loss" in card
    assert "sum: 1 + 1" in capsys.readouterr().out
