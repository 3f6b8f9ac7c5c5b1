"""Memory for weights goes with its engine, at once: the next one measures what is free."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from engine import Lane, load
from engine.checkpoint.source import FileSource
from engine.errors import CheckpointError
from engine.events import Verified
from engine.offload.resident import anonymous_memory
from engine.options import Mode
from engine.surface import LoadSettings, load_engine
from engine.worker_session import Session
from tests.engine.decoding.replies import options, reply
from tests.engine.tiny import TinySpec, partly_right_spec, sample_ids

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine import Engine

    Use = Callable[[Engine], object]

SPEC = partly_right_spec()
IDS = sample_ids(SPEC, 12)
CONTEXT = 64
ROW_BYTES = 2 * SPEC.hidden_size
"""Of the embedding."""


class Memories:
    """What was given out for weights, and how much of it is still held."""

    def __init__(self) -> None:
        self._given: list[weakref.ref[mmap.mmap]] = []

    def give(self, size: int) -> mmap.mmap:
        memory = anonymous_memory(size)
        self._given.append(weakref.ref(memory))
        return memory

    @property
    def held(self) -> int:
        return sum(memory() is not None for memory in self._given)


@pytest.fixture
def memories(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Memories]:
    """Of the test's engines. Python looks for no cycles meanwhile; hot sets go to a folder of their own."""
    found = Memories()
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_: str(tmp_path / "cache"))
    monkeypatch.setattr("engine.offload.resident.anonymous_memory", found.give)
    monkeypatch.setattr("engine.offload.planned.anonymous_memory", found.give)
    gc.collect()
    gc.disable()
    yield found
    gc.enable()


@pytest.fixture(scope="module")
def least(tiny: Callable[[TinySpec], Path]) -> int:
    """The budget with which nearly everything moves."""
    with load(tiny(SPEC), context=CONTEXT, threads=1) as engine:
        return engine.home.plan.least_bytes


def replied(engine: Engine) -> None:
    for mode in (Mode.MTP, Mode.NGRAM, Mode.AUTO):
        reply(engine, IDS, mode=mode, depth=2)


def left_in_mid_reply(engine: Engine) -> None:
    events = engine.generate(IDS, options(depth=2))
    assert any(isinstance(event, Verified) and event.round == 1 for event in events)
    events.close()  # type: ignore[attr-defined]


def compared(engine: Engine) -> None:
    list(engine.compare(IDS, (Lane(Mode.ORDINARY, 0), Lane(Mode.MTP, 2)), options(max_tokens=5)))


def read_in_vain(engine: Engine) -> None:
    whole = FileSource.read_into

    def read_into(self: FileSource, file: Path, offset: int, buffer: memoryview) -> None:
        if buffer.nbytes > ROW_BYTES:
            raise CheckpointError(f"{file.name} cannot be read: Input/output error.")
        whole(self, file, offset, buffer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileSource, "read_into", read_into)
        patch.setattr(FileSource, "read_now", lambda *_: False)
        message = reply(engine, IDS[::-1]).finished.message
    assert "Input/output error" in (message or "")


@pytest.mark.parametrize("share", [1.0, 1.1, None], ids=["least", "more", "all"])
@pytest.mark.parametrize("use", [replied, left_in_mid_reply, compared])
def test_memory_goes_with_the_engine(
    use: Use, share: float | None, least: int, tiny: Callable[[TinySpec], Path], memories: Memories
) -> None:
    ram = None if share is None else int(least * share)
    engine = load(tiny(SPEC), context=CONTEXT, threads=1, ram=ram)
    assert engine.home.plan.holds_everything == (share is None)
    use(engine)
    assert memories.held > 0
    engine.close()
    del engine
    assert memories.held == 0


@pytest.mark.parametrize("share", [1.0, 1.1], ids=["least", "more"])
def test_memory_goes_with_an_engine_whose_drive_failed(
    share: float, least: int, tiny: Callable[[TinySpec], Path], memories: Memories
) -> None:
    engine = load(tiny(SPEC), context=CONTEXT, threads=1, ram=int(least * share), readers=1, direct=False)
    read_in_vain(engine)
    engine.close()
    del engine
    assert memories.held == 0


def test_the_worker_has_none_while_it_loads_the_next(
    least: int, tiny: Callable[[TinySpec], Path], memories: Memories
) -> None:
    held: list[int] = []

    def load_next(path: str, settings: LoadSettings, progress: Callable[[int, int, str], None]) -> Engine:
        held.append(memories.held)
        return load_engine(path, settings, progress)  # type: ignore[return-value]

    session = Session(lambda _: None, load_next)
    for ram in (f"{least}B", "50%", f"{least}B"):
        session.open(str(tiny(SPEC)), LoadSettings(ram=ram, context=CONTEXT, threads=1))
        assert memories.held > 0
    session.close()
    assert held == [0, 0, 0]
    assert memories.held == 0
