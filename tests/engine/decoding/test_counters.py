"""Sums and rates over rounds, against a recount of every token of every event."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.decoding.counters import Counters
from engine.events import Origin, RejectedToken, Token, Verified
from engine.options import Mode
from tests.engine.decoding.replies import BASE, reply

if TYPE_CHECKING:
    from engine import Engine

SECONDS = st.integers(0, 64).map(lambda n: n / 64)  # sums of these are exact


@st.composite
def rounds(draw: st.DrawFn) -> Verified:
    """A round as the engine reports it, also one that a stop string ended among its accepted drafts."""
    drafted = draw(st.integers(0, 8))
    accepted = draw(st.integers(0, drafted))
    tokens = [Token(7, "", Origin.ACCEPTED, n + 1, -0.5, -0.5) for n in range(accepted)]
    if not accepted or draw(st.booleans()):
        tokens.append(Token(8, "", Origin.ORDINARY, 0, -0.5, None))
    return Verified(
        draw(st.integers(0, 3)),
        draw(st.sampled_from(Mode)),
        drafted,
        accepted,
        tuple(tokens),
        tuple(RejectedToken(9, "", None, None) for _ in range(drafted - accepted)),
        *(draw(SECONDS) for _ in range(4)),
        expert_uses=draw(st.integers(0, 9)),
        expert_hits=draw(st.integers(0, 9)),
        expert_loads=draw(st.integers(0, 9)),
        prefetch_used=draw(st.integers(0, 9)),
        prefetch_wasted=draw(st.integers(0, 9)),
        bytes_read=draw(st.integers(0, 2**40)),
    )


@settings(deadline=None, max_examples=200, derandomize=True, database=None)
@given(events=st.lists(rounds(), max_size=20))
def test_a_recount(events: list[Verified]) -> None:
    counters = Counters()
    for event in events:
        counters.observe(event)
    counted = [event for event in events if event.round != 0]
    drafted = sum(event.depth for event in counted)
    accepted = sum(token.origin is Origin.ACCEPTED for event in counted for token in event.tokens)
    tokens = sum(len(event.tokens) for event in counted)
    seconds = sum(event.draft_seconds + event.verify_seconds for event in counted)
    assert (counters.rounds, counters.drafted, counters.accepted) == (len(counted), drafted, accepted)
    assert (counters.tokens, counters.seconds) == (tokens, seconds)
    assert counters.catchup_seconds == sum(event.catchup_seconds for event in counted)
    assert counters.wait_seconds == sum(event.wait_seconds for event in counted)
    experts = ("expert_uses", "expert_hits", "expert_loads")
    for name in (*experts, "prefetch_used", "prefetch_wasted", "bytes_read"):
        assert getattr(counters, name) == sum(getattr(event, name) for event in counted)
    by_position = []
    for position in range(1, 9):
        with_one = [event for event in counted if event.depth >= position]
        hits = sum(any(token.position == position for token in event.tokens) for event in with_one)
        if with_one:
            by_position.append(float(Fraction(hits, len(with_one))))
    assert counters.acceptance_by_position == tuple(by_position)
    assert counters.acceptance == (accepted / drafted if drafted else None)
    assert counters.mean_length == (1 + accepted / len(counted) if counted else None)
    assert counters.tokens_per_second == (tokens / seconds if seconds else None)


def test_nothing_has_no_rates() -> None:
    counters = Counters()
    counters.observe(Verified(0, Mode.ORDINARY, 0, 0, (Token(7, "", Origin.ORDINARY, 0, 0.0, None),), ()))
    assert counters.acceptance is None
    assert counters.mean_length is None
    assert counters.tokens_per_second is None
    assert counters.hit_rate is None
    assert counters.loads_per_token is None
    assert counters.bytes_per_token is None
    assert counters.wait_share is None
    assert counters.acceptance_by_position == ()
    assert (counters.rounds, counters.tokens) == (0, 0)


def test_an_ordinary_round_counts_as_one_that_accepts_nothing() -> None:
    counters = Counters()
    counters.observe(
        Verified(1, Mode.MTP, 0, 0, (Token(7, "", Origin.ORDINARY, 0, 0.0, None),), (), verify_seconds=0.5)
    )
    assert counters.acceptance is None
    assert (counters.mean_length, counters.tokens_per_second) == (1.0, 2.0)


def test_what_moving_weights_cost() -> None:
    counters = Counters()
    tokens = tuple(Token(7, "", Origin.ACCEPTED, place, 0.0, 0.0) for place in (1, 2))
    moved = {"expert_uses": 8, "expert_hits": 6, "expert_loads": 2, "bytes_read": 600}
    moved |= {"prefetch_used": 3, "prefetch_wasted": 1}
    counters.observe(Verified(0, Mode.MTP, 0, 0, tokens[:1], (), wait_seconds=9.0, **moved))
    assert counters.hit_rate is None
    times = {"draft_seconds": 0.25, "verify_seconds": 0.5, "catchup_seconds": 0.25, "wait_seconds": 0.5}
    for number in (1, 2):
        counters.observe(Verified(number, Mode.MTP, 2, 2, tokens, (), **times, **moved))
    assert counters.hit_rate == 3 / 8, "what was read ahead was not there"
    assert counters.loads_per_token == 2.5
    assert counters.bytes_per_token == 300.0
    assert counters.wait_share == 0.5, "of drafting, verifying and catching up"
    assert (counters.prefetch_used, counters.prefetch_wasted) == (6, 2)


@pytest.mark.parametrize("depth", [0, 1, 4])
def test_counts_of_a_real_reply(depth: int, engine: Engine) -> None:
    counters = Counters()
    outcome = reply(engine, BASE, depth=depth)
    for event in outcome.verified:
        counters.observe(event)
    assert counters.tokens == outcome.finished.tokens - 1
    assert counters.tokens == counters.rounds + counters.accepted, "every round whole: length cuts depth"
    assert counters.mean_length == pytest.approx(counters.tokens / counters.rounds)
    assert len(counters.acceptance_by_position) == depth
    if depth == 4:
        assert counters.acceptance is not None
        assert 0 < counters.acceptance < 1
        by_position = counters.acceptance_by_position
        assert list(by_position) == sorted(by_position, reverse=True)
