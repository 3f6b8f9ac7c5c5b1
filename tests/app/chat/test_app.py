"""The app, driven by its keys over a scripted engine."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from textual.events import Key

from app.backends.scripted import ScriptedBackend
from app.chat import Status
from app.sessions import Sessions
from engine.events import FinishReason
from engine.options import Mode
from tests.app.chat.driving import made_app, sent, shown, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from app.main import DraftscopeApp

SIZE = (120, 40)


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAFTSCOPE_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("DRAFTSCOPE_DATA_DIR", str(tmp_path / "data"))


def idle(app: DraftscopeApp) -> bool:
    last = app.chat.conversation.last
    return app.chat.status is Status.READY and (last is None or last.reply.finished is not None)


def replying(app: DraftscopeApp, tokens: int = 1) -> bool:
    last = app.chat.conversation.last
    return last is not None and last.reply.finished is None and len(last.reply.tokens) >= tokens


async def test_a_prompt_is_answered_and_a_second_turn_works(tmp_path: Path) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await sent(pilot, "hello there")
        await wait_until(pilot, lambda: len(app.chat.conversation.exchanges) == 1 and idle(app))
        await sent(pilot, "again")
        await wait_until(pilot, lambda: len(app.chat.conversation.exchanges) == 2 and idle(app))
        text = shown(app)
        assert "hello there" in text
        assert "again" in text
        assert "tokens/s" in text
        assert "context" in text


async def test_depth_changes_in_mid_reply_by_keys_and_commands(tmp_path: Path) -> None:
    app = made_app(tmp_path, ScriptedBackend(seed=1, reply_tokens=4000))
    async with app.run_test(size=SIZE) as pilot:
        await sent(pilot, "go")
        await wait_until(pilot, lambda: replying(app))
        before = app.chat.tuning.options.depth
        await pilot.press("f8")
        assert app.chat.tuning.options.depth == before + 1
        reply = app.chat.conversation.last.reply  # type: ignore[union-attr]
        await wait_until(pilot, lambda: bool(reply.changes))
        first = reply.tokens[reply.changes[0].token_index - 1].round_index + 1
        await wait_until(pilot, lambda: len(reply.rounds) > first + 3)
        assert all(each.depth == before + 1 for each in reply.rounds[first : first + 3])
        await sent(pilot, "/depth 0")
        await wait_until(pilot, lambda: app.chat.tuning.options.depth == 0)
        await pilot.press("ctrl+t", "4")
        await wait_until(pilot, lambda: app.chat.tuning.options.depth == 4)
        await pilot.press("left_square_bracket")
        await wait_until(pilot, lambda: app.chat.tuning.options.depth == 3)
        assert "‹ 3 ›" in shown(app)


async def test_letters_go_into_the_prompt_while_it_has_the_focus(tmp_path: Path) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        depth = app.chat.tuning.options.depth
        await pilot.press("4", "k", "p", "b", "space")
        assert app.chat_screen.prompt.text == "4kpb "
        assert app.chat.tuning.options.depth == depth


async def test_escape_stops_and_keeps_what_there_is(tmp_path: Path) -> None:
    app = made_app(tmp_path, ScriptedBackend(seed=1, reply_tokens=4000))
    async with app.run_test(size=SIZE) as pilot:
        await sent(pilot, "go")
        await wait_until(pilot, lambda: replying(app, 10))
        await pilot.press("escape")
        await wait_until(pilot, lambda: idle(app))
        reply = app.chat.conversation.last.reply  # type: ignore[union-attr]
        assert reply.finished.reason is FinishReason.CANCELLED  # type: ignore[union-attr]
        assert len(reply.tokens) >= 10


async def test_pause_stands_still_and_space_steps(tmp_path: Path) -> None:
    app = made_app(tmp_path, ScriptedBackend(seed=1, reply_tokens=4000))
    async with app.run_test(size=SIZE) as pilot:
        await sent(pilot, "go")
        await wait_until(pilot, lambda: replying(app, 5))
        await pilot.press("f4")
        reply = app.chat.conversation.last.reply  # type: ignore[union-attr]
        for _ in range(20):
            await pilot.pause()
        rounds = len(reply.rounds)
        for _ in range(20):
            await pilot.pause()
        assert len(reply.rounds) == rounds
        assert "paused" in shown(app)
        await pilot.press("space")
        await wait_until(pilot, lambda: len(reply.rounds) == rounds + 1)
        await pilot.press("f4")
        await wait_until(pilot, lambda: len(reply.rounds) > rounds + 3)


async def test_modes_are_cycled_and_pace_is_toggled(tmp_path: Path) -> None:
    app = made_app(tmp_path, pace=12.0)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("f2")
        assert app.chat.tuning.options.mode is Mode.AUTO
        await pilot.press("f2")
        assert app.chat.tuning.options.mode is Mode.NGRAM
        assert "paced" in shown(app)
        await pilot.press("ctrl+t", "p")
        assert app.chat.tuning.pace == 0.0


async def test_a_chat_is_there_after_a_restart(tmp_path: Path) -> None:
    app = made_app(tmp_path / "chats")
    async with app.run_test(size=SIZE) as pilot:
        await sent(pilot, "remember me")
        await wait_until(pilot, lambda: len(app.chat.conversation.exchanges) == 1 and idle(app))
        text = app.chat.conversation.exchanges[0].reply.text
    app = made_app(tmp_path / "chats", resume="latest")
    async with app.run_test(size=SIZE) as pilot:
        await wait_until(pilot, lambda: app.chat.status is Status.READY)
        assert app.chat.conversation.exchanges[0].reply.text == text
        assert "remember me" in shown(app)
        await sent(pilot, "and now")
        await wait_until(pilot, lambda: len(app.chat.conversation.exchanges) == 2 and idle(app))


async def test_chats_are_listed_resumed_renamed_and_deleted(tmp_path: Path) -> None:
    app = made_app(tmp_path / "chats")
    async with app.run_test(size=SIZE) as pilot:
        await sent(pilot, "first chat")
        await wait_until(pilot, lambda: len(app.chat.conversation.exchanges) == 1 and idle(app))
        await pilot.press("ctrl+n")
        await sent(pilot, "second chat")
        await wait_until(pilot, lambda: len(app.chat.conversation.exchanges) == 1 and idle(app))
        await pilot.press("ctrl+n", "ctrl+o")
        await pilot.pause()
        assert "first chat" in shown(app)
        assert "second chat" in shown(app)
        await pilot.press("r", "end", "x", "enter")
        await pilot.pause()
        assert "second chatx" in shown(app)
        await pilot.press("down", "d", "d")
        await pilot.pause()
        assert "first chat" not in shown(app)
        await pilot.press("enter")
        await wait_until(pilot, lambda: bool(app.chat.conversation.exchanges))
        assert app.chat.conversation.exchanges[0].user == "second chat"


async def test_a_lost_engine_leaves_the_chat_and_says_so(tmp_path: Path) -> None:
    app = made_app(tmp_path, ScriptedBackend(seed=1, reply_tokens=400, lose_after_rounds=5))
    async with app.run_test(size=SIZE) as pilot:
        await sent(pilot, "go")
        await wait_until(pilot, lambda: app.chat.status is Status.LOST)
        await pilot.pause()
        assert "engine lost" in shown(app)
        assert app.chat.conversation.last.reply.tokens  # type: ignore[union-attr]
        await sent(pilot, "/restart")
        await wait_until(pilot, lambda: app.chat.status is Status.READY)


async def test_prompts_are_recalled_and_lines_added(tmp_path: Path) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await sent(pilot, "one")
        await wait_until(pilot, lambda: len(app.chat.conversation.exchanges) == 1 and idle(app))
        await pilot.press("t", "w", "o", "up")
        assert app.chat_screen.prompt.text == "one"
        await pilot.press("down")
        assert app.chat_screen.prompt.text == "two"
        await pilot.press("ctrl+j", "x")
        assert app.chat_screen.prompt.text == "two\nx"


async def test_what_is_wrong_with_a_command_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await sent(pilot, "/dept 3")
        await pilot.pause()
        assert app.chat_screen.prompt.text == "/dept 3"
        assert any("did you mean /depth" in each.message for each in app._notifications)
        assert not app.chat.conversation.exchanges


async def test_the_last_prompt_is_edited(tmp_path: Path) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await sent(pilot, "wrnog")
        await wait_until(pilot, lambda: len(app.chat.conversation.exchanges) == 1 and idle(app))
        await pilot.press(*"half", "ctrl+t", "e")
        await wait_until(pilot, lambda: app.chat_screen.prompt.text == "wrnog")
        assert "editing" in shown(app)
        await pilot.press("escape")
        await wait_until(pilot, lambda: app.chat_screen.prompt.text == "half")
        assert [exchange.user for exchange in app.chat.conversation.exchanges] == ["wrnog"]
        await pilot.press("ctrl+t", "e")
        await wait_until(pilot, lambda: app.chat_screen.prompt.text == "wrnog")
        await pilot.press("s", "enter")
        await wait_until(pilot, lambda: app.chat.conversation.exchanges[0].user == "wrnogs" and idle(app))
        assert len(app.chat.conversation.exchanges) == 1
    _, conversation = Sessions(tmp_path).resume(Sessions(tmp_path).list()[0].id, print)
    assert [exchange.user for exchange in conversation.exchanges] == ["wrnogs"]


async def test_a_command_can_be_begun_in_the_transcript_however_fast_it_is_typed(tmp_path: Path) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await sent(pilot, "hi")
        await wait_until(pilot, lambda: len(app.chat.conversation.exchanges) == 1 and idle(app))
        for key, letter in (("ctrl+t", "\x14"), ("slash", "/"), *((each, each) for each in "theme")):
            app._driver.send_message(Key(key, letter))  # type: ignore[union-attr]  # as they arrive in one burst
        await wait_until(pilot, lambda: app.chat_screen.prompt.text == "/theme")
        assert not app.chat.is_editing
        await pilot.press("ctrl+t")
        await app.chat_screen.action_verb("new")
        await wait_until(pilot, lambda: app.chat_screen.prompt.has_focus)


async def test_a_prompt_that_waits_can_be_seen(tmp_path: Path) -> None:
    app = made_app(tmp_path, ScriptedBackend(seed=1, reply_tokens=40, rounds_per_second=5))
    async with app.run_test(size=SIZE) as pilot:
        await sent(pilot, "hi")
        await wait_until(pilot, lambda: replying(app))
        app.chat.stop()
        app.chat.say("and then?")
        await wait_until(pilot, lambda: "Waits: and then?" in shown(app) or app.chat.waiting_prompt is None)
        await wait_until(pilot, lambda: len(app.chat.conversation.exchanges) == 2)
        await wait_until(pilot, lambda: "Waits:" not in shown(app))


async def test_measuring_says_how_far_it_is(tmp_path: Path) -> None:
    app = made_app(tmp_path, ScriptedBackend(seed=1, reply_tokens=40, rounds_per_second=20))
    async with app.run_test(size=SIZE) as pilot:
        await sent(pilot, "hi")
        await wait_until(pilot, lambda: len(app.chat.conversation.exchanges) == 1 and idle(app))
        app.chat.measure()
        seen: set[str] = set()

        def done() -> bool:
            seen.update(re.findall(r"measuring \d+ %", shown(app)))
            return app.chat.status is Status.READY

        await wait_until(pilot, done)
        assert len(seen) > 1


async def test_where_the_table_cannot_be_seen_a_measurement_says_what_came_of_it(tmp_path: Path) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await sent(pilot, "hi")
        await wait_until(pilot, lambda: len(app.chat.conversation.exchanges) == 1 and idle(app))
        app.chat.measure()
        await wait_until(pilot, lambda: any("shows the table" in each.message for each in app._notifications))


async def test_a_prompt_that_is_refused_stays_in_the_field(tmp_path: Path) -> None:
    app = made_app(tmp_path, pace=5.0)
    async with app.run_test(size=SIZE) as pilot:
        await sent(pilot, "hi")
        await wait_until(pilot, lambda: app.chat.status is Status.REPLYING)
        await sent(pilot, "more")
        await pilot.pause()
        assert app.chat_screen.prompt.text == "more"
        await pilot.press("escape", "enter")
        await wait_until(pilot, lambda: len(app.chat.conversation.exchanges) == 2)
        assert app.chat.conversation.exchanges[1].user == "more"


async def test_a_draft_is_not_lost_to_a_command(tmp_path: Path) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await wait_until(pilot, lambda: idle(app))
        await pilot.press(*"abc")
        app.chat_screen.begin_command("seed")
        assert app.chat_screen.prompt.text == "/seed "
        await pilot.press("ctrl+z")
        assert app.chat_screen.prompt.text == "abc"
        app.chat_screen.begin_command("seed")
        await pilot.press("up")
        assert app.chat_screen.prompt.text == "abc"
        await pilot.press("d", "down")
        assert app.chat_screen.prompt.text == "abcd", "what was recalled and changed is a draft of its own"


async def test_the_system_prompt_is_shown_to_be_changed(tmp_path: Path) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await wait_until(pilot, lambda: idle(app))
        app.chat.set_system("Be brief.")
        await app.chat_screen.action_verb("system")
        assert app.chat_screen.prompt.text == "/system Be brief."
        assert app.chat.conversation.system == "Be brief."
        await app.chat_screen.action_verb("system", "off")
        assert app.chat.conversation.system == ""


async def test_every_verb_is_in_the_palette_and_can_be_done(tmp_path: Path) -> None:
    from app.verbs import VERBS

    app = made_app(tmp_path)
    async with app.run_test(size=SIZE):
        offered = {command.title for command in app.get_system_commands(app.screen)}
        assert {verb.usage for verb in VERBS} <= offered
        assert all(hasattr(app.chat_screen, f"verb_{verb.action}") for verb in VERBS)


async def test_a_narrow_terminal_folds_the_figures_under_a_key(tmp_path: Path) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        assert "tokens/s" not in shown(app)
        await pilot.press("f5")
        await pilot.pause()
        assert "tokens/s" in shown(app)
        await pilot.press("f5")
        await pilot.pause()
        assert "tokens/s" not in shown(app)


async def test_the_user_s_keys_replace_ours(tmp_path: Path) -> None:
    app = made_app(tmp_path, keys={"chat.more": "f9"})
    async with app.run_test(size=SIZE) as pilot:
        depth = app.chat.tuning.options.depth
        await pilot.press("f9")
        assert app.chat.tuning.options.depth == depth + 1
        await pilot.press("f8")
        assert app.chat.tuning.options.depth == depth + 1
