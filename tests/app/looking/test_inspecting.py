"""The inspector beside the transcript: both can be read at once, whatever the terminal and the reply do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from app.backends.replay import ReplayBackend
from app.backends.scripted import ScriptedBackend
from app.chat import Status
from app.screens.inspect import InspectPane
from app.widgets.inspector import Inspector
from app.widgets.key_line import KeyLine
from engine.event_json import to_json
from engine.events import Finished, FinishReason, Header
from engine.options import GenerateOptions
from tests.app.chat.driving import made_app, sent, shown, wait_until
from tests.app.panel.made import verified

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot

    from app.main import DraftscopeApp

SIZES = [(120, 40), (80, 24), (60, 20)]


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAFTSCOPE_CONFIG_DIR", str(tmp_path / "config"))


async def asked(app: DraftscopeApp, pilot: Pilot[None], prompt: str) -> None:
    count = len(app.chat.conversation.exchanges) + 1
    await sent(pilot, prompt)
    await wait_until(pilot, lambda: len(app.chat.conversation.exchanges) == count)
    await wait_until(pilot, lambda: app.chat.status is Status.READY)
    await pilot.pause()


def is_in_view(app: DraftscopeApp) -> bool:
    """Whether the token that is looked at stands on the screen, where nothing covers it."""
    transcript = app.chat_screen.transcript
    assert transcript.cursor is not None
    row = transcript._rows.row_of(transcript.cursor)
    assert row is not None
    return 0 <= row - transcript.scroll_offset.y < transcript.scrollable_content_region.height


def pane(app: DraftscopeApp) -> InspectPane:
    return app.chat_screen.query_one(InspectPane)


@pytest.mark.parametrize("size", SIZES)
async def test_the_text_wraps_beside_it_and_the_token_is_in_view(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    app = made_app(tmp_path, ScriptedBackend(seed=1, reply_tokens=500))
    async with app.run_test(size=size) as pilot:
        await asked(app, pilot, "hi")
        await pilot.press("f6")
        screen = app.chat_screen
        await wait_until(pilot, lambda: "token 500 of 500" in shown(app))
        for key, place in (("ctrl+home", 0), ("right", 1), ("ctrl+end", 499), ("left", 498)):
            await pilot.press(key)
            await wait_until(pilot, lambda place=place: f"token {place + 1} of 500" in shown(app))  # type: ignore[misc]
            assert screen.transcript.cursor == (0, place)
            assert is_in_view(app)
        others = (
            screen.transcript,
            screen.prompt,
            *(screen.query_one(name) for name in ("Header", "#legend")),
        )
        assert not any(pane(app).region.overlaps(each.region) for each in others)
        assert screen.transcript.region.width >= 38
        await pilot.resize_terminal(size[0] - 2, size[1] - 3)
        await pilot.pause()
        assert is_in_view(app)
        said = " ".join(str(pane(app).query_one(KeyLine).render()).split())
        assert said == "← → token ^home ^end ends ↑ ↓ scroll esc back"
        assert all(word in shown(app) for word in ("→ token", "^end", "ends", "scroll", "esc back"))


async def test_the_token_stays_in_view_while_the_reply_grows(tmp_path: Path) -> None:
    app = made_app(tmp_path, ScriptedBackend(seed=1, reply_tokens=4000))
    async with app.run_test(size=(80, 24)) as pilot:
        transcript = app.chat_screen.transcript
        await sent(pilot, "go")
        await wait_until(pilot, lambda: transcript.row_count > 10)
        await pilot.press("f6")
        await wait_until(pilot, lambda: app.chat_screen.is_inspecting)
        height = transcript.row_count
        await wait_until(pilot, lambda: transcript.row_count > height + 30)
        assert is_in_view(app)
        await pilot.press("end", "escape")
        assert not app.chat_screen.is_inspecting


async def test_closed_it_gives_back_room_focus_and_the_tail(tmp_path: Path) -> None:
    app = made_app(tmp_path, ScriptedBackend(seed=1, reply_tokens=300))
    async with app.run_test(size=(120, 24)) as pilot:
        await asked(app, pilot, "hi")
        screen, width = app.chat_screen, app.chat_screen.transcript.region.width
        for close in ("f6", "escape"):
            await pilot.press("f6")
            assert screen.is_inspecting
            assert not screen.prompt.has_focus
            await pilot.press(close)
            assert not screen.is_inspecting
            assert screen.prompt.has_focus
            assert screen.transcript.region.width == width
            assert screen.transcript.following
        assert "tokens/s" in shown(app)
        await pilot.press("f6", "ctrl+home", "escape")
        assert not screen.transcript.following
        assert is_in_view(app), "who looks at the beginning is not taken to the end"


async def test_it_turns_over_replies_and_stays_at_the_ends_of_the_chat(tmp_path: Path) -> None:
    app = made_app(tmp_path, ScriptedBackend(seed=1, reply_tokens=5))
    async with app.run_test(size=(120, 40)) as pilot:
        await asked(app, pilot, "a")
        await asked(app, pilot, "b")
        transcript = app.chat_screen.transcript
        await pilot.press("f6", "right")
        assert transcript.cursor == (1, 4)
        await pilot.press(*["left"] * 5)
        assert transcript.cursor == (0, 4)
        await pilot.press(*["left"] * 9)
        assert transcript.cursor == (0, 0)
        assert "token 1 of 5" in shown(app)


async def test_the_cursor_in_the_transcript_turns_it_as_well(tmp_path: Path) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await asked(app, pilot, "hi")
        await pilot.press("f6")
        app.chat_screen.transcript.focus()
        await pilot.press("ctrl+home", "right", "right")
        await wait_until(pilot, lambda: "token 3 of 40" in shown(app))
        await pilot.press("escape")
        assert not app.chat_screen.is_inspecting


async def test_a_reply_shown_as_markdown_shows_its_tokens(tmp_path: Path) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await asked(app, pilot, "hi")
        assert app.chat_screen.transcript.toggle_markdown()
        await pilot.press("f6")
        assert "token 40 of 40" in shown(app)
        assert is_in_view(app)


async def test_of_a_recording_it_does_not_speak_of_a_reply_to_come(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    told = (Header("small", GenerateOptions()), verified(0, [1]), Finished(FinishReason.STOP, 1, 1.0))
    file.write_text("".join(json.dumps(to_json(each)) + "\n" for each in told), encoding="utf-8")
    app = made_app(tmp_path, ReplayBackend(file, speed=0))
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_until(pilot, lambda: app.chat_screen.transcript.row_count > 0)
        await pilot.press("f6")
        await wait_until(pilot, lambda: "It was not recorded." in shown(app))
        assert "/detail" not in shown(app)


async def test_it_closes_when_its_token_is_gone(tmp_path: Path) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await asked(app, pilot, "hi")
        await pilot.press("f6")
        await pilot.press("ctrl+n")
        await wait_until(pilot, lambda: not app.chat_screen.is_inspecting)
        await asked(app, pilot, "again")
        await pilot.press("f6")
        assert app.chat_screen.is_inspecting
        app.chat.conversation.exchanges.clear()
        await wait_until(pilot, lambda: not app.chat_screen.is_inspecting)
        app.chat_screen.transcript.cursor = 0, 0
        await app.chat_screen.action_verb("inspect")
        assert not app.chat_screen.is_inspecting


async def test_the_figures_take_its_place(tmp_path: Path) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await asked(app, pilot, "hi")
        await pilot.press("f6", "f5")
        await pilot.pause()
        assert not app.chat_screen.is_inspecting
        assert "tokens/s" in shown(app)


@pytest.mark.parametrize("size", SIZES)
async def test_a_reply_that_ends_while_it_is_looked_at_keeps_its_tokens(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    app = made_app(tmp_path, ScriptedBackend(seed=1, reply_tokens=120), markdown=True)
    async with app.run_test(size=size) as pilot:
        await sent(pilot, "go")
        await wait_until(
            pilot,
            lambda: bool(app.chat.conversation.exchanges and app.chat.conversation.exchanges[0].reply.tokens),
        )
        await pilot.press("f6")
        await wait_until(pilot, lambda: app.chat_screen.is_inspecting)
        await wait_until(pilot, lambda: app.chat.status is Status.READY)
        await wait_until(pilot, lambda: app.chat_screen.transcript._finished != {})
        for key, place in (("ctrl+end", 119), ("left", 118), ("ctrl+home", 0), ("right", 1)):
            await pilot.press(key)
            assert app.chat_screen.transcript.cursor == (0, place)
            await wait_until(pilot, lambda place=place: f"token {place + 1} of 120" in shown(app))  # type: ignore[misc]
        await pilot.press("escape")
        await app.chat_screen.action_verb("markdown")
        assert app.chat_screen.transcript._rows.turns[0].body.is_rendered


async def test_shown_as_markdown_while_it_is_looked_at_the_reply_is_looked_at_no_longer(
    tmp_path: Path,
) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await asked(app, pilot, "hi")
        await pilot.press("f6")
        await app.chat_screen.action_verb("markdown")
        assert not app.chat_screen.is_inspecting
        await pilot.press("f6", "left")
        assert app.chat_screen.transcript.cursor == (0, 38)


@pytest.mark.parametrize("keys", [("escape",), ("tab",)])
async def test_after_a_new_reply_it_opens_on_that_ones_last_token(
    tmp_path: Path, keys: tuple[str, ...]
) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=(60, 20)) as pilot:
        await asked(app, pilot, "hi")
        await pilot.press("f6", "left", "left")
        assert app.chat_screen.transcript.cursor == (0, 37)
        await pilot.press(*keys)
        app.chat_screen.prompt.focus()
        await asked(app, pilot, "again")
        if app.chat_screen.is_inspecting:
            app.chat_screen.action_leave_inspector()
        await pilot.press("f6")
        assert app.chat_screen.transcript.cursor == (1, 39)
        await wait_until(pilot, lambda: "token 40 of 40" in shown(app))


async def test_it_opens_at_its_top_though_it_was_scrolled_before(tmp_path: Path) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=(60, 20)) as pilot:
        await asked(app, pilot, "hi")
        await pilot.press("f6", "down", "down", "down", "down")
        inspector = pane(app).query_one(Inspector)
        await wait_until(pilot, lambda: inspector.scroll_y > 0)
        await pilot.press("escape", "f6")
        await wait_until(pilot, lambda: inspector.scroll_y == 0)
        await wait_until(pilot, lambda: "token 40 of 40" in shown(app))


async def test_a_notice_does_not_cover_the_token_that_is_asked_for(tmp_path: Path) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await asked(app, pilot, "hi")
        app.notify("Something was said before.")
        await wait_until(pilot, lambda: "Something was said" in shown(app))
        await pilot.press("f6")
        await wait_until(pilot, lambda: "Something was said" not in shown(app))
        assert "token 40 of 40" in shown(app)
