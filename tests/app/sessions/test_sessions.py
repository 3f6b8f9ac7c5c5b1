"""The folder of chats, and a writer whose disk fails it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from app import sessions as sessions_module
from app.commands.sessions import sessions as list_sessions
from app.locations import DATA_VARIABLE
from app.session_file import read_session
from app.sessions import Sessions
from engine.errors import UsageError
from engine.options import Mode
from tests.app.sessions.driver import Driver, reply

if TYPE_CHECKING:
    from pathlib import Path

    from app.session_writer import SessionWriter


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return Sessions(tmp_path / "sessions")


def chat(sessions: Sessions, notices: list[str], *prompts: str, count: int = 4) -> SessionWriter:
    writer = sessions.new("demo", notices.append)
    driver = Driver(writer)
    for prompt in prompts:
        reply(driver, prompt, count)
    writer.close()
    assert notices == []
    return writer


def test_nothing_said_leaves_no_file(sessions: Sessions, notices: list[str]) -> None:
    writer = sessions.new("demo", notices.append)
    writer.system("Be brief.")
    assert sessions.list() == ()
    assert sessions.latest() is None
    writer.user("hello")
    assert read_session(writer.path)[1].system == "Be brief."
    assert writer.path.stat().st_mode & 0o077 == 0
    writer.close()


def test_every_event_is_on_disk_before_the_next(sessions: Sessions, notices: list[str]) -> None:
    driver = Driver(sessions.new("demo", notices.append))
    reply(driver, "one")
    driver.say("two")
    driver.header(2)
    driver.ask(Mode.NGRAM, 3)
    _, conversation = read_session(driver.writer.path)  # while it is open
    assert [exchange.user for exchange in conversation.exchanges] == ["one", "two"]
    assert conversation.exchanges[1].reply.asked_depth == 3
    driver.writer.close()


def test_chats_are_listed_newest_first(sessions: Sessions, notices: list[str]) -> None:
    old = chat(sessions, notices, "why is\nthe sky   blue?", "and the sea?")
    new = chat(sessions, notices, "x" * 100)
    os.utime(old.path, (1, 1))
    (old.path.parent / "other.jsonl").write_text("no chat\n")
    (old.path.parent / "empty.jsonl").write_text("")
    first, second = sessions.list()
    assert (first.id, second.id) == (new.session_id, old.session_id)
    assert second.title == "why is the sky blue?"
    assert (second.turns, second.tokens, second.model) == (2, 16, "demo")
    assert len(first.title) == 60
    latest = sessions.latest()
    assert latest == first


def test_a_list_reads_only_ends_of_big_files(
    sessions: Sessions, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions_module, "TAIL_BYTES", 4096)
    monkeypatch.setattr(sessions_module, "HEAD_BYTES", 1024)
    writer = chat(sessions, notices, "first", "second", count=500)
    size = writer.path.stat().st_size
    assert size > 200_000
    read = 0
    load = sessions_module._object

    def counting(text: bytes) -> dict[str, object] | None:
        nonlocal read
        read += len(text)
        return load(text)

    monkeypatch.setattr(sessions_module, "_object", counting)
    (listed,) = sessions.list()
    assert read < 10_000
    assert (listed.title, listed.turns, listed.tokens) == ("first", 2, 2000)
    assert listed == read_session(writer.path)[0]

    # a crash in the middle of a long reply: there is no total near the end
    writer.path.write_bytes(writer.path.read_bytes()[: size * 9 // 10])
    (listed,) = sessions.list()
    info, _ = read_session(writer.path)
    assert (listed.title, listed.turns, listed.tokens) == (info.title, info.turns, info.tokens)


def test_cut_to_nothing_the_title_is_what_is_said_next(sessions: Sessions, notices: list[str]) -> None:
    driver = Driver(sessions.new("demo", notices.append))
    reply(driver, "first")
    driver.cut(0)
    reply(driver, "second")
    driver.writer.close()
    (listed,) = sessions.list()
    assert (listed.title, listed.turns, listed.tokens) == ("second", 1, 8)


def test_chats_are_found_by_the_beginning_of_their_id(sessions: Sessions, notices: list[str]) -> None:
    writer = chat(sessions, notices, "one")
    other = chat(sessions, notices, "two")
    assert sessions.find(writer.session_id) == writer.path
    assert (
        sessions.find(other.session_id[:-1]) == other.path or writer.session_id[:-1] == other.session_id[:-1]
    )
    with pytest.raises(UsageError, match="2 chats begin with '20'"):
        sessions.find("20")
    with pytest.raises(UsageError, match=f"did you mean {writer.session_id}"):
        sessions.find(writer.session_id[1:])
    with pytest.raises(UsageError, match="There is no chat 'zz'"):
        sessions.find("zz")
    with pytest.raises(UsageError, match="There is no chat"):
        sessions.find("../../etc/passwd")


def test_chats_are_renamed_and_deleted(sessions: Sessions, notices: list[str]) -> None:
    writer = chat(sessions, notices, "one")
    sessions.rename(writer.session_id, "The sky")
    (listed,) = sessions.list()
    assert listed.title == "The sky"
    assert listed == read_session(writer.path)[0]
    sessions.rename(writer.session_id, "")
    assert sessions.list()[0].title == "one"
    sessions.delete(writer.session_id)
    assert sessions.list() == ()


def test_a_renamed_chat_stays_as_old_as_it_is(sessions: Sessions, notices: list[str]) -> None:
    old = chat(sessions, notices, "one")
    new = chat(sessions, notices, "two")
    os.utime(old.path, ns=(1_234_567_891, 1_234_567_891))
    sessions.rename(old.session_id, "The sky")
    assert old.path.stat().st_mtime_ns == 1_234_567_891
    latest = sessions.latest()
    assert latest is not None
    assert latest.id == new.session_id


def test_what_cannot_be_looked_at_is_left_out(sessions: Sessions, notices: list[str]) -> None:
    writer = chat(sessions, notices, "one")
    (writer.path.parent / ".#other.jsonl").symlink_to("nowhere")
    (writer.path.parent / "folder.jsonl").mkdir()
    latest = sessions.latest()
    assert latest is not None
    assert latest.id == writer.session_id
    assert sessions.list() == (latest,)
    assert sessions.find(writer.session_id[:2]) == writer.path


def test_a_damaged_cut_does_not_keep_a_chat_from_the_list(sessions: Sessions, notices: list[str]) -> None:
    writer = chat(sessions, notices, "one")
    with writer.path.open("a") as opened:
        opened.write('{"cut":-1}\n')
    (listed,) = sessions.list()
    assert (listed.title, listed.turns) == ("one", 1)
    with pytest.raises(UsageError, match="is damaged in line"):
        sessions.resume(writer.session_id, notices.append)


def test_a_resumed_chat_goes_on_in_its_file(sessions: Sessions, notices: list[str]) -> None:
    first = chat(sessions, notices, "one")
    sessions.rename(first.session_id, "Named")
    writer, conversation = sessions.resume(first.session_id, notices.append)
    assert len(conversation.exchanges) == 1
    before = writer.path.read_bytes()
    driver = Driver(writer, conversation)
    reply(driver, "two")
    writer.close()
    assert writer.path.read_bytes().startswith(before)
    info, again = read_session(writer.path)
    assert again == conversation
    assert (info.title, info.turns, info.tokens, info.id) == ("Named", 2, 16, first.session_id)


@pytest.mark.skipif(sys.platform == "win32", reason="files cannot be locked so")
def test_an_open_chat_is_not_opened_twice(sessions: Sessions, notices: list[str]) -> None:
    writer = sessions.new("demo", notices.append)
    writer.user("hello")
    code = (
        "import sys; from pathlib import Path; from app.sessions import Sessions\n"
        "from engine.errors import UsageError\n"
        "for verb in ('resume', 'rename', 'delete'):\n"
        "    try: getattr(Sessions(Path(sys.argv[1])), verb)(sys.argv[2], *([print] if verb == 'resume' "
        "else ['x'] if verb == 'rename' else []))\n"
        "    except UsageError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, str(writer.path.parent), writer.session_id]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(told) == 3
    assert all("is open in another draftscope" in sentence for sentence in told)
    writer.close()
    again, _ = sessions.resume(writer.session_id, notices.append)
    again.close()


def test_a_full_disk_is_said_once_and_leaves_whole_lines(
    sessions: Sessions, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = Driver(sessions.new("demo", notices.append))
    reply(driver, "one")
    whole = driver.writer.path.read_bytes()
    opened = driver.writer._open
    assert opened is not None

    class Full:
        """The file, on a disk with room for ten bytes more."""

        left = 10

        def write(self, data: memoryview) -> int:
            if not self.left:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            count = min(self.left, len(data))
            self.left -= count
            return opened.write(data[:count])

        def __getattr__(self, name: str) -> object:
            return getattr(opened, name)

    monkeypatch.setattr(driver.writer, "_open", Full())
    reply(driver, "two")
    reply(driver, "three")
    (notice,) = notices
    assert "No space left" in notice
    assert str(driver.writer.path) in notice
    assert driver.writer.path.read_bytes() == whole
    assert len(driver.conversation.exchanges) == 3


def test_a_folder_that_vanishes_is_said_once(sessions: Sessions, notices: list[str]) -> None:
    driver = Driver(sessions.new("demo", notices.append))
    reply(driver, "one")
    driver.writer.path.unlink()
    driver.writer.path.parent.rmdir()
    reply(driver, "two")
    reply(driver, "three")
    assert len(notices) == 1
    assert "moved or deleted" in notices[0]


def test_a_folder_that_cannot_be_made_is_said_once(tmp_path: Path, notices: list[str]) -> None:
    (tmp_path / "file").write_text("")
    driver = Driver(Sessions(tmp_path / "file").new("demo", notices.append))
    reply(driver, "one")
    reply(driver, "two")
    assert len(notices) == 1
    assert "no longer kept" in notices[0]


def test_the_command_lists_chats(
    tmp_path: Path, notices: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert list_sessions() == 0
    assert "no chats yet" in capsys.readouterr().out
    writer = chat(Sessions(), notices, "why \x1b[31m?")
    assert writer.path.parent == tmp_path / "sessions"
    assert list_sessions() == 0
    shown = capsys.readouterr().out
    assert writer.session_id in shown
    assert "\x1b" not in shown
    assert list_sessions(as_json=True) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["id"], data["turns"], data["tokens"]) == (writer.session_id, 1, 8)
