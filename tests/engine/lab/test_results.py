"""Intervals, ranking and verdicts: pure arithmetic."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.lab.far import Frequent, far_row, ngram_guess, right_until
from engine.lab.intervals import Interval, paired
from engine.lab.results import Verdict, WiringReport, WiringRow, ranked
from engine.lab.texts import BLOCK_TOKENS, MOST_BLOCKS, blocks
from engine.lab.wiring import ALONE, BASE, TRIED, Order, Recursion, State, Wiring

ZERO = Interval(0.0, 0.0, 0.0)


def row(
    wiring: Wiring, first: float, gain: Interval = ZERO, loss: Interval = ZERO, nats: float = 1.0
) -> WiringRow:
    return WiringRow(wiring, (first, first / 2), nats, gain, loss)


def report(*rows: WiringRow) -> WiringReport:
    return WiringReport("m", "some texts", 3, 9, ranked(rows), (), 0)


@given(st.lists(st.tuples(st.floats(-9, 9), st.integers(1, 40)), min_size=2, max_size=12))
def test_an_interval_holds_its_mean_and_the_texts_extremes_hold_it(texts: list[tuple[float, int]]) -> None:
    found = paired([total for total, _ in texts], [count for _, count in texts])
    means = [total / count for total, count in texts]
    assert found.mean == pytest.approx(sum(total for total, _ in texts) / sum(count for _, count in texts))
    assert min(means) - 1e-9 <= found.low <= found.high <= max(means) + 1e-9


def test_more_texts_that_agree_make_it_narrow_and_one_alone_says_nothing() -> None:
    few = paired([1.0, 3.0, 2.0], [10, 10, 10])
    many = paired([1.0, 3.0, 2.0] * 20, [10] * 60)
    assert many.high - many.low < (few.high - few.low) / 2
    assert many.low < 0.2 < many.high
    alone = paired([5.0], [10])
    assert (alone.mean, alone.low, alone.high) == (0.5, -math.inf, math.inf)
    assert alone.is_zero
    assert few.is_known
    assert not alone.is_known


def test_a_difference_that_is_always_there_is_told_from_nothing() -> None:
    assert not paired([1.0, 1.2, 0.9, 1.1], [5, 5, 5, 5]).is_zero
    assert paired([1.0, -1.2, 0.9, -1.1], [5, 5, 5, 5]).is_zero


def test_verdicts_look_at_accepted_drafts_first_and_at_nats_where_those_are_tied() -> None:
    worse, better, unsure = Interval(-1, -2, -0.5), Interval(1, 0.5, 2), Interval(0.1, -0.1, 0.3)
    wiring = ALONE[0]
    assert row(BASE, 0.9).verdict is Verdict.BASE
    assert row(wiring, 0.1, worse, Interval(-1, -2, -0.5)).verdict is Verdict.WORSE
    assert row(wiring, 0.9, better, Interval(1, 0.5, 2)).verdict is Verdict.BETTER
    assert row(wiring, 0.9, unsure, unsure).verdict is Verdict.TIED
    assert row(wiring, 0.9, unsure, Interval(1, 0.5, 2)).verdict is Verdict.WORSE
    assert row(wiring, 0.9, unsure, Interval(-1, -2, -0.5)).verdict is Verdict.BETTER
    assert row(wiring, 0.9, ZERO, Interval(1e-6, 1e-7, 2e-6)).verdict is Verdict.TIED  # rounding


def test_equals_rank_with_the_base_first() -> None:
    rows = [row(ALONE[5], 0.9), row(BASE, 0.9), row(ALONE[1], 0.9, nats=0.5), row(ALONE[0], 0.1)]
    assert [each.wiring for each in ranked(rows)] == [ALONE[1], BASE, ALONE[5], ALONE[0]]


def test_the_verdict_names_what_is_worse_and_what_is_tied() -> None:
    swapped = row(Wiring(order=Order.HIDDEN), 0.05, Interval(-1, -2, -0.5))
    early = row(Wiring(state=State.BEFORE), 0.9)
    said = " ".join(report(row(BASE, 0.9), swapped, early).verdict())
    assert "90 % of first drafts accepted" in said
    assert "hidden state first: 5 %" in said
    assert "cannot tell apart from it: before the final norm." in said


def test_what_keeps_as_many_drafts_is_worse_by_nats_alone() -> None:
    early = row(Wiring(state=State.BEFORE), 0.91, Interval(0.01, -0.1, 0.1), Interval(0.05, 0.02, 0.08))
    said = " ".join(report(row(BASE, 0.9), early).verdict())
    assert "Tied with it by drafts, worse than its" in said
    assert "nats: before the final norm" in said
    assert "Worse than its" not in said


def test_without_intervals_nothing_is_said_of_other_wirings() -> None:
    rows = [row(BASE, 0.94, paired([0.0], [9])), row(Wiring(order=Order.HIDDEN), 0.0, paired([-9.0], [9]))]
    found = report(*rows)
    assert [each.verdict for each in found.rows] == [Verdict.BASE, Verdict.UNKNOWN]
    first, second = found.verdict()
    assert "94 % of first drafts accepted" in first
    assert "One text gives no intervals" in second
    assert WiringReport.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_a_text_of_one_token_has_1_token() -> None:
    with pytest.raises(UsageError, match="The text has 1 token, and"):
        blocks([7], 4096)


def test_a_better_wiring_is_named_by_the_fewest_changes_that_give_it() -> None:
    gain = Interval(1.2, 1.0, 1.4)
    alone = row(Wiring(order=Order.HIDDEN), 0.90, gain)
    both = row(Wiring(order=Order.HIDDEN, state=State.BEFORE), 0.92, gain)
    (said,) = report(row(BASE, 0.05), alone, both).verdict()
    assert "hidden state first, 90 % of first drafts" in said
    assert "As draftscope runs it: 5 %" in said


def test_what_is_tried_is_all_that_can_be_chosen() -> None:
    assert BASE.differences == ()
    assert all(len(wiring.differences) == 1 for wiring in ALONE)
    assert len(set(TRIED)) == len(TRIED)
    for name in ("order", "state", "end_norm", "token", "position", "recursion", "prompt"):
        kind = type(getattr(BASE, name))
        assert {getattr(wiring, name) for wiring in TRIED} == set(kind)
    assert replace(BASE, recursion=Recursion.RAW).label == "again from the raw state"


@given(st.sampled_from(TRIED))
def test_a_wiring_comes_through_json(wiring: Wiring) -> None:
    assert Wiring.from_json(json.loads(json.dumps(wiring.to_json()))) == wiring


@pytest.mark.parametrize(
    "change", [{"wirings": 3}, {"texts": "x"}, {"far": [{"name": "a"}]}, {"places": None}]
)
def test_what_is_no_report_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        WiringReport.from_json({**report(row(BASE, 0.9)).to_json(), **change})
    open_ended = row(BASE, 0.9, Interval(0.5, -math.inf, math.inf))
    data = json.loads(json.dumps(report(open_ended).to_json(), allow_nan=False))
    assert WiringReport.from_json(data).base.accepted_difference.high == math.inf


def test_guesses_without_a_model() -> None:
    frequent = Frequent([[1, 2, 3, 1, 2, 4, 1, 2, 3], [7, 7]])
    assert frequent.guess([9, 1], 3) == [2, 3, 1]
    assert frequent.guess([5], 1) == [1]  # an unknown token: the most usual one, the lowest id of equals
    assert ngram_guess([5, 6, 7, 8, 5, 6], 3) == [7, 8, 5]
    assert ngram_guess([5, 6, 7], 3) == []


@given(st.lists(st.integers(0, 2), max_size=8), st.lists(st.integers(0, 2), max_size=8))
def test_right_until_is_the_common_beginning(guessed: list[int], text: list[int]) -> None:
    count = right_until(guessed, text)
    assert guessed[:count] == text[:count]
    assert count == min(len(guessed), len(text)) or guessed[count] != text[count]


@given(st.lists(st.integers(0, 8), min_size=1))
def test_shares_fall_with_depth(right: list[int]) -> None:
    shares = far_row("x", right, 8).acceptance
    assert all(deeper <= share for share, deeper in pairwise(shares))
    assert sum(shares) == pytest.approx(sum(right) / len(right))


@given(st.integers(12, 5000), st.integers(12, 200))
def test_blocks_are_pieces_of_the_text_in_order(length: int, context: int) -> None:
    ids = list(range(length))
    cut = blocks(ids, context)
    assert 1 <= len(cut) <= MOST_BLOCKS
    assert all(list(block) == ids[block[0] : block[0] + len(block)] for block in cut)
    assert all(12 <= len(block) <= min(BLOCK_TOKENS, context) for block in cut)
    starts = [block[0] for block in cut]
    assert starts == sorted(set(starts))
