"""The wiring lab's screen: it begins the lab, shows where it is, can be stopped, and keeps what was found."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from textual.widgets import Static

from app.backends.base import Lost, Refused, WiringFound, WiringProgress
from app.backends.scripted import ScriptedBackend
from app.chat import Chat
from app.chat_state import Status
from app.screens.wiring import WiringScreen
from app.wiring_page import wiring_page
from engine.lab.intervals import Interval
from engine.lab.results import WiringRow, ranked
from engine.lab.wiring import TRIED
from tests.app.chat.driving import made_app, sent, shown, wait_until
from tests.app.chat.fake_backend import LOADED, FakeBackend
from tests.app.test_wiring import REPORT

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (120, 40)
LOSS = Interval(5.0, 4.0, 6.0)


class Lab(ScriptedBackend):
    """A script whose lab takes as long as the test wants."""

    asked = 0
    cancelled = False

    def wiring(self) -> None:
        self.asked += 1
        self._news.append(WiringProgress(3, 6, "hidden state first"))

    def cancel(self) -> None:
        self.cancelled = True
        self._news.append(WiringFound(None))

    def find(self) -> None:
        self._news.append(WiringFound(REPORT))


async def test_it_shows_progress_then_what_was_found_and_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    backend = Lab(seed=1)
    app = made_app(tmp_path / "chats", backend)
    async with app.run_test(size=SIZE) as pilot:
        await wait_until(pilot, lambda: app.chat.status is Status.READY)
        await sent(pilot, "/wiring")
        await wait_until(pilot, lambda: "hidden state first" in shown(app))
        assert app.chat.status is Status.MEASURING
        backend.find()
        await wait_until(pilot, lambda: "Embedding first, after the final norm" in shown(app))
        assert app.chat.status is Status.READY
        await pilot.press("s")
        await wait_until(pilot, lambda: (tmp_path / "draftscope-wiring.svg").exists())
        await pilot.press("escape")
        assert not isinstance(app.screen, WiringScreen)
        await sent(pilot, "/wiring")
        await wait_until(pilot, lambda: "Embedding first" in shown(app))
        assert backend.asked == 1


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_its_lines_fit_the_page(tmp_path: Path, size: tuple[int, int]) -> None:
    rows = ranked(
        [WiringRow(each, (0.97, 0.5, 0.25, 0.0), 209.3, Interval(0.0, -1.5, 1.5), LOSS) for each in TRIED]
    )
    backend = Lab(seed=1)
    app = made_app(tmp_path, backend)
    async with app.run_test(size=size) as pilot:
        await wait_until(pilot, lambda: app.chat.status is Status.READY)
        await sent(pilot, "/wiring")
        backend._news.append(WiringFound(replace(REPORT, rows=rows)))
        await wait_until(pilot, lambda: "Embedding first, after" in shown(app))
        page = app.screen.query_one("#wiring-text", Static)
        await wait_until(pilot, lambda: page.size.height > len(TRIED))
        assert page.size.height == len(wiring_page(replace(REPORT, rows=rows)).splitlines())


async def test_escape_stops_the_lab_first(tmp_path: Path) -> None:
    backend = Lab(seed=1)
    app = made_app(tmp_path, backend)
    async with app.run_test(size=SIZE) as pilot:
        await wait_until(pilot, lambda: app.chat.status is Status.READY)
        await sent(pilot, "/wiring")
        await wait_until(pilot, lambda: "hidden state first" in shown(app))
        await pilot.press("escape")
        await wait_until(pilot, lambda: "stopped before anything was found" in shown(app))
        assert backend.cancelled
        assert isinstance(app.screen, WiringScreen)
        await pilot.press("escape")
        assert not isinstance(app.screen, WiringScreen)


def test_a_refusal_and_a_lost_engine_end_it() -> None:
    backend = FakeBackend()
    chat = Chat(backend)
    assert not chat.find_wiring()
    backend.news.append(LOADED)
    chat.pump()
    assert chat.find_wiring()
    assert not chat.find_wiring()
    backend.news.append(Refused("wiring", "No MTP layer."))
    assert chat.pump().notices[-1] == "No MTP layer."
    assert chat.status is Status.READY
    assert chat.find_wiring()
    backend.news.append(Lost("Gone."))
    chat.pump()
    assert chat.status is Status.LOST
    assert chat.wiring_progress is None
