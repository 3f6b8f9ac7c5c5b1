"""The corpus: the same for a seed, true, and with replies that hold what was asked for."""

from __future__ import annotations

import itertools
import os
import random
import re
import subprocess
import sys
import zlib

import pytest

from engine.demo.corpus import Skill, chats, conversations, countries, single
from engine.demo.corpus.phrasing import Phrases, ask, with_article
from engine.demo.corpus.unknown import DECLINE


def test_a_seed_gives_the_same_chats_again() -> None:
    first, again = (list(itertools.islice(chats(7), 300)) for _ in range(2))
    assert first == again
    assert first != list(itertools.islice(chats(8), 300))


def test_another_process_gives_the_same_chats() -> None:
    """Sets have another order in each process: none may decide what is drawn."""
    program = (
        "import itertools, zlib; from engine.demo.corpus import chats; "
        "print(zlib.crc32(repr(list(itertools.islice(chats(0), 500))).encode()))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert int(printed) == zlib.crc32(repr(list(itertools.islice(chats(0), 500))).encode())


def test_chats_alternate_and_end_with_a_reply() -> None:
    for chat in itertools.islice(chats(1), 2000):
        roles = [message.role for message in chat.messages if message.role != "system"]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert roles
        for message in chat.messages:
            assert message.content == message.content.strip()
            assert not re.search(r"<[a-z_]+>", message.content)  # a slot left open
            assert "  " not in message.content or "```" in message.content


def test_most_chats_are_one_turn_and_every_skill_comes() -> None:
    some = list(itertools.islice(chats(2), 4000))
    short = sum(sum(m.role == "user" for m in chat.messages) == 1 for chat in some)
    assert 0.6 < short / len(some) < 0.8
    assert {chat.skill for chat in some} == set(Skill)


@pytest.mark.parametrize("skill", list(Skill))
def test_replies_hold_what_is_wanted(skill: Skill) -> None:
    for each in itertools.islice(conversations(3, skill), 400):
        assert each.turns[-1].skill is skill
        for turn in each.turns:
            assert all(wanted.lower() in turn.assistant.lower() for wanted in turn.wanted), turn


def test_capitals_are_the_listed_ones() -> None:
    capital_of = dict(countries())
    assert len(capital_of) == 65
    assert capital_of["France"] == "Paris"
    assert capital_of["Australia"] == "Canberra"
    asked = set()
    for chat in itertools.islice(single(Skill.CAPITAL, 4), 4000):
        match = re.fullmatch(r"The capital of (.*) is (.*)\.", chat.messages[-1].content)
        if match:
            assert capital_of[match[1]] == match[2]
            asked.add(match[1])
    assert asked == set(capital_of)


def test_unlisted_countries_are_declined_by_the_name_that_was_typed() -> None:
    declined = [
        chat
        for chat in itertools.islice(single(Skill.CAPITAL, 5), 2000)
        if chat.messages[-1].content.startswith(DECLINE)
    ]
    assert len(declined) > 100
    for chat in declined:
        country = chat.messages[-1].content.removeprefix("I don't know the capital of ").removesuffix(".")
        assert country in chat.messages[-2].content


def test_sums_are_right() -> None:
    for chat in itertools.islice(single(Skill.SUM, 6), 2000):
        a, sign, b, result = re.findall(r"\d+|[+-]", chat.messages[-1].content)
        assert int(result) == (int(a) + int(b) if sign == "+" else int(a) - int(b))
        assert int(result) >= 0


def test_repeats_are_in_the_request_letter_for_letter() -> None:
    for chat in itertools.islice(single(Skill.REPEAT, 7), 2000):
        assert chat.messages[-1].content in chat.messages[-2].content


def test_a_recalled_name_is_the_last_one_told() -> None:
    recalled = 0
    for chat in itertools.islice(single(Skill.NAME, 8), 2000):
        match = re.fullmatch(r"Your name is (.*)\.", chat.messages[-1].content)
        if match:
            recalled += 1
            assert match[1] in " ".join(m.content for m in chat.messages if m.role == "user")
    assert recalled > 1000


def test_a_name_that_was_not_told_is_not_made_up() -> None:
    for chat in itertools.islice(single(Skill.NAME, 9), 1000):
        if chat.messages[-1].content == "You have not told me your name.":
            assert not any("Nice to meet you" in message.content for message in chat.messages)


def test_stories_end_and_are_of_a_modest_length() -> None:
    for chat in itertools.islice(single(Skill.STORY, 10), 1000):
        story = chat.messages[-1].content
        assert story.endswith("The end.")
        assert 60 <= len(story.split()) <= 130
        assert not re.search(r"\ba [aeio]", story), story


def test_phrases_expand_every_alternative_and_refuse_loose_braces() -> None:
    rng = random.Random(0)
    phrases = Phrases("{a|b{c|d}} <x>")
    assert {phrases.pick(rng) for _ in range(100)} == {"a <x>", "bc <x>", "bd <x>"}
    for wrong in ("{a|b", "a}b"):
        with pytest.raises(ValueError, match="braces"):
            Phrases(wrong)


def test_noise_leaves_slots_alone() -> None:
    rng = random.Random(0)
    phrases = Phrases("Would you please remember the following words, <text>?")
    for _ in range(500):
        asked = ask(rng, phrases, {"text": "Xqzt Wvvut"}, lower=0.5)
        assert asked.slots["text"] in asked.text
        assert asked.used == {"text"}


@pytest.mark.parametrize(
    ("noun", "phrase"),
    [("fox", "a fox"), ("owl", "an owl"), ("unicorn", "a unicorn"), ("some cheese", "some cheese")],
)
def test_articles(noun: str, phrase: str) -> None:
    assert with_article(noun) == phrase
