"""What the user has chosen or read is kept for the next start, and what is set is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.backends.scripted import ScriptedBackend
from app.settings import Settings
from app.widgets.welcome import Welcome
from tests.app.chat.driving import made_app, sent, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot

    from app.main import DraftscopeApp

SIZE = (120, 40)


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAFTSCOPE_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("DRAFTSCOPE_DATA_DIR", str(tmp_path / "data"))


async def answered(app: DraftscopeApp, pilot: Pilot[None], text: str = "hello", turns: int = 1) -> None:
    """Send a prompt, and wait for the whole reply."""
    await sent(pilot, text)

    def is_so() -> bool:
        exchanges = app.chat.conversation.exchanges
        return len(exchanges) == turns and exchanges[-1].reply.finished is not None

    await wait_until(pilot, is_so)


async def test_a_theme_that_was_chosen_is_kept(tmp_path: Path) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        assert app.theme == "draftscope-dark"
        assert not (tmp_path / "config" / "settings.toml").exists(), "nobody has chosen anything"
        await sent(pilot, "/theme draftscope-light")
        await wait_until(pilot, lambda: Settings.load().theme == "draftscope-light")
        app.theme = "dusk"  # as the list of themes does
        assert Settings.load().theme == "dusk"
        app.theme = "draftscope-dark"
        assert Settings.load().theme == "draftscope-dark"


async def test_a_theme_for_once_is_not_kept(tmp_path: Path) -> None:
    app = made_app(tmp_path, theme="dusk")
    async with app.run_test(size=SIZE):
        assert app.theme == "dusk"
    assert Settings.load().theme == "draftscope-dark"


async def test_the_welcome_is_shown_until_a_reply_was_seen_and_then_never_again(tmp_path: Path) -> None:
    for number, is_shown in enumerate((True, True, False)):
        app = made_app(tmp_path / "chats", first_run_help=Settings.load().first_run_help)
        async with app.run_test(size=SIZE) as pilot:
            welcome = app.chat_screen.query_one(Welcome)
            assert welcome.display is is_shown
            if number:
                await answered(app, pilot)
                await wait_until(pilot, lambda welcome=welcome: not welcome.display)  # type: ignore[misc]


async def test_a_finished_reply_is_rendered_at_once_if_that_is_wanted(tmp_path: Path) -> None:
    app = made_app(tmp_path, ScriptedBackend(seed=1, reply_tokens=400, rounds_per_drain=1), markdown=True)
    async with app.run_test(size=SIZE) as pilot:
        await sent(pilot, "go")
        await wait_until(pilot, lambda: bool(app.chat.conversation.exchanges))
        await wait_until(pilot, lambda: bool(app.chat.conversation.exchanges[0].reply.tokens))
        turns = app.chat_screen.transcript._rows.turns
        assert not turns[0].body.is_rendered, "it is still growing"
        await pilot.press("escape")
        await wait_until(pilot, lambda: app.chat_screen.transcript._rows.turns[0].body.is_rendered)
