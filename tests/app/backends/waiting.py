"""Waiting for news: a backend is drained until it has said what a test waits for."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.backends.base import Backend, News

DEADLINE = 120.0  # seconds; only a hang comes near it

_Kind = TypeVar("_Kind")


def wait_until(holds: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < DEADLINE, "it never came to that"
        time.sleep(0.005)


def news_until(backend: Backend, ends: Callable[[News], bool]) -> list[News]:
    """Return the news up to the first that `ends`, and what was drained with it."""
    heard: list[News] = []

    def done() -> bool:
        fresh = backend.drain()
        heard.extend(fresh)
        return any(map(ends, fresh))

    wait_until(done)
    return heard


def until(backend: Backend, kind: type[_Kind]) -> _Kind:
    """Return the first news of a kind."""
    return only(news_until(backend, lambda news: isinstance(news, kind)), kind)[0]


def only(news: list[News], kind: type[_Kind]) -> list[_Kind]:
    return [each for each in news if isinstance(each, kind)]


def is_gone(pid: int) -> bool:
    """Whether no process has this number, a zombie included."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
