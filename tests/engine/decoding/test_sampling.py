"""From a row of logits to a token: the filters against a plain implementation, picks, and their noise."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from engine.decoding.noise import Stream, perturbed_argmax, uniform
from engine.decoding.sampling import Sampler, log_softmax
from engine.options import GenerateOptions
from tests.engine.decoding import slow

MANY = settings(deadline=None, max_examples=200, derandomize=True, database=None)

# Quarters, so that there are ties, and no two probabilities differ by rounding alone.
rows = st.lists(st.integers(-24, 24).map(lambda quarters: quarters / 4), min_size=1, max_size=12)
temperatures = st.sampled_from([0.5, 0.7, 1.0, 2.0, 5.0])


def row(values: list[float]) -> np.ndarray:
    """As the head's product comes."""
    return np.array(values, np.float32)


@MANY
@given(
    logits=rows,
    temperature=temperatures,
    top_k=st.integers(0, 14),
    top_p=st.one_of(st.just(1.0), st.floats(0.001, 1.0)),
    min_p=st.one_of(st.just(0.0), st.floats(0.0, 1.0)),
)
def test_filters(logits: list[float], temperature: float, top_k: int, top_p: float, min_p: float) -> None:
    sampler = Sampler(temperature, top_k, top_p, min_p, seed=0)
    order, close = slow.kept(slow.softmax(logits, temperature), top_k, top_p, min_p)
    assume(not close)
    scores = sampler.scores(row(logits))
    assert np.flatnonzero(scores > -np.inf).tolist() == sorted(order)
    assert order, "never empty"
    for token in order:
        assert scores[token] == pytest.approx((logits[token] - max(logits)) / temperature)
    got = sampler.probabilities(row(logits))
    assert got.dtype == np.float64
    assert got.sum() == pytest.approx(1.0, abs=1e-12)
    expected = slow.probabilities(logits, temperature, top_k, top_p, min_p)
    assert got == pytest.approx(expected, abs=1e-12)
    assert sampler.pick(row(logits), 5) in order


@MANY
@given(logits=rows, temperature=temperatures, seed=st.integers(0, 2**64 - 1), position=st.integers(0, 10**6))
def test_picks_are_the_textbooks(logits: list[float], temperature: float, seed: int, position: int) -> None:
    sampler = Sampler(temperature, 0, 1.0, 0.0, seed)
    assert sampler.pick(row(logits), position) == slow.pick(logits, temperature, seed, position)


@MANY
@given(
    logits=st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=40),
    temperature=st.floats(1e-3, 100.0),
    top_k=st.integers(0, 50),
    top_p=st.floats(1e-6, 1.0),
    min_p=st.floats(0.0, 1.0),
)
def test_a_token_is_always_left(
    logits: list[float], temperature: float, top_k: int, top_p: float, min_p: float
) -> None:
    sampler = Sampler(temperature, top_k, top_p, min_p, seed=3)
    scores = sampler.scores(row(logits))
    best = int(row(logits).argmax())
    assert scores[best] > -np.inf, "the likeliest token survives every filter"
    assert scores[sampler.pick(row(logits), 0)] > -np.inf
    assert sampler.probabilities(row(logits)).sum() == pytest.approx(1.0)


def kept(logits: list[float], **filters: float) -> list[int]:
    """What filters leave at temperature 1."""
    sampler = Sampler(**{"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": 0, **filters})
    return np.flatnonzero(sampler.scores(row(logits)) > -np.inf).tolist()


def test_ties_go_to_the_lowest_ids() -> None:
    assert kept([1, 2, 2, 2, 0], top_k=2) == [1, 2]
    assert kept([0, 0, 0, 0], top_k=3) == [0, 1, 2]
    assert kept([0, 0, 0, 0], top_p=0.5) == [0, 1]
    assert kept([0, 0, 0, 0], top_p=0.500001) == [0, 1, 2]
    assert kept([0, 0, 0, 0], top_p=1e-9) == [0]
    assert kept([1, 2, 2, 2, 0], min_p=1.0) == [1, 2, 3]
    assert Sampler(0.0, 0, 1.0, 0.0, 0).pick(row([1, 2, 2, 0]), 0) == 1
    assert Sampler(1.0, 1, 1.0, 0.0, 0).pick(row([1, 2, 2, 0]), 0) == 1


def test_filters_see_what_the_one_before_left_renormalised() -> None:
    # p = 1/2, 1/4, 1/8, 1/8; of the first two alone the first has 2/3.
    logits = np.log([0.5, 0.25, 0.125, 0.125]).tolist()
    assert kept(logits, top_p=0.6) == [0, 1]
    assert kept(logits, top_k=2, top_p=0.6) == [0]
    assert kept(logits, top_p=0.8, min_p=0.3) == [0, 1]
    assert kept(logits, top_p=0.8, min_p=0.2) == [0, 1, 2]


def test_no_filter_leaves_all() -> None:
    assert kept([3, -3, 0, 9], top_k=0) == [0, 1, 2, 3]
    assert kept([3, -3, 0, 9], top_k=4) == [0, 1, 2, 3]
    assert kept([3, -3, 0, 9], top_k=400) == [0, 1, 2, 3]


@MANY
@given(logits=rows, seed=st.integers(0, 2**64 - 1))
def test_greedy_is_the_argmax_without_noise(logits: list[float], seed: int) -> None:
    sampler = Sampler(0.0, 3, 0.5, 0.1, seed)
    best = logits.index(max(logits))
    assert sampler.greedy
    assert {sampler.pick(row(logits), position) for position in range(5)} == {best}
    assert sampler.probabilities(row(logits)).tolist() == [float(i == best) for i in range(len(logits))]


@pytest.mark.parametrize("temperature", [1e-3, 1e-30, 1e-300, 1e-310])
@pytest.mark.filterwarnings("error")
def test_a_temperature_near_zero_is_near_greedy(temperature: float) -> None:
    # GenerateOptions takes it, so it must not overflow; the last makes every quotient infinite.
    for filters in ({}, {"top_p": 0.9}, {"top_k": 2}):
        sampler = Sampler.of(GenerateOptions(temperature=temperature).changed(filters))
        for logits in ([-3.0, -1.0, -2.0], [3.0, 5.0, 4.0], [-5.0, 30.0, 20.0]):
            assert [sampler.pick(row(logits), position) for position in range(20)] == [1] * 20
            assert sampler.probabilities(row(logits)).argmax() == 1


def test_a_sampler_takes_all_of_an_options_fields() -> None:
    wanted = GenerateOptions(temperature=0.5, top_k=7, top_p=0.9, min_p=0.05, seed=-1)
    assert Sampler.of(wanted) == Sampler(0.5, 7, 0.9, 0.05, 2**64 - 1)


@pytest.mark.parametrize("filters", [{}, {"top_k": 3}, {"top_p": 0.75}, {"min_p": 0.3}])
@pytest.mark.parametrize("stream", [Stream.PICK, Stream.DRAFT])
def test_picks_follow_the_law(filters: dict[str, float], stream: Stream) -> None:
    logits = [1.0, 0.2, -0.5, 1.4, 0.0, -2.0]
    p = slow.probabilities(logits, 0.9, **filters)  # type: ignore[arg-type]
    for vary in ("seed", "position"):
        counts: Counter[int] = Counter()
        for number in range(5_000):
            values = {"temperature": 0.9, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": 4, **filters}
            if vary == "seed":
                values["seed"] = number
            counts[Sampler(**values).pick(row(logits), 9 if vary == "seed" else number, stream)] += 1
        possible = [token for token in range(6) if p[token] > 0]
        assert set(counts) <= set(possible)
        expected = [p[token] * 5_000 for token in possible]
        assert stats.chisquare([counts[token] for token in possible], expected).pvalue > 1e-4


@pytest.mark.parametrize("vary", ["seed", "position"])
def test_draws_follow_a_given_distribution(vary: str) -> None:
    p = np.array([0.0, 0.1, 0.6, 0.0, 0.3])
    counts: Counter[int] = Counter()
    for number in range(5_000):
        seed, position = (number, 9) if vary == "seed" else (4, number)
        counts[Sampler(1.0, 0, 1.0, 0.0, seed).draw(p, position)] += 1
    assert set(counts) == {1, 2, 4}
    assert stats.chisquare([counts[1], counts[2], counts[4]], [500, 3000, 1500]).pvalue > 1e-4


def test_a_pick_depends_on_seed_position_and_ids_alone() -> None:
    random = np.random.default_rng(1)
    wide = [row(random.standard_normal(50).tolist()) for _ in range(40)]
    places = list(itertools.product(range(5), range(40)))

    def picks(order: list[tuple[int, int]]) -> dict[tuple[int, int], int]:
        return {
            (seed, position): Sampler(0.9, 0, 1.0, 0.0, seed).pick(wide[position], position)
            for seed, position in order
        }

    forward = picks(places)
    assert picks(places[::-1]) == forward
    assert picks([places[i] for i in random.permutation(len(places))]) == forward
    # Other tokens' logits matter only where they win: leaving the losers out leaves the pick alone.
    for (seed, position), token in forward.items():
        alone = np.full(50, -np.inf)
        some = random.permutation(50)[:10]
        alone[some] = wide[position][some].astype(np.float64) / 0.9
        alone[token] = wide[position][token].astype(np.float64) / 0.9
        assert perturbed_argmax(alone, seed, Stream.PICK, position) == token


@MANY
@given(
    seed=st.integers(0, 2**64 - 1),
    stream=st.sampled_from(Stream),
    position=st.integers(0, 2**31),
    data=st.data(),
)
def test_noise_is_the_pure_function_that_is_written_down(
    seed: int, stream: Stream, position: int, data: st.DataObject
) -> None:
    number = uniform(seed, stream, position)
    assert 0 < number <= 1
    assert (number * 2**53).is_integer()
    assert number == slow.uniform(seed, stream, position, 0)
    tokens = data.draw(st.lists(st.integers(0, 400), min_size=1, max_size=4, unique=True))
    scores = np.full(401, -np.inf)
    scores[tokens] = 0.0
    noises = {token: slow.uniform(seed, stream, position, token) for token in tokens}
    assert perturbed_argmax(scores, seed, stream, position) == max(noises, key=noises.__getitem__)


def test_uniforms_are_uniform() -> None:
    numbers = [
        uniform(seed, stream, position) for seed in range(40) for stream in Stream for position in range(50)
    ]
    assert stats.kstest(numbers, "uniform").pvalue > 1e-4
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("shift", [1, 2, 64, 2**32])
def test_neighbouring_seeds_positions_and_streams_are_unrelated(shift: int) -> None:
    count = 4_000
    base = np.array([uniform(7, Stream.PICK, position) for position in range(count)])
    others = {
        "seed": [uniform(7 + shift, Stream.PICK, position) for position in range(count)],
        "position": [uniform(7, Stream.PICK, position + shift) for position in range(count)],
        "draft": [uniform(7, Stream.DRAFT, position) for position in range(count)],
        "accept": [uniform(7, Stream.ACCEPT, position) for position in range(count)],
        "seed and position": [uniform(7 + shift, Stream.PICK, position + shift) for position in range(count)],
        # A hash of seed + position would have these equal.
        "sum": [
            uniform(7 + shift, Stream.PICK, position - shift) for position in range(shift, shift + count)
        ],
        "token": [slow.uniform(7, Stream.PICK, position, shift) for position in range(count)],
    }
    for name, numbers in others.items():
        assert abs(np.corrcoef(base, numbers)[0, 1]) < 5 / np.sqrt(count), name


@MANY
@given(logits=st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=30))
def test_log_softmax(logits: list[float]) -> None:
    got = log_softmax(row(logits))
    assert got.dtype == np.float64
    values = np.array(row(logits), np.float64)
    expected = values - values.max() - np.log(np.exp(values - values.max()).sum())
    assert np.allclose(got, expected, rtol=1e-12, atol=1e-12)
    assert got.max() <= 0
