"""The forecast's arithmetic, against figures worked by hand."""

from __future__ import annotations

import pytest

from engine.offload.forecast import (
    Bound,
    Multiplier,
    experts_used,
    forecast,
)
from engine.offload.plan import CPU, make_plan
from tests.engine.offload.made import TINY, TINY_CONFIG, V3_CONFIG, config_of, inventory_of, tiny, v3

# One token takes a nanosecond a weight, and each further one a quarter of that.
QUARTER = Multiplier(0.75e-9, 0.25e-9)


def test_experts_used() -> None:
    assert experts_used(8, 2, 1) == pytest.approx(2)
    assert experts_used(8, 2, 2) == pytest.approx(8 * (1 - 0.75**2)) == pytest.approx(3.5)
    # facts/peers.md, 1b: U(2) = 1.97, U(3) = 2.91, U(4) = 3.82 times one token's.
    for tokens, union in ((2, 1.97), (3, 2.91), (4, 3.82)):
        assert experts_used(256, 8, tokens) / 8 == pytest.approx(union, abs=0.005)
    assert experts_used(4, 4, 3) == 4


def test_v3_cold_reads_what_its_page_of_facts_says() -> None:
    """464 expert uses a token, 20.4 GB, 2.9 s at 7 GB/s."""
    stock, _ = v3()
    plan = make_plan(stock, V3_CONFIG, 4096, {CPU: 21_500_000_000})
    assert plan.streamed == ()
    plain = forecast(plan, stock, V3_CONFIG, 7e9, QUARTER).rounds[0].cost
    assert plain.work.expert_loads == pytest.approx(464, rel=0.005)
    assert plain.work.bytes_read == pytest.approx(20.4e9, rel=0.005)
    assert plain.reading_seconds == pytest.approx(2.9, abs=0.05)
    # 37 G weights a token, of which the embedding's 0.9 G are looked up and not multiplied.
    assert plain.work.weights == plain.work.products == pytest.approx(36.5e9, rel=0.01)


def test_a_tiny_model_by_hand() -> None:
    """4 layers, 1 dense, 8 experts of which 2 are used; the least budget, so that all is read but 2 of 32."""
    stock = tiny()
    least = make_plan(stock, TINY_CONFIG, 64, {CPU: 10**12}).least_bytes
    plan = make_plan(stock, TINY_CONFIG, 64, {CPU: least})
    assert plan.streamed == stock.units
    expert = 3 * 100 * 160  # also its bytes
    attention = 136 * 160 + 2 * 88 * 136 + 128 * 160 + 2 * 64 * 64 + 160 * 2 * 40
    dense, head, projection = 3 * 300 * 160, 640 * 160, 160 * 320
    body = 4 * attention + dense + 3 * expert
    row = 2 * 160  # bytes of the embedding
    miss = 1 - 2 / 32

    plain, first, second = forecast(plan, stock, TINY_CONFIG, 1e6, QUARTER, (0, 1, 2)).rounds
    assert plain.cost.work.expert_loads == pytest.approx(3 * 2 * miss)
    assert plain.cost.work.bytes_read == pytest.approx(body + 2 * head + row + 3 * 2 * miss * expert)
    assert plain.cost.work.weights == pytest.approx(body + head + 3 * 2 * expert)
    assert plain.breakeven_tokens == 1

    # Two tokens verified: 3.5 experts a layer. The MTP layer takes in two rows: as many of its experts.
    mtp = projection + attention + expert
    loads = (3 + 1) * 3.5 * miss
    read = body + 2 * head + 2 * row + 2 * projection + attention + expert + 2 * head + 2 * row
    assert first.cost.work.expert_loads == pytest.approx(loads)
    assert first.cost.work.bytes_read == pytest.approx(read + loads * expert)
    assert first.cost.work.weights == pytest.approx(body + head + mtp + head + 4 * 3.5 * expert)
    products = 2 * (body + head + 3 * 2 * expert) + 2 * (mtp + 2 * expert) + head
    assert first.cost.work.products == pytest.approx(products)
    assert first.cost.reading_seconds == pytest.approx((read + loads * expert) / 1e6)
    assert first.cost.computing_seconds == pytest.approx(
        first.cost.work.weights * 0.75e-9 + products * 0.25e-9
    )
    assert first.cost.bound is Bound.DRIVE
    assert first.cost.seconds == first.cost.reading_seconds
    assert first.breakeven_tokens == pytest.approx(first.cost.work.bytes_read / plain.cost.work.bytes_read)

    # The third draft's pass is over one row: two experts, of which some are in slots.
    three = 8 * (1 - 0.75**3)
    assert second.cost.work.expert_loads == pytest.approx((3 * three + three + 2) * miss)


def test_a_prompt_reads_each_expert_once() -> None:
    stock, _ = v3()
    plan = make_plan(stock, V3_CONFIG, 4096, {CPU: 12_000_000_000})
    prompts = {one.tokens: one.cost for one in forecast(plan, stock, V3_CONFIG, 7e9, QUARTER).prompts}
    assert list(prompts) == [20, 200, 2000]
    assert prompts[20].work.expert_loads == pytest.approx(58 * 256 * (1 - (1 - 8 / 256) ** 20), rel=1e-3)
    main_experts = 58 * 256
    assert prompts[2000].work.expert_loads == pytest.approx(main_experts, rel=1e-3)
    streamed = sum(unit.tensor_bytes for unit in plan.streamed if not unit.mtp)
    assert prompts[2000].work.bytes_read == pytest.approx(
        main_experts * 44_040_192 + streamed + 2000 * 7168 * 2, rel=1e-3
    )


def test_prompts_that_do_not_fit_are_left_out() -> None:
    stock = tiny()
    plan = make_plan(stock, TINY_CONFIG, 200, {CPU: 10**12})
    assert [one.tokens for one in forecast(plan, stock, TINY_CONFIG).prompts] == [20]


def test_with_everything_in_ram_the_multiplier_is_the_bound() -> None:
    stock = tiny()
    plan = make_plan(stock, TINY_CONFIG, 4096, {CPU: 10**12})
    assert plan.holds_everything
    result = forecast(plan, stock, TINY_CONFIG, 1e9, QUARTER)
    for one in (*result.rounds, *result.prompts):
        assert one.cost.work.bytes_read == 0
        assert one.cost.work.expert_loads == 0
        assert one.cost.bound is Bound.MULTIPLIER
    assert [one.depth for one in result.rounds] == [0, 1, 2, 3, 4]


def test_without_speeds_there_are_no_seconds() -> None:
    stock = tiny()
    plan = make_plan(stock, TINY_CONFIG, 64, {CPU: 10**12})
    for disk, multiplier in ((None, None), (1e9, None), (None, QUARTER)):
        for one in forecast(plan, stock, TINY_CONFIG, disk, multiplier).rounds:
            assert (one.cost.seconds, one.cost.bound, one.breakeven_tokens) == (None, None, None)


def test_without_mtp_drafts_cost_their_verification_only() -> None:
    config = config_of(TINY, num_nextn_predict_layers=0)
    stock = inventory_of(config)
    least = make_plan(stock, config, 64, {CPU: 10**12}).least_bytes
    plan = make_plan(stock, config, 64, {CPU: least})
    plain, first = forecast(plan, stock, config, depths=(0, 1)).rounds
    more = first.cost.work.expert_loads - plain.cost.work.expert_loads
    assert more == pytest.approx(3 * 1.5 * (1 - 2 / 24))
    assert first.cost.work.bytes_read - plain.cost.work.bytes_read == pytest.approx(more * 48_000 + 320)


def test_a_model_without_experts_is_forecast_too() -> None:
    config = config_of(TINY, num_nextn_predict_layers=0, first_k_dense_replace=4)
    stock = inventory_of(config)
    plan = make_plan(stock, config, 64, {CPU: 10**12})
    assert forecast(plan, stock, config).rounds[2].cost.work.expert_loads == 0
