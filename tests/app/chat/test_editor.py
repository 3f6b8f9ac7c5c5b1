"""The prompt in the user's editor, and what keeps it from getting there."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from app.editor import edited
from engine.errors import UsageError
from tests.app.chat.driving import made_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Terminal:
    """Suspends as Textual does, which comes back only from a body that raises nothing."""

    def __init__(self) -> None:
        self.was_lent = self.is_back = False

    @contextmanager
    def suspended(self) -> Iterator[None]:
        self.was_lent = True
        yield
        self.is_back = True


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make a program of Python lines, which know the file as `file`, the editor."""
    monkeypatch.delenv("VISUAL", raising=False)

    def make(lines: str) -> None:
        program = tmp_path / "an editor.py"
        program.write_text(f"import pathlib, sys\nfile = pathlib.Path(sys.argv[1])\n{lines}\n")
        monkeypatch.setenv("EDITOR", f"'{sys.executable}' '{program}'")

    return make


def test_what_the_editor_wrote_comes_back(editor: Callable[[str], None], terminal: Terminal) -> None:
    editor("file.write_text(file.read_text() + ' more\\n')")
    assert edited("some", terminal.suspended) == "some more"
    assert terminal.is_back


def test_half_a_surrogate_pair_is_no_obstacle(editor: Callable[[str], None], terminal: Terminal) -> None:
    editor("")
    assert edited("a\ud800b", terminal.suspended) == "a?b"


def test_a_file_that_is_gone_is_said(editor: Callable[[str], None], terminal: Terminal) -> None:
    editor("file.unlink()")
    with pytest.raises(UsageError, match="left no file: the prompt is as it was"):
        edited("some", terminal.suspended)


def test_no_folder_for_the_file_is_said(
    editor: Callable[[str], None], terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    editor("")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(UsageError, match=r"cannot be edited in a file: No such file"):
        edited("some", terminal.suspended)


def test_an_editor_that_cannot_be_started_gives_the_terminal_back(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VISUAL", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="none cannot be started: No such file"):
        edited("some", terminal.suspended)
    assert terminal.is_back


@pytest.mark.parametrize(
    ("visual", "why"),
    [("", "Set EDITOR"), ("  ", "Set EDITOR"), ("vi 'x", r"VISUAL is no command \(No closing quotation\)")],
)
def test_what_is_no_editor_is_said(
    visual: str, why: str, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISUAL", visual)
    monkeypatch.delenv("EDITOR", raising=False)
    with pytest.raises(UsageError, match=why):
        edited("some", terminal.suspended)
    assert not terminal.was_lent


async def test_a_terminal_that_cannot_be_lent_leaves_the_prompt(
    editor: Callable[[str], None], tmp_path: Path
) -> None:
    editor("file.write_text('other')")
    app = made_app(tmp_path)
    async with app.run_test() as pilot:
        app.chat_screen.prompt.put("some")
        await pilot.press("ctrl+g")
        await pilot.pause()
        assert [each.message for each in app._notifications] == [
            "No editor can have this terminal: go on in the prompt."
        ]
        assert app.chat_screen.prompt.text == "some"
