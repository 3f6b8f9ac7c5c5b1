"""The header's line: what it says of a state, and what it leaves out first."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.backends.base import Loading, Memory
from app.widgets.header import Header, HeaderState, LoadEstimate, header_line
from engine.options import GenerateOptions, Mode
from tests.app.panel.made import Bare, screen_text, wait_until

STATE = HeaderState(
    model="demo",
    weights_bytes=19_000_000,
    options=GenerateOptions(depth=2),
    pace=12,
    memory=Memory(200_000_000, 500_000_000),
    context_used=412,
    context=1024,
)


async def test_the_whole_line_at_120_columns():
    header = Header()
    app = Bare(header)
    async with app.run_test(size=(120, 5)) as pilot:
        header.state = STATE
        await pilot.pause()
        line = screen_text(app).splitlines()[0]
    assert line.startswith(" draftscope  demo · DeepSeek-V3 format · 19 MB   ")
    right = "MTP · depth ‹ 2 › · greedy · paced · RAM 0.2/0.5 GB · context 412/1024"
    assert line.endswith(right)
    assert len(line) == 119, "it ends a column before the edge"


def test_80_columns_keep_mode_depth_and_context_however_much_there_is_to_say():
    state = HeaderState(
        model="a-model-with-a-very-long-name-of-61-layers",
        weights_bytes=671_000_000_000,
        options=GenerateOptions(mode=Mode.NGRAM, depth=8, temperature=0.85, seed=123456789),
        pace=12,
        paused=True,
        replay=True,
        memory=Memory(11_900_000_000, 12_000_000_000),
        context_used=100_000,
        context=131_072,
    )
    line = header_line(state, 78).plain
    assert len(line) == 78
    for piece in ("n-gram", "depth ‹ 8 ›", "context 100000/131072", "paused", "replay"):
        assert piece in line
    assert "GB" not in line


@given(st.integers(0, 200))
def test_it_never_is_wider_than_its_room_unless_only_the_kept_are_left(width):
    line = header_line(STATE, width).plain
    assert len(line) <= width or line == "MTP · depth ‹ 2 › · context 412/1024"


def test_what_is_less_important_goes_first():
    shown = [header_line(STATE, width).plain for width in range(120, 40, -1)]
    pieces = ("DeepSeek-V3 format", "19 MB", "RAM", "paced", "draftscope", "demo", "greedy")
    lasts = [max(n for n, line in enumerate(shown) if piece in line) for piece in pieces]
    assert lasts == sorted(lasts)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "greedy"),
        ({"temperature": 0.8, "seed": 3}, "T 0.8 · seed 3 · coupled"),
        ({"temperature": 1, "seed": 3, "accept": "rejection"}, "T 1 · seed 3 · rejection"),
    ],
)
def test_sampling_in_short(values, said):
    state = HeaderState(options=GenerateOptions().changed(values))
    assert f"› · {said}" in header_line(state, 120).plain


@pytest.mark.parametrize("mode", list(Mode))
def test_every_mode_has_a_name(mode):
    assert "depth ‹" in header_line(replace(STATE, options=GenerateOptions(mode=mode)), 118).plain


def test_paused_goes_before_paced():
    paused = header_line(HeaderState(pace=12, paused=True), 120).plain
    assert "paused" in paused
    assert "paced" not in paused


def test_small_budgets_are_in_megabytes():
    assert "RAM 19/25 MB" in header_line(HeaderState(memory=Memory(19_000_000, 25_000_000)), 120).plain
    small = HeaderState(memory=Memory(231_000_000, 25_000_000))
    assert "model ≤ 25 of 231 MB" in header_line(small, 120).plain
    assert "RAM 1.2 GB" in header_line(HeaderState(memory=Memory(1_200_000_000, 0)), 120).plain


def test_a_models_name_is_harmless():
    assert "\x1b" not in header_line(HeaderState(model="a\x1b[31mb\nc"), 120).plain


async def test_loading_says_how_much_and_after_a_while_how_long():
    now = 0.0
    header = Header(clock=lambda: now)
    app = Bare(header)
    async with app.run_test(size=(120, 5)) as pilot:
        header.state = HeaderState("m", loading=Loading("a", 1_000_000_000, 12_100_000_000))
        await wait_until(pilot, lambda: "loading 8 % of 12.1 GB" in screen_text(app))
        assert "left" not in screen_text(app)
        now = 4.0
        header.state = HeaderState("m", loading=Loading("a", 5_200_000_000, 12_100_000_000))
        await wait_until(pilot, lambda: "loading 43 % of 12.1 GB · 7 s left" in screen_text(app))
        assert "━━━━━━━─────────" in screen_text(app)


def test_loading_says_what_is_done_before_anything_is_read():
    state = HeaderState("m", loading=Loading("compiling\x1b", 0, 0))
    assert header_line(state, 60).plain.endswith("loading, compiling␛")
    assert "loading, 2 MB read" in header_line(HeaderState(loading=Loading("a", 2_000_000, 0)), 60).plain


def test_time_left_needs_two_seconds_and_a_rate():
    now = 0.0
    estimate = LoadEstimate(lambda: now)
    assert estimate.seconds_left(Loading("a", 0, 100)) is None
    now = 1.9
    assert estimate.seconds_left(Loading("a", 50, 100)) is None
    now = 4.0
    assert estimate.seconds_left(Loading("a", 80, 100)) == pytest.approx(1.0)
    assert estimate.seconds_left(Loading("b", 10, 100)) is None, "another load begins anew"
    now = 9.0
    assert estimate.seconds_left(Loading("b", 10, 100)) is None, "nothing was read meanwhile"
    assert estimate.seconds_left(Loading("b", 20, 0)) is None
    assert estimate.seconds_left(None) is None
