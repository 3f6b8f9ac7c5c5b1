"""The list of chats: the cursor stays on its chat, the open one is known, and nothing on disk ends it."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from app.screens.sessions import SessionsScreen
from app.sessions import Sessions
from tests.app.chat.driving import made_app, shown, wait_until
from tests.app.sessions.driver import Driver, reply

if TYPE_CHECKING:
    from pathlib import Path

    from app.main import DraftscopeApp

SIZE = (120, 40)
DAY = 86_400


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAFTSCOPE_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("DRAFTSCOPE_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Chats called alpha, beta and gamma, the last one the newest."""
    found = Sessions(tmp_path / "chats")
    for day, name in enumerate(("alpha", "beta", "gamma"), start=1):
        writer = found.new("demo", pytest.fail)
        reply(Driver(writer), name)
        writer.close()
        os.utime(writer.path, (day * DAY, day * DAY))
    return tmp_path / "chats"


def titles(folder: Path) -> list[str]:
    return [info.title for info in Sessions(folder).list()]


def chosen(app: DraftscopeApp) -> str:
    """The title under the cursor."""
    screen = app.screen
    assert isinstance(screen, SessionsScreen)
    ident = screen._chosen()
    assert ident is not None
    return screen._infos[ident].title


def said(app: DraftscopeApp) -> list[str]:
    return [each.message for each in app._notifications]


async def test_a_link_that_leads_nowhere_is_left_out(folder: Path) -> None:
    (folder / ".#20260101-000000-abcd.jsonl").symlink_to("user@host.123:456")
    app = made_app(folder)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("ctrl+o")
        await pilot.pause()
        assert chosen(app) == "gamma"
        assert len(titles(folder)) == 3


async def test_a_folder_that_cannot_be_read_is_said_in_the_list(tmp_path: Path) -> None:
    (tmp_path / "chats").write_text("")
    app = made_app(tmp_path / "chats")
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("ctrl+o")
        await wait_until(pilot, lambda: "cannot be read: Not a directory" in shown(app))
        await pilot.press("r", "d", "enter", "escape")
        assert not isinstance(app.screen, SessionsScreen)


async def test_copies_of_a_chat_are_chats_of_their_own(folder: Path) -> None:
    (info,) = (each for each in Sessions(folder).list() if each.title == "gamma")
    shutil.copy2(info.file, folder / "copy.jsonl")
    app = made_app(folder)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("ctrl+o")
        await pilot.pause()
        assert app.screen._chosen() == "copy"  # type: ignore[attr-defined]
        await pilot.press("d", "d")
        await pilot.pause()
        assert not (folder / "copy.jsonl").exists()
        assert titles(folder) == ["gamma", "beta", "alpha"]


async def test_a_renamed_chat_keeps_its_place_and_the_cursor(folder: Path) -> None:
    app = made_app(folder)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("ctrl+o", "down", "down", "r", "end", "x", "enter")
        await pilot.pause()
        assert chosen(app) == "alphax"
        assert titles(folder) == ["gamma", "beta", "alphax"]
        await pilot.press("d")
        assert "Press d once more to delete 'alphax' for good." in said(app)
        await pilot.press("d")
        await pilot.pause()
        assert said(app) == ["'alphax' is deleted."]
        assert titles(folder) == ["gamma", "beta"]


async def test_the_cursor_follows_its_chat_when_others_go_before_it(folder: Path) -> None:
    app = made_app(folder)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("ctrl+o", "down", "r")
        (beta,) = (each for each in Sessions(folder).list() if each.title == "beta")
        os.utime(beta.file)  # as if it was gone on with elsewhere
        await pilot.press("escape")
        await pilot.pause()
        assert titles(folder)[0] == "beta"
        assert chosen(app) == "beta"


async def test_a_title_goes_to_the_chat_it_was_asked_for(folder: Path) -> None:
    app = made_app(folder)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("ctrl+o", "down", "r", "end", "x", "shift+tab", "down", "tab", "enter")
        await pilot.pause()
        assert titles(folder) == ["gamma", "betax", "alpha"]


async def test_asking_for_a_title_takes_the_first_d_back(folder: Path) -> None:
    app = made_app(folder)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("ctrl+o", "d", "r", "escape", "d")
        await pilot.pause()
        assert titles(folder) == ["gamma", "beta", "alpha"]


async def test_the_open_chat_is_renamed_but_not_deleted(folder: Path) -> None:
    app = made_app(folder, resume="latest")
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("ctrl+o", "r", "end", "x", "enter")
        await pilot.pause()
        assert chosen(app) == "gammax"
        assert titles(folder)[0] == "gammax"
        assert said(app) == []
        await pilot.press("d", "d")
        await pilot.pause()
        assert "This is the chat that is open: begin another one (/new), then delete it." in said(app)
        assert len(titles(folder)) == 3
    _, conversation = Sessions(folder).resume(Sessions(folder).list()[0].id, pytest.fail)
    assert conversation.exchanges[0].user == "gamma"


async def test_an_open_chat_that_is_no_longer_kept_can_be_deleted(folder: Path) -> None:
    app = made_app(folder, resume="latest")
    async with app.run_test(size=SIZE) as pilot:
        app.kept.writer._fail("the disk is full")
        await pilot.press("ctrl+o", "d", "d")
        await pilot.pause()
        assert titles(folder) == ["beta", "alpha"]
