"""Settings: what goes before what, and what is said of values that cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import locations
from app.commands.config import config
from app.setting_rules import View
from app.settings import DEFAULTS, SCALARS, Effective, Settings, Source, remember
from engine.errors import UsageError
from engine.options import Acceptance, Mode


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.toml"


def load(file: Path, flags: dict[str, object] | None = None, **environment: str) -> Settings:
    return Settings.load(flags, environment=environment, file=file)


def test_without_a_file_the_defaults_hold(file: Path) -> None:
    assert load(file) == Settings()
    assert set(DEFAULTS) == set(SCALARS) | {"keys"}


def test_flags_go_before_the_environment_before_the_file(file: Path) -> None:
    file.write_text('theme = "a"\ndepth = 1\nram = "1GB"\nmode = "ngram"\n')
    found = Effective.load(
        {"theme": "c", "ram": None}, environment={"DRAFTSCOPE_THEME": "b", "DRAFTSCOPE_RAM": "2GB"}, file=file
    )
    settings = found.settings
    assert (settings.theme, settings.ram, settings.depth, settings.mode) == ("c", "2GB", 1, Mode.NGRAM)
    assert found.sources["theme"] is Source.FLAG
    assert found.sources["ram"] is Source.ENVIRONMENT
    assert found.sources["depth"] is Source.FILE
    assert found.sources["seed"] is Source.DEFAULT


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("depth", "3", 3),
        ("temperature", "0.8", 0.8),
        ("pace", "12", 12.0),
        ("direct", "off", False),
        ("markdown", "TRUE", True),
        ("view", "all-origins", View.ALL_ORIGINS),
        ("accept", "rejection", Acceptance.REJECTION),
        ("system", "Be brief.", "Be brief."),
        ("seed", "-1", 2**64 - 1),
    ],
)
def test_the_environment_is_text(file: Path, key: str, text: str, value: object) -> None:
    assert getattr(load(file, **{f"DRAFTSCOPE_{key.upper()}": text}), key) == value
    assert load(file, **{f"DRAFTSCOPE_{key.upper()}": ""}) == Settings()


def test_keys_may_be_quoted_or_not(file: Path) -> None:
    file.write_text('[keys]\n"chat.less" = "f9"\nchat.more = "f10"\n')
    assert load(file).keys == {"chat.less": "f9", "chat.more": "f10"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tehme = 'x'", ["'tehme'", "did you mean theme?"]),
        ("xyzzy = 1", ["'xyzzy'", "the settings are theme, view"]),
        ("depth = 9", ["depth must be from 0 to 8"]),
        ("depth = true", ["depth must be a whole number"]),
        ("view = 'pretty'", ["view must be one of origin, all-origins", "'pretty'"]),
        ("ram = 12", ["ram must be a text"]),
        ("ram = '12'", ["ram", "no unit"]),
        ("disk_limit = 'fast'", ["disk_limit", "not a speed"]),
        ("pace = -1", ["pace must be 0"]),
        ("pace = nan", ["pace must be 0"]),
        ("threads = 0", ["threads must be a whole number of at least 1"]),
        ("markdown = 'yes'", ["markdown must be true or false"]),
        ("theme = ''", ["theme must be a name"]),
        ("max_tokens = 0", ["max_tokens must be 1 or more"]),
        ("keys = 'f9'", ["keys must be a table"]),
        ("[keys]\n'chat.less' = 9", ["keys", "'chat.less'", "f9"]),
        ("[theme]\nname = 'x'", ["theme must be a text"]),
        ("theme = ", ["is not TOML"]),
    ],
)
def test_what_cannot_be_meant_names_file_and_key(file: Path, text: str, words: list[str]) -> None:
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        load(file)
    for word in [str(file), *words]:
        assert word in str(caught.value)


def test_a_wrong_variable_is_named(file: Path) -> None:
    with pytest.raises(UsageError, match=r"DRAFTSCOPE_DEPTH: depth must be a whole number, not 'two'"):
        load(file, DRAFTSCOPE_DEPTH="two")


def test_bytes_that_are_no_text_and_folders_are_refused(file: Path, tmp_path: Path) -> None:
    file.write_bytes(b'theme = "\xff"')
    with pytest.raises(UsageError, match="UTF-8"):
        load(file)
    with pytest.raises(UsageError, match="cannot be read"):
        load(tmp_path)


def test_what_is_remembered_is_read_again(file: Path) -> None:
    remember({"theme": "dusk", "view": View.POSITION, "depth": 2, "keys": {"chat.less": "f9"}}, file)
    remember({"depth": None, "markdown": True}, file)
    settings = load(file)
    assert (settings.theme, settings.view, settings.depth, settings.markdown) == (
        "dusk",
        View.POSITION,
        None,
        True,
    )
    assert settings.keys == {"chat.less": "f9"}


def test_nothing_wrong_is_remembered(file: Path) -> None:
    with pytest.raises(UsageError, match="did you mean theme"):
        remember({"themes": "x"}, file)
    with pytest.raises(UsageError, match="depth must be"):
        remember({"depth": 11}, file)
    assert not file.exists()


def test_config_shows_every_setting_with_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(locations.CONFIG_VARIABLE, str(tmp_path))
    monkeypatch.setenv("DRAFTSCOPE_DEPTH", "4")
    (tmp_path / "settings.toml").write_text('theme = "dusk\\u001b[31m"\n[keys]\n"chat.less" = "f9"\n')
    assert config("path") == 0
    assert capsys.readouterr().out == f"{tmp_path / 'settings.toml'}\n"
    assert config("show") == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    rows = {line.split()[0]: line.split() for line in shown.splitlines() if line.strip()}
    assert set(SCALARS) <= set(rows)
    assert rows["depth"] == ["depth", "4", "DRAFTSCOPE_DEPTH"]
    assert rows["keys.chat.less"] == ["keys.chat.less", "f9", "file"]
    assert rows["max_tokens"] == ["max_tokens", "512", "default"]


def test_folders_follow_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(locations.CONFIG_VARIABLE, str(tmp_path / "c"))
    monkeypatch.setenv(locations.DATA_VARIABLE, str(tmp_path / "d"))
    assert locations.settings_file() == tmp_path / "c" / "settings.toml"
    assert locations.user_themes_folder() == tmp_path / "c" / "themes"
    assert locations.sessions_folder() == tmp_path / "d" / "sessions"
    assert locations.exports_folder() == Path.cwd()
    assert locations.exports_folder("~/x") == Path.home() / "x"
    assert (locations.shipped_themes_folder() / "draftscope-dark.toml").is_file()
    monkeypatch.setenv(locations.CONFIG_VARIABLE, "~nosuchuserhere/c")
    with pytest.raises(UsageError, match="There is no home folder for '~nosuchuserhere/c': write the whole"):
        locations.config_folder()
    monkeypatch.delenv(locations.CONFIG_VARIABLE)
    assert "draftscope" in str(locations.config_folder())
