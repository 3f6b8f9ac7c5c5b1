"""The whole program in a terminal, killed: what was written stays, and nobody is left behind."""

from __future__ import annotations

import os
import pty
import random
import re
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from app.hangup import HANGUP
from app.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[3]
PATIENCE_SECONDS = 60.0
PROMPT = b"Tell me a story about a fox called Ruby."
FULL = "Once upon a time there was a fox named Ruby."

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are Unix's")


class Terminal:
    """draftscope with the demo model on a terminal of its own."""

    def __init__(self, folder: Path) -> None:
        self.chats = folder / "data" / "sessions"
        master, slave = pty.openpty()
        self._master = master
        environment = {
            **os.environ,
            "DRAFTSCOPE_CONFIG_DIR": str(folder / "config"),
            "DRAFTSCOPE_DATA_DIR": str(folder / "data"),
            "TERM": "xterm-256color",
            "COLUMNS": "100",
            "LINES": "30",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "chat", "--pace", "25"],
            stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, env=environment, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.seen = b""
        self._closing = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        asked = select.poll()  # select knows no descriptors above 1023, and a long test run has some
        asked.register(self._master, select.POLLIN)
        while not self._closing:
            if not asked.poll(50):
                continue
            try:
                part = os.read(self._master, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            self.seen += part

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def shown(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.seen.decode("utf-8", "replace"))

    def worker(self) -> psutil.Process | None:
        children = psutil.Process(self.process.pid).children(recursive=True)
        return next((each for each in children if "engine.worker" in " ".join(each.cmdline())), None)

    def kept(self) -> str:
        """The last reply's text, as the file has it now; empty while there is none."""
        file = next(iter(self.chats.glob("*.jsonl")), None)
        if file is None:
            return ""
        from app.session_file import read_session

        _, conversation = read_session(file)
        return conversation.last.reply.text if conversation.last else ""

    def hang_up(self) -> None:
        """Take the terminal away; nobody may be reading from it then."""
        self._closing = True
        self._reader.join()
        os.close(self._master)
        self._master = -1

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self._master >= 0:
            os.close(self._master)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    opened = Terminal(tmp_path)
    yield opened
    opened.close()


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


def asked(terminal: Terminal, letters: int) -> psutil.Process:
    """Ask for a story, and wait until so much of it is kept; returns the engine's process."""
    until(lambda: "Ask something" in terminal.shown())
    terminal.type(PROMPT + b"\r")
    until(lambda: len(terminal.kept()) >= letters)
    worker = terminal.worker()
    assert worker is not None
    return worker


@pytest.mark.parametrize("seed", range(3))
def test_killing_the_app_keeps_the_chat_and_ends_the_engine(terminal: Terminal, seed: int) -> None:
    worker = asked(terminal, random.Random(seed).randrange(20, 200))
    before = terminal.kept()
    os.kill(terminal.process.pid, signal.SIGKILL)
    terminal.process.wait()
    until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    text = terminal.kept()
    assert text.startswith(before)
    assert text.startswith(FULL[: len(text)])
    [info] = Sessions(terminal.chats).list()
    writer, conversation = Sessions(terminal.chats).resume(info.id, print)
    writer.close()
    assert conversation.exchanges[0].reply.text == text
    assert conversation.exchanges[0].reply.finished is not None


def test_killing_the_engine_leaves_the_app_which_starts_another(terminal: Terminal) -> None:
    worker = asked(terminal, 40)
    before = terminal.kept()
    worker.kill()
    until(lambda: "engine lost" in terminal.shown())
    assert terminal.process.poll() is None
    assert terminal.kept().startswith(before)
    terminal.type(b"What is the capital of France?\r")
    until(lambda: "Paris" in terminal.kept())
    another = terminal.worker()
    assert another is not None
    terminal.type(b"\x11")  # ctrl+q
    assert terminal.process.wait(PATIENCE_SECONDS) == 0
    until(lambda: not another.is_running() or another.status() == psutil.STATUS_ZOMBIE)


def test_a_terminal_that_goes_away_ends_the_app_and_its_engine(terminal: Terminal) -> None:
    worker = asked(terminal, 20)
    terminal.hang_up()
    assert terminal.process.wait(PATIENCE_SECONDS) == HANGUP
    until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    assert terminal.kept().startswith(FULL[:20])
