"""The checkpoint that comes with the package: its form, and that it does what it is there for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from engine import GenerateOptions, load
from engine.decoding.counters import Counters
from engine.demo.converse import converse
from engine.demo.corpus import countries
from engine.demo.corpus.chat import Skill
from engine.demo.judge import Case, right
from engine.demo.place import DEMO, demo_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.engine import Engine

CASES = (
    Case(Skill.CAPITAL, ("What is the capital of France?",), ("Paris",)),
    Case(Skill.CAPITAL, ("capital of japan",), ("Tokyo",)),
    Case(Skill.SUM, ("What is 3 + 4?",), ("7",)),
    Case(Skill.SUM, ("9+9",), ("18",)),
    Case(Skill.NAME, ("My name is Nora.", "What is my name?"), ("Nora",)),
    Case(Skill.REPEAT, ("Repeat after me: blue river stone",), ("blue river stone",)),
    Case(Skill.UNKNOWN, ("Who won the football game yesterday?",), ()),
    Case(
        Skill.STORY,
        ("Tell me a story about a fox called Ruby who finds a golden key.",),
        ("fox", "Ruby", "golden key"),
    ),
)
"""The plainest of each: how many of a hundred are right is measured by `engine.demo.figures`."""


@pytest.fixture(scope="module")
def demo() -> Iterator[Engine]:
    with load(DEMO, threads=1) as engine:
        yield engine


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.skill}: {case.turns[-1]}")
def test_the_plainest_prompts(demo: Engine, case: Case) -> None:
    reply = converse(demo, case.turns, GenerateOptions(max_tokens=300, depth=2))
    assert right(case, reply.text, reply.ended) is None, reply.text


def test_drafts_are_accepted_and_less_so_further_ahead(demo: Engine) -> None:
    counters = Counters()
    for case in CASES:
        converse(demo, case.turns, GenerateOptions(max_tokens=300, depth=4), counters)
    first, *_, last = counters.acceptance_by_position
    assert first > 0.65
    assert last < first


def test_the_text_is_the_same_at_every_depth_and_with_everything_in_memory(demo: Engine) -> None:
    turns = CASES[-1].turns
    texts = {converse(demo, turns, GenerateOptions(max_tokens=300, depth=depth)).text for depth in (0, 1, 4)}
    with load(DEMO, threads=1, ram="1GB") as whole:
        assert whole.home.plan.holds_everything
        texts.add(converse(whole, turns, GenerateOptions(max_tokens=300, depth=2)).text)
    assert len(texts) == 1


def test_by_default_experts_are_streamed(demo: Engine) -> None:
    counters = Counters()
    converse(demo, CASES[-1].turns, GenerateOptions(max_tokens=300, depth=1), counters)
    assert counters.expert_loads > 0
    assert 0.5 < (counters.hit_rate or 0) < 1


def test_its_files() -> None:
    folder = demo_folder()
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) >= 3
    layer = json.loads((folder / "config.json").read_text())["num_hidden_layers"]
    assert f"model.layers.{layer}.embed_tokens.weight" in index["weight_map"]
    assert f"model.layers.{layer}.shared_head.head.weight" in index["weight_map"]
    assert sum(file.stat().st_size for file in folder.iterdir()) < 20_000_000
    card = (folder / "README.md").read_text()
    assert all(country in card for country, _ in countries())
    assert (folder / "train.log").read_text().count("PROBE held-out") > 5
