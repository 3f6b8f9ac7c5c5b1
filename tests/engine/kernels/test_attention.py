"""Latent attention against float64, and its promise: a token's bits do not depend on its companions."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine.kernels.base import Rotary
from tests.engine.kernels.made import angles, cuts, exact, normal, same_bits, soil, turned, unwritten
from tests.engine.kernels.test_products import CPU, KINDS, ONE, stored

BLOCK = 64
"""Positions that attention takes at once."""


@dataclass(frozen=True)
class Shape:
    """One attention layer and one pass through it."""

    heads: int
    nope: int
    rope: int
    values: int
    latent: int
    tokens: int
    start: int
    seed: int

    @property
    def end(self) -> int:
        """Positions in the cache after the pass."""
        return self.start + self.tokens

    @property
    def width(self) -> int:
        """Values a position has in the cache."""
        return self.latent + self.rope


shapes = st.builds(
    Shape,
    heads=st.integers(1, 20),
    nope=st.integers(1, 140),
    rope=st.integers(1, 40).map(lambda pairs: 2 * pairs),
    values=st.integers(1, 140),
    latent=st.integers(1, 200),
    tokens=st.integers(1, 20),
    start=st.one_of(
        st.integers(0, 200),
        st.builds(lambda block, by: block * BLOCK + by, st.integers(1, 3), st.integers(-20, 1)),
    ),
    seed=st.integers(0, 2**31),
)
kinds = st.sampled_from(KINDS)
V3 = Shape(heads=9, nope=128, rope=64, values=128, latent=512, tokens=9, start=60, seed=1)


def kv_b(kind: torch.dtype, shape: Shape) -> tuple[Tensor, Tensor | None]:
    """kv_b_proj, by head the rows of W_UK and those of W_UV."""
    return stored(kind, shape.heads * (shape.nope + shape.values), shape.latent, shape.seed)


def context_of(shape: Shape, seed: int) -> Tensor:
    """A cache that is written up to the pass's end, with NaN where it is not."""
    cache = unwritten(shape.end + 3, shape.width)
    cache[: shape.end] = normal(seed, shape.end, shape.width)
    return cache


@settings(max_examples=60, deadline=None)
@given(shape=shapes, kind=kinds)
@example(shape=V3, kind=torch.float8_e4m3fn)
def test_queries_are_taken_to_the_latent_space_and_turned(shape: Shape, kind: torch.dtype) -> None:
    matrix = CPU.matrix(*kv_b(kind, shape))
    q = normal(shape.seed + 1, shape.tokens, shape.heads, shape.nope + shape.rope)
    rotary, turns = angles(shape.seed, shape.end, shape.rope)
    to_latent = exact(matrix).view(shape.heads, -1, shape.latent)[:, : shape.nope]
    part = q[..., : shape.nope].double()
    expected = torch.einsum("thn,hnc->thc", part, to_latent)
    size = torch.einsum("thn,hnc->thc", part.abs(), to_latent.abs())

    result = soil(CPU).latent_queries(q, matrix, shape.nope, rotary, shape.start)

    assert ((result[..., : shape.latent] - expected).abs() <= 3e-6 * size).all()
    after = turned(q[..., shape.nope :], turns[shape.start : shape.end])
    assert (result[..., shape.latent :] - after).abs().max() <= 1e-6 * q.abs().max()


@settings(max_examples=60, deadline=None)
@given(shape=shapes, kind=kinds, data=st.data())
def test_queries_have_the_same_bits_in_every_pass(
    shape: Shape, kind: torch.dtype, data: st.DataObject
) -> None:
    weight = kv_b(kind, shape)
    q = normal(shape.seed + 1, shape.tokens, shape.heads, shape.nope + shape.rope)
    rotary, _ = angles(shape.seed, shape.end, shape.rope)
    together = CPU.latent_queries(q, CPU.matrix(*weight), shape.nope, rotary, shape.start)
    for kernels in (CPU, ONE):
        matrix = kernels.matrix(*weight)
        for begin, end in cuts(data, shape.tokens):
            part = soil(kernels).latent_queries(
                q[begin:end].clone(), matrix, shape.nope, rotary, shape.start + begin
            )
            assert same_bits(part, together[begin:end])


@settings(max_examples=60, deadline=None)
@given(shape=shapes, data=st.data())
def test_latents_are_normed_and_the_shared_key_is_turned(shape: Shape, data: st.DataObject) -> None:
    kv = normal(shape.seed, shape.tokens, shape.width)
    weight = normal(shape.seed + 1, shape.latent)
    rotary, turns = angles(shape.seed, shape.end, shape.rope)
    latent = kv[:, : shape.latent].double()
    expected = latent * torch.rsqrt(latent.square().mean(-1, keepdim=True) + 1e-3) * weight
    after = turned(kv[:, shape.latent :], turns[shape.start : shape.end])

    cache = unwritten(shape.end + 2, shape.width)
    CPU.write_latents(kv, weight, 1e-3, rotary, shape.start, cache)

    rows = cache[shape.start : shape.end]
    assert ((rows[:, : shape.latent] - expected).abs() <= 3e-6 * expected.abs()).all()
    assert (rows[:, shape.latent :] - after).abs().max() <= 1e-6 * kv.abs().max()
    assert cache[: shape.start].isnan().all()
    assert cache[shape.end :].isnan().all()
    piecewise = unwritten(shape.end + 2, shape.width)
    for begin, end in cuts(data, shape.tokens):
        ONE.write_latents(kv[begin:end], weight, 1e-3, rotary, shape.start + begin, piecewise)
    assert same_bits(piecewise, cache)


@pytest.mark.parametrize("start", [-1, 6, 9])
def test_positions_that_the_table_lacks_are_refused(start: int) -> None:
    shape = Shape(heads=2, nope=4, rope=2, values=4, latent=16, tokens=3, start=0, seed=1)
    rotary, _ = angles(shape.seed, 8, shape.rope)
    q = normal(shape.seed, shape.tokens, shape.heads, shape.nope + shape.rope)
    with pytest.raises(ValueError, match="outside a table of 8"):
        CPU.latent_queries(q, CPU.matrix(*kv_b(torch.float32, shape)), shape.nope, rotary, start)
    cache, kv = torch.zeros(20, shape.width), torch.zeros(3, shape.width)
    with pytest.raises(ValueError, match=r"outside a (table of 8|cache of 20)"):
        CPU.write_latents(kv, torch.ones(shape.latent), 1e-6, rotary, start, cache)
    assert not cache.any()


@settings(max_examples=60, deadline=None)
@given(shape=shapes, scale=st.floats(0.01, 0.5))
@example(shape=V3, scale=0.135234)
@example(shape=Shape(1, 1, 2, 1, 1, 1, 0, 0), scale=0.5)
def test_attention_is_softmax_over_what_came_before(shape: Shape, scale: float) -> None:
    q = normal(shape.seed, shape.tokens, shape.heads, shape.width)
    cache = context_of(shape, shape.seed + 1)
    seen = cache[: shape.end].double()
    scores = torch.einsum("thc,sc->ths", q.double(), seen) * scale
    size = torch.einsum("thc,sc->ths", q.double().abs(), seen.abs()) * scale
    later = torch.arange(shape.end) > torch.arange(shape.start, shape.end)[:, None]
    p = scores.masked_fill(later[:, None], float("-inf")).softmax(-1)
    expected = torch.einsum("ths,sc->thc", p, seen[:, : shape.latent])
    mass = torch.einsum("ths,sc->thc", p, seen[:, : shape.latent].abs())

    result = soil(CPU).attend(q, cache, shape.latent, shape.start, scale)

    assert result.shape == expected.shape
    # A score's error is a relative error of its weight, twice: in the sum of weights as well.
    assert ((result - expected).abs() <= (4e-6 + 2e-6 * size.amax(-1, keepdim=True)) * mass).all()


@settings(max_examples=80, deadline=None)
@given(shape=shapes, data=st.data())
def test_attention_has_the_same_bits_in_every_pass(shape: Shape, data: st.DataObject) -> None:
    q = normal(shape.seed, shape.tokens, shape.heads, shape.width)
    cache = context_of(shape, shape.seed + 1)
    together = CPU.attend(q, cache, shape.latent, shape.start, 0.1)
    for kernels in (CPU, ONE):
        for begin, end in cuts(data, shape.tokens):
            part = soil(kernels).attend(q[begin:end].clone(), cache, shape.latent, shape.start + begin, 0.1)
            assert same_bits(part, together[begin:end])


def test_attention_has_the_same_bits_for_each_token_of_a_long_prompt() -> None:
    shape = Shape(heads=3, nope=1, rope=6, values=1, latent=37, tokens=200, start=0, seed=4)
    q = normal(1, shape.tokens, shape.heads, shape.width)
    cache = context_of(shape, 2)
    together = CPU.attend(q, cache, shape.latent, 0, 0.3)
    for token in range(shape.tokens):
        alone = ONE.attend(q[token : token + 1], cache, shape.latent, token, 0.3)
        assert same_bits(alone, together[token : token + 1])


def test_two_threads_busy_at_once_give_the_bits_of_one() -> None:
    shape = Shape(heads=16, nope=90, rope=32, values=70, latent=160, tokens=40, start=500, seed=6)
    weight = kv_b(torch.bfloat16, shape)
    q = normal(1, shape.tokens, shape.heads, shape.nope + shape.rope)
    cache, (rotary, _) = context_of(shape, 2), angles(3, shape.end, shape.rope)
    results = []
    for kernels in (ONE, CPU, CPU, CPU):
        matrix = kernels.matrix(*weight)
        queries = kernels.latent_queries(q, matrix, shape.nope, rotary, shape.start)
        mixed = kernels.attend(queries, cache, shape.latent, shape.start, 0.1)
        results.append((queries, mixed, kernels.expand_values(mixed, matrix, shape.values)))
    for result in results:
        assert all(same_bits(*pair) for pair in zip(result, results[0], strict=True))


def test_rows_behind_a_token_do_not_touch_it() -> None:
    shape = Shape(heads=9, nope=1, rope=4, values=1, latent=20, tokens=1, start=63, seed=0)
    q, cache = normal(1, 1, 9, 24), context_of(shape, 2)
    before = CPU.attend(q, cache, 20, 63, 0.2)
    cache[64:] = 1e30
    assert same_bits(CPU.attend(q, cache, 20, 63, 0.2), before)


@pytest.mark.parametrize("winner", [0, 5, 63, 64, 99, 149])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("size", [1e4, 1e12, 1e18])
def test_extreme_scores_give_no_nan(winner: int, sign: int, size: float) -> None:
    # Scores are size^2 times 1 to 2, all positive or all negative, and one row's is far above the others'.
    context, latent, rope = 150, 24, 8
    cache = normal(3, context, latent + rope)
    cache[:, latent] = sign * size * torch.linspace(1, 2, context)
    cache[winner, latent] = size * (3 if sign == 1 else -0.5)
    q = torch.zeros(1, 2, latent + rope)
    q[..., latent] = size
    for kernels in (CPU, ONE):
        result = soil(kernels).attend(q, cache, latent, context - 1, 1.0)
        torch.testing.assert_close(result, cache[winner, :latent].expand(1, 2, -1), rtol=1e-6, atol=1e-30)


def test_equal_scores_mean_the_mean() -> None:
    # However large they are: e^0 for every row, in every block.
    cache = normal(1, 150, 32)
    cache[:, 24:] = 1e18
    q = torch.zeros(1, 3, 32)
    q[..., 24:] = torch.tensor([1e18, -1e18, 0.0])[:, None]
    result = CPU.attend(q, cache, 24, 149, 1.0)
    expected = cache[:, :24].double().mean(0).float().expand(1, 3, -1)
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(shape=shapes, kind=kinds)
@example(shape=V3, kind=torch.float8_e4m3fn)
def test_values_are_expanded_by_head(shape: Shape, kind: torch.dtype) -> None:
    matrix = CPU.matrix(*kv_b(kind, shape))
    latents = normal(shape.seed + 1, shape.tokens, shape.heads, shape.latent)
    to_values = exact(matrix).view(shape.heads, -1, shape.latent)[:, shape.nope :]
    expected = torch.einsum("thc,hvc->thv", latents.double(), to_values).flatten(1)
    size = torch.einsum("thc,hvc->thv", latents.double().abs(), to_values.abs()).flatten(1)
    result = soil(CPU).expand_values(latents, matrix, shape.values)
    assert result.shape == expected.shape
    assert ((result - expected).abs() <= 2e-6 * size).all()


@settings(max_examples=60, deadline=None)
@given(shape=shapes, kind=kinds, data=st.data())
def test_values_have_the_same_bits_in_every_pass(
    shape: Shape, kind: torch.dtype, data: st.DataObject
) -> None:
    weight = kv_b(kind, shape)
    latents = normal(shape.seed + 1, shape.tokens, shape.heads, shape.latent)
    together = CPU.expand_values(latents, CPU.matrix(*weight), shape.values)
    for kernels in (CPU, ONE):
        matrix = kernels.matrix(*weight)
        for begin, end in cuts(data, shape.tokens):
            part = soil(kernels).expand_values(latents[begin:end].clone(), matrix, shape.values)
            assert same_bits(part, together[begin:end])


@pytest.mark.parametrize("kind", KINDS)
def test_products_with_kv_b_have_the_same_bits_at_every_width(kind: torch.dtype) -> None:
    shape = Shape(heads=3, nope=40, rope=16, values=36, latent=200, tokens=20, start=0, seed=3)
    matrix = CPU.matrix(*kv_b(kind, shape))
    rotary, _ = angles(1, shape.end, shape.rope)
    q = normal(1, shape.tokens, shape.heads, shape.nope + shape.rope)
    latents = normal(2, shape.tokens, shape.heads, shape.latent)
    queries = CPU.latent_queries(q, matrix, shape.nope, rotary, 0)
    values = CPU.expand_values(latents, matrix, shape.values)
    for width in range(1, shape.tokens):
        for begin in (0, shape.tokens - width):
            part = slice(begin, begin + width)
            assert same_bits(CPU.latent_queries(q[part], matrix, shape.nope, rotary, begin), queries[part])
            assert same_bits(CPU.expand_values(latents[part], matrix, shape.values), values[part])


@pytest.mark.parametrize("start", [-1, 7, 8, 100])
def test_rows_outside_the_cache_are_refused_and_nothing_is_written(start: int) -> None:
    around = torch.full((24, 6), 7.0)
    turn = Rotary(torch.ones(128, 1), torch.zeros(128, 1))
    with pytest.raises(ValueError, match="outside a cache of 8"):
        ONE.write_latents(torch.ones(2, 6), torch.ones(4), 1e-6, turn, start, around[8:16])
    assert (around == 7.0).all()
