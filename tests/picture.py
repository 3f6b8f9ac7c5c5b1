"""Make the README's picture: `python -m tests.picture`.

The app over the demo model, in a real run: a question, a story in whose middle the depth is changed, and a
measurement. Nothing in it is made up; another machine, and another minute, give other figures.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from app.assemble import assemble
from app.backends.local import LocalBackend
from app.chat import Status
from app.settings import Settings
from engine.surface import LoadSettings
from tests.app.chat.driving import sent, wait_until

FILE = Path(__file__).parent.parent / ".readme" / "chat.svg"
SIZE = (112, 34)
STORY = "Tell me a story about a fox called Ruby."
PACE = 30.0


async def run(file: Path) -> None:
    """Chat, and save what is on the screen at the end."""
    app = assemble(LocalBackend("demo", LoadSettings()), Settings(first_run_help=False), PACE, model="demo")
    async with app.run_test(size=SIZE) as pilot:
        chat = app.chat
        app.chat_screen.prompt.cursor_blink = False
        await wait_until(pilot, lambda: chat.status is Status.READY)
        chat.tuning.set_depth(1)
        await sent(pilot, "What is the capital of France?")
        await wait_until(pilot, lambda: chat.status is Status.READY and len(chat.conversation.exchanges) == 1)
        await sent(pilot, STORY)
        await wait_until(
            pilot,
            lambda: (
                len(chat.conversation.exchanges) == 2
                and len(chat.conversation.exchanges[1].reply.tokens) > 40
            ),
        )
        chat.tuning.set_depth(2)
        await wait_until(pilot, lambda: chat.status is Status.READY)
        chat.measure()
        await wait_until(pilot, lambda: chat.status is Status.READY)
        await pilot.pause(1.0)  # the panel draws four times a second
        file.parent.mkdir(exist_ok=True)
        file.write_text(app.export_screenshot(title="draftscope"), encoding="utf-8")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "DRAFTSCOPE_CONFIG_DIR": folder,
            "DRAFTSCOPE_DATA_DIR": folder,
            "TEXTUAL_ANIMATIONS": "none",
        }
        asyncio.run(run(FILE))
    print(FILE)


if __name__ == "__main__":
    main()
