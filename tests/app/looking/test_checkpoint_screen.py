"""The checkpoint's screen: the tree of the loaded model, or of a folder, or why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.assemble import assemble
from app.backends.scripted import ScriptedBackend
from app.screens.checkpoint import CheckpointScreen, checkpoint_text
from app.sessions import Sessions
from app.settings import Settings
from tests.app.chat.driving import made_app, sent, shown, wait_until

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (110, 40)


async def test_it_shows_the_model_that_one_chats_with(tmp_path: Path) -> None:
    app = assemble(
        ScriptedBackend(),
        Settings(first_run_help=False),
        0.0,
        model="demo",
        sessions=Sessions(tmp_path),
        checkpoint="demo",
    )
    async with app.run_test(size=SIZE) as pilot:
        await sent(pilot, "/checkpoint")
        await wait_until(pilot, lambda: "737 tensors in 4 shards" in shown(app))
        assert isinstance(app.screen, CheckpointScreen)
        assert "Checkpoint demo" in shown(app)
        await pilot.press("escape")
        assert not isinstance(app.screen, CheckpointScreen)


async def test_without_a_checkpoint_it_says_so(tmp_path: Path) -> None:
    app = made_app(tmp_path)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await sent(pilot, "/checkpoint")
        await wait_until(pilot, lambda: "There is no checkpoint" in shown(app))
        assert not isinstance(app.screen, CheckpointScreen)


def test_a_folder_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    assert str(tmp_path / "nowhere") in checkpoint_text(str(tmp_path / "nowhere"))
    assert "\n" not in checkpoint_text(str(tmp_path / "nowhere")).strip()


def test_a_path_that_leads_nowhere_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert "loop does not exist" in checkpoint_text(str(tmp_path / "loop"))
    assert "no home folder for '~nosuchuserhere/x'" in checkpoint_text("~nosuchuserhere/x")
    assert "No file can be called 'a\\x00b'" in checkpoint_text("a\0b")
