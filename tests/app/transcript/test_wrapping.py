"""Wrapping: nothing of the text is lost, no line is too wide, and appending equals beginning anew."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from app.transcript.atoms import visible
from app.transcript.wrapping import Wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.transcript.pieces import Line

CLUSTERS = (
    *(
        "a",
        "bc",
        "word",
        "incomprehensible",
        "-",
        " ",
        " ",
        "  ",
        "\n",
        "\t",
        "漢字",
        "é",
        "\x1b[31m",
        "\x07",
    ),
    *("\ud800", "e\u0301", "😀", "👩\u200d👩\u200d👧", "❤\ufe0f", " light", "नि", "\r\n", "\x85"),
)


@st.composite
def well_formed(draw: st.DrawFn) -> list[str]:
    """Text whose marks stand on characters, cut into tokens anywhere, also within a character's marks."""
    text = "".join(draw(st.lists(st.sampled_from(CLUSTERS), max_size=40)))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=30)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


anything = st.lists(st.text(max_size=8), max_size=20)
widths = st.integers(2, 20)


def raw(lines: Sequence[Line]) -> str:
    return "".join("".join(piece.raw for piece in line.pieces) + line.ending for line in lines)


def sendable(texts: Sequence[str]) -> str:
    return "".join(
        "\ufffd" if "\ud800" <= character <= "\udfff" else character for text in texts for character in text
    )


def shown(width: int, *texts: str) -> list[str]:
    return [line.text for line in Wrapped(width, texts).lines]


@given(well_formed() | anything, widths)
def test_nothing_is_lost(texts: list[str], width: int) -> None:
    lines = Wrapped(width, texts).lines
    assert raw(lines) == sendable(texts)
    for line, after in pairwise(lines):
        assert after.start == line.start + len(raw([line]))
        assert line.ending.strip(" \t") in ("", "\n"), "only spaces and newlines go"


@given(well_formed() | anything, widths)
def test_every_token_keeps_its_place_in_order(texts: list[str], width: int) -> None:
    wrapped = Wrapped(width, texts)
    order = [piece.token for line in wrapped.lines for piece in line.pieces]
    assert order == sorted(order)
    assert set(order) == set(range(len(texts)))
    for token in range(len(texts)):
        assert any(piece.token == token for piece in wrapped.line(wrapped.line_of(token)).pieces)


@given(well_formed(), widths)
def test_no_line_is_wider_than_the_width(texts: list[str], width: int) -> None:
    for line in Wrapped(width, texts).lines:
        assert sum(cell_len(piece.text) for piece in line.pieces) <= width


@given(well_formed() | anything, widths)
def test_nothing_a_terminal_obeys_is_shown(texts: list[str], width: int) -> None:
    for line in Wrapped(width, texts).lines:
        assert line.text == visible(line.text)
        assert "\n" not in line.text
        assert "\t" not in line.text


@given(well_formed(), widths)
def test_marks_never_begin_a_line(texts: list[str], width: int) -> None:
    for line in Wrapped(width, texts).lines:
        assert not line.text or cell_len(line.text[0]) > 0
        assert all(cell_len(piece.text[0]) > 0 for piece in line.pieces if piece.text)


@given(well_formed() | anything, well_formed() | anything, widths)
def test_appending_equals_beginning_anew(texts: list[str], more: list[str], width: int) -> None:
    wrapped = Wrapped(width, texts)
    before = list(wrapped.lines)
    changed = wrapped.extend(more)
    assert list(wrapped.lines) == list(Wrapped(width, texts + more).lines)
    assert list(wrapped.lines)[:changed] == before[:changed]


@given(well_formed() | anything, well_formed(), widths, st.data())
def test_truncating_equals_beginning_anew(
    texts: list[str], more: list[str], width: int, data: st.DataObject
) -> None:
    wrapped = Wrapped(width, texts)
    before = list(wrapped.lines)
    count = data.draw(st.integers(0, len(texts)))
    changed = wrapped.truncate(count)
    assert wrapped.token_count == count
    assert list(wrapped.lines) == list(Wrapped(width, texts[:count]).lines)
    assert list(wrapped.lines)[:changed] == before[:changed]
    wrapped.extend(more)
    assert list(wrapped.lines) == list(Wrapped(width, texts[:count] + more).lines)


def test_a_word_of_several_tokens_moves_together() -> None:
    assert shown(10, "The", " sun", "lig", "ht") == ["The", "sunlight"]
    assert shown(12, "The", " sun", "lig", "ht") == ["The sunlight"]


def test_the_space_that_leads_a_wrapped_line_is_dropped_and_kept_in_the_ending() -> None:
    lines = Wrapped(5, ["three", " four"]).lines
    assert [line.text for line in lines] == ["three", "four"]
    assert lines[0].ending == " "


def test_an_indent_is_kept() -> None:
    assert shown(20, "x:\n", "    ", "return") == ["x:", "    return"]


def test_a_word_wider_than_the_line_is_broken() -> None:
    assert shown(4, "ab ", "cdefghi") == ["ab", "cdef", "ghi"]


def test_tabs_go_to_the_next_multiple_of_four() -> None:
    assert shown(20, "a\tb", "\tc") == ["a   b   c"]


def test_wide_characters_break_anywhere_and_never_in_half() -> None:
    assert shown(5, "漢字", "漢字") == ["漢字", "漢字"]


def test_a_mark_in_a_token_of_its_own_stands_with_its_character() -> None:
    line = Wrapped(10, ["e", "\u0301", "x"]).lines[0]
    assert [(piece.token, piece.text) for piece in line.pieces] == [(0, "e\u0301"), (1, ""), (2, "x")]


def test_control_characters_are_shown_and_kept_raw() -> None:
    (piece,) = Wrapped(20, ["\x1b[2J"]).lines[0].pieces
    assert piece.text == "␛[2J"
    assert piece.raw == "\x1b[2J"


def test_a_line_too_narrow_for_a_wide_character_is_taken_to_be_two_cells() -> None:
    assert shown(0, "漢a") == ["漢", "a"]


def test_appending_leaves_all_but_the_last_line_alone() -> None:
    wrapped = Wrapped(10, ["word "] * 1000)
    assert wrapped.extend(["more"]) >= wrapped.line_count - 2
    assert wrapped.truncate(1000) >= wrapped.line_count - 3
