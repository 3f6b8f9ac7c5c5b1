"""A session read back is the conversation that was written, however its file ends."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.session_file import TITLE_LETTERS, read_session, title_of
from app.session_writer import SessionWriter
from app.sessions import Sessions
from engine.errors import UsageError
from engine.events import FinishReason
from tests.app.sessions.driver import Driver, finished, reply, steps


def silent(sentence: str) -> None:
    raise AssertionError(sentence)


def drive(folder: Path, script: list[tuple[object, ...]]) -> Driver:
    driver = Driver(SessionWriter(folder, "demo", silent))
    driver.say("hello")
    for name, *arguments in script:
        getattr(driver, str(name))(*arguments)
    return driver


@settings(max_examples=60)
@given(st.lists(steps, max_size=20))
def test_what_was_written_is_read(script: list[tuple[object, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        driver = drive(Path(folder), script)
        driver.writer.close()
        info, conversation = read_session(driver.writer.path)
        (listed,) = Sessions(Path(folder)).list()
    written = driver.closed()
    assert conversation == written
    assert info.turns == len(written.exchanges)
    assert info.tokens == sum(len(exchange.reply.tokens) for exchange in written.exchanges)
    assert (info.model, info.id) == ("demo", driver.writer.session_id)
    assert listed == info


@settings(max_examples=60)
@given(st.lists(steps, max_size=12), st.data())
def test_a_torn_file_is_a_beginning(script: list[tuple[object, ...]], data: st.DataObject) -> None:
    script = [step for step in script if step[0] not in ("cut", "system", "trimmed", "rename")]
    with tempfile.TemporaryDirectory() as folder:
        driver = drive(Path(folder), [*script, ("say", "again")])
        driver.writer.close()
        path = driver.writer.path
        whole = path.read_bytes()
        kept = data.draw(st.integers(0, len(whole)))
        path.write_bytes(whole[:kept])
        info, torn = read_session(path)
        opened, resumed = Sessions(Path(folder)).resume(info.id, silent)
        again = Driver(opened, resumed)
        reply(again, "go on")
        opened.close()
        _, once_more = read_session(path)
    written = driver.closed()
    assert len(torn.exchanges) <= len(written.exchanges)
    for ours, theirs in zip(torn.exchanges, written.exchanges, strict=False):
        assert ours.user == theirs.user
        assert ours.reply.tokens == theirs.reply.tokens[: len(ours.reply.tokens)]
        assert ours.reply.finished is not None
    assert torn.exchanges[:-1] == written.exchanges[: max(0, len(torn.exchanges) - 1)]
    assert once_more == again.conversation


def test_a_crash_in_a_reply_leaves_a_cancelled_one(tmp_path: Path) -> None:
    driver = Driver(SessionWriter(tmp_path, "demo", silent))
    reply(driver, "one")
    reply(driver, "two")
    driver.writer.close()
    lines = driver.writer.path.read_bytes().splitlines(keepends=True)
    end = next(at for at in range(len(lines) - 1, 0, -1) if b'"finished"' in lines[at])
    driver.writer.path.write_bytes(b"".join(lines[: end - 1]) + lines[end - 1][:20])
    info, conversation = read_session(driver.writer.path)
    assert finished(conversation).reason is FinishReason.CANCELLED
    assert finished(conversation).tokens == 6
    assert finished(conversation).seconds == pytest.approx(0.25 + 3 * 0.1)
    assert info.tokens == 8 + 6


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"[" * 100_000, "not JSON"),
        (b'{"wings":2}', "'wings'"),
        (b'{"user":7}', "'user'"),
        (b'{"cut":9}', "'cut'"),
        (b'{"ask":{"mode":"mtp","depth":9}}', "depth must be"),
        (b'{"event":"finished","reason":"bored","tokens":0,"seconds":1}', "bored"),
        (b'{"event":"teleported\\u001b"}', "no event"),
    ],
)
def test_a_damaged_line_is_refused_by_number(tmp_path: Path, bad: bytes, what: str) -> None:
    driver = Driver(SessionWriter(tmp_path, "demo", silent))
    reply(driver, "one")
    driver.writer.close()
    lines = driver.writer.path.read_bytes().splitlines(keepends=True)
    driver.writer.path.write_bytes(b"".join([*lines[:2], bad + b"\n", *lines[2:]]))
    with pytest.raises(UsageError) as caught:
        read_session(driver.writer.path)
    assert f"{driver.writer.path} is damaged in line 3" in str(caught.value)
    assert what in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"hello\n", "is not a chat"),
        (b'{"event":"finished"}\n', "is not a chat"),
        (b'{"session":2,"id":"x"}\n', "version 2.*newer"),
        (b'{"session":1}\n', "no id"),
    ],
)
def test_a_file_that_is_no_session_is_refused(tmp_path: Path, text: bytes, what: str) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(text)
    with pytest.raises(UsageError, match=what):
        read_session(file)
    with pytest.raises(UsageError, match="cannot be read"):
        read_session(tmp_path / "none.jsonl")


@given(st.text())
def test_a_title_is_one_short_line(text: str) -> None:
    title = title_of(text)
    assert len(title) <= TITLE_LETTERS
    assert "\n" not in title
    assert " ".join(text.split()).startswith(title.removesuffix("…"))
