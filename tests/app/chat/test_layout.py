"""What stands where: nothing is cut off or covered, in small terminals as in large ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual.command import CommandPalette
from textual.widgets import Input
from textual.widgets._toast import Toast, ToastRack

from app.chat import Status
from app.screens.compare import CompareScreen
from tests.app.chat.driving import made_app, sent, shown, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot
    from textual.widget import Widget

    from app.main import DraftscopeApp

SIZES = [(120, 40), (80, 24), (60, 20)]


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAFTSCOPE_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("DRAFTSCOPE_DATA_DIR", str(tmp_path / "data"))


async def replied(app: DraftscopeApp, pilot: Pilot[None]) -> None:
    await sent(pilot, "hi")
    await wait_until(pilot, lambda: bool(app.chat.conversation.exchanges))
    await wait_until(pilot, lambda: app.chat.status is Status.READY)


async def noticed(app: DraftscopeApp, pilot: Pilot[None]) -> list[Widget]:
    """Everything that is said in notices, once it is on the screen."""
    await wait_until(pilot, lambda: any(toast.region for toast in app.screen.query(Toast)))
    return [toast for toast in app.screen.query(Toast) if toast.region]


@pytest.mark.parametrize("size", SIZES)
async def test_notices_stand_below_the_header_and_leave_the_prompt_alone(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=size, notifications=True) as pilot:
        screen = app.chat_screen
        await sent(pilot, "/foo")
        toast = (await noticed(app, pilot))[0]
        assert toast.region.y == screen.query_one("Header").region.bottom
        assert toast.region.right >= size[0] - 2
        for number in range(12):
            screen.notify(f"{number}: a sentence of a length that one may meet in a notice, or in two.")
        await wait_until(pilot, lambda: "11: a sentence" in shown(app))
        await wait_until(pilot, lambda: len(screen.query(Toast)) == 2)
        assert "10: a sentence" in shown(app)
        legend = screen.query_one("#legend").region
        assert screen.query_one(ToastRack).region.bottom <= legend.y
        assert "▌ /foo" in shown(app)


async def test_a_notice_stands_once_and_goes_with_its_page(tmp_path: Path) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        for key in ("f3", "escape"):
            for _ in range(3):
                app.notify(f"Said before {key}.")
            await wait_until(pilot, lambda key=key: f"Said before {key}." in shown(app))  # type: ignore[misc]
            assert len(app.screen.query(Toast)) == 1
            await pilot.press(key)
            await wait_until(pilot, lambda: not app.screen.query(Toast))


@pytest.mark.parametrize("key", ["f3", "ctrl+p"])
async def test_notices_leave_fields_alone_that_stand_at_the_top(tmp_path: Path, key: str) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=(60, 20), notifications=True) as pilot:
        await pilot.press(key)
        await wait_until(pilot, lambda: isinstance(app.screen, (CompareScreen, CommandPalette)))
        app.notify("Something is to be said.")
        toasts = await noticed(app, pilot)
        fields = app.screen.query(Input)
        assert fields
        assert not any(toast.region.overlaps(field.region) for toast in toasts for field in fields)


@pytest.mark.parametrize("size", SIZES)
async def test_every_key_and_colour_is_named_at_the_foot(tmp_path: Path, size: tuple[int, int]) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        legend, *_, footer = shown(app).splitlines()[-3:]
        for word in ("accepted", "main", "corrected", "rejected", "verif"):
            assert word in legend
        for word in ("f7 f8 depth", "f2 mode", "f3 compare", "f4 pause", "f6 inspect", "f1 help"):
            assert word in footer


async def test_the_way_back_to_the_tail_is_named_in_80_columns(tmp_path: Path) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.chat_screen.transcript.post_message(app.chat_screen.transcript.FollowingChanged(False))
        await wait_until(pilot, lambda: "End follows again" in shown(app))
        assert "verifying" in shown(app)


@pytest.mark.parametrize("size", [(80, 24), (60, 20)])
@pytest.mark.parametrize("depth", [1, 4])
async def test_the_folded_figures_are_all_on_the_screen(
    tmp_path: Path, size: tuple[int, int], depth: int
) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=size) as pilot:
        await wait_until(pilot, lambda: app.chat.status is Status.READY)
        app.chat.tuning.set_depth(depth)
        await replied(app, pilot)
        await pilot.press("f5")
        panel = app.chat_screen.query_one("#panel")
        await wait_until(pilot, lambda: "Not measured yet" in shown(app))
        assert panel.max_scroll_y == 0
        assert panel.region.contains_region(panel.query_one("#panel-why").region)
        table = panel.query_one("#panel-measured")
        assert table.region.height == 6
        assert panel.region.contains_region(table.region)
        figures = next(line for line in shown(app).splitlines() if "loads/token" in line)
        assert "loads/token  " in figures
        assert app.chat_screen.transcript.region.height > 2


@pytest.mark.parametrize(("size", "whole"), [((80, 24), True), ((60, 20), False)])
async def test_a_checkpoint_s_rows_stay_rows(tmp_path: Path, size: tuple[int, int], whole: bool) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=size) as pilot:
        await sent(pilot, "/checkpoint demo")
        await wait_until(pilot, lambda: "main model  " in shown(app))
        first, second = (
            next(n for n, line in enumerate(shown(app).splitlines()) if word in line)
            for word in ("main model", "and their scales")
        )
        assert second == first + 1
        if not whole:
            await pilot.press(*["right"] * 20)
        await wait_until(pilot, lambda: "11.25 MB" in shown(app))


@pytest.mark.parametrize("key", ["f3", "ctrl+o"])
async def test_the_keys_of_a_page_are_all_named_in_60_columns(tmp_path: Path, key: str) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.press(key)
        await wait_until(pilot, lambda: app.screen is not app.chat_screen)
        await wait_until(pilot, lambda: "back " in shown(app))
