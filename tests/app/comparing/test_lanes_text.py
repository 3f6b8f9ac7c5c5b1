"""Lanes as one types them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.lanes_text import DEFAULT, lanes_text, read_lanes
from engine.errors import UsageError
from engine.lanes import Lane
from engine.options import MAX_DEPTH, Mode

BASE = Lane(Mode.ORDINARY, 0)
drafters = st.sampled_from([Mode.MTP, Mode.NGRAM, Mode.MODEL])
lanes = st.builds(Lane, st.sampled_from(Mode), st.integers(0, MAX_DEPTH))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DEFAULT, (BASE, Lane(Mode.MTP, 1), Lane(Mode.MTP, 2), Lane(Mode.MTP, 4))),
        ("0 1", (BASE, Lane(Mode.MTP, 1))),
        ("ngram 2, auto; mtp 3", (Lane(Mode.NGRAM, 2), Lane(Mode.AUTO, 0), Lane(Mode.MTP, 3))),
        ("N-Gram 2 ordinary", (Lane(Mode.NGRAM, 2), BASE)),
        ("2,2, mtp 2,0,ngram 0", (Lane(Mode.MTP, 2), BASE)),
        ("model 1", (Lane(Mode.MODEL, 1),)),
    ],
)
def test_depths_and_modes_are_read(text: str, expected: tuple[Lane, ...]) -> None:
    assert read_lanes(text, Mode.MTP) == expected


def test_a_depth_alone_is_of_who_drafts_in_the_chat() -> None:
    assert read_lanes("0, 3", Mode.NGRAM) == (BASE, Lane(Mode.NGRAM, 3))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Name at least one lane, such as 0, 1, 2, 4."),
        (" , ", "Name at least one lane"),
        ("9", "depth must be from 0 to 8, not 9."),
        ("1" * 5000, "depth must be from 0 to 8"),
        ("-1", "There is no lane '-1'"),
        ("1.5", "There is no lane '1.5'"),
        ("ngrm 2", "did you mean ngram?"),
        ("mtp", "mtp needs a depth after it, such as mtp 2."),
        ("mtp auto", "mtp needs a depth after it"),
        ("\x1b[31m", "There is no lane '\\x1b[31m'"),
    ],
)
def test_mistakes_are_said_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_lanes(text, Mode.MTP)
    assert sentence in str(refused.value)
    assert "\x1b" not in str(refused.value)


@given(st.lists(lanes, min_size=1, unique=True), drafters)
def test_what_is_written_is_read_back(chosen: list[Lane], drafter: Mode) -> None:
    assert read_lanes(lanes_text(chosen, drafter), drafter) == tuple(chosen)
