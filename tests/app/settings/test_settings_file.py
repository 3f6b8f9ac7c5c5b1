"""Changing one key of a TOML file leaves everything else as it was."""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import settings_file
from engine.errors import UsageError

FILE = """\
# my settings

theme = "dark"   # the one I like
  'depth'=2 # "quoted" = 3
system = '''
theme = "not this"
# nor this
'''
stops = [ # a list
  "[keys]",
  "x", ]

[keys] # mine
"chat.less" = "f9"   # less
chat.more = "f10"

[other]
theme = "mine"
"""

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.one_of(
    texts, st.integers(-(2**40), 2**40), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)
)
names = st.sampled_from(["theme", "depth", "system", "new", "a b", "ü"]) | texts
paths = st.tuples(names) | st.tuples(st.just("keys"), st.sampled_from(["chat.less", "chat.more", "chat.new"]))


@given(paths, values, st.sampled_from(["\n", "\r\n"]), st.sampled_from([FILE, "", "# only this", "[keys]\n"]))
def test_a_change_is_read_again_and_all_else_stays(
    path: tuple[str, ...], value: str | int | float | bool, newline: str, content: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "settings.toml"
        file.write_bytes(content.replace("\n", newline).encode())
        before = settings_file.read(file)
        settings_file.change(file, {path: value})
        after = settings_file.read(file)
        text = file.read_bytes().decode()
        settings_file.change(file, {path: value})
        assert file.read_bytes().decode() == text  # there is nothing left to change
        assert [each.name for each in Path(folder).iterdir()] == ["settings.toml"]
    flat_before, flat_after = _flat(before), _flat(after)
    assert flat_after.pop(".".join(path)) == value
    flat_before.pop(".".join(path), None)
    assert flat_after == flat_before
    for comment in ("# my settings", "# mine", "# the one I like", '# "quoted" = 3', "# less", "# a list"):
        assert (comment in content) == (comment in text)
    assert "\r" not in text.replace("\r\n", "") or newline == "\n"


def _flat(data: dict[str, object], prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in data.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def test_a_line_is_replaced_where_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(FILE)
    settings_file.change(file, {("theme",): "light", ("depth",): 3, ("keys", "chat.more"): "f12"})
    expected = FILE.replace('theme = "dark"  ', 'theme = "light"  ').replace("'depth'=2", "'depth'= 3")
    assert file.read_text() == expected.replace('"f10"', '"f12"')
    settings_file.change(file, {("depth",): None, ("absent",): None})
    assert file.read_text() == expected.replace('"f10"', '"f12"').replace(
        "  'depth'= 3 # \"quoted\" = 3\n", ""
    )


def test_new_lines_go_to_their_table(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "settings.toml"
    settings_file.change(file, {("theme",): "x", ("keys", "chat.less"): "f9"})
    settings_file.change(file, {("depth",): 1, ("keys", "chat.more"): "f10"})
    assert file.read_text() == ('theme = "x"\ndepth = 1\n\n[keys]\n"chat.less" = "f9"\n"chat.more" = "f10"\n')


def test_a_value_over_several_lines_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(FILE)
    settings_file.change(file, {("system",): "a\n#b"})
    data = tomllib.loads(file.read_text())
    assert data["system"] == "a\n#b"
    assert data["stops"] == ["[keys]", "x"]


@pytest.mark.parametrize("content", ['keys = {"chat.less" = "f9"}\n', "theme = 'x'\nbroken", "keys = 3\n"])
def test_a_file_that_cannot_be_changed_stays(tmp_path: Path, content: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(content)
    with pytest.raises(UsageError, match=r"settings\.toml"):
        settings_file.change(file, {("keys", "chat.more"): "f10"})
    assert file.read_text() == content


def test_a_link_stays_a_link_and_modes_stay(tmp_path: Path) -> None:
    target = tmp_path / "dotfiles.toml"
    target.write_text("depth = 1\n")
    target.chmod(0o640)
    link = tmp_path / "settings.toml"
    link.symlink_to(target)
    settings_file.change(link, {("depth",): 2})
    assert link.is_symlink()
    assert target.read_text() == "depth = 2\n"
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be"):
        settings_file.change(tmp_path / "file" / "settings.toml", {("depth",): 1})
