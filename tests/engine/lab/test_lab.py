"""The lab on the demo model: its base is what the engine drafts, and a swap made on purpose is found."""

from __future__ import annotations

import json
import re
import shutil
from functools import cache
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine import load
from engine.demo.place import demo_folder
from engine.errors import CheckpointError, UsageError
from engine.lab.measure import DEPTH, Lab
from engine.lab.results import Verdict, WiringReport
from engine.lab.texts import PROMPTS
from engine.lab.wired import WiredLayer, read_text
from engine.lab.wiring import BASE, TRIED, Order, Position, Prompt, Recursion, State, Token, Wiring
from tests.engine.decoding.conftest import CONTEXT
from tests.engine.tiny import SPECS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine import Engine
    from engine.model.mtp import MtpModule
    from tests.engine.tiny import TinySpec

TEXT = (
    "Once upon a time there was a fox named Ruby. Ruby lived in a green forest. One rainy morning Ruby heard "
)


@pytest.fixture(scope="module")
def demo() -> Iterator[Engine]:
    with load("demo", ram="500MB", context=512) as engine:
        yield engine


@pytest.fixture(scope="module")
def report(demo: Engine) -> WiringReport:
    found = demo.wiring()
    assert found is not None
    return found


def mtp_of(engine: Engine) -> MtpModule:
    mtp = engine._decoder.mtp
    assert mtp is not None
    return mtp


def nothing(*_: object) -> None:
    """Neither checks nor reports."""


@pytest.mark.parametrize("cut", [9, 20, 31])
def test_the_base_drafts_what_the_engine_drafts(demo: Engine, cut: int) -> None:
    assert demo.tokenizer is not None
    ids = demo.tokenizer.encode_raw(TEXT)[:cut]
    drafts, logits = demo.draft(ids, 6)
    greedy = int(demo.logits(ids)[-1].argmax())
    mtp = mtp_of(demo)
    layer = WiredLayer(mtp, BASE, nothing)
    rows = layer.read(read_text(mtp.main, [*ids, greedy], 0, nothing))
    assert torch.equal(rows[-1], torch.from_numpy(logits[0]))
    assert layer.chain(len(ids) - 1, int(rows[-1].argmax()), 6) == drafts


def test_chains_in_descending_order_do_not_disturb_each_other(demo: Engine) -> None:
    assert demo.tokenizer is not None
    ids = demo.tokenizer.encode_raw(TEXT)
    mtp = mtp_of(demo)
    text = read_text(mtp.main, ids, 0, nothing)
    layer = WiredLayer(mtp, BASE, nothing)
    first = layer.read(text).argmax(dim=1).tolist()
    together = {row: layer.chain(row, first[row], 5) for row in range(20, 4, -1)}
    for row in (5, 12, 20):
        layer.read(text)
        assert layer.chain(row, first[row], 5) == together[row]


def test_the_true_wiring_is_first_or_tied_and_the_swap_near_chance(report: WiringReport) -> None:
    assert report.texts == len(PROMPTS)
    assert {row.wiring for row in report.rows} == set(TRIED)
    assert report.best.verdict in (Verdict.BASE, Verdict.TIED)
    assert report.base.acceptance[0] > 0.8
    swapped = next(row for row in report.rows if row.wiring == Wiring(order=Order.HIDDEN))
    assert swapped.verdict is Verdict.WORSE
    assert swapped.acceptance[0] < 0.1
    shifted = next(row for row in report.rows if row.wiring == Wiring(position=Position.NEXT))
    assert shifted.verdict is Verdict.TIED
    assert abs(shifted.cross_entropy - report.base.cross_entropy) < 1e-4
    assert all(list(row.acceptance) == sorted(row.acceptance, reverse=True) for row in report.rows)
    assert "Embedding first, after the final norm" in report.verdict()[0]


def test_the_layer_guesses_further_than_what_needs_no_model(report: WiringReport) -> None:
    layer, ngram, frequent = (row.acceptance for row in report.far)
    assert len(layer) == 8
    assert layer[0] > max(ngram[0], frequent[0])
    assert layer[1] > max(ngram[1], frequent[1])
    assert layer[:DEPTH] != report.base.acceptance or report.far_places == report.places


def test_it_comes_through_json(report: WiringReport) -> None:
    assert WiringReport.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_a_swap_made_on_purpose_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "swapped"
    shutil.copytree(demo_folder(), folder)
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    name = next(key for key in index if key.endswith("eh_proj.weight"))
    tensors = load_file(folder / index[name])
    halves = tensors[name].chunk(2, dim=1)
    tensors[name] = torch.cat((halves[1], halves[0]), dim=1).contiguous()
    save_file(tensors, folder / index[name])
    with load(folder, context=512) as engine:
        found = engine.wiring()
    assert found is not None
    assert found.best.wiring.order is Order.HIDDEN
    assert found.best.verdict is Verdict.BETTER
    assert found.simplest_best.wiring == Wiring(order=Order.HIDDEN)
    assert found.base.acceptance[0] < 0.1
    assert found.verdict()[0].startswith(
        "This checkpoint is wired otherwise than draftscope runs it: hidden state first, "
    )


def test_a_given_text_is_read_in_blocks(demo: Engine) -> None:
    steps: list[tuple[int, int]] = []
    found = demo.wiring(TEXT * 8, lambda done, total, _what: steps.append((done, total)))
    assert found is not None
    assert found.texts > 2
    assert found.source.startswith("a given text of ")
    assert steps[-1][0] == steps[-1][1]
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    with pytest.raises(UsageError, match="at least 12"):
        demo.wiring("Too short")


def test_in_a_short_context_the_figures_are_those_of_short_texts(demo: Engine) -> None:
    assert demo.tokenizer is not None
    ids = demo.tokenizer.encode_raw(TEXT * 8)
    with load("demo", ram="500MB", context=24) as short:
        found = short.wiring(TEXT * 8)
        with pytest.raises(ValueError, match="outside a table of 24"):
            read_text(mtp_of(short).main, ids[:25], 0, nothing)
        with pytest.raises(UsageError, match=r"context holds 24 tokens.* at least \d+"):
            short.wiring()
    assert found is not None
    texts = [(ids[first : first + 24], 0) for first in range(0, len(ids) - 11, 24)]
    expected = Lab(mtp_of(demo), nothing, nothing).report("", found.source, texts)
    assert found == expected


def test_the_least_context_for_the_models_own_replies_is_named() -> None:
    with load("demo", ram="500MB", context=49) as engine, pytest.raises(UsageError) as refused:
        engine.wiring()
    least = re.search(r"a context of at least (\d+)", str(refused.value))
    assert least is not None
    with load("demo", ram="500MB", context=int(least[1])) as engine:
        found = engine.wiring()
    assert found is not None
    assert found.texts == len(PROMPTS)


def test_a_context_shorter_than_any_text_is_refused() -> None:
    with (
        load("demo", ram="500MB", context=11) as engine,
        pytest.raises(UsageError, match="context holds 11 tokens, and the lab needs at least 12"),
    ):
        engine.wiring(TEXT)


def test_the_choices_act_on_what_they_say(demo: Engine) -> None:
    """Each changes the drafts' logits, but for those that by construction cannot."""
    assert demo.tokenizer is not None
    ids = demo.tokenizer.encode_raw(TEXT)
    mtp = mtp_of(demo)
    text = read_text(mtp.main, ids, 6, nothing)

    @cache
    def rows(wiring: Wiring) -> torch.Tensor:
        return WiredLayer(mtp, wiring, nothing).read(text)

    base = rows(BASE)
    assert torch.equal(rows(Wiring(recursion=Recursion.RAW)), base)
    assert torch.allclose(rows(Wiring(position=Position.NEXT)), base, atol=1e-3)
    for wiring in (
        Wiring(order=Order.HIDDEN),
        Wiring(state=State.BEFORE),
        Wiring(token=Token.CURRENT),
    ):
        assert not torch.allclose(rows(wiring), base, atol=1e-2), wiring.label
    late = rows(Wiring(prompt=Prompt.LEFT_OUT))
    assert late.shape[0] == base.shape[0] - 5
    assert not torch.allclose(late[-1], base[-1], atol=1e-3)


def test_cancelled_it_gives_nothing_and_the_engine_goes_on(demo: Engine) -> None:
    def stop(done: int, _total: int, _what: str) -> None:
        if done == 3:
            demo.controls.cancel()

    assert demo.wiring(None, stop) is None
    assert demo.logits([5, 6, 7]).shape[0] == 3


def test_without_the_layer_or_a_tokenizer_it_says_so(tiny: Callable[[TinySpec], Path]) -> None:
    with (
        load(tiny(SPECS["NO_MTP"]), context=CONTEXT, threads=1) as engine,
        pytest.raises(CheckpointError, match="no MTP layer"),
    ):
        engine.wiring()


def test_texts_without_room_for_drafts_are_left_out(demo: Engine) -> None:
    texts = [([1, 2, 3], 2), (list(range(20, 60)), 0), (list(range(60, 90)), 3)]
    found = Lab(mtp_of(demo), nothing, nothing).report("m", "s", texts, (BASE, Wiring(order=Order.HIDDEN)))
    assert found.texts == 2
    assert found.base.accepted_difference.is_zero
