"""What the app costs while an engine writes: `python -m tests.bench.ui`.

The real app over the scripted engine, in this process and without a terminal (what an emulator does is its
own). Streaming: 200 events a second; the share of a core, how late the event loop is, and how long a typed
letter takes until the screen with it has been drawn. Opening: a chat of 50,000 tokens from its file, until it
has been drawn (in the running app, and starting with it), and then turned page by page.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from textual import events

from app.backends.scripted import ScriptedBackend
from app.chat import Chat, Status
from app.sessions import Sessions
from tests.app.chat.driving import made_app, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.backends.base import News
    from app.main import DraftscopeApp

SIZE = (120, 40)
EVENTS_PER_SECOND = 200
LAG_EVERY_SECONDS = 0.005
TYPED_EVERY_SECONDS = 0.25
LONG_TOKENS = 50_000
PAGES = 200
CORE_BOUND, LAG_BOUND, ECHO_BOUND, OPEN_BOUND = 0.20, 0.050, 0.050, 1.0


def percentile(values: list[float], share: float) -> float:
    """The value that this share of all stays at or below."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


class Timed:
    """Adds up what a scripted engine's own work takes, which a real one does in another process."""

    def __init__(self, backend: ScriptedBackend) -> None:
        self.seconds = 0.0
        drain = backend.drain

        def timed() -> Sequence[News]:
            began = time.process_time()
            news = drain()
            self.seconds += time.process_time() - began
            return news

        backend.drain = timed  # type: ignore[method-assign]


async def late(found: list[float]) -> None:
    """Note for ever how much later than asked the event loop comes back."""
    while True:
        began = time.perf_counter()
        await asyncio.sleep(LAG_EVERY_SECONDS)
        found.append(time.perf_counter() - began - LAG_EVERY_SECONDS)


async def drawn(app: DraftscopeApp) -> None:
    """Wait until what has changed has been drawn."""
    done = asyncio.Event()
    app.screen.call_after_refresh(done.set)
    await done.wait()


async def typing(app: DraftscopeApp, found: list[float]) -> None:
    """Type a letter now and then, and note when it is on the screen."""
    while True:
        await asyncio.sleep(TYPED_EVERY_SECONDS)
        began = time.perf_counter()
        app.post_message(events.Key("x", "x"))
        await drawn(app)
        found.append(time.perf_counter() - began)


async def streaming(seconds: float) -> None:
    """Print what a reply of 200 events a second costs."""
    backend = ScriptedBackend(
        seed=1, reply_tokens=1_000_000, context=10**9, rounds_per_second=EVENTS_PER_SECOND / 2
    )
    with tempfile.TemporaryDirectory() as folder:
        app = made_app(Path(folder), backend)
        async with app.run_test(size=SIZE) as pilot:
            app.chat.tuning.change({"max_tokens": 1_000_000})
            await wait_until(pilot, lambda: app.chat.status is Status.READY)
            app.chat.say("go")
            await asyncio.sleep(1.0)
            engine_seconds = Timed(backend)
            busy, began = time.process_time(), time.perf_counter()
            rounds = len(app.chat.conversation.exchanges[-1].reply.rounds)
            await asyncio.sleep(seconds / 2)
            busy, wall = time.process_time() - busy, time.perf_counter() - began
            rounds = len(app.chat.conversation.exchanges[-1].reply.rounds) - rounds
            engine = engine_seconds.seconds
            lags: list[float] = []
            echoes: list[float] = []
            watchers = [asyncio.create_task(late(lags)), asyncio.create_task(typing(app, echoes))]
            await asyncio.sleep(seconds / 2)
            for watcher in watchers:
                watcher.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await watcher
    print(f"{2 * rounds / wall:.0f} events a second (two a round), {seconds / 2:.0f} s each:")
    print(f"| of a core | {(busy - engine) / wall:.1%} | bound {CORE_BOUND:.0%} |")
    print(f"| the scripted engine beside it, none of the app's | {engine / wall:.1%} | |")
    print(
        f"| event loop late, p99 | {percentile(lags, 0.99) * 1e3:.1f} ms | bound {LAG_BOUND * 1e3:.0f} ms |"
    )
    print(f"| event loop late, worst | {max(lags) * 1e3:.1f} ms | |")
    worst = percentile(echoes, 0.95)
    usual = statistics.median(echoes) * 1e3
    print(f"| letter drawn, median | {usual:.1f} ms | bound {ECHO_BOUND * 1e3:.0f} ms |")
    print(f"| letter drawn, p95 | {worst * 1e3:.1f} ms | |")


def long_session(sessions: Sessions) -> None:
    """Write a chat of LONG_TOKENS tokens."""
    backend = ScriptedBackend(seed=2, reply_tokens=1_000, rounds_per_drain=400, context=10**9)
    record = sessions.new("scripted", print)
    chat = Chat(backend, record)
    chat.tuning.change({"max_tokens": 1_000})
    chat.start()
    while sum(len(each.reply.tokens) for each in chat.conversation.exchanges) < LONG_TOKENS:
        if chat.status is Status.READY:
            chat.say("go on")
        chat.pump()
    record.close()


async def opening() -> None:
    """Print how long a long chat takes to be seen, and to be turned."""
    with tempfile.TemporaryDirectory() as folder:
        sessions = Sessions(Path(folder))
        long_session(sessions)
        began = time.perf_counter()
        app = made_app(Path(folder), resume="latest")
        async with app.run_test(size=SIZE):
            await drawn(app)
            started = time.perf_counter() - began
        latest = sessions.latest()
        assert latest is not None
        app = made_app(Path(folder))
        async with app.run_test(size=SIZE) as pilot:
            await drawn(app)
            began = time.perf_counter()
            app.resume(latest.id)
            read = time.perf_counter() - began
            await drawn(app)
            opened = time.perf_counter() - began
            await wait_until(pilot, lambda: app.chat.status is Status.READY)
            pages: list[float] = []
            for _ in range(PAGES):
                began = time.perf_counter()
                app.chat_screen.transcript.scroll_page_up(animate=False)
                await drawn(app)
                pages.append(time.perf_counter() - began)
            tokens = sum(len(each.reply.tokens) for each in app.chat.conversation.exchanges)
    print(f"\nA chat of {tokens:,} tokens:")
    print(f"| opened from the list of chats: read and laid out | {read:.2f} s | |")
    print(f"| the same until it is drawn | {opened:.2f} s | bound {OPEN_BOUND:.0f} s |")
    print(f"| the app started with it, until it is drawn | {started:.2f} s | |")
    usual, worst = statistics.median(pages) * 1e3, max(pages) * 1e3
    print(f"| a page up, median and worst of {PAGES} | {usual:.0f} and {worst:.0f} ms | |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DRAFTSCOPE_CONFIG_DIR"] = os.environ["DRAFTSCOPE_DATA_DIR"] = folder
        asyncio.run(streaming(options.seconds))
        asyncio.run(opening())


if __name__ == "__main__":
    main()
