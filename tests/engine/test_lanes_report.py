"""The table's arithmetic, on rounds made by hand."""

from __future__ import annotations

import json

import pytest

from engine.events import Event, Finished, FinishReason, Origin, RejectedToken, RoundDetail, Token, Verified
from engine.lanes import Lane, LaneEvent
from engine.lanes_report import LanesReport
from engine.options import Mode

BASE, TWO = Lane(Mode.MTP, 0), Lane(Mode.MTP, 2)


def made(
    number: int, ids: list[int], *, drafted: int = 0, draft: float = 0.0, verify: float = 1.0, **values: int
) -> Verified:
    """A round that drafted so many and accepted all but the last token of its ids."""
    accepted = len(ids) - 1
    tokens = tuple(Token(each, "", Origin.ORDINARY, 0, None, None) for each in ids)
    rejected = tuple(RejectedToken(0, "", None, None) for _ in range(drafted - accepted))
    experts = values.pop("experts", 0)
    detail = RoundDetail((), (tuple(range(experts)),)) if experts else None
    return Verified(
        number, Mode.MTP, drafted, accepted, tokens, rejected, draft, verify, detail=detail, **values
    )


def report_of(
    runs: dict[tuple[int, int, int], list[Event]], lanes: tuple[Lane, ...] = (BASE, TWO)
) -> LanesReport:
    """Runs by lane, prompt and repeat."""
    report = LanesReport(lanes)
    for (lane, prompt, repeat), events in runs.items():
        for event in events:
            report.observe(prompt, LaneEvent(lane, repeat, event))
    return report


def slow(texts: list[int], seconds: float = 1.0) -> list[Event]:
    """Depth 0: round 0, whose time counts nowhere, and then a token a round."""
    return [
        made(0, texts[:1], verify=99.0),
        *(made(n, [each], verify=seconds, experts=4) for n, each in enumerate(texts[1:], start=1)),
    ]


def fast(texts: list[int]) -> list[Event]:
    """Depth 2: three tokens in 1.5 s, then two tokens in 2.5 s, of which 0.5 drafting."""
    return [
        made(0, texts[:1], verify=99.0),
        made(1, texts[1:4], drafted=2, draft=0.5, verify=1.0, experts=6, expert_loads=3, bytes_read=500),
        made(2, texts[4:6], drafted=2, draft=0.5, verify=2.0, experts=10, expert_loads=2, bytes_read=250),
        Finished(FinishReason.LENGTH, 6, 4.0),
    ]


TEXT = [10, 11, 12, 13, 14, 15]


def test_a_row_has_the_figures_of_its_rounds() -> None:
    row = report_of({(0, 0, 0): slow(TEXT), (1, 0, 0): fast(TEXT)}).row(1)
    assert row.tokens == 5
    assert row.tokens_per_second == pytest.approx(5 / 4)
    assert row.ratio == pytest.approx((5 / 4) / 1)
    assert row.acceptance_by_position == (1.0, 0.5)
    assert row.mean_length == 2.5
    assert row.loads_per_token == 1.0
    assert row.bytes_per_token == 150.0
    assert row.draft_share == pytest.approx(1 / 4)
    assert row.spread is None


def test_the_ratio_is_over_the_tokens_that_both_decoded() -> None:
    base = slow(TEXT)
    report = report_of({(0, 0, 0): base[:-1], (1, 0, 0): fast(TEXT)})  # depth 0 was cut short by one token
    assert report.ratio(1) == pytest.approx((3 / 1.5) / 1), "the round that goes beyond it does not count"
    base[-1] = made(5, TEXT[5:], verify=100.0)
    report = report_of({(0, 0, 0): base, (1, 0, 0): fast(TEXT)[:2]})  # and here the other
    assert report.ratio(1) == pytest.approx((3 / 1.5) / 1), "nor do seconds beyond what the lane decoded"
    assert report.ratio(0) == 1.0


def test_there_is_no_ratio_between_different_texts() -> None:
    other = [*TEXT[:3], 99, *TEXT[4:]]
    report = report_of({(0, 0, 0): slow(TEXT), (1, 0, 0): fast(other)})
    assert report.ratio(1) is None
    assert not report.identical_text
    assert report.first_difference() == ((0, 0, 0), (1, 0, 0))


def test_a_text_that_was_cut_short_is_not_another_one() -> None:
    report = report_of({(0, 0, 0): slow(TEXT[:3]), (1, 0, 0): fast(TEXT)})
    assert report.identical_text
    report = report_of({(0, 0, 0): slow(TEXT[:3]), (1, 0, 0): fast(TEXT), (1, 0, 1): fast([*TEXT[:5], 99])})
    assert report.first_difference() == ((1, 0, 0), (1, 0, 1)), "the longest one says more"


def test_prompts_have_texts_of_their_own() -> None:
    other = [each + 50 for each in TEXT]
    report = report_of(
        {
            (0, 0, 0): slow(TEXT),
            (1, 0, 0): fast(TEXT),
            (0, 1, 0): slow(other, 3.0),
            (1, 1, 0): fast(other),
        }
    )
    assert report.identical_text
    assert report.row(0).tokens_per_second == pytest.approx(10 / 20)
    assert report.ratio(1) == pytest.approx((10 / 8) / (10 / 20))


def test_the_spread_is_half_the_range_over_the_whole() -> None:
    report = report_of({(0, 0, 0): slow(TEXT, 1.0), (0, 0, 1): slow(TEXT, 2.0)})
    assert report.row(0).spread == pytest.approx((1 - 0.5) / 2 / (10 / 15))


def test_a_ratio_scatters_by_half_the_range_of_its_repeats() -> None:
    runs = {(0, 0, 0): slow(TEXT, 1.0), (1, 0, 0): fast(TEXT)}
    assert report_of(runs).ratio_spread(1) is None, "one repeat says nothing of it"
    runs |= {(0, 0, 1): slow(TEXT, 2.0), (1, 0, 1): fast(TEXT)}
    report = report_of(runs)
    assert report.ratio_spread(1) == pytest.approx((2.5 - 1.25) / 2), "each over the base of its own repeat"
    assert report.ratio_spread(0) == 0
    assert report.ratio(1) == pytest.approx((10 / 8) / (10 / 15))
    assert report.best == 1
    assert report.best_is_clear
    assert not report.are_alike(0, 1)


def test_lanes_within_what_they_scatter_are_not_told_apart() -> None:
    runs = {(0, 0, 0): slow(TEXT, 0.7), (1, 0, 0): fast(TEXT), (0, 0, 1): slow(TEXT, 0.9)}
    report = report_of({**runs, (1, 0, 1): fast(TEXT)})
    assert report.ratio(1) == pytest.approx(0.8 * 1.25)
    assert report.are_alike(1, 0)
    assert not report.best_is_clear


def test_a_lane_that_says_something_else_differs() -> None:
    report = report_of({(0, 0, 0): slow(TEXT), (1, 0, 0): fast([*TEXT[:5], 99])})
    assert report.differs(1)
    assert not report.differs(0)
    assert not report_of({(0, 0, 0): slow(TEXT[:3]), (1, 0, 0): fast(TEXT)}).differs(1)


def test_the_readout_is_of_passes() -> None:
    readout = report_of({(0, 0, 0): slow(TEXT), (1, 0, 0): fast(TEXT)}).readout(1)
    assert readout.length == 2.5
    assert readout.width_cost == pytest.approx(1.5), "a pass's time is without drafting"
    assert readout.union == pytest.approx(8 / 4)


def test_without_depth_0_there_is_nothing_to_compare_with() -> None:
    report = report_of({(0, 0, 0): fast(TEXT)}, (TWO,))
    assert report.baseline is None
    assert report.best is None
    assert report.row(0).ratio is None
    assert report.readout(0).width_cost is None


def test_the_best_lane_has_the_highest_ratio() -> None:
    assert report_of({(0, 0, 0): slow(TEXT), (1, 0, 0): fast(TEXT)}).best == 1
    assert report_of({(0, 0, 0): slow(TEXT, 0.1), (1, 0, 0): fast(TEXT)}).best == 0


def test_nothing_measured_is_nothing_claimed() -> None:
    report = LanesReport((BASE, TWO))
    assert report.identical_text
    assert report.best is None
    row = report.row(1)
    assert (row.tokens, row.tokens_per_second, row.ratio, row.spread) == (0, None, None, None)


def test_json_has_these_keys_and_no_others() -> None:
    report = report_of({(0, 0, 0): slow(TEXT), (1, 0, 0): fast(TEXT)}, (BASE, Lane(Mode.AUTO, 0)))
    data = json.loads(json.dumps(report.to_json(interleaved=True), allow_nan=False))
    assert list(data) == ["interleaved", "identical_text", "lanes"]
    assert (data["interleaved"], data["identical_text"]) == (True, True)
    for lane in data["lanes"]:
        assert list(lane) == [
            "mode", "depth", "tokens", "tokens_per_second", "spread", "ratio", "ratio_spread",
            "acceptance_by_position", "mean_length", "loads_per_token", "bytes_per_token", "draft_share",
            "wait_share",
        ]  # fmt: skip
    assert [(lane["mode"], lane["depth"]) for lane in data["lanes"]] == [("ordinary", 0), ("auto", None)]
