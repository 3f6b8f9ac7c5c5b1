"""Exporting from the chat: where the file goes, and what is said of a place that cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.chat import Status
from tests.app.chat.driving import made_app, sent, wait_until

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("~nosuchuserhere/x.md", "There is no home folder for '~nosuchuserhere/x.md': write the whole path."),
        ("a\0b.md", r"No file can be called 'a\x00b.md': write another name."),
        ("a\ud800b.md", r"No file can be called 'a\ud800b.md': write another name."),
    ],
)
async def test_a_place_that_cannot_be_is_said(name: str, message: str, tmp_path: Path) -> None:
    app = made_app(tmp_path)
    async with app.run_test() as pilot:
        await app.chat_screen.action_verb("export", f"markdown {name}")
        await pilot.pause()
        assert [each.message for each in app._notifications] == [message]


async def test_a_tilde_is_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    app = made_app(tmp_path / "chats")
    async with app.run_test() as pilot:
        await sent(pilot, "hello")
        await wait_until(
            pilot, lambda: bool(app.chat.conversation.exchanges) and app.chat.status is Status.READY
        )
        await app.chat_screen.action_verb("export", "markdown ~/x.md")
    assert "hello" in (tmp_path / "home" / "x.md").read_text()
