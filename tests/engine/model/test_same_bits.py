"""One order of sums on every path: a token's logits are the same bits however its prompt was run.

Prompts are longer than the 128 tokens that go through a layer at once and cross two borders of attention's
blocks of 64 positions. Every product is given to both threads, however small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine import GenerateOptions, Verified, load
from engine.decoding.sampling import log_softmax
from tests.engine.tiny import SPECS, TinySpec, partly_right_spec, sample_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine import Engine, Mode
    from engine.events import Token

    Rows = np.ndarray[Any, np.dtype[np.float32]]

CONTEXT = 200
PROMPT = 150
NAMES = (
    "FP8",
    "FP8_WIDE",
    "MIXED",
    "F16",
    "Q_LORA_NULL",
    "YARN",
    "ONE_GROUP",
    "TWO_SHARED",
    "V_DIM_DIFFERS",
    "NEGATIVE_BIAS",
)


@pytest.fixture(autouse=True)
def _every_product_in_parallel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.kernels.cpu._PARALLEL_WORK", 0)


@pytest.fixture(params=NAMES)
def chosen(request: pytest.FixtureRequest) -> TinySpec:
    """Specs that between them have every kind of weight and of layer."""
    return SPECS[request.param]


def assert_same_bits(a: Rows, b: Rows) -> None:
    assert a.dtype == b.dtype == np.float32
    assert a.shape == b.shape
    differing = np.flatnonzero((a.view(np.int32) != b.view(np.int32)).any(-1))
    assert not differing.size, f"rows {differing.tolist()} differ"


@pytest.fixture
def engines(chosen: TinySpec, tiny: Callable[[TinySpec], Path]) -> Iterator[tuple[Engine, Engine]]:
    """The spec's model with one thread, and with two."""
    folder = tiny(chosen)
    with (
        load(folder, context=CONTEXT, threads=1) as one,
        load(folder, context=CONTEXT, threads=2) as two,
    ):
        yield one, two


def test_logits_do_not_depend_on_chunks_or_threads(chosen: TinySpec, engines: tuple[Engine, Engine]) -> None:
    ids = sample_ids(chosen, PROMPT)
    whole = engines[0].logits(ids)
    assert np.isfinite(whole).all()
    assert_same_bits(engines[1].logits(ids), whole)
    for engine in engines:
        for chunk in (1, 7, 64):
            assert_same_bits(engine.logits(ids, chunk=chunk), whole)


@pytest.mark.parametrize("name", ["FP8", "MIXED"])
def test_a_token_is_verified_alone_or_among_up_to_nine(name: str, tiny: Callable[[TinySpec], Path]) -> None:
    spec = SPECS[name]
    ids = sample_ids(spec, PROMPT)
    for threads in (1, 2):
        with load(tiny(spec), context=CONTEXT, threads=threads) as engine:
            alone = engine.logits(ids, chunk=1)
            for width in range(2, 10):
                assert_same_bits(engine.logits(ids, chunk=width), alone)


def test_a_text_that_goes_on_leaves_its_first_rows_alone(
    chosen: TinySpec, engines: tuple[Engine, Engine]
) -> None:
    # The same first tokens in prompts of different lengths: passes and slices end elsewhere.
    ids = sample_ids(chosen, PROMPT)
    whole = engines[0].logits(ids)
    for length in (1, 2, 63, 64, 65, 127, 128, 129, 137):
        assert_same_bits(engines[length % 2].logits(ids[:length]), whole[:length])


def tokens_of(engine: Engine, ids: list[int], mode: Mode | str, depth: int, count: int) -> list[Token]:
    """A greedy reply of `count` tokens."""
    options = GenerateOptions(max_tokens=count, mode=mode, depth=depth, ignore_eos=True)  # type: ignore[arg-type]
    events = engine.generate(ids, options)
    return [token for event in events if isinstance(event, Verified) for token in event.tokens]


def check_decoded(engine: Engine, ids: list[int], mode: str, depth: int, count: int) -> list[Token]:
    """A reply's tokens are the logits' own greedy ones, and were reported with their bits."""
    tokens = tokens_of(engine, ids, mode, depth, count)
    assert len(tokens) == count
    reply = [token.id for token in tokens]
    rows = engine.logits([*ids, *reply[:-1]])[len(ids) - 1 :]
    assert reply == rows.argmax(-1).tolist()
    assert [token.logprob for token in tokens] == [
        float(log_softmax(row)[token]) for row, token in zip(rows, reply, strict=True)
    ]
    return tokens


def test_decoding_gives_the_bits_of_a_prompt(chosen: TinySpec, engines: tuple[Engine, Engine]) -> None:
    ids = sample_ids(chosen, 110)
    alone = [check_decoded(engine, ids, "ordinary", 0, 40) for engine in engines]
    assert alone[0] == alone[1]


@pytest.mark.parametrize("dtype", ["fp8", "f32"])
def test_drafting_gives_the_bits_of_ordinary_decoding(dtype: str, tiny: Callable[[TinySpec], Path]) -> None:
    spec = partly_right_spec(dtype=dtype)
    ids = sample_ids(spec, 50)
    with load(tiny(spec), context=CONTEXT, threads=2) as engine:
        plain = check_decoded(engine, ids, "ordinary", 0, 90)
        accepted = set()
        for mode, depth in (*(("mtp", depth) for depth in range(9)), ("ngram", 4), ("ngram", 8)):
            tokens = check_decoded(engine, ids, mode, depth, 90)
            assert [(token.id, token.logprob) for token in tokens] == [
                (token.id, token.logprob) for token in plain
            ]
            accepted |= {token.position for token in tokens}
    assert {0, 1, 2, 3} <= accepted  # or else every verification would have ended at its first row
