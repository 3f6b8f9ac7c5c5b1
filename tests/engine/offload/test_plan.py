"""The plan: within the budget, exact at its least, never worse with more, and placed as accelerate places."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.decoding.sequence import SequenceState
from engine.errors import MemoryBudgetError
from engine.offload.plan import CPU, DISK, Plan, activation_bytes, make_plan, place
from engine.offload.units import Inventory, UnitKind
from tests.engine.offload.made import TINY, TINY_CONFIG, V3_CONFIG, config_of, inventory_of, tiny, v3

if TYPE_CHECKING:
    from engine.config import ModelConfig
    from engine.offload.units import Unit

CONTEXT = 64
TIED_CONFIG = config_of(TINY, tie_word_embeddings=True)
CONFIGS = {
    "tiny": TINY_CONFIG,
    "tied": TIED_CONFIG,
    "no mtp": config_of(TINY, num_nextn_predict_layers=0),
    "no experts": config_of(TINY, num_nextn_predict_layers=0, first_k_dense_replace=4),
    "one expert": config_of(
        TINY, num_nextn_predict_layers=0, first_k_dense_replace=3, n_routed_experts=1, n_group=1,
        num_experts_per_tok=1,
    ),
    # One dense net outweighs all else together: pinning it costs less than a ring for it.
    "one large net": config_of(TINY, num_hidden_layers=1, intermediate_size=9000, vocab_size=64),
}  # fmt: skip


@cache
def stock_of(name: str) -> Inventory:
    config = CONFIGS[name]
    left_out = (".layers.4.embed", "shared_head.head", "lm_head") if config.tie_word_embeddings else ()
    return tiny() if name == "tiny" else inventory_of(config, left_out)


def plan_of(name: str, budget: int, context: int = CONTEXT) -> Plan:
    return make_plan(stock_of(name), CONFIGS[name], context, {CPU: budget})


@cache
def bounds(name: str) -> tuple[int, int]:
    """The least budget, and one that holds everything."""
    with pytest.raises(MemoryBudgetError):
        plan_of(name, 1)
    everything = plan_of(name, 10**12)
    return everything.least_bytes, everything.planned_bytes


names = pytest.mark.parametrize("name", CONFIGS)


@names
def test_the_least_budget_is_the_least(name: str) -> None:
    least, _ = bounds(name)
    plan = plan_of(name, least)
    assert plan.planned_bytes == plan.least_bytes == least
    with pytest.raises(MemoryBudgetError) as caught:
        plan_of(name, least - 1)
    assert caught.value.exit_code == 4
    assert "context of 64 tokens" in str(caught.value)


@names
def test_everything_fits_a_budget_of_just_so_much(name: str) -> None:
    _, most = bounds(name)
    plan = plan_of(name, most)
    assert plan.holds_everything
    assert plan.planned_bytes == most
    assert (plan.streamed, plan.buffer_bytes) == ((), 0)
    assert plan.slots == plan.expert_count
    assert plan_of(name, 10 * most).planned_bytes == most
    assert not plan_of(name, most - 1).holds_everything


@names
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_budget(name: str, data: st.DataObject) -> None:
    least, most = bounds(name)
    low, high = sorted(data.draw(st.tuples(*[st.integers(least, most + 99)] * 2)))
    small, large = plan_of(name, low), plan_of(name, high)
    for plan in (small, large):
        check(plan, stock_of(name))
    # More budget never pins less. Slots may be fewer, but only if something more is pinned for them.
    assert len(large.pinned) >= len(small.pinned)
    assert large.embedding_pinned >= small.embedding_pinned
    if (large.pinned, large.embedding_pinned) == (small.pinned, small.embedding_pinned):
        assert large.slots >= small.slots


def check(plan: Plan, stock: Inventory) -> None:
    """What holds for every plan."""
    assert plan.planned_bytes <= plan.budget_bytes
    assert plan.pinned + plan.streamed == (*stock.main, *stock.mtp)
    count = stock.experts.count if stock.experts else 0
    assert min(2, count) <= plan.slots <= count == plan.expert_count
    assert plan.buffer_bytes == ring(plan.streamed)
    # Nothing more would have fitted.
    spare = plan.budget_bytes - plan.planned_bytes
    if plan.slots < count:
        assert spare < plan.slot_bytes
    elif not stock.head_is_embedding and not plan.embedding_pinned:
        assert spare < stock.embedding_unit.bytes
    if plan.streamed:
        slots = max(plan.slots - 2, 0) * plan.slot_bytes
        spent = plan.buffer_bytes + plan.pinned_bytes + spare + slots
        one_more = len(plan.pinned) + 1
        order = plan.pinned + plan.streamed
        assert sum(unit.bytes for unit in order[:one_more]) + ring(order[one_more:]) > spent
    if stock.head_is_embedding:
        assert plan.embedding_bytes == 0


def ring(streamed: tuple[Unit, ...]) -> int:
    """By hand: two buffers for the main model's, one for the MTP layer's."""
    main = [unit.bytes for unit in streamed if not unit.mtp]
    mtp = [unit.bytes for unit in streamed if unit.mtp]
    return min(2, len(main)) * max(main, default=0) + max(mtp, default=0)


def test_the_order_of_pinning() -> None:
    """Units first, then slots, then the embedding; as large units are pinned, the rings shrink."""
    least, most = bounds("tiny")
    plans = [plan_of("tiny", budget) for budget in range(least, most, (most - least) // 200)]
    assert len({len(plan.pinned) for plan in plans}) > 5
    assert len({plan.buffer_bytes for plan in plans}) > 3
    for plan in plans:
        if any(not unit.mtp for unit in plan.streamed):
            assert not any(unit.mtp for unit in plan.pinned)
        if plan.streamed or plan.slots < plan.expert_count:
            assert not plan.embedding_pinned
    assert any(not plan.streamed and 2 < plan.slots < plan.expert_count for plan in plans)
    assert plan_of("tiny", most).embedding_pinned


def test_a_pinned_head_pins_the_tied_embedding() -> None:
    least, most = bounds("tied")
    for budget in range(least, most, (most - least) // 50):
        plan = plan_of("tied", budget)
        assert plan.embedding_bytes == 0
        assert plan.embedding_pinned == all(unit.mtp for unit in plan.streamed)


def test_the_least_grows_with_the_context() -> None:
    with pytest.raises(MemoryBudgetError):
        plan_of("tiny", bounds("tiny")[0], context=CONTEXT + 1)
    short, long = (plan_of("tiny", 10**12, context) for context in (100, 200))
    assert long.cache_bytes == 2 * short.cache_bytes == SequenceState.bytes_for(TINY_CONFIG, 200, True)
    assert long.activation_bytes > short.activation_bytes


def test_v3s_least_budget() -> None:
    stock, _ = v3()
    everything = make_plan(stock, V3_CONFIG, 4096, {CPU: 10**12})
    least = everything.least_bytes
    assert least < 16e9
    assert least / 1e9 == pytest.approx(2.98, abs=0.02)
    plan = make_plan(stock, V3_CONFIG, 4096, {CPU: least})
    assert plan.pinned == ()
    assert plan.slots == 2
    # Two buffers for a dense net, one for eh_proj.
    nets = 2 * 3 * 18432 * 7168 + 2 * 7168 * 14336
    assert plan.buffer_bytes == pytest.approx(nets, rel=1e-3)
    assert plan.cache_bytes == 4 * 4096 * (62 * 576 + 7168)
    assert everything.holds_everything
    assert everything.slots == 59 * 256


def test_v3_with_64_gb() -> None:
    stock, _ = v3()
    plan = make_plan(stock, V3_CONFIG, 4096, {CPU: 64_000_000_000})
    check(plan, stock)
    assert (plan.streamed, plan.embedding_pinned, plan.holds_everything) == ((), False, False)
    # 64 GB less 17.4 GB of units, and 1.9 GB of all else, in experts of 44.05 MB.
    assert plan.slots == pytest.approx((64 - 17.4 - 1.9) / 0.04405, rel=0.01)


def test_v3s_activations_by_hand() -> None:
    """Five streams of a prompt's states, and less than half as much for everything else."""
    streams = 5 * 4096 * 7168 * 4
    assert streams < activation_bytes(V3_CONFIG, 4096, has_mtp=True) < 1.5 * streams
    assert activation_bytes(V3_CONFIG, 4096, has_mtp=False) == (
        activation_bytes(V3_CONFIG, 4096, has_mtp=True) - 2 * 4096 * 7168 * 4
    )


def test_other_devices_are_refused_today() -> None:
    with pytest.raises(ValueError, match="CPU only"):
        make_plan(tiny(), TINY_CONFIG, CONTEXT, {0: 10**9, CPU: 10**9})


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2_000_000), st.integers(0, 2_000_000))
def test_places_fill_devices_in_order(gpu: int, cpu: int) -> None:
    """accelerate's map is the plain arithmetic: whole units, in order, each device until one does not fit."""
    units = tiny().units
    devices = {0: gpu, CPU: cpu}
    expected: list[int | str] = []
    order, left = [0, CPU, DISK], dict(devices)
    for unit in units:
        while order[0] != DISK and left[order[0]] < unit.bytes:
            order.pop(0)
        expected.append(order[0])
        if order[0] != DISK:
            left[order[0]] -= unit.bytes
    assert list(place(units, devices)) == expected


@given(st.integers(0, 3_000_000))
@settings(max_examples=40, deadline=None)
def test_places_on_the_cpu_alone_use_every_byte(cpu: int) -> None:
    units = tiny().units
    places = place(units, {CPU: cpu})
    count = places.index(DISK) if DISK in places else len(units)
    assert set(places[count:]) <= {DISK}
    assert sum(unit.bytes for unit in units[:count]) <= cpu
    assert count == len(units) or sum(unit.bytes for unit in units[: count + 1]) > cpu


def test_the_embedding_is_pinned_whole_or_not_at_all() -> None:
    unit = tiny().embedding_unit
    assert unit.kind is UnitKind.EMBEDDING
    assert place([unit], {CPU: unit.bytes}) == (CPU,)
    assert place([unit], {CPU: unit.bytes - 1}) == (DISK,)


def test_the_budget_is_the_same_at_every_depth() -> None:
    """Depth is no argument of a plan: what it needs is reserved for the deepest."""
    config: ModelConfig = TINY_CONFIG
    assert make_plan(tiny(), config, CONTEXT, {CPU: 10**12}).least_bytes == bounds("tiny")[0]
