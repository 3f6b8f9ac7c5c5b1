"""A comparison as it stands, fed by hand."""

from __future__ import annotations

import pytest

from app.figures import Figures
from app.screens.compare import how
from engine.events import FinishReason, Phase, Waiting
from engine.lanes import Lane, LaneEvent, LanesFinished
from engine.options import Acceptance, Mode
from tests.app.comparing.made import BASE, BEGIN, TWO, WHOLE, done, fast, run_of, slow, taken
from tests.app.panel.made import verified


def test_it_says_where_it_is() -> None:
    run = run_of()
    assert run.planned is None
    taken(run, BEGIN[:2])
    assert run.planned is not None
    assert run.prefilling is not None
    assert run.prefilling.layer == 3
    taken(run, BEGIN[2:])
    assert run.prefilling is None
    assert run.prepared is not None
    taken(run, slow(0)[:3])
    assert [token.id for token in run.text(0)] == [0, 1, 2]
    assert run.text(1) == []
    assert run.share(0) == pytest.approx(3 / 14)
    assert run.share_done == pytest.approx(3 / 28)
    assert not run.is_comparable
    taken(run, fast(0)[:1])
    assert run.is_comparable
    assert not run.is_over


def test_every_change_has_a_version_of_its_own() -> None:
    run, seen = run_of(), set()
    for each in WHOLE:
        run.take(each)
        assert run.version not in seen
        seen.add(run.version)


def test_the_text_is_that_of_the_last_repeat_a_lane_began() -> None:
    run = taken(run_of(), [*BEGIN, *slow(0)])
    assert len(run.text(0)) == 7
    run.take(slow(1)[0])
    assert [token.id for token in run.text(0)] == [0]
    assert run.share(0) == pytest.approx((7 + 1) / 14)
    assert run.repeat == 1


def test_a_lane_that_ends_early_is_done_and_one_that_is_cut_off_is_not() -> None:
    run = taken(run_of(), [*BEGIN, *slow(0)[:3], done(0, 0, FinishReason.STOP)])
    assert run.share(0) == 0.5
    run = taken(run_of(), [*BEGIN, *slow(0)[:3], done(0, 0, FinishReason.CANCELLED)])
    assert run.share(0) < 0.5


def test_its_figures_are_the_report_s() -> None:
    run = taken(run_of(), WHOLE)
    assert run.is_over
    assert run.share_done == 1.0
    assert run.report.row(1).tokens_per_second == pytest.approx(15)
    assert run.report.ratio(1) == pytest.approx(1.5)
    assert run.report.best == 1
    assert run.report.row(1).spread == pytest.approx(0)  # both repeats are there
    assert [run.tokens_decoded(lane) for lane in (0, 1)] == [14, 14]


def test_nothing_counts_after_the_end() -> None:
    run = taken(run_of(), [*BEGIN, *slow(0)[:2], LanesFinished(complete=False)])
    version = run.version
    taken(run, [*slow(0), LanesFinished(True, "never")])
    run.end("nor this")
    assert run.version == version
    assert run.finished == LanesFinished(complete=False)
    assert len(run.text(0)) == 2


def test_an_engine_that_is_gone_ends_it_and_keeps_what_there_is() -> None:
    run = taken(run_of(), [*BEGIN, *slow(0)[:2]])
    run.end("It is gone.")
    assert run.finished == LanesFinished(False, "It is gone.")
    assert len(run.text(0)) == 2


def test_news_of_lanes_that_were_not_asked_for_are_left_out() -> None:
    run = taken(run_of(), BEGIN)
    run.take(LaneEvent(7, 0, verified(0)))
    run.take(LaneEvent(0, 5, verified(0)))
    assert run.share_done == 0.0


def test_the_chat_s_table_has_the_same_figures() -> None:
    figures = Figures()
    taken(run_of(), WHOLE).tell(figures)
    assert figures.ratio(Mode.MTP, 2) == pytest.approx(1.5)
    rows = figures.rows(Mode.MTP, 2)
    assert (rows[2].tokens, rows[0].tokens) == (12, 12)
    assert rows[2].tokens_per_second == pytest.approx(15)
    assert figures.chat.rounds == 0


def test_of_an_incomplete_one_a_ratio_is_over_what_both_have() -> None:
    figures = Figures()
    run = taken(run_of(), [*BEGIN, *slow(0), *fast(0), *fast(1)[:2], LanesFinished(complete=False)])
    run.tell(figures)
    assert figures.rows(Mode.MTP, 2)[2].tokens == 9
    found = figures.comparison(Mode.MTP, 2)
    assert found is not None
    assert found.lane.tokens == found.base.tokens == 6
    assert figures.ratio(Mode.MTP, 2) == pytest.approx(1.5)


def test_every_drafter_has_a_table_of_its_own_and_auto_none() -> None:
    lanes = (BASE, TWO, Lane(Mode.NGRAM, 2), Lane(Mode.AUTO, 0))
    run = run_of(lanes, repeats=1)
    taken(run, [*BEGIN, *slow(0), *fast(0), *fast(0, 2, Mode.NGRAM), *fast(0, 3, Mode.AUTO)])
    run.take(LanesFinished(complete=True))
    figures = Figures()
    run.tell(figures)
    assert figures.ratio(Mode.MTP, 2) == figures.ratio(Mode.NGRAM, 2) == pytest.approx(1.5)
    assert figures.ratio(Mode.AUTO, 2) is None


def test_without_a_baseline_an_older_measurement_stands() -> None:
    figures = Figures()
    taken(run_of(), WHOLE).tell(figures)
    run = run_of((TWO,), repeats=1)
    taken(run, [*BEGIN, *fast(0, 0), LanesFinished(complete=True)]).tell(figures)
    assert figures.ratio(Mode.MTP, 2) == pytest.approx(1.5)


def test_texts_that_may_differ_are_not_promised() -> None:
    from app.commands.compare_table import same_text

    news = [*BEGIN, *slow(0, first=3), *fast(0), LanesFinished(complete=True)]
    run = taken(run_of(repeats=1), news)
    assert same_text(run.report, run.options) == "no"
    sampled = {"temperature": 1.0, "accept": Acceptance.REJECTION}
    assert same_text(run.report, run_of(**sampled).options) == "not promised"
    assert same_text(run.report, run_of(temperature=1.0).options) == "no"
    assert same_text(taken(run_of(), WHOLE).report, run.options) == "yes"


def test_what_it_waits_for_is_said_until_the_drafters_have_the_prompt() -> None:
    run = taken(run_of(), BEGIN[:3])
    run.take(LaneEvent(None, 0, Waiting(0, 0, 1, 3.2, Phase.CATCHING_UP)))
    assert how(run) == "This is why. Waiting for the disk while catching up: 3 s."
    run.take(BEGIN[3])
    assert "Waiting" not in how(run)
