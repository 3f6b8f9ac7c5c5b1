"""While there is no engine the screen says why, and what to do; it goes on saying so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.backends.base import Loading, Lost
from app.backends.scripted import ScriptedBackend
from app.chat import Chat, Status
from app.setting_rules import ShowPanel
from app.widgets.panel import SidePanel
from tests.app.chat.driving import made_app, sent, shown, wait_until
from tests.app.chat.fake_backend import LOADED, FakeBackend

if TYPE_CHECKING:
    from pathlib import Path

REASON = "model-00001-of-00004.safetensors is cut off\x1b[31m: download it again."


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAFTSCOPE_CONFIG_DIR", str(tmp_path / "config"))


def test_the_reason_holds_until_an_engine_is_there() -> None:
    backend = FakeBackend()
    chat = Chat(backend)
    backend.news.append(Lost(REASON))
    chat.pump()
    assert chat.trouble == REASON
    chat.restart()
    backend.news.append(Loading("a", 1, 2))
    chat.pump()
    assert chat.trouble == REASON
    backend.news.append(LOADED)
    chat.pump()
    assert chat.trouble is None


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (60, 20)])
async def test_a_checkpoint_that_cannot_be_loaded(tmp_path: Path, size: tuple[int, int]) -> None:
    backend = FakeBackend()
    app = made_app(tmp_path, backend, show_panel=ShowPanel.ALWAYS)  # type: ignore[arg-type]
    async with app.run_test(size=size, notifications=True) as pilot:
        backend.news.append(Lost(REASON))
        await wait_until(pilot, lambda: app.chat.status is Status.LOST)
        await wait_until(pilot, lambda: "is cut off" in shown(app))
        assert not app._notifications, "it is said where it stays"
        panel = app.chat_screen.query_one(SidePanel)
        await wait_until(pilot, lambda: panel._shown is not None and panel._shown.note is not None)
        await pilot.pause()
        text = " ".join(shown(app).replace("▌", " ").split())
        assert "download it again. /restart tries again; for another model, leave with ctrl+q" in text
        assert "\x1b" not in text
        assert "ask something" not in text
        await sent(pilot, "hello")
        await wait_until(pilot, lambda: "being started again" in shown(app))
        assert "is cut off" in shown(app)
        backend.news.append(Lost("It is cut off still."))
        await wait_until(pilot, lambda: "It is cut off still." in shown(app))
        assert app.chat_screen.prompt.text == "hello"
        await sent(pilot, "")
        backend.news.append(LOADED)
        await wait_until(pilot, lambda: "It is cut off still." not in shown(app))


async def test_an_engine_that_is_lost_while_another_page_is_open(tmp_path: Path) -> None:
    backend = FakeBackend()
    app = made_app(tmp_path, backend)  # type: ignore[arg-type]
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        backend.news.append(LOADED)
        await wait_until(pilot, lambda: app.chat.status is Status.READY)
        await pilot.press("f1")
        backend.news.append(Lost("It ran out of memory."))
        await wait_until(pilot, lambda: [each.message for each in app._notifications] == [app.chat.trouble])
        await pilot.press("escape")
        await wait_until(pilot, lambda: "/restart tries again" in shown(app))


async def test_what_was_measured_still_stands(tmp_path: Path) -> None:
    app = made_app(tmp_path, ScriptedBackend(seed=1, reply_tokens=40))
    async with app.run_test(size=(120, 40)) as pilot:
        await sent(pilot, "go")
        await wait_until(pilot, lambda: app.chat.conversation.last is not None)
        await wait_until(pilot, lambda: app.chat.status is Status.READY)
        await app.chat_screen.action_verb("measure")
        await wait_until(pilot, lambda: app.chat.status is Status.MEASURING)
        await wait_until(pilot, lambda: app.chat.status is Status.READY)
        await wait_until(pilot, lambda: "Depth 1 " in shown(app))
        app.chat._take(Lost("It ran out of memory."))
        await wait_until(pilot, lambda: "ran out of memory" in shown(app))
        panel = app.chat_screen.query_one(SidePanel)
        await wait_until(pilot, lambda: panel._shown is not None and panel._shown.note is not None)
        assert "Depth 1 " in shown(app)
        app.chat.tuning.set_depth(7)
        await wait_until(pilot, lambda: "There is no engine" in shown(app))
