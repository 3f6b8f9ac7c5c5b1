"""The inspector: what it says of a token of each origin."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.conversation import Reply
from app.widgets.inspector import inspection, quoted
from engine.events import Candidate, RoundDetail, Token, TokenDetail
from engine.options import Mode
from tests.app.panel.made import verified


def reply_of(*events) -> Reply:
    reply = Reply()
    for event in events:
        reply.take(event)
    return reply


REPLY = reply_of(
    verified(0, [1]),
    verified(1, [2, 3, 4], depth=2, seconds=0.031, wait=0.004, uses=96, hits=89, loads=7, read=44_040_192),
    verified(2, [5, 6], depth=3, accepted=1),
    verified(3, [7], depth=0),
)


def said(token_index: int, reply: Reply = REPLY) -> str:
    return inspection(reply, token_index).plain


@pytest.mark.parametrize(
    ("token_index", "sentence"),
    [
        (0, "the main model's own: the first token after the prompt"),
        (2, "a draft, made 2 ahead, that the main model agreed with"),
        (3, "the main model's extra token: all of the round's 2 drafts were accepted"),
        (5, "the main model's own, in place of a draft that it rejected"),
        (6, "the main model's own: nothing was drafted in this round"),
    ],
)
def test_each_origin_is_put_into_words(token_index, sentence):
    assert sentence in said(token_index)


def test_what_is_known_of_an_accepted_draft():
    lines = said(2).splitlines()
    assert lines[0] == "“ w3”   id 3"
    assert "token 3 of 7 of this reply" in lines
    assert any(line.split() == ["main", "model", "-0.10", "90.5", "%"] for line in lines)
    assert any(line.split() == ["drafter", "-0.20", "81.9", "%"] for line in lines)
    assert "ROUND 1 OF THE REPLY" in lines
    assert "MTP, 2 of 2 drafts accepted" in lines
    assert any(line.split() == ["verifying", "31.0", "ms"] for line in lines)
    assert any(line.startswith("waiting") and "4.0 ms of it" in line for line in lines)
    assert any(line.split() == ["read", "44.0", "MB"] for line in lines)
    assert any("96 used, 89 in RAM, 7 loaded" in line for line in lines)
    assert "replaced" not in said(2)


def test_a_corrected_token_names_the_first_draft_it_replaced():
    text = said(5)
    assert "“ bad1”   id 901" in text
    assert "bad2" not in text
    assert "-1.90  15.0 %" in text
    assert "-0.40  67.0 %" in text


def test_drafts_without_probabilities_say_so():
    event = verified(1, [2, 3], depth=1, mode=Mode.NGRAM)
    tokens = tuple(replace(token, draft_logprob=None) for token in event.tokens)
    reply = reply_of(replace(event, tokens=tokens))
    assert "n-gram drafts have no probabilities" in said(0, reply)


def test_detail_shows_candidates_of_the_very_token_and_the_experts():
    detail = RoundDetail(
        (
            TokenDetail((Candidate(2, " one", -0.1),), (Candidate(2, " one", None),)),
            TokenDetail((Candidate(3, " two", -0.01), Candidate(8, " too", -5.0)), ()),
        ),
        ((1, 4), (0, 2, 7)),
    )
    reply = reply_of(verified(0, [1]), replace(verified(1, [2, 3], depth=1), detail=detail))
    text = said(2, reply)
    assert "99.0 % “ two”" in text
    assert "0.7 % “ too”" in text
    assert "“ one”" not in text
    assert "  1  1 4\n  2  0 2 7" in text
    assert "“ one”" in said(1, reply)
    assert "/detail" not in text


def test_a_round_of_mode_auto_says_why_it_drafted_so_many():
    event = replace(verified(1, [2, 3], depth=1, mode=Mode.AUTO), choice="Depth 1: 1.9 tokens in 9 ms.")
    assert "auto's choice Depth 1: 1.9 tokens in 9 ms." in said(1, reply_of(verified(0, [1]), event))
    assert "auto's choice" not in said(2)


def test_without_detail_it_says_how_to_get_it():
    assert "/detail on" in said(2)


def test_of_a_recording_it_says_that_it_was_not_recorded():
    text = inspection(REPLY, 2, is_live=False).plain
    assert "It was not recorded." in text
    assert "/detail" not in text


def test_control_characters_are_shown_and_not_obeyed():
    event = verified(1, [2])
    reply = reply_of(
        replace(event, tokens=(Token(2, "\x1b[31m\n\t\x9b", event.tokens[0].origin, 0, None, None),))
    )
    text = said(0, reply)
    assert not set(text) & {"\x1b", "\x9b", "\t"}
    assert quoted("\n") == "“⏎”"
    assert "main model   –" in text


def test_markup_in_a_token_is_text():
    event = verified(1, [2])
    reply = reply_of(replace(event, tokens=(Token(2, "[bold]", event.tokens[0].origin, 0, None, None),)))
    assert "“[bold]”" in said(0, reply)


def test_candidates_have_two_columns_however_narrow_the_page():
    candidates = (Candidate(2, " something long to say", -0.1), Candidate(3, " two", -3.0))
    detail = RoundDetail((TokenDetail(candidates, candidates),), ())
    reply = reply_of(verified(0, [1]), replace(verified(1, [2], depth=1, accepted=0), detail=detail))
    lines = inspection(reply, 1, 36).plain.splitlines()
    first = lines.index("main model        drafter")
    assert [line.count(" %") for line in lines[first + 1 : first + 3]] == [2, 2]
    assert all(len(line) <= 36 for line in lines[first : first + 3])
