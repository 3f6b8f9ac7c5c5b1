"""The expert mixture against float64: what is handed when, and beside what, leaves no trace in the bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels.base import Expert
from engine.kernels.reference import TorchKernels
from tests.engine.kernels.made import exact, normal, same_bits, soil, unwritten
from tests.engine.kernels.test_products import CPU, KINDS, ONE, stored

if TYPE_CHECKING:
    from torch import Tensor

    from engine.kernels.cpu import CpuKernels


@dataclass(frozen=True)
class Mixture:
    """A layer's experts, each of its matrices stored in its own way, and tokens routed to some of them."""

    hidden: int
    inner: int
    experts: int
    k: int
    tokens: int
    kinds: tuple[torch.dtype, ...]
    seed: int

    def expert(self, kernels: CpuKernels, number: int) -> Expert:
        """An expert; the same weights at every call."""
        shapes = ((self.inner, self.hidden), (self.inner, self.hidden), (self.hidden, self.inner))
        matrices = [
            kernels.matrix(
                *stored(
                    self.kinds[(3 * number + part) % len(self.kinds)], *shape, self.seed + 3 * number + part
                )
            )
            for part, shape in enumerate(shapes)
        ]
        return Expert(*matrices)

    @property
    def x(self) -> Tensor:
        """What the experts are given, scaled so that the gates are neither all open nor all shut."""
        return normal(self.seed, self.tokens, self.hidden).div(4 * self.hidden**0.5)

    @property
    def ids(self) -> Tensor:
        """Experts by token and rank, none twice for one token."""
        order = torch.rand(self.tokens, self.experts, generator=torch.Generator().manual_seed(self.seed))
        return order.argsort(-1)[:, : self.k].contiguous()


@st.composite
def mixtures(draw: st.DrawFn) -> Mixture:
    experts = draw(st.integers(1, 8))
    return Mixture(
        hidden=draw(st.integers(1, 200)),
        inner=draw(st.integers(1, 150)),
        experts=experts,
        k=draw(st.integers(1, experts)),
        tokens=draw(st.integers(1, 12)),
        kinds=tuple(draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=5))),
        seed=draw(st.integers(0, 2**31)),
    )


def exact_output(x: Tensor, expert: Expert) -> tuple[Tensor, Tensor]:
    """down(silu(gate x) * up x) in float64, and the size of what was added up, which bounds rounding."""
    x = x.double()
    gate, up, down = exact(expert.gate), exact(expert.up), exact(expert.down)
    g, u = x @ gate.T, x @ up.T
    g_size, u_size = x.abs() @ gate.abs().T, x.abs() @ up.abs().T
    opened = g * g.sigmoid()
    # SiLU's slope is at most 1.1.
    inner_size = opened.abs() * u_size + 1.1 * g_size * u.abs()
    return (opened * u) @ down.T, inner_size @ down.abs().T


@settings(max_examples=40, deadline=None)
@given(mixture=mixtures())
def test_every_slot_is_its_experts_output(mixture: Mixture) -> None:
    x, ids = mixture.x, mixture.ids
    experts = {number: mixture.expert(CPU, number) for number in range(mixture.experts)}
    outputs = unwritten(ids.numel(), mixture.hidden)
    soil(CPU).run_experts(x, CPU.group(ids, mixture.experts), experts, outputs)
    for token in range(mixture.tokens):
        for rank in range(mixture.k):
            expected, size = exact_output(x[token : token + 1], experts[int(ids[token, rank])])
            result = outputs[token * mixture.k + rank]
            assert ((result - expected[0]).abs() <= 4e-6 * size[0]).all()


@settings(max_examples=40, deadline=None)
@given(mixture=mixtures(), data=st.data())
def test_it_does_not_matter_in_which_groups_experts_arrive(mixture: Mixture, data: st.DataObject) -> None:
    x, ids = mixture.x, mixture.ids
    together = unwritten(ids.numel(), mixture.hidden)
    everyone = {number: mixture.expert(CPU, number) for number in range(mixture.experts)}
    CPU.run_experts(x, CPU.group(ids, mixture.experts), everyone, together)
    for kernels in (CPU, ONE):
        uses = kernels.group(ids, mixture.experts)
        order = data.draw(st.permutations(range(mixture.experts)))  # some of which no token uses
        outputs, done = unwritten(ids.numel(), mixture.hidden), 0
        while done < len(order):
            size = data.draw(st.integers(1, len(order) - done))
            handed = {number: mixture.expert(kernels, number) for number in order[done : done + size]}
            waiting = ~torch.isin(ids.flatten(), torch.tensor(order[: done + size]))
            soil(kernels).run_experts(x, uses, handed, outputs)
            assert outputs[waiting].isnan().all()
            done += size
        assert same_bits(outputs, together)


@settings(max_examples=40, deadline=None)
@given(mixture=mixtures(), data=st.data())
def test_a_token_has_the_same_bits_alone_or_among_others(mixture: Mixture, data: st.DataObject) -> None:
    x, ids, k = mixture.x, mixture.ids, mixture.k
    experts = {number: mixture.expert(CPU, number) for number in range(mixture.experts)}
    together = unwritten(ids.numel(), mixture.hidden)
    CPU.run_experts(x, CPU.group(ids, mixture.experts), experts, together)
    begin = data.draw(st.integers(0, mixture.tokens - 1))
    end = data.draw(st.integers(begin + 1, mixture.tokens))
    for kernels in (CPU, ONE):
        mine = {number: mixture.expert(kernels, number) for number in range(mixture.experts)}
        part = unwritten((end - begin) * k, mixture.hidden)
        uses = kernels.group(ids[begin:end], mixture.experts)
        soil(kernels).run_experts(x[begin:end].clone(), uses, mine, part)
        assert same_bits(part, together[begin * k : end * k])


@pytest.mark.parametrize("kind", KINDS)
def test_a_wide_expert_has_the_same_bits_at_every_width(kind: torch.dtype) -> None:
    # Wider than what a product packs of x at once, for every number of tokens above 1.
    mixture = Mixture(hidden=3210, inner=1111, experts=1, k=1, tokens=17, kinds=(kind,), seed=5)
    expert = mixture.expert(CPU, 0)
    together = CPU.feed_forward(mixture.x, expert)
    expected, size = exact_output(mixture.x, expert)
    assert ((together - expected).abs() <= 4e-6 * size).all()
    for width in range(1, 12):
        begin = 17 - width
        assert same_bits(CPU.feed_forward(mixture.x[begin:].clone(), expert), together[begin:])
    assert same_bits(ONE.feed_forward(mixture.x, mixture.expert(ONE, 0)), together)


def test_two_threads_busy_at_once_give_the_bits_of_one() -> None:
    mixture = Mixture(hidden=500, inner=300, experts=8, k=4, tokens=30, kinds=KINDS, seed=8)
    results = []
    for kernels in (ONE, CPU, CPU, CPU):
        outputs = unwritten(mixture.tokens * mixture.k, mixture.hidden)
        experts = {number: mixture.expert(kernels, number) for number in range(mixture.experts)}
        kernels.run_experts(mixture.x, kernels.group(mixture.ids, mixture.experts), experts, outputs)
        results.append(outputs)
    assert all(same_bits(result, results[0]) for result in results)


@settings(max_examples=25, deadline=None)
@given(mixture=mixtures())
def test_a_net_for_every_token_is_an_expert_that_all_chose(mixture: Mixture) -> None:
    ids = torch.zeros(mixture.tokens, 1, dtype=torch.int64)
    expert = mixture.expert(CPU, 0)
    outputs = unwritten(mixture.tokens, mixture.hidden)
    CPU.run_experts(mixture.x, CPU.group(ids, 1), {0: expert}, outputs)
    assert same_bits(soil(CPU).feed_forward(mixture.x, expert), outputs)


def test_gates_that_are_far_open_or_shut() -> None:
    gate = CPU.matrix(torch.diag(torch.tensor([1e5, -1e5, -90.0, 90.0])), None)
    same = CPU.matrix(torch.eye(4), None)
    result = CPU.feed_forward(torch.ones(1, 4), Expert(gate, same, same))
    torch.testing.assert_close(result, torch.tensor([[1e5, 0.0, 0.0, 90.0]]), rtol=1e-6, atol=1e-25)


@pytest.mark.parametrize("handed", [{}, {7}])
def test_nothing_happens_where_no_used_expert_is_given(handed: set[int]) -> None:
    mixture = Mixture(hidden=20, inner=12, experts=8, k=2, tokens=3, kinds=KINDS, seed=1)
    ids = torch.tensor([[0, 1], [2, 3], [1, 0]])
    outputs = unwritten(6, 20)
    CPU.run_experts(mixture.x, CPU.group(ids, 8), {n: mixture.expert(CPU, n) for n in handed}, outputs)
    assert outputs.isnan().all()


@settings(max_examples=60, deadline=None)
@given(
    ids=st.integers(1, 6).flatmap(
        lambda k: st.lists(st.lists(st.integers(0, 19), min_size=k, max_size=k), min_size=1, max_size=20)
    )
)
def test_uses_are_sorted_by_expert(ids: list[list[int]]) -> None:
    k = len(ids[0])
    wanted: dict[int, list[tuple[int, int]]] = {}
    for token, row in enumerate(ids):
        for rank, number in enumerate(row):
            wanted.setdefault(number, []).append((token, token * k + rank))
    for uses in (CPU.group(torch.tensor(ids), 20), TorchKernels().group(torch.tensor(ids), 20)):
        assert uses.numbers == tuple(sorted(wanted))
        starts, tokens, slots = uses.starts.tolist(), uses.tokens.tolist(), uses.slots.tolist()
        assert starts[0] == 0
        assert starts[-1] == len(tokens) == len(slots) == len(ids) * k
        for i, number in enumerate(uses.numbers):
            mine = slice(starts[i], starts[i + 1])
            assert list(zip(tokens[mine], slots[mine], strict=True)) == wanted[number]


@settings(max_examples=40, deadline=None)
@given(tokens=st.integers(1, 9), k=st.integers(1, 8), hidden=st.integers(1, 150), seed=st.integers(0, 2**31))
def test_combine_is_the_weighted_sum_over_ranks(tokens: int, k: int, hidden: int, seed: int) -> None:
    outputs, weights = normal(seed, tokens * k, hidden), normal(seed + 1, tokens, k)
    terms = outputs.view(tokens, k, hidden).double() * weights[..., None].double()
    together = CPU.combine(outputs, weights)
    assert ((together - terms.sum(1)).abs() <= 1e-6 * terms.abs().sum(1)).all()
    for token in range(tokens):
        mine = outputs[token * k : (token + 1) * k]
        assert same_bits(ONE.combine(mine.clone(), weights[token : token + 1]), together[token : token + 1])


@settings(max_examples=40, deadline=None)
@given(tokens=st.integers(1, 9), k=st.integers(1, 8), hidden=st.integers(1, 150), seed=st.integers(0, 2**31))
def test_adding_up_in_portions_gives_the_bits_of_combine(tokens: int, k: int, hidden: int, seed: int) -> None:
    outputs, weights = normal(seed, tokens * k, hidden), normal(seed + 1, tokens, k)
    outputs[outputs < -1.5] = -0.0
    together = CPU.combine(outputs, weights)
    sums = torch.zeros(tokens, hidden)
    for rank in range(k):  # each token's ranks in order, tokens in any
        slots = torch.arange(rank, tokens * k, k).flip(0)
        CPU.accumulate(outputs[slots], weights.flatten()[slots], slots // k, sums)
    assert same_bits(sums, together)
    torch_sums = torch.zeros(tokens, hidden)
    TorchKernels().accumulate(outputs, weights.flatten(), torch.arange(tokens * k) // k, torch_sums)
    torch.testing.assert_close(torch_sums, together, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("hidden", [1, 16, 37])
def test_ranks_are_added_in_their_order(hidden: int) -> None:
    # 1e8 + 1 is 1e8 in float32, so it shows which terms were added first.
    rows = torch.tensor([1e8, 1, -1e8, 1e8, -1e8, 1, 1, 1e8, -1e8])[:, None].repeat(1, hidden)
    result = CPU.combine(rows, torch.ones(3, 3))
    assert result.tolist() == [[0.0] * hidden, [1.0] * hidden, [0.0] * hidden]
