"""The worker's command `compare`: always one last line, deaf while it runs, and the real demo once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from engine import lanes_json
from engine.event_json import from_json
from engine.events import Finished, FinishReason, Prefilling, Verified
from engine.lanes import Lane, LaneEvent, LanesFinished, LanesNews, LanesPlanned, LanesPrepared
from engine.lanes_report import LanesReport
from engine.options import Mode
from tests.engine.test_worker import HARNESS, Client

if TYPE_CHECKING:
    from collections.abc import Iterator

LANES = [{"mode": "mtp", "depth": 0}, {"mode": "mtp", "depth": 2}, {"mode": "auto"}]
ASK = {"command": "compare", "ids": [5, 6, 7], "lanes": LANES, "max_tokens": 4}


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client([sys.executable, "-c", HARNESS]).listen()
    yield client
    client.finish()


def compared(client: Client) -> list[LanesNews]:
    """The news of one comparison, up to its last line."""
    return list(map(lanes_json.from_json, client.until("lanes_finished")))


def ended(client: Client) -> LanesFinished:
    last = lanes_json.from_json(client.until("lanes_finished")[-1])
    assert isinstance(last, LanesFinished)
    return last


def test_every_lane_is_decoded_in_every_repeat(client: Client) -> None:
    client.load()
    client.send({**ASK, "repeats": 2, "options": {"seed": 9, "temperature": 0.5}})
    planned, reading, prepared, *events, finished = compared(client)
    lanes = (Lane(Mode.ORDINARY, 0), Lane(Mode.MTP, 2), Lane(Mode.AUTO, 0))
    assert planned == LanesPlanned(lanes, 2, True, "Seed 9.", 5)
    assert isinstance(reading, LaneEvent)
    assert reading.lane is None
    assert isinstance(reading.event, Prefilling)
    assert prepared == LanesPrepared(0.25, 0.5)
    assert finished == LanesFinished(complete=True)
    runs = [(each.lane, each.repeat) for each in events if isinstance(each, LaneEvent)]
    assert list(dict.fromkeys(runs)) == [(lane, repeat) for repeat in (0, 1) for lane in (0, 1, 2)]
    assert runs.count((1, 1)) == 5  # four tokens and the end


def test_without_a_number_of_tokens_there_are_64_and_one_run(client: Client) -> None:
    client.load()
    client.send({"command": "compare", "prompt": "the sea", "lanes": LANES[:1]})
    planned, *news = compared(client)
    assert isinstance(planned, LanesPlanned)
    assert planned.repeats == 1
    assert sum(isinstance(each, LaneEvent) and isinstance(each.event, Verified) for each in news) == 64


def test_it_is_deaf_to_depth_mode_and_pace_and_they_hold_afterwards(client: Client) -> None:
    client.load()
    slow = {"command": "set", "pace": 0.001}  # a thousand seconds a round
    client.send(slow, {**ASK, "max_tokens": 300})
    client.until("lanes_prepared")
    client.send({**slow, "depth": 7, "mode": "ngram"})
    news = compared(client)
    assert news[-1] == LanesFinished(complete=True)
    rounds = [each.event for each in news if isinstance(each, LaneEvent) and isinstance(each.event, Verified)]
    assert len(rounds) > 600
    assert 7 not in {each.depth for each in rounds}
    client.send({"command": "set", "pace": 0})
    header = client.reply(options={"max_tokens": 2})[0]
    assert (header.options.depth, header.options.mode) == (7, Mode.NGRAM)  # type: ignore[union-attr]


def test_cancel_keeps_what_was_measured_and_ends_it_once(client: Client) -> None:
    client.load()
    client.send({**ASK, "max_tokens": 10**9})
    client.until("verified")
    client.send({"command": "cancel"})
    news = compared(client)
    assert news[-1] == LanesFinished(complete=False)
    last = news[-2]
    assert isinstance(last, LaneEvent)
    assert isinstance(last.event, Finished)
    assert last.event.reason is FinishReason.CANCELLED
    assert isinstance(client.reply(options={"max_tokens": 2})[-1], Finished)


def test_cancel_before_the_engine_began_is_not_lost(client: Client) -> None:
    client.load("slow-start")
    endless = {**ASK, "max_tokens": 10**9}
    client.send(endless, endless, {"command": "cancel"}, {**ASK, "ids": [8]})
    assert [ended(client).complete for _ in range(3)] == [False, False, True]


def test_the_oldest_turns_are_left_out_of_a_chat_that_is_to_fit(client: Client) -> None:
    client.load(context=64)
    turn = [{"role": "user", "content": "the sky was"}, {"role": "assistant", "content": "grey and blue"}]
    chat = [*turn * 9, {"role": "user", "content": "naïve?"}]
    asked = {"command": "compare", "messages": chat, "lanes": LANES, "max_tokens": 2}
    client.send({**asked, "fit": True})
    assert client.line()["event"] == "dropped"
    assert ended(client).complete
    client.send(asked)
    assert "context holds 64" in str(ended(client).message)


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ({"lanes": []}, "lanes must be a list"),
        ({"lanes": None}, "lanes must be a list"),
        ({"lanes": [{"mode": "mtp"}]}, "needs a depth"),
        ({"lanes": [{"mode": "mtp", "depth": 9}]}, "depth must be from 0 to 8"),
        ({"repeats": 0}, "repeats must be a whole number of at least 1"),
        ({"max_tokens": True}, "max_tokens must be a whole number"),
        ({"prompt": "and ids"}, "needs one of messages, prompt and ids"),
        ({"options": {"dept": 1}}, "did you mean depth"),
        ({"lane": []}, "did you mean lanes"),
    ],
)
def test_a_bad_command_is_answered_by_its_one_last_line(
    client: Client, command: dict[str, object], sentence: str
) -> None:
    client.load()
    client.send({**ASK, **command})
    news = compared(client)
    assert len(news) == 1
    assert sentence in str(news[0].message)  # type: ignore[union-attr]
    client.send({"command": "nonsense"})
    assert client.line()["event"] == "error"  # and nothing came before it


def test_without_a_checkpoint_it_is_refused(client: Client) -> None:
    client.send(ASK)
    assert ended(client) == LanesFinished(False, "No checkpoint is loaded; send load first.")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("explode", "kernel on fire"), ("damaged", "shard 7 is gone"), ("unsaid", "without saying why")],
)
def test_one_that_fails_ends_once_with_the_reason(client: Client, name: str, sentence: str) -> None:
    client.load(name)
    client.send(ASK)
    finished = ended(client)
    assert not finished.complete
    assert sentence in str(finished.message)
    client.load()
    client.send(ASK)
    assert ended(client) == LanesFinished(complete=True)


def test_the_real_demo_decodes_the_same_text_in_every_lane() -> None:
    client = Client([sys.executable, "-m", "engine.worker"]).listen()
    try:
        client.send({"command": "load", "threads": 1})
        client.until("loaded")
        lanes = [{"mode": "mtp", "depth": 0}, {"mode": "mtp", "depth": 2}, {"mode": "ngram", "depth": 2}]
        ask = {"messages": [{"role": "user", "content": "Tell me a story."}], "lanes": lanes}
        client.send({"command": "compare", **ask, "max_tokens": 12, "options": {"ignore_eos": True}})
        planned, *news, finished = compared(client)
        assert isinstance(planned, LanesPlanned)
        assert finished == LanesFinished(complete=True)
        report = LanesReport(planned.lanes)
        for each in news:
            if isinstance(each, LaneEvent):
                report.observe(0, each)
        assert report.identical_text
        assert all(sum(len(e.tokens) for e in report.events(lane, 0, 0)) == 12 for lane in range(3))
        assert report.ratio(1) is not None
        assert report.readout(1).union is not None  # so the rounds tell of their experts
        client.send({"command": "generate", "prompt": "x", "options": {"max_tokens": 2}})
        assert isinstance(from_json(client.until("finished")[-1]), Finished)
    finally:
        client.finish()
