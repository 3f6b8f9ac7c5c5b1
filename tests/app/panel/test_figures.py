"""Figures: what is counted where, and which lanes may be compared."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.figures import SERIES_LENGTH, SMOOTHED_OVER, Figures, Setting
from engine.decoding.counters import Counters
from engine.lanes import Lane, LaneEvent
from engine.lanes_report import LanesReport
from engine.options import GenerateOptions, Mode
from tests.app.panel.made import verified

if TYPE_CHECKING:
    from engine.events import Verified


def row(figures: Figures, depth: int, mode: Mode = Mode.MTP, current: int = 0):
    return figures.rows(mode, current)[depth]


def measured(*lanes: tuple[int, list[Verified]], options: GenerateOptions | None = None) -> Figures:
    """Figures of one measurement, of which each lane was decoded as often as it is named."""
    figures = Figures()
    depths = list(dict.fromkeys(depth for depth, _ in lanes))
    report = LanesReport([Lane(Mode.MTP, depth) for depth in depths])
    repeats: Counter[int] = Counter()
    for depth, rounds in lanes:
        for event in rounds:
            report.observe(0, LaneEvent(depths.index(depth), repeats[depth], event))
        repeats[depth] += 1
    figures.measured(Mode.MTP, report, options or GenerateOptions())
    return figures


BASE = [verified(0, [1]), *(verified(n, [n + 1], seconds=0.1) for n in range(1, 7))]
"""Tokens 1 to 7, of which six are counted, 10 a second."""
FAST = [verified(0, [1]), *(verified(n, [2 * n, 2 * n + 1], depth=1, seconds=0.125) for n in range(1, 4))]
"""The same tokens, two a round, 16 a second."""


def test_nothing_is_measured_at_first():
    figures = Figures()
    assert figures.recent_setting is None
    assert figures.series == ()
    assert figures.ratio(Mode.MTP, 2) is None
    assert [each.depth for each in figures.rows(Mode.MTP, 2)] == [0, 1, 2, 3, 4]
    assert all(each.tokens_per_second is None and not each.tokens for each in figures.rows(Mode.MTP, 2))
    assert [each.current for each in figures.rows(Mode.MTP, 2)] == [False, False, True, False, False]


def test_round_0_is_outside_and_begins_a_reply_when_another_round_follows():
    figures = Figures()
    for event in (verified(0), verified(1), verified(2)):
        figures.observe(event, 0)
    figures.observe(verified(0, seconds=100), 0)
    assert figures.reply.rounds == 2, "the last reply stands until the new one has figures"
    figures.observe(verified(1), 0)
    assert figures.reply.rounds == 1
    assert figures.chat.rounds == 3


def test_recent_begins_again_with_a_change_of_depth():
    figures = Figures()
    figures.observe(verified(0), 2)
    figures.observe(verified(1, [1, 2, 3], depth=2), 2)
    figures.observe(verified(2, [4], depth=1), 1)
    assert figures.recent.rounds == 1
    assert figures.recent_setting == Setting(Mode.MTP, 1)
    assert figures.reply.rounds == 2


def test_a_round_counts_at_the_depth_asked_for_where_it_drafted_less():
    figures = Figures()
    figures.observe(verified(1, [1], depth=0, mode=Mode.NGRAM), 3)
    assert row(figures, 3, Mode.NGRAM).tokens == 1
    assert row(figures, 0, Mode.NGRAM).tokens == 0


def test_a_round_begun_before_the_depth_was_lowered_counts_where_it_was_begun():
    figures = Figures()
    figures.observe(verified(1, [1], depth=4), 2)
    assert row(figures, 4).tokens == 1
    assert row(figures, 2).tokens == 0


def test_depth_0_is_one_row_in_every_mode():
    figures = Figures()
    figures.observe(verified(1), 0)
    figures.observe(verified(2, mode=Mode.NGRAM), 0)
    figures.observe(verified(3, mode=Mode.ORDINARY), 3)
    assert row(figures, 0, Mode.MTP).tokens == row(figures, 0, Mode.ORDINARY).tokens == 3
    assert row(figures, 3, Mode.ORDINARY).tokens == 0


def test_rounds_of_mode_auto_count_where_they_drafted_whatever_depth_is_set():
    figures = Figures()
    assert figures.auto_depth is None
    assert not any(each.current for each in figures.rows(Mode.AUTO, 3))
    figures.observe(replace(verified(1, [1, 2], depth=1, mode=Mode.AUTO), choice="Why."), 3)
    figures.observe(verified(2, [1, 2, 3], depth=2, mode=Mode.AUTO), 3)
    figures.observe(verified(3, [1], mode=Mode.AUTO), 3)
    assert (figures.auto_depth, figures.auto_choice) == (0, "")
    assert [row(figures, depth, Mode.AUTO).tokens for depth in range(4)] == [1, 2, 3, 0]
    assert [each.depth for each in figures.rows(Mode.AUTO, 3) if each.current] == [0]
    assert figures.recent.rounds == 3, "a change of its mind is no change of the setting"
    assert figures.recent_setting == Setting.auto()
    assert row(figures, 1).tokens == 0


def test_mode_auto_has_the_mtp_layer_s_measured_rows():
    figures = measured((0, BASE), (1, FAST))
    figures.observe(verified(1, [1, 2], depth=1, mode=Mode.AUTO), 3)
    figures.observe(verified(2, [1, 2, 3], depth=2, mode=Mode.AUTO), 3)
    assert row(figures, 1, Mode.AUTO).ratio == figures.ratio(Mode.MTP, 1) == pytest.approx(1.6)
    assert row(figures, 1, Mode.AUTO).tokens == 6
    assert (row(figures, 2, Mode.AUTO).tokens, row(figures, 2, Mode.AUTO).ratio) == (3, None)


def test_speeds_of_the_chat_alone_give_no_ratio():
    figures = Figures()
    figures.observe(verified(1), 0)
    figures.observe(verified(2, [1, 2], depth=1), 1)
    assert row(figures, 0).tokens_per_second == pytest.approx(10)
    assert row(figures, 1).tokens_per_second == pytest.approx(20)
    assert row(figures, 0).ratio is None
    assert row(figures, 1).ratio is None


def test_lanes_of_the_same_tokens_are_compared():
    figures = measured((0, BASE), (1, FAST))
    assert row(figures, 0).ratio == pytest.approx(1)
    assert row(figures, 1).ratio == pytest.approx(1.6)
    assert (row(figures, 1).tokens, row(figures, 1).tokens_per_second) == (6, pytest.approx(16))
    assert figures.chat.rounds == 0, "a measurement is not part of the chat"


def test_a_lane_under_way_is_compared_over_what_both_have():
    slow_start = [verified(n, [n + 1], seconds=0.4 if n < 3 else 0.1) for n in range(1, 7)]
    figures = measured((0, [verified(0, [1]), *slow_start]), (1, FAST[:2]))
    found = figures.comparison(Mode.MTP, 1)
    assert found is not None
    assert found.base.tokens == found.lane.tokens == 2
    assert found.ratio == pytest.approx(16 / 2.5)


def test_a_base_that_was_stopped_bounds_the_comparison():
    figures = measured((0, BASE[:4]), (1, FAST))
    found = figures.comparison(Mode.MTP, 1)
    assert found is not None
    assert found.lane.tokens == found.base.tokens == 2


def test_other_tokens_give_no_ratio():
    other = [FAST[0], verified(1, [2, 99], depth=1), *FAST[2:]]
    figures = measured((0, BASE), (1, other))
    found = figures.comparison(Mode.MTP, 1)
    assert found is not None
    assert not found.is_same_text
    assert figures.ratio(Mode.MTP, 1) is None
    assert row(figures, 1).tokens_per_second is not None, "its speed is measured all the same"


def test_a_new_measurement_forgets_the_lanes_of_its_mode_alone():
    figures = measured((0, BASE), (1, FAST))
    nothing = LanesReport([Lane(Mode.NGRAM, 0), Lane(Mode.NGRAM, 1)])
    figures.measured(Mode.NGRAM, nothing, GenerateOptions())
    assert figures.ratio(Mode.MTP, 1) is not None
    figures.measured(Mode.MTP, nothing, GenerateOptions())
    assert figures.ratio(Mode.MTP, 1) is None


def test_a_ratio_scatters_by_half_the_range_of_its_repeats():
    slow = [FAST[0], *(replace(event, verify_seconds=0.25) for event in FAST[1:])]
    figures = measured((0, BASE), (0, BASE), (1, FAST), (1, slow))
    assert row(figures, 1).spread == pytest.approx((1.6 - 0.8) / 2)
    assert row(figures, 1).ratio == pytest.approx(12 / 1.125 / 10)
    found = figures.comparison(Mode.MTP, 1)
    assert found is not None
    assert found.is_within_spread


def test_rounds_at_a_pace_or_of_another_day_are_in_no_row():
    figures = Figures()
    figures.observe(verified(1, [1, 2], depth=1), 1, at_full_speed=False)
    assert figures.recent.tokens == figures.chat.tokens == 2
    assert row(figures, 1).tokens == 0
    figures.observe(verified(2, [1, 2], depth=1), 1)
    assert row(figures, 1).tokens == 2


def test_the_series_is_smoothed_and_bounded():
    figures = Figures()
    for number in range(1, 200):
        figures.observe(verified(number, seconds=0.1 if number % 2 else 0.3), 0)
    assert len(figures.series) == SERIES_LENGTH
    assert all(value == pytest.approx(5) for value in figures.series)
    assert SMOOTHED_OVER % 2 == 0


def test_the_version_tells_of_every_change():
    figures = Figures()
    seen = {figures.version}
    figures.observe(verified(1), 0)
    seen.add(figures.version)
    figures.measured(Mode.MTP, LanesReport([Lane(Mode.MTP, 0)]), GenerateOptions())
    seen.add(figures.version)
    assert len(seen) == 3


rounds = st.builds(
    lambda depth, share, seconds: (depth, round(share * depth), seconds),
    st.integers(0, 4),
    st.floats(0, 1),
    st.floats(0.001, 2),
)


@given(st.lists(rounds, max_size=40))
def test_the_table_adds_up_to_the_chat(found):
    figures, counters = Figures(), Counters()
    for number, (depth, accepted, seconds) in enumerate(found):
        event = verified(number, range(accepted + 1), depth=depth, seconds=seconds)
        figures.observe(event, depth)
        counters.observe(event)
    assert figures.chat.tokens == counters.tokens
    assert sum(each.tokens for each in figures.rows(Mode.MTP, 0)) == counters.tokens
    assert figures.chat.acceptance_by_position == counters.acceptance_by_position


@given(st.integers(1, 40), st.lists(st.integers(1, 4), min_size=1, max_size=20), st.floats(0.01, 1))
def test_both_sides_of_a_ratio_count_the_same_tokens(base_tokens, lengths, seconds):
    base = [verified(n, [n], seconds=seconds) for n in range(base_tokens + 1)]
    lane, at = [verified(0, [0])], 1
    for number, length in enumerate(lengths, start=1):
        lane.append(verified(number, range(at, at + length), depth=3, seconds=0.2))
        at += length
    found = measured((0, base), (3, lane)).comparison(Mode.MTP, 3)
    if found is None:
        assert lengths[0] > base_tokens
    else:
        assert found.is_same_text
        assert found.lane.tokens == found.base.tokens <= min(base_tokens, sum(lengths))
        assert found.ratio == pytest.approx(found.lane.tokens_per_second / found.base.tokens_per_second)
