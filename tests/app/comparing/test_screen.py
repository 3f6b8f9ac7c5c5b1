"""The compare screen, driven by its keys over a scripted engine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from textual.widgets import Input

from app.backends.base import Lost
from app.backends.scripted import ScriptedBackend
from app.chat import Status
from app.screens.compare import CompareScreen
from app.screens.help import TOPICS, HelpScreen
from engine.lanes import Lane
from engine.options import Mode
from tests.app.chat.driving import made_app, sent, shown, wait_until
from tests.app.comparing.made import WHOLE, run_of, taken

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot

    from app.main import DraftscopeApp

SIZE = (120, 40)


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAFTSCOPE_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("DRAFTSCOPE_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def quick() -> ScriptedBackend:
    return ScriptedBackend(seed=1, reply_tokens=40, rounds_per_drain=20)


def over(app: DraftscopeApp) -> bool:
    return app.chat.comparison is not None and app.chat.comparison.is_over


def field(app: DraftscopeApp, name: str) -> Input:
    return app.screen.query_one(f"#compare-{name}", Input)


def said(app: DraftscopeApp) -> str:
    return "\n".join(each.message for each in app._notifications)


async def chatted(app: DraftscopeApp, pilot: Pilot[None], prompt: str = "hello there") -> None:
    await sent(pilot, prompt)
    await wait_until(pilot, lambda: len(app.chat.conversation.exchanges) == 1)
    await wait_until(pilot, lambda: app.chat.status is Status.READY)


async def opened(app: DraftscopeApp, pilot: Pilot[None]) -> None:
    await pilot.press("f3")
    await wait_until(pilot, lambda: isinstance(app.screen, CompareScreen) and bool(app.screen.query(Input)))
    await pilot.pause()


@pytest.mark.parametrize("size", [SIZE, (80, 24)])
async def test_f3_and_enter_compare_the_last_prompt(tmp_path: Path, size: tuple[int, int]) -> None:
    app = made_app(tmp_path / "chats", quick())
    async with app.run_test(size=size) as pilot:
        await chatted(app, pilot)
        await opened(app, pilot)
        assert field(app, "prompt").value == "hello there"
        assert field(app, "lanes").value == "0, 1, 2, 4"
        assert "at most 64 tokens, 2 times" in shown(app)
        await pilot.press("enter")
        await wait_until(pilot, lambda: over(app))
        await wait_until(pilot, lambda: "Depth 2 pays" in shown(app))  # the last line of it
        text = shown(app)
        for label in ("depth 0", "mtp 1", "mtp 2", "mtp 4"):
            assert label in text
        assert "Fastest: mtp 2" in text
        assert "Identical text: yes." in text
        assert "each lane runs alone" in text
        assert "Outside the rates" in text
        assert app.chat.comparison is not None
        assert f"{app.chat.comparison.report.ratio(2):.2f}×" in text
        assert all(len(line) <= size[0] for line in text.splitlines())
        said_by_chat = app.chat.conversation.exchanges[0].reply.text
        for lane in range(4):
            assert "".join(token.text for token in app.chat.comparison.text(lane)) == said_by_chat[:5000]


async def test_an_empty_chat_asks_for_a_prompt_and_takes_any(tmp_path: Path) -> None:
    app = made_app(tmp_path / "chats", quick())
    async with app.run_test(size=SIZE) as pilot:
        await wait_until(pilot, lambda: app.chat.status is Status.READY)
        await opened(app, pilot)
        assert field(app, "prompt").value == ""
        assert "what every lane is to answer" in shown(app)
        await pilot.press("enter")
        await wait_until(pilot, lambda: "type a prompt" in said(app))
        assert app.chat.comparison is None
        await pilot.press("m", "j", "enter")  # letters, while a field has the focus
        await wait_until(pilot, lambda: over(app))
        assert app.chat.comparison is not None
        assert app.chat.comparison.prompt == "mj"


async def test_lanes_are_typed_and_mistakes_are_said(tmp_path: Path) -> None:
    app = made_app(tmp_path / "chats", quick())
    async with app.run_test(size=SIZE) as pilot:
        await chatted(app, pilot)
        await sent(pilot, "/compare ngrm 2")
        await wait_until(pilot, lambda: "did you mean ngram?" in said(app))
        assert app.screen is app.chat_screen
        await pilot.press("ctrl+u")
        app.chat_screen.prompt.put("/compare 0, ngram 2, auto")
        await pilot.press("enter")
        await wait_until(pilot, lambda: isinstance(app.screen, CompareScreen))
        await pilot.pause()
        assert field(app, "lanes").has_focus
        await pilot.press("end", "comma", "9", "enter")
        await wait_until(pilot, lambda: "from 0 to 8, not 9" in said(app))
        assert app.chat.comparison is None
        await pilot.press("backspace", "backspace", "enter")
        await wait_until(pilot, lambda: over(app))
        assert app.chat.comparison is not None
        assert app.chat.comparison.lanes == (
            Lane(Mode.ORDINARY, 0),
            Lane(Mode.NGRAM, 2),
            Lane(Mode.AUTO, 0),
        )


async def test_escape_stops_and_pressed_again_goes_back(tmp_path: Path) -> None:
    app = made_app(tmp_path / "chats", ScriptedBackend(seed=1, reply_tokens=4000))
    async with app.run_test(size=SIZE) as pilot:
        await wait_until(pilot, lambda: app.chat.status is Status.READY)
        await opened(app, pilot)
        await pilot.press("x")
        field(app, "lanes").value = ", ".join(f"{mode} {n}" for mode in ("mtp", "ngram") for n in range(1, 9))
        await pilot.press("enter")
        await wait_until(pilot, lambda: app.chat.comparison is not None)
        run = app.chat.comparison
        assert run is not None
        await wait_until(pilot, lambda: run.is_comparable)
        await pilot.press("escape")
        assert isinstance(app.screen, CompareScreen)
        await wait_until(pilot, lambda: app.chat.status is Status.READY)
        assert run.share_done < 1
        assert run.finished is not None
        assert not run.finished.complete
        await wait_until(pilot, lambda: "It was stopped" in shown(app))
        await pilot.press("escape")
        await wait_until(pilot, lambda: app.screen is app.chat_screen)
        await opened(app, pilot)  # what was measured is still there
        await wait_until(pilot, lambda: "It was stopped" in shown(app))
        assert field(app, "prompt").value == "x"
        await pilot.press("f3")
        await wait_until(pilot, lambda: app.screen is app.chat_screen)


async def test_a_lost_engine_is_said_and_figures_stay(tmp_path: Path) -> None:
    app = made_app(tmp_path / "chats", ScriptedBackend(seed=1, lose_after_rounds=70))
    async with app.run_test(size=SIZE) as pilot:
        await wait_until(pilot, lambda: app.chat.status is Status.READY)
        await opened(app, pilot)
        await pilot.press("x", "enter")
        await wait_until(pilot, lambda: app.chat.status is Status.LOST)
        await wait_until(pilot, lambda: "The scripted engine was lost" in shown(app))
        assert "33.3 tok/s" in shown(app)  # depth 0 had come to its end
        await pilot.press("enter")
        await wait_until(pilot, lambda: "/restart" in said(app))
        await pilot.press("escape")
        await wait_until(pilot, lambda: app.screen is app.chat_screen)


async def test_m_and_j_write_the_table_to_new_files_and_the_clipboard(tmp_path: Path) -> None:
    app = made_app(tmp_path / "chats", quick())
    async with app.run_test(size=SIZE) as pilot:
        await chatted(app, pilot)
        await opened(app, pilot)
        await pilot.press("enter")
        await wait_until(pilot, lambda: over(app))
        await pilot.press("m", "m", "j")
        here = tmp_path / "here"
        await wait_until(pilot, lambda: len(list(here.iterdir())) == 3)
        names = sorted(file.name for file in here.iterdir())
        assert names == ["compare-hello-there-2.md", "compare-hello-there.json", "compare-hello-there.md"]
        table = (here / names[2]).read_text()
        assert table.startswith("| lane | tokens/s |")
        assert "| mtp 2 |" in table
        assert "Identical text: yes." in table
        data = json.loads((here / names[1]).read_text())
        assert [lane["depth"] for lane in data["lanes"]] == [0, 1, 2, 4]
        assert data["identical_text"] is True
        assert app.chat.comparison is not None
        assert data["lanes"][2]["ratio"] == app.chat.comparison.report.ratio(2)
        assert json.loads(app.clipboard) == data
        assert all(str(here / name) in said(app) for name in names[:2]), "the newest two"


async def test_where_no_file_can_be_written_the_clipboard_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = made_app(tmp_path / "chats", quick())
    async with app.run_test(size=SIZE) as pilot:
        await wait_until(pilot, lambda: app.chat.status is Status.READY)
        app.chat.comparison = taken(run_of(), WHOLE)
        await opened(app, pilot)
        monkeypatch.setattr("app.exports.exports_folder", lambda: tmp_path / "no" / "folder")
        await pilot.press("m")
        await wait_until(pilot, lambda: "clipboard alone" in said(app))
        assert "cannot be written" in said(app)
        assert app.clipboard.startswith("| lane |")


async def test_before_the_end_there_is_nothing_to_write(tmp_path: Path) -> None:
    app = made_app(tmp_path / "chats", quick())
    async with app.run_test(size=SIZE) as pilot:
        await wait_until(pilot, lambda: app.chat.status is Status.READY)
        app.chat.comparison = taken(run_of(), WHOLE[:-1])
        await opened(app, pilot)
        await pilot.press("j")
        await wait_until(pilot, lambda: "no comparison to write yet" in said(app))
        assert not list((tmp_path / "here").iterdir())


async def test_help_is_about_comparing(tmp_path: Path) -> None:
    app = made_app(tmp_path / "chats", quick())
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot)
        await pilot.press("f1")
        await wait_until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await wait_until(pilot, lambda: "write the table as Markdown" in shown(app))
        assert TOPICS["compare"][:40] in shown(app)
        await pilot.press("escape")
        await wait_until(pilot, lambda: isinstance(app.screen, CompareScreen))


async def test_a_recording_compares_nothing(tmp_path: Path) -> None:
    class Recording(ScriptedBackend):
        is_live = False  # type: ignore[assignment]

    app = made_app(tmp_path / "chats", Recording())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("f3")
        await wait_until(pilot, lambda: "recording" in said(app))
        assert app.screen is app.chat_screen


async def test_the_key_is_rebound_and_shown_in_the_footer(tmp_path: Path) -> None:
    app = made_app(tmp_path / "chats", quick(), keys={"chat.compare": "f9"})
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        assert "f9 compare" in shown(app)
        await pilot.press("f9")
        await wait_until(pilot, lambda: isinstance(app.screen, CompareScreen))


async def test_the_chat_s_table_has_what_was_compared_and_the_header_says_what_goes_on(
    tmp_path: Path,
) -> None:
    app = made_app(tmp_path / "chats", ScriptedBackend(seed=1, reply_tokens=40, rounds_per_drain=2))
    async with app.run_test(size=SIZE) as pilot:
        await chatted(app, pilot)
        app.chat.compare("hello there", (Lane(Mode.ORDINARY, 0), Lane(Mode.MTP, 2)))
        await wait_until(pilot, lambda: "comparing" in shown(app))
        await wait_until(pilot, lambda: over(app))
        assert app.chat.figures.ratio(Mode.MTP, 2) == app.chat.comparison.report.ratio(1)  # type: ignore[union-attr]
        await wait_until(pilot, lambda: "comparing" not in shown(app))


async def test_what_ended_the_comparison_is_said_once_on_its_page(tmp_path: Path) -> None:
    app = made_app(tmp_path / "chats", ScriptedBackend(seed=1, reply_tokens=4000))
    async with app.run_test(size=SIZE) as pilot:
        await sent(pilot, "/compare")
        await wait_until(pilot, lambda: isinstance(app.screen, CompareScreen))
        assert app.chat.compare("say something", [Lane(Mode.MTP, 0), Lane(Mode.MTP, 1)])
        await wait_until(pilot, lambda: app.chat.status is Status.COMPARING)
        app.chat._take(Lost("It ran out of memory."))
        await wait_until(pilot, lambda: "It ran out of memory." in shown(app))
        await wait_until(pilot, lambda: not app.chat._changed.notices)
        await pilot.pause()
        assert said(app) == ""
        assert shown(app).count("It ran out of memory.") == 1
