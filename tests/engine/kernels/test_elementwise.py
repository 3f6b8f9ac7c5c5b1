"""The small steps between products: exponential, SiLU, RMSNorm, rotation, the router, NaN bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numba
import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from engine.kernels import elementwise
from engine.kernels.reference import TorchKernels
from tests.engine.kernels.made import angles, normal, same_bits, turned
from tests.engine.kernels.test_products import CPU

Floats = np.ndarray[Any, np.dtype[np.float32]]
exponential = elementwise.exponential


@numba.njit  # type: ignore[untyped-decorator]
def exponentials(x: Floats, out: Floats) -> None:
    """A loop that the compiler turns into vector instructions."""
    for i in range(x.shape[0]):
        out[i] = exponential(x[i])


def exponentials_of(x: Floats) -> Floats:
    out = np.empty_like(x)
    exponentials(x, out)
    return out


def distance(result: Floats, expected: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """The largest error in units of the expected float32's last place."""
    unit = np.spacing(np.abs(expected).astype(np.float32)).astype(np.float64)
    return float((np.abs(result - expected) / unit).max())


# 1) The exponential


@pytest.mark.parametrize(("low", "high"), [(-87, 88), (-1, 1), (-1e-3, 1e-3), (80, 88), (-87, -80)])
def test_the_exponential_is_within_two_units_of_the_last_place(low: float, high: float) -> None:
    x = np.linspace(low, high, 300_001).astype(np.float32)
    assert distance(exponentials_of(x), np.exp(x.astype(np.float64))) <= 2


def test_the_exponential_where_the_power_of_two_changes() -> None:
    # k steps at (n + 1/2) ln 2; around each step, and around each n ln 2, every float counts.
    middles = (np.arange(-250, 254) / 2 * math.log(2)).astype(np.float32)
    x = np.concatenate([(middles.view(np.int32) + by).view(np.float32) for by in range(-30, 31)])
    x = x[(x >= -87) & (x <= 88)]
    assert x.size > 30_000
    assert distance(exponentials_of(x), np.exp(x.astype(np.float64))) <= 2


def test_the_exponential_at_its_borders() -> None:
    assert exponential(np.float32(0)) == 1
    assert exponential(np.float32(-0.0)) == 1
    lowest, highest = exponential(np.float32(-87)), exponential(np.float32(88))
    ends = np.array([lowest, highest], np.float32)
    assert distance(ends, np.exp(np.array([-87.0, 88.0]))) <= 2
    for below in (-87.1, -100.0, -1e30, -np.inf):
        assert exponential(np.float32(below)) == lowest
    for above in (88.1, 100.0, 1e30, np.inf):
        assert exponential(np.float32(above)) == np.inf


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 63, 64, 100])
def test_a_vector_of_exponentials_has_the_bits_of_single_ones(size: int) -> None:
    x = np.random.default_rng(size).uniform(-90, 90, size).astype(np.float32)
    singly = np.array([exponential(value) for value in x], np.float32)
    assert (exponentials_of(x).view(np.int32) == singly.view(np.int32)).all()


# 2) SiLU, RMSNorm, rotation


@pytest.mark.parametrize("size", [1, 15, 16, 17, 64, 101])
def test_silu_times_up(size: int) -> None:
    random = np.random.default_rng(size)
    gate, up = (random.normal(0, 20, size).astype(np.float32) for _ in range(2))
    exact = gate.astype(np.float64) / (1 + np.exp(-gate.astype(np.float64))) * up
    result = gate.copy()
    elementwise.silu_product(result, up)
    np.testing.assert_allclose(result, exact, rtol=1e-6, atol=1e-30)
    for i in range(size):  # the same bits in any company
        alone = gate[i : i + 1].copy()
        elementwise.silu_product(alone, up[i : i + 1])
        assert alone.view(np.int32) == result[i : i + 1].view(np.int32)


@settings(max_examples=80, deadline=None)
@given(
    tokens=st.integers(1, 9),
    size=st.integers(1, 200),
    eps=st.sampled_from([1e-6, 1e-5, 0.01]),
    magnitude=st.sampled_from([1e-4, 1.0, 1e6]),
    seed=st.integers(0, 2**31),
)
@example(tokens=2, size=7168, eps=1e-6, magnitude=1.0, seed=0)
@example(tokens=1, size=1, eps=1e-6, magnitude=1e-4, seed=0)
def test_rms_norm(tokens: int, size: int, eps: float, magnitude: float, seed: int) -> None:
    x, weight = normal(seed, tokens, size) * magnitude, normal(seed + 1, size)
    wide = x.double()
    expected = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps) * weight
    result = CPU.rms_norm(x, weight, eps)
    assert ((result - expected).abs() <= 2e-6 * expected.abs()).all()
    for token in range(tokens):
        assert same_bits(CPU.rms_norm(x[token : token + 1].clone(), weight, eps), result[token : token + 1])


def test_rms_norm_leaves_zeros_alone() -> None:
    assert CPU.rms_norm(torch.zeros(2, 5), torch.ones(5), 1e-6).tolist() == [[0.0] * 5] * 2


@settings(max_examples=40, deadline=None)
@given(
    tokens=st.integers(1, 6),
    heads=st.integers(1, 5),
    nope=st.integers(0, 9),
    pairs=st.integers(1, 33),
    start=st.integers(0, 50),
    seed=st.integers(0, 2**31),
)
def test_rotation_is_a_complex_product(
    tokens: int, heads: int, nope: int, pairs: int, start: int, seed: int
) -> None:
    q, at = normal(seed, tokens, heads, nope + 2 * pairs), 3
    rotary, turns = angles(seed, start + tokens, 2 * pairs)
    out = torch.full((tokens, heads, at + 2 * pairs), 7.0)
    elementwise.rotate_queries(
        q.numpy(), nope, rotary.cosine.numpy(), rotary.sine.numpy(), start, out.numpy(), at
    )
    expected = turned(q[..., nope:], turns[start:])
    size = q[..., nope:].reshape(tokens, heads, -1, 2).norm(dim=-1)
    assert ((out[..., at:] - expected).abs() <= 3e-7 * size.repeat_interleave(2, -1)).all()
    assert (out[..., :at] == 7).all()


# 3) The router


@dataclass(frozen=True)
class Routing:
    """A router's numbers for some tokens, and what is to be chosen of them."""

    logits: tuple[tuple[float, ...], ...]
    bias: tuple[float, ...]
    k: int
    groups: int
    kept_groups: int
    normalise: bool
    factor: float

    def slowly(self) -> tuple[list[list[int]], list[list[float]], float]:
        """Ids, weights, and the narrowest gap between unequal choices: noaux_tc in float64, step by step."""
        gap, ids, weights = math.inf, [], []
        size = len(self.bias) // self.groups
        for row in self.logits:
            scores = [1 / (1 + math.exp(-x)) for x in row]
            choice = [score + bias for score, bias in zip(scores, self.bias, strict=True)]
            of_group = [sum(sorted(choice[g * size : (g + 1) * size])[-2:]) for g in range(self.groups)]
            kept = sorted(range(self.groups), key=lambda g: (-of_group[g], g))[: self.kept_groups]
            allowed = [e for e in range(len(choice)) if e // size in kept]
            chosen = sorted(sorted(allowed, key=lambda e: (-choice[e], e))[: self.k])
            total = sum(scores[e] for e in chosen) + 1e-20 if self.normalise else 1.0
            ids.append(chosen)
            weights.append([scores[e] / total * self.factor for e in chosen])
            for values in (sorted(of_group), sorted(choice)):
                gap = min([gap, *(b - a for a, b in pairwise(values) if a != b)])
        return ids, weights, gap


@st.composite
def routings(draw: st.DrawFn) -> Routing:
    groups = draw(st.integers(1, 8))
    size = draw(st.integers(2, 7))
    kept = draw(st.integers(1, groups))
    # Few and odd values: equal ones are common, nearly equal ones rare.
    values = st.integers(-9, 9).map(lambda i: 0.37 * i + 0.11)
    offset = draw(st.sampled_from([0.0, -0.53, -3.1]))
    biases = st.integers(-2, 2).map(lambda i: 0.0713 * i + offset)
    row = st.lists(values, min_size=groups * size, max_size=groups * size).map(tuple)
    return Routing(
        logits=tuple(draw(st.lists(row, min_size=1, max_size=4))),
        bias=tuple(draw(st.lists(biases, min_size=groups * size, max_size=groups * size))),
        k=draw(st.integers(1, kept * size)),
        groups=groups,
        kept_groups=kept,
        normalise=draw(st.booleans()),
        factor=draw(st.sampled_from([1.0, 2.5])),
    )


@settings(max_examples=150, deadline=None)
@given(routing=routings())
def test_the_router_chooses_as_noaux_tc_says(routing: Routing) -> None:
    ids, weights, gap = routing.slowly()
    assume(gap > 1e-5)
    logits, bias = torch.tensor(routing.logits), torch.tensor(routing.bias)
    rest = (routing.k, routing.groups, routing.kept_groups, routing.normalise, routing.factor)
    for kernels in (CPU, TorchKernels()):
        found, by = kernels.route(logits, bias, *rest)
        assert found.tolist() == ids
        torch.testing.assert_close(by, torch.tensor(weights), rtol=2e-6, atol=0)


@settings(max_examples=50, deadline=None)
@given(routing=routings())
def test_a_token_is_routed_by_the_same_bits_alone(routing: Routing) -> None:
    logits, bias = torch.tensor(routing.logits), torch.tensor(routing.bias)
    rest = (routing.k, routing.groups, routing.kept_groups, routing.normalise, routing.factor)
    ids, weights = CPU.route(logits, bias, *rest)
    for token in range(len(routing.logits)):
        mine, by = CPU.route(logits[token : token + 1].clone(), bias, *rest)
        assert torch.equal(mine[0], ids[token])
        assert same_bits(by[0], weights[token])


def test_the_router_agrees_with_torch_at_v3s_size() -> None:
    logits, bias = normal(1, 200, 256), normal(2, 256) * 0.05
    ours, theirs = (kernels.route(logits, bias, 8, 8, 4, True, 2.5) for kernels in (CPU, TorchKernels()))
    assert torch.equal(ours[0], theirs[0])
    torch.testing.assert_close(ours[1], theirs[1], rtol=2e-6, atol=0)
    torch.testing.assert_close(ours[1].sum(-1), torch.full((200,), 2.5))


def test_masked_groups_are_lost_even_where_every_choice_is_negative() -> None:
    # With zeros in place of minus infinity experts 2 and 3 would win.
    logits, bias = torch.tensor([[1.0, 0.5, 0.2, 0.1]]), torch.full((4,), -5.0)
    for kernels in (CPU, TorchKernels()):
        assert kernels.route(logits, bias, 2, 2, 1, True, 1.0)[0].tolist() == [[0, 1]]


def test_a_groups_score_is_the_sum_of_its_best_two() -> None:
    # Group 0 has the best expert, group 1 the best sum of all three, group 2 the best two.
    logits = torch.tensor([[3.0, -4.0, -4.0, 0.6, 0.6, 0.6, 0.9, 0.8, -9.0]])
    for kernels in (CPU, TorchKernels()):
        assert kernels.route(logits, torch.zeros(9), 2, 3, 1, True, 1.0)[0].tolist() == [[6, 7]]


def test_the_bias_chooses_and_does_not_weigh() -> None:
    logits, bias = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([-1.0, 0.0, 0.9])
    for kernels in (CPU, TorchKernels()):
        ids, weights = kernels.route(logits, bias, 2, 1, 1, False, 1.0)
        assert ids.tolist() == [[1, 2]]
        torch.testing.assert_close(weights, torch.tensor([[1 / (1 + math.exp(-1)), 0.5]]))


def test_all_ties_go_to_the_lowest_numbers() -> None:
    for kernels in (CPU, TorchKernels()):
        ids, weights = kernels.route(torch.zeros(1, 12), torch.zeros(12), 4, 4, 2, True, 1.0)
        assert ids.tolist() == [[0, 1, 2, 3]]
        assert weights.tolist() == [[0.25] * 4]


# 4) NaN bytes


def test_nan_bytes_are_those_that_fp8_reads_as_nan() -> None:
    every = np.arange(256, dtype=np.uint8)
    nan = torch.from_numpy(every).view(torch.float8_e4m3fn).float().isnan().numpy()
    assert [int(elementwise.count_nan_bytes(every[i : i + 1])) for i in range(256)] == nan.astype(
        int
    ).tolist()
    assert elementwise.count_nan_bytes(np.tile(every, 1001)[:-1]) == 2 * 1001 - 1
    assert elementwise.count_nan_bytes(every[:0]) == 0
