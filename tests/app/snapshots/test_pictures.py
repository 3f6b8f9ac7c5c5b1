"""What the screens look like, each over the same scripted chat."""

from __future__ import annotations

from contextlib import asynccontextmanager
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from textual.widgets import Input

from app.backends.base import ChatMessage
from app.backends.scripted import ScriptedBackend
from app.backends.scripted_lanes import scripted_lanes
from app.backends.scripted_prompt import ScriptedPrompt
from app.chat import Status
from app.lanes_run import LanesRun
from app.lanes_text import read_lanes
from app.setting_rules import ShowPanel
from engine.options import GenerateOptions, Mode
from tests.app.chat.driving import made_app, sent, wait_until
from tests.app.snapshots.pictures import compare

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from textual.pilot import Pilot

    from app.main import DraftscopeApp
    from engine.lanes import LanesNews

SIZE = (120, 40)


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAFTSCOPE_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("DRAFTSCOPE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    monkeypatch.delenv("NO_COLOR", raising=False)


@asynccontextmanager
async def chatted(
    folder: Path, size: tuple[int, int] = SIZE, **settings: object
) -> AsyncIterator[tuple[DraftscopeApp, Pilot[None]]]:
    """An app with one finished exchange; depth was changed in its reply."""
    app = made_app(folder, ScriptedBackend(seed=3, reply_tokens=90), **settings)
    async with app.run_test(size=size) as pilot:
        app.chat_screen.prompt.cursor_blink = False
        await stepped(app, pilot, "say something", 9)
        app.chat.tuning.set_depth(3)
        app.chat.tuning.pause(on=False)
        await wait_until(pilot, lambda: app.chat.conversation.exchanges[0].reply.finished is not None)
        await settled(app, pilot)
        yield app, pilot


async def stepped(app: DraftscopeApp, pilot: Pilot[None], prompt: str, rounds: int) -> None:
    """Ask, and go so many rounds far, however fast this machine draws."""
    await wait_until(pilot, lambda: app.chat.status is Status.READY)
    app.chat.tuning.pause(on=True)
    await sent(pilot, prompt)
    await wait_until(pilot, lambda: bool(app.chat.conversation.exchanges))
    reply = app.chat.conversation.exchanges[0].reply
    await wait_until(pilot, lambda: bool(reply.rounds))
    while len(reply.rounds) < rounds:
        before = len(reply.rounds)
        app.chat.tuning.step()
        await wait_until(pilot, lambda before=before: len(reply.rounds) > before)  # type: ignore[misc]


async def settled(app: DraftscopeApp, pilot: Pilot[None]) -> None:
    """Let everything be drawn that is to be drawn."""
    panel = app.chat_screen.query_one("#panel")
    for _ in range(30):
        await pilot.pause(0.02)
        if not panel._is_resting:  # type: ignore[attr-defined]
            break
    await pilot.pause(0.3)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("main", {}),
        ("light", {"theme": "draftscope-light"}),
        ("ansi", {"theme": "ansi"}),
        ("high-contrast", {"theme": "high-contrast"}),
        ("all-origins", {"view": "all-origins"}),
    ],
)
async def test_the_chat(tmp_path: Path, name: str, settings: dict[str, object]) -> None:
    async with chatted(tmp_path / "chats", **settings) as (app, _pilot):
        compare(app, name, tmp_path)


async def test_the_chat_in_80_columns(tmp_path: Path) -> None:
    async with chatted(tmp_path / "chats", (80, 24)) as (app, _pilot):
        compare(app, "narrow", tmp_path)


async def test_the_chat_without_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with chatted(tmp_path / "chats") as (app, _pilot):
        compare(app, "no-color", tmp_path)


@pytest.mark.parametrize(("name", "size"), [("inspect", SIZE), ("inspect-below", (60, 20))])
async def test_the_inspector(tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    async with chatted(tmp_path / "chats", size) as (app, pilot):
        await pilot.press("f6", "left", "left")
        await settled(app, pilot)
        compare(app, name, tmp_path)


async def test_the_figures_below_the_chat(tmp_path: Path) -> None:
    async with chatted(tmp_path / "chats", (60, 20), show_panel=ShowPanel.ALWAYS) as (app, _pilot):
        compare(app, "figures-below", tmp_path)


async def test_the_help(tmp_path: Path) -> None:
    async with chatted(tmp_path / "chats") as (app, pilot):
        await pilot.press("f1")
        await settled(app, pilot)
        compare(app, "help", tmp_path)


def lanes_to_look_at() -> LanesRun:
    """A comparison by the scripted engine, of which nothing has happened yet."""
    options = GenerateOptions(max_tokens=64)
    lanes = read_lanes("0, 1, 2, 4, ngram 2, auto", Mode.MTP)
    return LanesRun("say something", lanes, options, 2)


def lanes_news(run: LanesRun) -> Iterator[LanesNews]:
    prompt = ScriptedPrompt.of([ChatMessage("user", run.prompt)], 3, run.options, 4096)
    return scripted_lanes(prompt, run.lanes, run.options, run.repeats, 90, (0.8, 0.55, 0.35, 0.25))


@pytest.mark.parametrize(
    ("name", "size", "rounds"),
    [("compare", SIZE, None), ("compare-narrow", (80, 24), None), ("compare-under-way", SIZE, 120)],
)
async def test_comparing(tmp_path: Path, name: str, size: tuple[int, int], rounds: int | None) -> None:
    app = made_app(tmp_path / "chats", ScriptedBackend(seed=3))
    async with app.run_test(size=size) as pilot:
        app.chat_screen.prompt.cursor_blink = False
        await wait_until(pilot, lambda: app.chat.status is Status.READY)
        run = lanes_to_look_at()
        for news in islice(lanes_news(run), rounds):
            run.take(news)
        app.chat.comparison = run
        await pilot.press("f3")
        await settled(app, pilot)
        compare(app, name, tmp_path)


async def test_the_palette(tmp_path: Path) -> None:
    async with chatted(tmp_path / "chats") as (app, pilot):
        await pilot.press("ctrl+p")
        await wait_until(pilot, lambda: bool(app.screen.query(Input)))
        app.screen.query_one(Input).cursor_blink = False
        await pilot.press("d", "e", "p")
        await pilot.pause(0.5)
        await settled(app, pilot)
        compare(app, "palette", tmp_path)


async def test_a_paused_reply_with_its_ghosts(tmp_path: Path) -> None:
    app = made_app(tmp_path / "chats", ScriptedBackend(seed=3, reply_tokens=400))
    async with app.run_test(size=SIZE) as pilot:
        app.chat_screen.prompt.cursor_blink = False
        await stepped(app, pilot, "go on", 12)
        await settled(app, pilot)
        compare(app, "paused", tmp_path)
