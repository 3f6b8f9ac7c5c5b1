"""Judge the demo model's replies: held-out cases while it trains, and prompts that others wrote at the end.

    python -m engine.demo.judge prompts.jsonl -m PATH

Each line of the file is a case: `{"skill": "name", "turns": ["I'm Al.", "Who am I?"], "wanted": ["Al"]}`.
Replies between the turns are generated too. Prints every miss and a table; the exit code is 1 where a skill
that counts is right in less than PASS of its cases.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import sys
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.demo.corpus import Skill, conversations
from engine.demo.corpus.sums import NUMBER_WORDS
from engine.demo.corpus.unknown import DECLINE
from engine.errors import DraftscopeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


PASS = 0.85
GRADED = (Skill.STORY, Skill.CAPITAL, Skill.SUM, Skill.NAME, Skill.REPEAT, Skill.UNKNOWN)
"""The skills that must pass; the others are only reported."""

STORY_WORDS = 40
"""The fewest words of a story."""
MAX_TOKENS = 320

_OUTER = " \t\n\"'“”‘’`.,:;!?…-"
_NUMBER = re.compile(r"\d+|\b(?:" + "|".join(NUMBER_WORDS) + r")\b")
_VALUES = {word: value for value, word in enumerate(NUMBER_WORDS)}


@dataclass(frozen=True, slots=True)
class Case:
    """User turns, and what the reply to the last must hold."""

    skill: Skill
    turns: tuple[str, ...]
    wanted: tuple[str, ...]


def cases_from(path: Path) -> list[Case]:
    """Read cases from JSON lines. Raises UsageError, naming file and line, for one that is none."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from None
    cases = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            cases.append(_case(json.loads(line)))
        except ValueError as error:
            raise UsageError(f"{path}, line {number}: {error}.") from None
    return cases


def heldout(skill: Skill, count: int, seed: int) -> list[Case]:
    """Return cases in the corpus's own manner; take a seed that was not trained on."""
    return [
        Case(skill, tuple(turn.user for turn in each.turns), each.turns[-1].wanted)
        for each in itertools.islice(conversations(seed, skill), count)
    ]


def right(case: Case, reply: str, ended: bool) -> str | None:
    """Return None for a right reply, or what is wrong with it."""
    if not ended:
        return "it does not end"
    if not reply.strip():
        return "it is empty"
    garbage = _garbage(case, reply)
    if garbage is not None:
        return garbage
    if case.skill is Skill.REPEAT:
        return None if _bare(reply) == _bare(" ".join(case.wanted)) else "it is not the text"
    if case.skill is Skill.SUM:
        return _wrong_number(reply, case.wanted)
    if case.skill is Skill.UNKNOWN:
        return None if DECLINE.lower() in _plain(reply) else "it does not decline"
    if case.skill is Skill.STORY:
        fault = _story_fault(reply)
        if fault is not None:
            return fault
    missing = [each for each in case.wanted if _plain(each) not in _plain(reply)]
    return f"it lacks {', '.join(missing)}" if missing else None


def _case(value: object) -> Case:
    if not isinstance(value, dict):
        raise ValueError("a case is an object with skill, turns and wanted")
    skill = value.get("skill")
    if skill not in tuple(Skill):
        raise ValueError(f"skill is {skill!r}, not one of {', '.join(Skill)}")
    turns, wanted = _texts(value, "turns"), _texts(value, "wanted")
    if not turns:
        raise ValueError("turns is empty")
    if skill in (Skill.REPEAT, Skill.SUM, Skill.CAPITAL, Skill.NAME) and not wanted:
        raise ValueError(f"wanted is empty, and nothing would be asked of a {skill}")
    return Case(Skill(skill), turns, wanted)


def _texts(value: dict[object, object], key: str) -> tuple[str, ...]:
    texts = value.get(key, [])
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise ValueError(f"{key} is not a list of texts")
    return tuple(texts)


def _plain(text: str) -> str:
    """Return the text in lower case, spaces single and apostrophes straight."""
    return " ".join(text.lower().replace("’", "'").split())


def _bare(text: str) -> str:
    return _plain(text).strip(_OUTER)


def _garbage(case: Case, reply: str) -> str | None:
    if any(each == "\ufffd" or (unicodedata.category(each) == "Cc" and each not in "\n\t") for each in reply):
        return "it holds broken characters"
    asked = _plain(" ".join(case.turns))
    for word, run in itertools.groupby(_plain(reply).split()):
        length = len(list(run))
        if length >= 4 and " ".join([word] * length) not in asked:
            return f"it says {word} {length} times over"
    return None


def _wrong_number(reply: str, wanted: Sequence[str]) -> str | None:
    numbers = [_VALUES.get(each, each) for each in _NUMBER.findall(reply.lower())]
    if not numbers:
        return "it holds no number"
    accepted = {str(_VALUES.get(each.lower(), each)) for each in wanted}
    return None if str(numbers[-1]) in accepted else f"it ends in {numbers[-1]}"


def _story_fault(reply: str) -> str | None:
    words = len(reply.split())
    if words < STORY_WORDS:
        return f"it has only {words} words"
    sentences = Counter(_bare(each) for each in re.split(r"[.!?]", reply))
    del sentences[""]
    sentence, times = sentences.most_common(1)[0]
    return f"it says {sentence!r} {times} times" if times >= 3 else None


def _run(path: Path, model: str) -> int:
    import engine
    from engine.demo.converse import converse
    from engine.surface import reply_options

    cases = cases_from(path)
    asked, passed = Counter[Skill](), Counter[Skill]()
    with engine.load(model) as loaded:
        options = reply_options(loaded, {"temperature": 0.0, "max_tokens": MAX_TOKENS})
        for case in cases:
            reply = converse(loaded, case.turns, options)
            fault = right(case, reply.text, reply.ended)
            asked[case.skill] += 1
            passed[case.skill] += fault is None
            if fault is not None:
                print(f"{case.skill}: {' / '.join(case.turns)}\n    {reply.text!r}\n    {fault}")
    failed = False
    for skill in Skill:
        if asked[skill]:
            share = passed[skill] / asked[skill]
            short = skill in GRADED and share < PASS
            failed |= short
            note = "  too few" if short else ""
            print(f"{skill:12} {passed[skill]:4} of {asked[skill]:4}  {share:6.1%}{note}")
    return int(failed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge a file of cases; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m engine.demo.judge", description="Judge a model's replies."
    )
    parser.add_argument("file", type=Path, help="cases, one JSON object a line")
    parser.add_argument("-m", "--model", default="demo", help="the checkpoint's folder")
    given = parser.parse_args(arguments)
    try:
        return _run(given.file, given.model)
    except DraftscopeError as error:
        print(f"judge: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
