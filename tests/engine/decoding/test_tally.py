"""What is counted of the experts agrees with what every round reports of itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import load
from engine.events import Verified
from engine.experts import ExpertUse, UnionRow
from tests.engine.decoding.conftest import CONTEXT, MODELS
from tests.engine.decoding.replies import options, reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine import Engine
    from tests.engine.tiny import TinySpec

PROMPT = [0, *range(20, 40)]


def test_uses_and_unions_are_those_of_the_rounds(model: str, fresh: Callable[..., Engine]) -> None:
    with fresh(model) as engine:
        before = engine.expert_use()
        assert sum(map(sum, before.uses)) == 0
        assert before.unions == ()
        reply(engine, PROMPT, max_tokens=1, mode="ordinary", depth=0)
        prefilled = engine.expert_use()
        assert sum(map(sum, prefilled.uses)) > 0
        assert prefilled.unions == ()
        rounds = [
            event
            for event in engine.generate(PROMPT, options(depth=2, detail=True, max_tokens=20))
            if isinstance(event, Verified) and event.round
        ]
        use = engine.expert_use()
    counted = [[0] * use.experts_per_layer for _ in use.layers]
    widths: dict[int, list[int]] = {}
    for event in rounds:
        assert event.detail is not None
        for place, numbers in enumerate(event.detail.experts):
            for number in numbers:
                counted[place][number] += 1
            widths.setdefault(event.depth + 1, []).append(len(numbers))
    # The prompt's cached part is run again by its last token alone, a pass of a width that counts.
    again = [row for row in use.unions if row.width == 1]
    found = {row.width: row for row in use.unions if row.width > 1}
    assert found
    for width, row in found.items():
        if width == 2:  # running the end of the prompt again is such a pass, too
            continue
        assert row.passes == len(widths[width]) // len(use.layers)
        assert row.experts_per_layer == pytest.approx(sum(widths[width]) / len(widths[width]))
    assert all(row.passes >= 1 for row in again)
    for place, row in enumerate(use.uses):
        assert all(uses >= counted[place][number] for number, uses in enumerate(row))
    assert use.resident is None


def test_what_is_in_ram_is_told_where_experts_move(tiny: Callable[[TinySpec], Path]) -> None:
    folder = tiny(MODELS["f32"])
    with load(folder, context=CONTEXT, threads=1) as whole:
        least = whole.home.plan.least_bytes
    with load(folder, ram=least, context=CONTEXT, threads=1) as engine:
        reply(engine, PROMPT, max_tokens=6)
        resident = engine.expert_use().resident
        held = {
            (layer, number)
            for layer, row in zip(engine.expert_use().layers, resident or (), strict=True)
            for number in row
        }
        assert held <= set(engine.home.resident_experts())
        assert len(engine.home.resident_experts()) <= engine.home.plan.slots


def test_wider_passes_use_more_experts(model: str, engine: Engine) -> None:
    reply(engine, PROMPT, depth=0, mode="ordinary")
    reply(engine, PROMPT, depth=6)
    unions = {row.width: row.experts_per_layer for row in engine.expert_use().unions}
    assert unions[1] == engine.config.num_experts_per_tok
    assert unions[max(unions)] > unions[1]


@given(data=st.data())
def test_json_brings_it_back(data: st.DataObject) -> None:
    layers, experts = data.draw(st.integers(0, 4)), data.draw(st.integers(1, 6))
    numbers = st.integers(0, 10**9)
    rows = st.lists(numbers, min_size=experts, max_size=experts).map(tuple)
    held = st.lists(st.integers(0, experts - 1), unique=True).map(lambda row: tuple(sorted(row)))
    use = ExpertUse(
        tuple(range(3, 3 + layers)),
        experts,
        data.draw(st.integers(1, 8)),
        tuple(data.draw(st.lists(rows, min_size=layers, max_size=layers))),
        tuple(UnionRow(width, width * 2, width / 3) for width in range(1, data.draw(st.integers(1, 9)))),
        data.draw(st.none() | st.lists(held, min_size=layers, max_size=layers).map(tuple)),
    )
    assert ExpertUse.from_json(json.loads(json.dumps(use.to_json()))) == use
    hottest = use.hottest(3)
    counts = sorted((uses for row in use.uses for uses in row if uses), reverse=True)
    assert [uses for _, _, uses in hottest] == counts[:3]


@pytest.mark.parametrize(
    "change",
    [
        {"uses": [[1, 2]]},
        {"uses": None},
        {"unions": [[1, 2]]},
        {"unions": 3},
        {"resident": [[1]]},
        {"layers": ["a", "b"]},
        {"experts_per_layer": None},
    ],
)
def test_what_is_not_one_is_refused(change: dict[str, object]) -> None:
    use = ExpertUse((1, 2), 2, 1, ((1, 0), (0, 3)), (UnionRow(1, 3, 1.0),), ((0,), ()))
    with pytest.raises(ValueError, match=r"."):
        ExpertUse.from_json({**use.to_json(), **change})
