"""The experts' screen: opened by a letter in the transcript, kept up to date, with a pause of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from app.backends.base import ExpertsSeen, Lost
from app.backends.scripted import ScriptedBackend
from app.chat import Chat, Status
from app.screens.experts import ExpertsScreen
from engine.experts import ExpertUse
from tests.app.chat.driving import made_app, shown, wait_until
from tests.app.chat.fake_backend import LOADED, FakeBackend

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (100, 40)


def passes(page: str) -> int:
    """How often the one expert that is used was used, as the page says; 0 where it says nothing."""
    found = re.search(r"expert +0 +(\d+) passes  on disk", page)
    return int(found[1]) if found else 0


async def test_x_in_the_transcript_shows_them_live(tmp_path: Path) -> None:
    class Growing(ScriptedBackend):
        asked = 0

        def experts(self) -> None:
            self.asked += 1
            use = ExpertUse((4,), 3, 1, ((self.asked, 0, 0),), (), ((2,),))
            self._news.append(ExpertsSeen(use))

    backend = Growing(seed=1)
    app = made_app(tmp_path, backend)
    async with app.run_test(size=SIZE) as pilot:
        await wait_until(pilot, lambda: app.chat.status is Status.READY)
        await pilot.press("ctrl+t", "x")
        assert isinstance(app.screen, ExpertsScreen)
        await wait_until(pilot, lambda: passes(shown(app)) > 0)
        first = passes(shown(app))
        await wait_until(pilot, lambda: passes(shown(app)) > first)
        await pilot.press("f4")
        assert app.chat.tuning.paused
        await pilot.press("escape")
        assert not isinstance(app.screen, ExpertsScreen)
        asked = backend.asked
        for _ in range(20):
            await pilot.pause(0.05)
        assert backend.asked == asked


def test_nobody_is_asked_who_cannot_answer() -> None:
    backend = FakeBackend()
    chat = Chat(backend)
    chat.ask_experts()
    assert ("experts",) not in backend.commands
    backend.news.append(LOADED)
    chat.pump()
    chat.ask_experts()
    assert backend.commands.count(("experts",)) == 1
    use = ExpertUse((4,), 1, 1, ((7,),), (), None)
    backend.news += [ExpertsSeen(use), Lost("Gone.")]
    chat.pump()
    assert chat.experts == use
    chat.ask_experts()
    assert backend.commands.count(("experts",)) == 1
