"""The judge: right replies pass, and each kind of wrong one is named."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from engine.demo.corpus import Skill, conversations
from engine.demo.judge import Case, cases_from, heldout, main, right
from engine.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

STORY = (
    "Once upon a time there was a fox named Ruby. Ruby lived near the sea. One day Ruby found a golden key "
    "on the path. The owl came by and wanted to see it too. They played with the key all day and laughed. In "
    "the evening the fox and the owl walked home together. The end."
)


@pytest.mark.parametrize("skill", list(Skill))
def test_the_corpus_itself_is_right(skill: Skill) -> None:
    cases = heldout(skill, 300, 11)
    for case, each in zip(cases, itertools.islice(conversations(11, skill), 300), strict=True):
        assert right(case, each.turns[-1].assistant, ended=True) is None, each


@pytest.mark.parametrize(
    ("skill", "wanted", "reply"),
    [
        (Skill.STORY, ("fox", "Ruby", "Golden Key"), STORY),
        (Skill.CAPITAL, ("Paris",), "the capital of France is paris."),
        (Skill.SUM, ("7",), "3 + 4 = 7."),
        (Skill.SUM, ("7",), "That makes seven."),
        (Skill.SUM, ("seven",), "3 + 4 = 7"),
        (Skill.REPEAT, ("blue river stone",), ' "Blue  river stone."'),
        (Skill.UNKNOWN, (), "I don’t know that."),
        (Skill.TALK, ("ha ha ha ha",), "ha ha ha ha"),
    ],
)
def test_right_replies_pass(skill: Skill, wanted: tuple[str, ...], reply: str) -> None:
    assert right(Case(skill, ("say ha ha ha ha",), wanted), reply, ended=True) is None


@pytest.mark.parametrize(
    ("skill", "wanted", "reply", "fault"),
    [
        (Skill.STORY, ("wolf",), STORY, "it lacks wolf"),
        (Skill.STORY, (), "Once there was a fox. The end.", "only 7 words"),
        (Skill.STORY, (), "The fox ran home. " * 15, "15 times"),
        (Skill.CAPITAL, ("Paris",), "The capital of France is Rome.", "it lacks Paris"),
        (Skill.SUM, ("7",), "3 + 4 = 8.", "it ends in 8"),
        (Skill.SUM, ("7",), "I do.", "no number"),
        (Skill.NAME, ("Zelda",), "Your name is Zed.", "it lacks Zelda"),
        (Skill.REPEAT, ("blue river",), "blue river stone", "not the text"),
        (Skill.UNKNOWN, (), "It was Napoleon.", "does not decline"),
        (Skill.TALK, (), "Hello \ufffd", "broken"),
        (Skill.TALK, (), "Hello \x1b[0m", "broken"),
        (Skill.TALK, (), "so so so so", "4 times over"),
        (Skill.TALK, (), "  ", "empty"),
    ],
)
def test_each_wrong_is_named(skill: Skill, wanted: tuple[str, ...], reply: str, fault: str) -> None:
    found = right(Case(skill, ("hello",), wanted), reply, ended=True)
    assert found is not None
    assert fault in found


def test_a_reply_that_was_cut_off_is_wrong() -> None:
    assert right(Case(Skill.STORY, ("a story",), ()), STORY, ended=False) == "it does not end"


def test_cases_are_read(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text(
        '{"skill": "sum", "turns": ["3+4"], "wanted": ["7"]}\n\n{"skill": "unknown", "turns": ["why?"]}\n'
    )
    assert cases_from(path) == [Case(Skill.SUM, ("3+4",), ("7",)), Case(Skill.UNKNOWN, ("why?",), ())]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"skill": "poem", "turns": ["x"]}',
        '{"skill": "talk", "turns": []}',
        '{"skill": "talk", "turns": "x"}',
        '{"skill": "sum", "turns": ["3+4"]}',
        '{"skill": ["sum"], "turns": ["3+4"]}',
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text(f'{{"skill": "talk", "turns": ["hi"]}}\n{line}\n')
    with pytest.raises(UsageError, match=r"cases\.jsonl, line 2: "):
        cases_from(path)
    assert main([str(path), "-m", "nowhere"]) == 2
    assert "line 2" in capsys.readouterr().err


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        cases_from(tmp_path / "none.jsonl")
