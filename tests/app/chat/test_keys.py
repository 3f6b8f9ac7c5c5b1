"""Keys in the app: what the prompt leaves to the screen, and what is said of keys after rebinding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.backends.scripted import ScriptedBackend
from app.screens.compare import CompareScreen
from app.screens.sessions import SessionsScreen
from tests.app.chat.driving import made_app, sent, shown, wait_until

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


def said(app: DraftscopeApp) -> list[str]:
    return [each.message for each in app._notifications]


async def test_the_transcript_is_scrolled_from_the_prompt(tmp_path: Path) -> None:
    app = made_app(tmp_path, ScriptedBackend(seed=1, reply_tokens=600, rounds_per_drain=20), max_tokens=700)
    async with app.run_test(size=(120, 24)) as pilot:
        await answered(app, pilot)
        transcript = app.chat_screen.transcript
        last = len(app.chat.conversation.exchanges[0].reply.tokens) - 1
        await wait_until(pilot, lambda: transcript._rows.row_of((0, last)) is not None)
        await wait_until(pilot, lambda: transcript.scroll_offset.y == transcript.max_scroll_y > 0)
        assert app.chat_screen.prompt.has_focus
        end = transcript.scroll_offset.y
        await pilot.press("pageup")
        await wait_until(pilot, lambda: transcript.scroll_offset.y < end)
        await wait_until(pilot, lambda: "End follows again" in shown(app))
        above = transcript.scroll_offset.y
        await pilot.press("pagedown")
        await wait_until(pilot, lambda: transcript.scroll_offset.y > above)


async def test_up_and_down_go_through_the_rows_of_a_wrapped_prompt(tmp_path: Path) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=(60, 24)) as pilot:
        await answered(app, pilot)
        prompt = app.chat_screen.prompt
        draft = "word " * 30
        prompt.put(draft)
        await pilot.pause()
        rows = prompt.wrapped_document.height
        assert rows > 2
        for _ in range(rows - 1):
            await pilot.press("up")
            assert prompt.text == draft
        await pilot.press("up")
        assert prompt.text == "hello"
        await pilot.press("down")
        assert prompt.text == draft
        await pilot.press("up", "down")
        assert prompt.text == draft, "down, from the last row, has nothing to come to"


async def test_the_prompt_leaves_keys_to_those_that_the_user_gave_them_to(tmp_path: Path) -> None:
    app = made_app(tmp_path, keys={"chat.new": "ctrl+k"})
    async with app.run_test(size=SIZE) as pilot:
        await answered(app, pilot)
        await pilot.press("a", "b", "home", "ctrl+k")
        await wait_until(pilot, lambda: not app.chat.conversation.exchanges)
        assert app.chat_screen.prompt.text == "ab"


async def test_keys_that_cannot_be_meant_are_said_and_the_old_ones_stay(tmp_path: Path) -> None:
    app = made_app(tmp_path, keys={"chat.less": "f99", "chat.les": "f9", "chat.more": "f6"})
    async with app.run_test(size=SIZE) as pilot:
        assert any("chat.less can't be 'f99'" in each for each in said(app))
        assert any("did you mean chat.less?" in each for each in said(app))
        assert any("give chat.inspect a key of its own" in each for each in said(app))
        depth = app.chat.tuning.options.depth
        await pilot.press("f6", "f6", "f7")
        assert app.chat.tuning.options.depth == depth + 1


async def test_many_keys_that_cannot_be_meant_are_said_in_one_notice(tmp_path: Path) -> None:
    names = ("less", "more", "mode", "pause", "compare")
    app = made_app(tmp_path, keys={f"chat.{name}": "f99" for name in names})
    async with app.run_test(size=SIZE):
        (notice,) = said(app)
        assert [f"chat.{name}" in notice for name in names] == [True, True, True, False, False]
        assert notice.endswith("The same goes for 2 more.")


async def test_pages_name_keys_as_they_are_bound(tmp_path: Path) -> None:
    keys = {
        "chat.more": "f9",
        "chat.help": "f12",
        "prompt.send": "ctrl+s",
        "transcript.measure": "z",
        "compare.markdown": "w",
        "compare.leave": "f10",
        "sessions.rename": "[",
        "sessions.delete": "ctrl+x",
        "help.leave": "f11",
    }
    app = made_app(tmp_path, ScriptedBackend(seed=1, reply_tokens=40), keys=keys, first_run_help=True)
    async with app.run_test(size=SIZE) as pilot:
        await wait_until(pilot, lambda: "f7 and f9 change how far ahead" in shown(app))
        assert "f12 explains the rest" in shown(app)
        assert "^s sends" in shown(app)
        await pilot.press("h", "i", "ctrl+s")
        await wait_until(pilot, lambda: "press z in" in shown(app))
        await pilot.press("f3")
        await wait_until(pilot, lambda: isinstance(app.screen, CompareScreen) and "JSON" in shown(app))
        assert "w Markdown   j JSON   f10 stop, back" in shown(app)
        await pilot.press("f10", "ctrl+o")
        await wait_until(pilot, lambda: isinstance(app.screen, SessionsScreen) and "rename" in shown(app))
        assert "[ rename   ^x delete   esc back" in shown(app)
        await pilot.press("ctrl+x")
        assert any("Press ^x once more" in each for each in said(app))
        await pilot.press("escape", "f12")
        await pilot.pause()
        await pilot.press("end")
        await wait_until(pilot, lambda: "f11 closes this page" in shown(app))


async def test_what_has_lost_its_key_is_named_as_a_command(tmp_path: Path) -> None:
    keys = {"chat.mode": "f8", "transcript.view": "b"}
    app = made_app(tmp_path, keys=keys, first_run_help=True)
    async with app.run_test(size=SIZE) as pilot:
        await wait_until(pilot, lambda: "/depth changes how far ahead" in shown(app))
        await answered(app, pilot)
        await wait_until(pilot, lambda: "type /measure" in shown(app))
