"""Reading bytes from files: whole, from many threads, and with a sentence where it fails."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from engine.checkpoint.source import FileSource
from engine.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path


def read(source: FileSource, file: Path, offset: int, count: int) -> bytes:
    buffer = bytearray(count)
    source.read_into(file, offset, memoryview(buffer))
    return bytes(buffer)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "model.safetensors"
    file.write_bytes(bytes(range(256)) * 64)
    return file


@pytest.fixture
def source() -> FileSource:
    return FileSource()


def test_reads_are_positioned_and_whole(source: FileSource, file: Path) -> None:
    assert source.size(file) == 256 * 64
    assert read(source, file, 250, 12) == bytes([*range(250, 256), *range(6)])
    assert read(source, file, 256 * 64, 0) == b""


def test_a_buffer_of_any_item_size_is_filled(source: FileSource, file: Path) -> None:
    buffer = memoryview(bytearray(64)).cast("I")
    source.read_into(file, 0, buffer)
    assert buffer.tobytes() == bytes(range(64))


@pytest.mark.skipif(not hasattr(os, "preadv"), reason="this system reads by seek")
def test_short_reads_are_completed(source: FileSource, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.preadv
    calls = []

    def short(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        calls.append(offset)
        return whole(descriptor, [buffers[0][:7]], offset)

    monkeypatch.setattr(os, "preadv", short)
    assert read(source, file, 3, 30) == bytes(range(3, 33))
    assert calls == [3, 10, 17, 24, 31]


@pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="this system cannot tell what it has at hand")
def test_what_is_in_the_page_cache_is_there_now(
    source: FileSource, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = memoryview(bytearray(300))
    file.read_bytes()
    assert source.read_now(file, 3, buffer)
    assert buffer.tobytes() == (bytes(range(256)) * 2)[3:303]

    def not_there(*_: object) -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "preadv", not_there)
    assert not source.read_now(file, 3, buffer)
    monkeypatch.setattr(os, "preadv", lambda *_: 299)
    assert not source.read_now(file, 3, buffer), "the last byte was not"


def test_what_cannot_be_read_is_not_there_now(
    source: FileSource, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not source.read_now(file, 256 * 64 - 5, memoryview(bytearray(6)))
    assert not source.read_now(file.with_name("nothing"), 0, memoryview(bytearray(1)))
    with monkeypatch.context() as patch:
        patch.setattr("engine.checkpoint.source._NOWAIT", 0)
        assert not source.read_now(file, 0, memoryview(bytearray(1)))
    source.close()
    assert not source.read_now(file, 0, memoryview(bytearray(1)))


def test_a_file_that_ends_early_is_refused_with_the_position(source: FileSource, file: Path) -> None:
    source.size(file)
    os.truncate(file, 100)
    with pytest.raises(
        CheckpointError, match=r"model\.safetensors ended at byte 100 while 50 more"
    ) as caught:
        read(source, file, 90, 60)
    assert str(file) in str(caught.value)


def test_a_failing_disk_is_named(source: FileSource, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("engine.checkpoint.source._read", fail)
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read: Input/output error"):
        read(source, file, 0, 1)


@pytest.mark.parametrize("name", ["nothing", "nul\0", "lone\ud800", "n" * 300, "a/b"])
def test_what_is_not_there_is_named_and_does_not_exist(source: FileSource, tmp_path: Path, name: str) -> None:
    assert not source.exists(tmp_path / name)
    with pytest.raises(CheckpointError) as caught:
        source.size(tmp_path / name)
    assert str(tmp_path) in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_folder_is_no_file(source: FileSource, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        source.size(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_a_pipe_does_not_make_it_wait(source: FileSource, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="not a regular file"):
        source.size(tmp_path / "pipe")


def test_closing_lets_go_of_every_descriptor(source: FileSource, file: Path) -> None:
    first = os.open(file, os.O_RDONLY)
    os.close(first)
    source.size(file)
    source.close()
    second = os.open(file, os.O_RDONLY)
    os.close(second)
    assert second == first
    with pytest.raises(CheckpointError, match="closed"):
        read(source, file, 0, 1)


def test_a_file_is_opened_once_by_many_threads(
    source: FileSource, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    plain_open = os.open
    monkeypatch.setattr(os, "open", lambda *args: opened.append(args) or plain_open(*args))
    wrong: list[int] = []
    start = threading.Barrier(8)

    def work(number: int) -> None:
        start.wait()
        for step in range(50):
            offset = (number * 251 + step * 17) % 16_000
            expected = bytes((offset + place) % 256 for place in range(64))
            if read(source, file, offset, 64) != expected:
                wrong.append(offset)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(opened) == 1
