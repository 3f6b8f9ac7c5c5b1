"""Keeping the engine's cache when a chat is left, and recalling it when it is gone on with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app import main as main_module
from app.backends.base import CacheKept, CacheRecalled, Lost, Refused, Trimmed
from app.backends.local import LocalBackend
from app.backends.scripted import ScriptedBackend
from app.chat import Chat, Status
from app.conversation import Conversation
from app.sessions import Sessions, cache_file
from engine.events import FinishReason
from engine.surface import LoadSettings
from tests.app.chat.driving import made_app, sent, wait_until
from tests.app.chat.fake_backend import LOADED, FakeBackend, finished, header, prefilled, verified
from tests.engine.tiny import build, partly_right_spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual.pilot import Pilot

    from app.main import DraftscopeApp

SIZE = (120, 40)


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAFTSCOPE_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("DRAFTSCOPE_DATA_DIR", str(tmp_path / "data"))


def loaded_chat(backend: FakeBackend, cache: Path | None) -> Chat:
    chat = Chat(backend)
    chat.cache.belongs_to(cache)
    backend.news.append(LOADED)
    chat.pump()
    return chat


def replied(chat: Chat, backend: FakeBackend, *, ended: bool = True) -> None:
    chat.say("hello")
    backend.news += [header(), prefilled(), verified(0, [], "one")]
    if ended:
        backend.news.append(finished(1))
    chat.pump()


def test_a_cache_is_kept_once_for_each_reply(tmp_path: Path) -> None:
    backend, file = FakeBackend(), tmp_path / "a.cache"
    chat = loaded_chat(backend, file)
    assert not chat.keep_cache(), "nothing was said"
    replied(chat, backend, ended=False)
    assert not chat.keep_cache(), "the reply is not finished"
    backend.news.append(finished(1))
    chat.pump()
    assert chat.keep_cache()
    assert chat.cache.is_being_kept
    assert not chat.keep_cache(), "it is as it was kept"
    backend.news.append(CacheKept(9))
    assert chat.pump().notices == ()
    assert not chat.cache.is_being_kept
    replied(chat, backend)
    assert chat.keep_cache()
    assert backend.given("keep_cache") == [file, file]


def test_without_a_file_nothing_is_kept_or_recalled() -> None:
    backend = FakeBackend()
    chat = loaded_chat(backend, None)
    replied(chat, backend)
    assert not chat.keep_cache()
    chat.clear(None)
    assert not backend.given("keep_cache")
    assert not backend.given("recall_cache")


def test_a_lost_engine_has_nothing_to_keep_and_recalls_when_it_is_back(tmp_path: Path) -> None:
    backend, file = FakeBackend(), tmp_path / "a.cache"
    chat = loaded_chat(backend, file)
    replied(chat, backend)
    assert chat.keep_cache()
    file.touch()
    replied(chat, backend)
    backend.news.append(Lost("It is gone."))
    chat.pump()
    assert not chat.cache.is_being_kept
    assert not chat.keep_cache()
    assert not backend.given("recall_cache")
    chat.restart()
    backend.news.append(LOADED)
    chat.pump()
    assert backend.given("recall_cache") == [file]
    assert not chat.keep_cache(), "the new engine has decoded nothing"


def test_it_is_recalled_before_a_prompt_that_waits_for_the_model(tmp_path: Path) -> None:
    backend, file = FakeBackend(), tmp_path / "a.cache"
    file.touch()
    chat = Chat(backend)
    chat.cache.belongs_to(file)
    chat.say("hello")
    backend.news.append(LOADED)
    chat.pump()
    names = [name for name, _ in backend.commands]
    assert names.index("recall_cache") < names.index("generate")


def test_a_refused_recall_is_one_sentence_and_harms_nothing(tmp_path: Path) -> None:
    backend, file = FakeBackend(), tmp_path / "a.cache"
    file.touch()
    chat = loaded_chat(backend, file)
    backend.news.append(Refused("recall_cache", "It is damaged: the prompt has to be read again."))
    assert chat.pump().notices == ("It is damaged: the prompt has to be read again.",)
    assert chat.status is Status.READY
    replied(chat, backend)
    assert chat.conversation.last is not None
    assert chat.conversation.last.reply.text == "one"
    assert chat.keep_cache()


def test_another_chat_has_another_cache(tmp_path: Path) -> None:
    backend, first, second = FakeBackend(), tmp_path / "a.cache", tmp_path / "b.cache"
    second.touch()
    chat = Chat(backend)
    chat.cache.belongs_to(first)
    chat.clear(None, Conversation(), second)
    assert not backend.given("recall_cache"), "while it loads it could not be"
    backend.news.append(LOADED)
    chat.pump()
    replied(chat, backend)
    chat.clear(None, Conversation(), first)
    assert not chat.keep_cache(), "the engine has decoded nothing of it"
    chat.clear(None, Conversation(), second)
    backend.news += [CacheRecalled(5), CacheRecalled(5)]
    assert chat.pump().notices == ()
    assert backend.given("recall_cache") == [second, second]


def test_what_comes_of_a_reply_whose_chat_was_left_belongs_to_no_other(tmp_path: Path) -> None:
    backend = FakeBackend()
    chat = loaded_chat(backend, None)
    replied(chat, backend)
    other = chat.conversation
    chat.clear(None, Conversation())
    replied(chat, backend, ended=False)
    chat.clear(None, other, tmp_path / "a.cache")
    chat.clear(None, other, tmp_path / "a.cache")
    backend.news += [Trimmed(2), verified(1, [], "late"), finished(2, FinishReason.CANCELLED)]
    chat.pump()
    assert [each.reply.text for each in other.exchanges] == ["one"]
    assert other.exchanges[0].trimmed_turns == 0
    assert not chat.keep_cache()
    replied(chat, backend)
    assert [each.reply.text for each in other.exchanges] == ["one", "one"]


class SlowBackend(ScriptedBackend):
    """A script that keeps caches when it is told to, and recalls them."""

    def __init__(self) -> None:
        super().__init__(seed=1, reply_tokens=20)
        self.kept: list[Path] = []
        self.recalled: list[Path] = []

    def wiring(self) -> None:
        raise AssertionError

    def experts(self) -> None:
        raise AssertionError

    def keep_cache(self, path: Path) -> None:
        self.kept.append(path)

    def recall_cache(self, path: Path) -> None:
        self.recalled.append(path)

    def answer(self, news: CacheKept | Refused) -> None:
        self._news.append(news)


def exits_of(app: DraftscopeApp, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the app says as it leaves; it does not leave."""
    exits: list[str] = []
    monkeypatch.setattr(app, "exit", lambda *_, message=None: exits.append(str(message or "")))
    return exits


async def answered(pilot: Pilot[None], app: DraftscopeApp, text: str, count: int = 1) -> None:
    """Say something, and wait for the whole reply."""
    await wait_until(pilot, lambda: app.chat.status is Status.READY)
    await sent(pilot, text)
    chat = app.chat
    await wait_until(pilot, lambda: len(chat.conversation.exchanges) == count and chat.status is Status.READY)


async def test_leaving_waits_until_the_cache_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = SlowBackend()
    app = made_app(tmp_path, backend, keep_cache=True)
    exits = exits_of(app, monkeypatch)
    async with app.run_test(size=SIZE) as pilot:
        await answered(pilot, app, "hi")
        await pilot.press("ctrl+q")
        await wait_until(pilot, lambda: any("cache on disk" in each.message for each in app._notifications))
        assert backend.kept == [cache_file(app.kept.writer.path)]
        assert not exits
        backend.answer(CacheKept(9))
        await wait_until(pilot, lambda: exits == [""])


async def test_leaving_twice_leaves_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = SlowBackend()
    app = made_app(tmp_path, backend, keep_cache=True)
    exits = exits_of(app, monkeypatch)
    async with app.run_test(size=SIZE) as pilot:
        await answered(pilot, app, "hi")
        await pilot.press("ctrl+q")
        await wait_until(pilot, lambda: bool(backend.kept))
        assert not exits
        await pilot.press("ctrl+q")
        await wait_until(pilot, lambda: exits == [""])
        backend.answer(CacheKept(9))


async def test_leaving_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main_module, "KEEPING_SECONDS", 0.0)
    app = made_app(tmp_path, SlowBackend(), keep_cache=True)
    exits = exits_of(app, monkeypatch)
    async with app.run_test(size=SIZE) as pilot:
        await answered(pilot, app, "hi")
        await pilot.press("ctrl+q")
        await wait_until(pilot, lambda: bool(exits))
        assert "was not kept: writing it took longer than" in exits[0]


async def test_why_a_cache_was_not_kept_is_said_after_leaving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = SlowBackend()
    app = made_app(tmp_path, backend, keep_cache=True)
    exits = exits_of(app, monkeypatch)
    async with app.run_test(size=SIZE) as pilot:
        await answered(pilot, app, "hi")
        await pilot.press("ctrl+q")
        await wait_until(pilot, lambda: bool(backend.kept))
        backend.answer(Refused("keep_cache", "The cache cannot be kept\x1b[1m: make room."))
        await wait_until(pilot, lambda: bool(exits))
        assert exits[0].startswith("The cache cannot be kept")
        assert "\x1b" not in exits[0]


@pytest.mark.parametrize("keep_cache", [True, False])
async def test_leaving_is_at_once_where_nothing_is_to_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep_cache: bool
) -> None:
    backend = SlowBackend()
    app = made_app(tmp_path, backend, keep_cache=keep_cache)
    exits = exits_of(app, monkeypatch)
    async with app.run_test(size=SIZE) as pilot:
        if not keep_cache:
            await answered(pilot, app, "hi")
        await pilot.press("ctrl+q")
        await wait_until(pilot, lambda: exits == [""])
        assert not backend.kept


async def test_a_script_has_no_cache_and_is_left_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = made_app(tmp_path, keep_cache=True)
    exits = exits_of(app, monkeypatch)
    async with app.run_test(size=SIZE) as pilot:
        await answered(pilot, app, "hi")
        await pilot.press("ctrl+q")
        await wait_until(pilot, lambda: exits == [""])


@pytest.mark.parametrize("keep_cache", [True, False])
async def test_new_and_resumed_chats_keep_and_recall(tmp_path: Path, keep_cache: bool) -> None:
    backend = SlowBackend()
    app = made_app(tmp_path, backend, keep_cache=keep_cache)
    async with app.run_test(size=SIZE) as pilot:
        await answered(pilot, app, "first")
        first = app.kept.writer.path
        cache_file(first).touch()
        await pilot.press("ctrl+n")
        assert not app.chat.conversation.exchanges
        await answered(pilot, app, "second")
        second = app.kept.writer.path
        app.resume("no such chat")
        assert app.kept.writer.path == second
        app.resume(first.stem)
        await wait_until(pilot, lambda: len(app.chat.conversation.exchanges) == 1)
    assert backend.kept == ([cache_file(first), cache_file(second)] if keep_cache else [])
    assert backend.recalled == ([cache_file(first)] if keep_cache else [])


async def test_a_chat_that_is_not_on_disk_has_no_cache_there(tmp_path: Path) -> None:
    backend = SlowBackend()
    app = made_app(tmp_path, backend, keep_cache=True)
    async with app.run_test(size=SIZE) as pilot:
        await answered(pilot, app, "first")
        app.kept.writer.path.unlink()
        await pilot.press("ctrl+n")
        assert not backend.kept


def test_a_deleted_chat_takes_its_cache_along(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path)
    files = []
    for _ in range(2):
        writer = sessions.new("demo", print)
        writer.user("hello")
        writer.close()
        files.append(writer.path)
    for file in files:
        cache_file(file).write_bytes(b"rows")
    half = cache_file(files[0]).with_name(f"{files[0].stem}.cache.part")
    half.write_bytes(b"ro")
    sessions.delete(files[0].stem)
    assert sorted(tmp_path.iterdir()) == sorted([files[1], cache_file(files[1])])
    sessions.delete(files[1].stem)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("tiny"), partly_right_spec())


@pytest.fixture
def local(checkpoint: Path) -> Callable[[], LocalBackend]:
    return lambda: LocalBackend(str(checkpoint), LoadSettings(context=256, threads=1))


async def test_a_chat_goes_on_without_its_prompt_being_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, local: Callable[[], LocalBackend]
) -> None:
    app = made_app(tmp_path, local(), keep_cache=True, max_tokens=8)
    exits = exits_of(app, monkeypatch)
    async with app.run_test(size=SIZE) as pilot:
        await answered(pilot, app, "hello there")
        await pilot.press("ctrl+q")
        await wait_until(pilot, lambda: exits == [""])
        file, used = cache_file(app.kept.writer.path), app.chat.context_used
    assert file.exists()

    app = made_app(tmp_path, local(), resume="latest", keep_cache=True, max_tokens=8)
    async with app.run_test(size=SIZE) as pilot:
        await answered(pilot, app, "more", 2)
        last = app.chat.conversation.last
        assert last is not None
        assert last.reply.prefilled is not None
        assert used - 3 <= last.reply.prefilled.reused_tokens < used

    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)
    app = made_app(tmp_path, local(), resume="latest", keep_cache=True, max_tokens=8)
    async with app.run_test(size=SIZE) as pilot:
        await answered(pilot, app, "more", 3)
        assert any("is damaged: the prompt has to be read" in each.message for each in app._notifications)
        last = app.chat.conversation.last
        assert last is not None
        assert last.reply.prefilled is not None
        assert last.reply.prefilled.reused_tokens == 0
