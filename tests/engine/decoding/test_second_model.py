"""A second checkpoint that drafts: the text stays the main model's, whatever the second one says of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from engine import Lane, LaneEvent, LanesFinished, LanesPlanned, LanesPrepared, load
from engine.errors import MemoryBudgetError, UsageError
from engine.events import FinishReason, Verified
from engine.options import Mode
from engine.second import check_vocabularies
from tests.engine.decoding.conftest import CONTEXT, MODELS
from tests.engine.decoding.replies import (
    BASE,
    SAMPLED,
    Outcome,
    accepted_positions,
    check_shape,
    options,
    plain,
    rejected_positions,
    repetitive,
    reply,
    watched,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine import Engine
    from tests.engine.tiny import TinySpec


@pytest.fixture(scope="session")
def noisy(
    tiny: Callable[[TinySpec], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """A copy of a model that is partly wrong, since its final norm is."""

    @cache
    def made(model: str) -> Path:
        folder = tmp_path_factory.mktemp("draft") / "draft"
        shutil.copytree(tiny(MODELS[model]), folder)
        name = "model.norm.weight"
        index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
        shard = folder / index[name]
        tensors = load_file(shard)
        noise = torch.randn(tensors[name].shape, generator=torch.Generator().manual_seed(3))
        tensors[name] = (tensors[name].float() * (1 + 0.5 * noise)).to(tensors[name].dtype)
        save_file(tensors, shard)
        return folder

    return made


@pytest.fixture(scope="session")
def with_draft(tiny: Callable[[TinySpec], Path], noisy: Callable[[str], Path]) -> Callable[[str], Engine]:
    """A model with its partly wrong copy to draft for it."""

    @cache
    def opened(model: str) -> Engine:
        return load(tiny(MODELS[model]), context=CONTEXT, threads=1, draft_model=noisy(model))

    return opened


@pytest.mark.parametrize("sampling", [{}, SAMPLED["plain"], SAMPLED["top_k"]])
@pytest.mark.parametrize("depth", [1, 3, 8])
def test_the_text_is_that_of_ordinary_decoding(
    model: str, depth: int, sampling: dict[str, float], with_draft: Callable[[str], Engine], engine: Engine
) -> None:
    outcome = reply(with_draft(model), BASE, mode="model", depth=depth, **sampling)
    assert outcome.ids == plain(engine, BASE, **sampling)
    check_shape(outcome)
    assert {event.mode for event in outcome.verified[1:]} == {Mode.MODEL}


def test_some_drafts_are_right_and_some_are_not(model: str, with_draft: Callable[[str], Engine]) -> None:
    outcome = reply(with_draft(model), BASE, mode="model", depth=4)
    assert accepted_positions([outcome]) >= {1, 2}
    assert rejected_positions([outcome])


def test_a_model_that_drafts_for_itself_is_always_right(model: str, tiny: Callable[[TinySpec], Path]) -> None:
    folder = tiny(MODELS[model])
    with load(folder, context=CONTEXT, threads=1, draft_model=folder) as engine:
        for sampling in ({}, SAMPLED["plain"], {**SAMPLED["plain"], "accept": "rejection"}):
            outcome = reply(engine, BASE, mode="model", depth=3, **sampling)
            assert all(event.accepted == event.depth for event in outcome.verified)
            assert outcome.verified[1].depth == 3


@settings(max_examples=12)
@given(data=st.data())
def test_changes_cancels_and_edits_leave_no_trace(
    data: st.DataObject, with_draft: Callable[[str], Engine], engine_of: Callable[[str], Engine]
) -> None:
    model = data.draw(st.sampled_from(sorted(MODELS)))
    engine = with_draft(model)
    prompts = (BASE, [*BASE[:7], 33, 34], repetitive(engine_of(model)))
    for _ in range(data.draw(st.integers(1, 3))):
        rounds = data.draw(st.integers(0, 6))

        def between(event: object, rounds: int = rounds) -> bool:
            if isinstance(event, Verified) and event.round >= rounds:
                return False
            if isinstance(event, Verified) and event.round % 2:
                engine.controls.mode = data.draw(st.sampled_from(["model", "mtp", "ngram", "ordinary"]))
                engine.controls.depth = data.draw(st.integers(0, 5))
            return True

        watched(engine, data.draw(st.sampled_from(prompts)), between, mode="model", depth=2)
    prompt = data.draw(st.sampled_from(prompts))
    outcome = reply(engine, prompt, mode="model", depth=3)
    assert outcome.ids == plain(engine_of(model), prompt)


def test_the_prompt_is_caught_up_with_apart(model: str, with_draft: Callable[[str], Engine]) -> None:
    engine = with_draft(model)
    reply(engine, [5, 6, 7, 8], mode="ordinary", depth=0, max_tokens=4)
    outcome = reply(engine, [*range(30, 46)], mode="model", depth=2, max_tokens=12)
    assert outcome.verified[1].catchup_seconds > 0
    assert [event.catchup_seconds for event in outcome.verified[2:]] == [0.0] * len(outcome.verified[2:])


def test_lanes_may_have_it_draft(model: str, with_draft: Callable[[str], Engine], engine: Engine) -> None:
    both = with_draft(model)
    lanes = (Lane(Mode.ORDINARY, 0), Lane(Mode.MODEL, 2), Lane(Mode.MTP, 2), Lane(Mode.MODEL, 4))
    news = list(both.compare(BASE, lanes, options(), repeats=2))
    assert isinstance(news[0], LanesPlanned)
    assert news[0].interleaved
    assert news[-1] == LanesFinished(complete=True)
    prepared = next(each for each in news if isinstance(each, LanesPrepared))
    assert prepared.catchup_seconds > 0
    for number in range(len(lanes)):
        events = [each.event for each in news if isinstance(each, LaneEvent) and each.lane == number]
        ends = [
            place for place, event in enumerate(events) if isinstance(event, Verified) and not event.round
        ]
        for begin, end in zip(ends, [*ends[1:], len(events)], strict=True):
            assert Outcome(tuple(events[begin:end])).ids == plain(engine, BASE)


def test_it_works_with_the_least_budget(
    model: str, tiny: Callable[[TinySpec], Path], noisy: Callable[[str], Path], engine: Engine
) -> None:
    folder, draft = tiny(MODELS[model]), noisy(model)
    with pytest.raises(MemoryBudgetError, match="too small for both models"):
        load(folder, ram=1000, context=CONTEXT, threads=1, draft_model=draft)
    with load(folder, context=CONTEXT, threads=1) as alone:
        least, whole = alone.home.plan.least_bytes, alone.home.plan.planned_bytes
    with pytest.raises(MemoryBudgetError, match="together they take at least") as refused:
        load(folder, ram=least, context=CONTEXT, threads=1, draft_model=draft)
    named = str(refused.value).partition("at least ")[2].partition(" (")[0]
    load(folder, ram=named, context=CONTEXT, threads=1, draft_model=draft).close()
    with load(folder, ram=least + whole, context=CONTEXT, threads=1, draft_model=draft) as both:
        assert both.budget_bytes == least + whole
        assert both.home.plan.budget_bytes >= least
        assert not both.home.plan.holds_everything
        assert both.second is not None
        assert both.second.home.plan.holds_everything
        outcome = reply(both, BASE, mode="model", depth=3)
        assert outcome.ids == plain(engine, BASE)
        lanes = (Lane(Mode.ORDINARY, 0), Lane(Mode.MODEL, 2))
        assert list(both.compare(BASE, lanes, options(max_tokens=6)))[-1] == LanesFinished(complete=True)
        drafting = both.second.home.plan
    tight = least + (drafting.least_bytes + drafting.planned_bytes) // 2
    with load(folder, ram=tight, context=CONTEXT, threads=1, draft_model=draft) as both:
        assert reply(both, BASE, mode="model", depth=2).ids == plain(engine, BASE)


def test_another_vocabulary_is_refused_with_the_reason(tiny: Callable[[TinySpec], Path]) -> None:
    with pytest.raises(UsageError, match=r"vocabulary of 48 tokens and the model one of \d"):
        load(tiny(MODELS["fp8"]), context=CONTEXT, threads=1, draft_model=tiny(MODELS["f32"]))


def test_the_first_token_that_differs_is_named() -> None:
    class Made:
        def __init__(self, *texts: str) -> None:
            self._texts = texts

        def vocabulary(self) -> dict[str, int]:
            return {text: number for number, text in enumerate(self._texts)}

    check_vocabularies(Made("a", "b"), Made("a", "b"), (9, 9))  # type: ignore[arg-type]
    check_vocabularies(None, Made("a"), (9, 9))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="'b' is id 1 to the model and id 2 to the draft model"):
        check_vocabularies(Made("a", "b", "c"), Made("a", "c", "b"), (9, 9))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="'z' is unknown to the model and id 2"):
        check_vocabularies(Made("a", "b"), Made("a", "b", "z"), (9, 9))  # type: ignore[arg-type]


def test_a_draft_model_for_shorter_texts_is_refused(
    tiny: Callable[[TinySpec], Path], noisy: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = tmp_path / "short"
    shutil.copytree(noisy("f32"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 64}))
    with pytest.raises(UsageError, match="made for 64 tokens and the context is 256"):
        load(tiny(MODELS["f32"]), context=CONTEXT, threads=1, draft_model=folder)


def test_without_one_the_mode_is_refused(engine: Engine) -> None:
    with pytest.raises(UsageError, match="--draft-model"):
        next(engine.generate(BASE, options(mode="model")))
    with pytest.raises(UsageError, match="--draft-model"):
        next(iter(engine.compare(BASE, (Lane(Mode.MODEL, 2),), options())))


def test_a_draft_model_needs_no_mtp_layer_of_its_own(
    tiny: Callable[[TinySpec], Path], engine_of: Callable[[str], Engine]
) -> None:
    spec = MODELS["f32"]
    bare = replace(spec, num_nextn=0)
    with load(tiny(spec), context=CONTEXT, threads=1, draft_model=tiny(bare)) as both:
        outcome = reply(both, BASE, mode="model", depth=2, max_tokens=10)
        assert outcome.finished.reason is FinishReason.LENGTH
        assert outcome.ids == plain(engine_of("f32"), BASE)[:10]
