"""The local backend over a worker that fails on request; the last tests use the real one."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.backends.base import (
    Backend,
    ChatMessage,
    ComparisonNews,
    Loaded,
    Loading,
    Lost,
    Memory,
    Refused,
    Trimmed,
)
from app.backends.local import LocalBackend
from engine.events import Finished, FinishReason, Header, Verified
from engine.lanes import Lane, LaneEvent, LanesFinished, LanesPlanned
from engine.options import Mode
from engine.surface import LoadSettings
from tests.app.backends.waiting import is_gone, news_until, only, until, wait_until
from tests.engine.tiny import build, partly_right_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.backends.base import News

WORKER = str(Path(__file__).parent / "fake_worker.py")
HELLO = (ChatMessage("user", "hello"),)


@pytest.fixture
def make() -> Iterator[Callable[..., LocalBackend]]:
    """Start a backend for a path; all are closed."""
    made: list[LocalBackend] = []

    def start(path: str, *, schema: int = 1, settings: LoadSettings | None = None) -> LocalBackend:
        command = [sys.executable, WORKER, str(schema)]
        backend = LocalBackend(path, settings or LoadSettings(), command=command)
        made.append(backend)
        backend.start()
        return backend

    yield start
    for backend in made:
        backend.close()


def is_lost(news: News) -> bool:
    return isinstance(news, Lost)


def test_it_is_a_backend_that_answers(make: Callable[..., LocalBackend]) -> None:
    backend: Backend = make("model")
    assert backend.is_live


def test_loading_ends_with_what_was_loaded(make: Callable[..., LocalBackend]) -> None:
    backend = make("model")
    news = news_until(backend, lambda each: isinstance(each, Memory))
    loading, loaded, memory = (each for each in news if not isinstance(each, Header))
    assert loading == Loading("shard", 1, 2)
    assert isinstance(loaded, Loaded)
    assert (loaded.model, loaded.context, loaded.has_mtp, loaded.weights_bytes) == ("model", 64, True, 671)
    assert loaded.options.temperature == 0.25
    assert memory == Memory(5, 9)


def test_a_reply_is_its_events_and_cancel_ends_it(make: Callable[..., LocalBackend]) -> None:
    backend = make("model")
    backend.generate(HELLO, {"max_tokens": 5})
    news = news_until(backend, lambda each: isinstance(each, Verified))
    backend.cancel()
    news += news_until(backend, lambda each: isinstance(each, Finished))
    kinds = [type(each) for each in news]
    assert kinds.index(Trimmed) < kinds.index(Header) < kinds.index(Verified)  # `fit` is always asked for
    assert only(news, Finished)[0].reason is FinishReason.CANCELLED


def test_what_is_set_is_sent_and_a_bad_value_is_refused_at_once(make: Callable[..., LocalBackend]) -> None:
    backend = make("model")
    until(backend, Loaded)
    backend.change({"depth": 99})
    backend.change({"pace": -1})
    backend.change({"dept": 3})
    refused = only(list(backend.drain()), Refused)
    assert [each.command for each in refused] == ["set"] * 3
    assert "did you mean depth" in refused[2].message
    backend.change({"depth": 3})
    backend.generate(HELLO, {})
    news_until(backend, lambda each: isinstance(each, Verified) and each.depth == 3)


LANES = (Lane(Mode.ORDINARY, 0), Lane(Mode.AUTO, 0), Lane(Mode.MTP, 2))


def compare(backend: LocalBackend) -> None:
    backend.compare(HELLO, LANES, 8, 2, {"temperature": 0.5})


def is_over(news: News) -> bool:
    return isinstance(news, ComparisonNews) and isinstance(news.news, LanesFinished)


def ends(news: list[News]) -> list[LanesFinished]:
    return [each.news for each in only(news, ComparisonNews) if isinstance(each.news, LanesFinished)]


def test_comparing_is_news_of_lanes_and_an_end(make: Callable[..., LocalBackend]) -> None:
    backend = make("model")
    compare(backend)
    news = news_until(backend, is_over)
    planned, finished, end = (each.news for each in only(news, ComparisonNews))
    assert isinstance(planned, LanesPlanned)
    assert (planned.lanes, planned.repeats) == (LANES, 2)
    assert json.loads(planned.why) == {
        "options": {"temperature": 0.5},
        "max_tokens": 8,
        "fit": True,
        "messages": [{"role": "user", "content": "hello"}],
    }
    assert finished == LaneEvent(1, 0, Finished(FinishReason.LENGTH, 4, 1.0))
    assert end == LanesFinished(complete=True)
    assert not only(news, Finished)  # it is a lane's


@pytest.mark.parametrize(
    ("path", "message"),
    [("refuses-replies", "It has no tokenizer."), ("dies", "exit status 7"), ("endless", "restarted")],
)
def test_a_comparison_ends_once_whatever_becomes_of_it(
    make: Callable[..., LocalBackend], path: str, message: str
) -> None:
    backend = make(path)
    compare(backend)
    if path == "endless":
        news_until(backend, lambda each: isinstance(each, ComparisonNews))
        backend.restart()
    news = news_until(backend, is_over)
    (end,) = ends(news)
    assert not end.complete
    assert message in str(end.message)
    lost = only(news, Lost)
    assert len(lost) == (path == "dies")
    if lost:  # who hears of the end would otherwise go on with an engine that is gone
        assert news.index(lost[0]) < news.index(ComparisonNews(end))
        backend.restart()
        until(backend, Loaded)
    assert not ends(list(backend.drain()))


def test_a_refused_reply_and_comparison_still_end(make: Callable[..., LocalBackend]) -> None:
    backend = make("refuses-replies")
    backend.generate(HELLO, {})
    finished = until(backend, Finished)
    assert (finished.reason, finished.message) == (FinishReason.ERROR, "It has no tokenizer.")
    compare(backend)
    news = news_until(backend, lambda each: isinstance(each, ComparisonNews))
    assert ends(news) == [LanesFinished(complete=False, message="It has no tokenizer.")]


def test_a_refused_load_is_lost_in_the_workers_own_words(make: Callable[..., LocalBackend]) -> None:
    backend = make("refused")
    pid = backend.pid
    assert pid is not None
    lost = until(backend, Lost)
    assert lost.message == "There is no such folder; check the path."
    wait_until(lambda: is_gone(pid))
    backend.restart()
    assert until(backend, Lost) == lost
    assert not backend.drain()


def test_pausing_while_it_loads_is_refused_in_plain_words(make: Callable[..., LocalBackend]) -> None:
    backend = make("model")
    backend.pause(on=True)
    (refused,) = only(news_until(backend, lambda each: isinstance(each, Refused)), Refused)
    assert "still loading" in refused.message


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("dies", "ended with exit status 7 (RuntimeError: out of ideas)"),
        ("garbage", "a line that cannot be read (it is not JSON)"),
        ("newer-event", "no event 'dreamt'"),
        ("silent", "fell silent"),
    ],
)
def test_a_worker_that_fails_in_mid_reply_is_lost_and_another_one_works(
    make: Callable[..., LocalBackend], path: str, words: str
) -> None:
    backend = make(path)
    pid = backend.pid
    assert pid is not None
    backend.generate(HELLO, {})
    news = news_until(backend, is_lost)
    (finished,) = only(news, Finished)
    (lost,) = only(news, Lost)
    assert news.index(finished) < news.index(lost)
    assert (finished.reason, finished.tokens) == (FinishReason.ERROR, 4)
    assert words in lost.message
    assert lost.message.endswith("your next prompt starts it again.")
    wait_until(lambda: is_gone(pid))
    assert not backend.drain()
    backend.restart()
    assert until(backend, Loaded).model == path


def test_a_worker_that_dies_loading_is_lost_without_its_escape_codes(
    make: Callable[..., LocalBackend],
) -> None:
    lost = until(make("dies-loading"), Lost)
    assert "exit status 3 (␛[31mOSError: no space)" in lost.message


def test_another_schema_is_lost(make: Callable[..., LocalBackend]) -> None:
    lost = until(make("model", schema=2), Lost)
    assert "schema 2" in lost.message


def test_a_worker_that_cannot_be_started_is_lost() -> None:
    backend = LocalBackend("model", LoadSettings(), command=["/nowhere/at/all"])
    backend.start()
    assert "could not be started" in until(backend, Lost).message
    backend.generate(HELLO, {})
    assert until(backend, Finished).reason is FinishReason.ERROR
    compare(backend)
    assert "restart it" in str(ends(list(backend.drain()))[0].message)
    backend.step()
    assert "restart it" in until(backend, Refused).message
    backend.close()


def test_standard_error_never_fills_its_pipe(make: Callable[..., LocalBackend]) -> None:
    backend = make("noisy")
    backend.generate(HELLO, {})
    news_until(backend, lambda each: isinstance(each, Verified) and each.round == 8)


def test_a_restarted_worker_gets_every_setting_again(make: Callable[..., LocalBackend]) -> None:
    backend = make("dies")
    backend.change({"depth": 3, "pace": 12.0})
    backend.change({"depth": 4, "temperature": 0.5})
    until(backend, Loaded)
    backend.generate(HELLO, {})
    until(backend, Lost)
    backend.change({"mode": "ngram"})  # while there is none
    backend.restart()
    settings = json.loads(until(backend, Loaded).warnings[0])
    assert settings == {"depth": 4, "pace": 12.0, "temperature": 0.5, "mode": "ngram"}


def test_a_mode_that_the_checkpoint_lacks_is_refused_and_forgotten(make: Callable[..., LocalBackend]) -> None:
    backend = LocalBackend("no-mtp", LoadSettings(), command=[sys.executable, WORKER, "1"])
    backend.change({"mode": "mtp", "depth": 2})
    backend.start()
    refused = until(backend, Refused)
    assert (refused.command, refused.message) == ("load", "This checkpoint has no MTP layer.")
    backend.change({"mode": Mode.MTP})
    assert "no MTP layer" in until(backend, Refused).message
    backend.restart()
    assert json.loads(until(backend, Loaded).warnings[0]) == {"depth": 2}
    backend.close()


@pytest.mark.parametrize("path", ["model", "deaf"])
def test_closing_leaves_no_process_even_of_a_worker_that_does_not_listen(
    make: Callable[..., LocalBackend], path: str
) -> None:
    backend = make(path)
    until(backend, Loaded)
    backend.generate(HELLO, {})
    until(backend, Verified)
    pid = backend.pid
    assert pid is not None
    backend.drain()
    backend.close()
    assert is_gone(pid)
    assert not only(list(backend.drain()), Lost)
    backend.close()


def test_the_child_is_out_of_reach_of_the_terminals_signals(make: Callable[..., LocalBackend]) -> None:
    backend = make("model")
    assert backend.pid is not None
    assert os.getsid(backend.pid) == backend.pid


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("tiny") / "model", partly_right_spec())


def test_the_real_worker_answers_dies_and_answers_again(checkpoint: Path) -> None:
    backend = LocalBackend(str(checkpoint), LoadSettings(context=1024, threads=1))
    options = {"temperature": 0.0, "ignore_eos": True, "max_tokens": 900}
    backend.start()
    try:
        news = news_until(backend, lambda each: isinstance(each, Memory))
        (loaded,) = only(news, Loaded)
        assert (loaded.context, loaded.has_mtp) == (1024, True)
        assert loaded.weights_bytes > 100_000
        (memory,) = only(news, Memory)
        assert memory.budget_bytes > 0
        assert memory.used_bytes > 1_000_000
        backend.change({"pace": 100.0, "depth": 1})
        backend.generate(HELLO, options)
        news_until(backend, lambda each: isinstance(each, Verified) and each.round == 2)
        backend.change({"depth": 3})
        news_until(backend, lambda each: isinstance(each, Verified) and each.depth == 3)
        backend.cancel()
        assert until(backend, Finished).reason is FinishReason.CANCELLED

        backend.generate(HELLO, options)
        until(backend, Verified)
        assert backend.pid is not None
        os.kill(backend.pid, signal.SIGKILL)
        news = news_until(backend, is_lost)
        assert only(news, Finished)[0].reason is FinishReason.ERROR
        assert "killed by signal 9, probably because memory ran out" in only(news, Lost)[0].message

        backend.restart()
        until(backend, Loaded)
        backend.generate(HELLO, {**options, "max_tokens": 8})
        news = news_until(backend, lambda each: isinstance(each, Finished))
        assert only(news, Header)[0].options.depth == 3  # as it was set before the first one died
        assert only(news, Finished)[0].tokens == 8
    finally:
        pid = backend.pid
        backend.close()
    assert pid is not None
    assert is_gone(pid)
