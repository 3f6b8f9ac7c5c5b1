"""The command line's words: what is refused, in whose words, and what the help promises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app import cli

ROOT = Path(__file__).parents[2]


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 2) -> str:
    """The one sentence that a command line is refused with."""
    try:
        ended = cli.main(list(arguments))
    except SystemExit as exit_:
        ended = int(str(exit_.code))
    out, err = capsys.readouterr()
    assert (ended, out, err.count("\n")) == (code, "", 1)
    return err


def help_of(capsys: pytest.CaptureFixture[str], command: str) -> str:
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("run --mode foo hi", "argument --mode: 'foo' is not one of ordinary, mtp, ngram, auto, model;"),
        ("run --accept reject hi", "is not one of coupled, rejection (did you mean rejection?);"),
        ("comprae hi", "inspect, replay, config, sessions (did you mean compare?); see draftscope --help."),
        ("compare --depths a hi", "argument --depths: 'a' is not a list of depths such as 0,1,2,4;"),
        ("compare --depths 0,9 hi", "'0,9' has a depth that is not from 0 to 8;"),
        ("run --ids 5,,6", "argument --ids: '5,,6' is not a list of token ids such as 5,6,7;"),
        ("run --depth x hi", "argument --depth: 'x' is not a whole number; see draftscope run --help."),
        ("run --top-p x hi", "argument --top-p: 'x' is not a number;"),
        (f"run --threads {'9' * 5000} hi", "9' is not a whole number of at least 1;"),
        ("run --dept 2 hi", "no option '--dept' (did you mean --depth?); see draftscope run --help."),
        ("run --dept=2 hi", "no option '--dept' (did you mean --depth?); see draftscope run --help."),
        ("run hi -x", "there is no option '-x'; see draftscope run --help."),
        ("run hi there", "'there' is one argument too many: put a text of several words in quotes;"),
        ("run -- hi there", "'there' is one argument too many"),
        ("--depth 3", "give a command before '--depth', such as chat; see draftscope --help."),
    ],
)
def test_what_is_refused_is_the_word_that_is_wrong(
    arguments: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sentence in said(capsys, *arguments.split())


@pytest.mark.parametrize("command", ["chat", "inspect", "plan"])
def test_a_folder_that_is_none_is_refused_alike(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone, file = tmp_path / "gone", tmp_path / "file"
    file.touch()
    assert f"{gone} does not exist" in said(capsys, command, str(gone), code=3)
    assert f"{file} is not a folder" in said(capsys, command, str(file), code=3)


def test_the_help_of_context_names_what_the_model_was_made_for(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("run", "chat", "compare", "plan", "wiring"):
        assert "at most what the model was made for (4096, or that if it is less)" in help_of(capsys, command)


def test_the_help_of_chat_names_the_settings_where_they_hold(capsys: pytest.CaptureFixture[str]) -> None:
    assert "0 to 8 (the settings' depth, which f7 and f8 write; without one 1)" in help_of(capsys, "chat")
    assert "0 to 8 (1)" in help_of(capsys, "run")


@pytest.mark.parametrize("command", ["plan", "inspect", "config show", "config path", "sessions", "--help"])
def test_a_reader_that_has_left_is_no_failure(command: str, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *command.split()],
        cwd=ROOT,
        stdout=writer,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "", "HOME": str(tmp_path)},
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("command", ["chat", "replay nothing.jsonl", "config show"])
@pytest.mark.parametrize(
    ("text", "variable", "sentence"),
    [
        ("depth = [", "", "settings.toml is not TOML"),
        ("depth = 99", "", "settings.toml: depth must be from 0 to 8, not 99."),
        ("", "99", "DRAFTSCOPE_DEPTH: depth must be from 0 to 8, not 99."),
    ],
)
def test_settings_are_refused_alike_wherever_they_are_read(
    command: str,
    text: str,
    variable: str,
    sentence: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "settings.toml").write_text(text)
    monkeypatch.setenv("DRAFTSCOPE_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("DRAFTSCOPE_DEPTH", variable)
    assert sentence in said(capsys, *command.split())
