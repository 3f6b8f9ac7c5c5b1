"""Recordings: reading them, and playing them by a clock of the test's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.backends.base import ComparisonNews, Loaded, Refused, Said
from app.backends.replay import ReplayBackend
from app.backends.trace import read_trace
from engine.errors import UsageError
from engine.event_json import to_json
from engine.events import (
    Drafted,
    DraftedToken,
    Finished,
    FinishReason,
    Header,
    Origin,
    Phase,
    Prefilled,
    RejectedToken,
    Token,
    Verified,
    Waiting,
)
from engine.lanes import Lane, LanesFinished
from engine.options import GenerateOptions, Mode

if TYPE_CHECKING:
    from pathlib import Path

    from engine.events import Event

TOKEN = Token(5, "a", Origin.ORDINARY, 0, -0.5, None)
HEADER = Header("small", GenerateOptions(depth=2))
FIRST = Verified(0, Mode.ORDINARY, 0, 0, (TOKEN,), ())


def round_of(number: int, *, draft: float = 1.0, verify: float = 2.0) -> Verified:
    tokens = (Token(6, "b", Origin.ACCEPTED, 1, -0.1, -0.2), Token(7, "c", Origin.CORRECTED, 0, -0.3, None))
    rejected = (RejectedToken(8, "d", -4.0, -0.4),)
    return Verified(number, Mode.MTP, 2, 1, tokens, rejected, draft, verify)


def drafted(number: int) -> Drafted:
    return Drafted(number, (DraftedToken(6, "b", -0.2), DraftedToken(8, "d", -0.4)))


def reply(*numbers: int) -> list[Event]:
    rounds = [each for number in numbers for each in (drafted(number), round_of(number))]
    return [HEADER, Prefilled(9, 0, 4.0), FIRST, *rounds, Finished(FinishReason.STOP, 1, 2.0)]


def lines(*items: Event | dict[str, object]) -> str:
    return "".join(json.dumps(each if isinstance(each, dict) else to_json(each)) + "\n" for each in items)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Player:
    """A recording, and the time."""

    def __init__(self, folder: Path, text: str, speed: float = 1.0) -> None:
        file = folder / "trace.jsonl"
        file.write_text(text, encoding="utf-8")
        self.clock = Clock()
        self.backend = ReplayBackend(file, speed=speed, clock=self.clock)

    def after(self, seconds: float) -> list[object]:
        self.clock.now += seconds
        return list(self.backend.drain())


def test_a_reply_is_played_at_the_engines_speed(tmp_path: Path) -> None:
    player = Player(tmp_path, lines({"user": "hello"}, *reply(1)))
    assert player.after(50) == []  # it has not been started
    player.backend.start()
    assert player.after(0) == [Loaded("small", 0, True, HEADER.options), Said("hello"), HEADER]
    assert player.after(3.9) == []
    assert player.after(0.2) == [Prefilled(9, 0, 4.0), FIRST]
    assert player.after(1.0) == [drafted(1)]
    assert player.after(1.8) == []
    assert not player.backend.has_ended
    assert player.after(0.2) == [round_of(1), Finished(FinishReason.STOP, 1, 2.0)]
    assert player.backend.has_ended


def test_speed_makes_it_faster_and_zero_plays_all_at_once(tmp_path: Path) -> None:
    player = Player(tmp_path, lines(*reply(1)), speed=4)
    player.backend.start()
    player.after(0)
    assert player.after(1.0) == [Prefilled(9, 0, 4.0), FIRST]
    player = Player(tmp_path, lines(*reply(1, 2)), speed=0)
    player.backend.start()
    assert player.after(0)[1:] == reply(1, 2)


def test_it_answers_nothing(tmp_path: Path) -> None:
    player = Player(tmp_path, lines(*reply(1)))
    backend = player.backend
    assert not backend.is_live
    backend.generate((), {})
    backend.compare((), (Lane(Mode.MTP, 2),), 8, 1, {})
    backend.change({"pace": 0})  # as every chat does
    backend.change({"depth": 2})
    refused = player.after(0)
    assert [each.command for each in refused if isinstance(each, Refused)] == ["generate", "set"]
    (end,) = [each.news for each in refused if isinstance(each, ComparisonNews)]
    assert isinstance(end, LanesFinished)
    assert "recording" in str(end.message)


def test_pause_holds_before_a_round_and_step_plays_one(tmp_path: Path) -> None:
    player = Player(tmp_path, lines(*reply(1, 2, 3)))
    player.backend.step()  # not paused, so nothing to step
    player.backend.start()
    player.backend.pause(on=True)
    assert player.after(0)[-1] == HEADER
    assert player.after(100) == [Prefilled(9, 0, 4.0), FIRST]
    player.backend.step()
    assert player.after(1) == [drafted(1)]
    assert player.after(2) == [round_of(1)]
    assert player.after(100) == []
    player.backend.pause(on=False)
    assert player.after(0.9) == []  # the time it stood still is not made up for
    assert player.after(0.2) == [drafted(2)]


def test_pace_holds_rounds_apart(tmp_path: Path) -> None:
    player = Player(tmp_path, lines(*reply(1, 2)))
    player.backend.change({"pace": 0.1})  # ten seconds a round
    player.backend.start()
    player.after(0)
    player.after(5)  # round 1 drafts
    assert player.after(9.9) == [round_of(1)]
    assert player.after(0.2) == [drafted(2)]


def test_cancel_skips_the_rest_of_a_reply(tmp_path: Path) -> None:
    player = Player(tmp_path, lines(*reply(1, 2), {"user": "more"}, *reply(1)))
    player.backend.cancel()  # nothing is under way yet
    player.backend.start()
    player.after(0)
    assert player.after(7.0)[-1] == round_of(1)
    player.backend.cancel()
    assert player.after(0) == [Finished(FinishReason.CANCELLED, 3, 7.0)]
    player.backend.cancel()  # between two replies
    assert player.after(1) == [Said("more"), HEADER]


def test_waiting_for_the_disk_is_part_of_verifying(tmp_path: Path) -> None:
    waits = [Waiting(1, 3, 9, 1.0), Waiting(1, 3, 9, 2.0)]
    events = [HEADER, FIRST, drafted(1), *waits, round_of(1, verify=2.5)]
    player = Player(tmp_path, lines(*events))
    player.backend.start()
    player.after(0)
    assert player.after(1) == [drafted(1)]
    assert player.after(1) == [waits[0]]
    assert player.after(1) == [waits[1]]
    assert player.after(0.4) == []
    assert player.after(0.2)[0] == round_of(1, verify=2.5)


def test_waiting_while_drafting_is_part_of_that(tmp_path: Path) -> None:
    waits = [Waiting(1, 0, 1, 1.0, Phase.CATCHING_UP), Waiting(1, 0, 1, 1.0, Phase.DRAFTING)]
    last = Waiting(1, 3, 9, 1.0)
    events = [HEADER, FIRST, *waits, drafted(1), last, round_of(1, draft=2.5, verify=1.5)]
    player = Player(tmp_path, lines(*events))
    player.backend.start()
    player.after(0)
    assert player.after(1) == [waits[0]]
    assert player.after(1) == [waits[1]]
    assert player.after(0.4) == []
    assert player.after(0.2) == [drafted(1)]
    assert player.after(1) == [last]
    assert player.after(0.5)[0] == round_of(1, draft=2.5, verify=1.5)


def test_a_session_is_a_recording_with_its_drafts_put_back(tmp_path: Path) -> None:
    told: list[Event | dict[str, object]] = [
        {"session": 1, "id": "x"},
        {"system": "Be brief."},
        {"user": "hello"},
        {"trimmed": 2},
        *(event for event in reply(1, 2) if not isinstance(event, Drafted)),
        {"title": "Hello", "turns": 1},
    ]
    (tmp_path / "s.jsonl").write_text(lines(*told), encoding="utf-8")
    trace = read_trace(tmp_path / "s.jsonl")
    assert trace.system == "Be brief."
    assert list(trace.items) == [Said("hello"), *reply(1, 2)]


def test_a_reply_that_breaks_off_is_closed(tmp_path: Path) -> None:
    file = tmp_path / "torn.jsonl"
    file.write_text(
        lines(HEADER, FIRST, {"user": "again"}, HEADER, FIRST) + '{"event":"veri', encoding="utf-8"
    )
    closed = Finished(FinishReason.CANCELLED, 1, 0.0)
    assert list(read_trace(file).items) == [HEADER, FIRST, closed, Said("again"), HEADER, FIRST, closed]


def test_a_file_cut_in_mid_line_says_so_where_it_ends(tmp_path: Path) -> None:
    player = Player(tmp_path, lines(HEADER, FIRST) + '{"event":"veri', speed=0)
    player.backend.start()
    *_, end, said = player.after(0)
    assert end == Finished(FinishReason.CANCELLED, 1, 0.0)
    assert isinstance(said, Refused)
    assert "breaks off here, in the middle of line 3" in said.message
    assert player.after(9) == []
    whole = Player(tmp_path, lines(*reply(1)), speed=0)
    whole.backend.start()
    assert not any(isinstance(each, Refused) for each in whole.after(0))


def test_what_is_no_json_gets_a_sentence_without_the_parsers_words(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("Once upon a time.\n")
    with pytest.raises(UsageError) as refused:
        read_trace(file)
    assert str(refused.value).endswith("text.txt, line 1: It is not JSON, as every line of a recording is.")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "holds no reply"),
        ('{"user":"hello"}\n', "holds no reply"),
        (lines(HEADER) + "nonsense\n" + lines(FIRST), "line 2: It is not JSON"),
        ("\n" + lines(HEADER) + "[1]\n", "line 3: It is not a JSON object"),
        (lines(HEADER) + "[" * 100_000 + "\n", "line 2: It is not JSON"),
        ('{"event":"dreamt"}\n', "line 1: There is no event 'dreamt'"),
        (lines(HEADER).replace('"schema": 1', '"schema": 2'), "line 1: This is schema 2"),
        (lines(FIRST), "line 1: A verified event stands outside any reply"),
        ('{"user":3}\n', "line 1: user must be a text, not 3"),
    ],
)
def test_what_cannot_be_played_is_refused_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "trace.jsonl"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as refused:
        ReplayBackend(file)
    assert str(file) in str(refused.value)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for file in (tmp_path / "nothing", tmp_path, tmp_path / "zero\0byte"):
        with pytest.raises(UsageError, match="cannot be read"):
            ReplayBackend(file)


@given(st.lists(st.binary(max_size=60) | st.sampled_from([b'{"user":"x"}', b'{"event":"header"}', b"{}"])))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]) -> None:
    file = tmp_path_factory.getbasetemp() / "any.jsonl"
    file.write_bytes(b"\n".join(parts))
    with pytest.raises(UsageError):  # none of these holds a whole header
        read_trace(file)
