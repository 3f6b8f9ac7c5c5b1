"""The settings file: read as TOML, and changed one line at a time, so that comments and order stay.

TOML is read by `tomllib` alone. To change a file it is cut into statements, each as few lines as make TOML by
themselves; the one that sets the key is replaced, or a line is added. What comes out is read again before it
takes the file's place: it must say the new value, and otherwise what the file said before.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import shutil
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from engine.errors import UsageError, shown, shown_error

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Value: TypeAlias = str | int | float | bool
_Path: TypeAlias = tuple[str, ...]


def read(file: Path) -> dict[str, object]:
    """Return what a TOML file says, {} where there is none; UsageError where it cannot be read."""
    return _parsed(_text(file), file)


def change(file: Path, changes: Mapping[_Path, Value | None]) -> None:
    """Set values by their path of table and key, or take them out (None); everything else stays."""
    text = _text(file)
    wanted = _parsed(text, file)
    for path, value in changes.items():
        text = _changed(text, path, value)
        _put(wanted, path, value)
    try:
        is_right = _without_empty(tomllib.loads(text)) == _without_empty(wanted)
        data = text.encode()
    except ValueError:
        is_right, data = False, b""
    if not is_right:
        names = ", ".join(path[-1] for path in changes)
        raise UsageError(
            f"{shown(file)} is written in a way that cannot be changed here: set {names} by hand."
        )
    _replace(file, data)


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        raise UsageError(f"{shown(file)} is not UTF-8 text: save it as that.") from None
    except OSError as error:
        raise UsageError(f"{shown(file)} cannot be read: {error.strerror}.") from None


def _parsed(text: str, file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{shown(file)} is not TOML: {shown_error(error)}.") from None


def _replace(file: Path, data: bytes) -> None:
    """Put the data in the file's place, at once or not at all; a link's target is what is replaced."""
    target = file.resolve()
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            aside.write_bytes(data)
            with contextlib.suppress(FileNotFoundError):
                shutil.copymode(target, aside)
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"{shown(file)} cannot be written: {error.strerror}.") from None


def _put(data: dict[str, object], path: _Path, value: Value | None) -> None:
    *tables, name = path
    for table in tables:
        inner = data.setdefault(table, {})
        if not isinstance(inner, dict):
            return  # reading what was written will say so
        data = inner
    found = next((each for each in _ways(data) if ".".join(each) == name), (name,))
    for part in found[:-1]:
        inner = data[part]
        assert isinstance(inner, dict)
        data = inner
    if value is None:
        data.pop(found[-1], None)
    else:
        data[found[-1]] = value


def _ways(data: Mapping[str, object]) -> list[_Path]:
    """Return the path of every value in a table and the tables within it."""
    found: list[_Path] = []
    for name, value in data.items():
        found += [(name, *rest) for rest in _ways(value)] if isinstance(value, dict) else [(name,)]
    return found


def _without_empty(data: dict[str, object]) -> dict[str, object]:
    """Return the data without tables that hold nothing, which taking a key out may leave."""
    kept = copy.copy(data)
    for name, value in data.items():
        if isinstance(value, dict):
            inner = _without_empty(value)
            if inner:
                kept[name] = inner
            else:
                del kept[name]
    return kept


@dataclass(frozen=True, slots=True)
class _Statement:
    """A few lines of the file that belong together."""

    text: str
    """With the newline at its end."""
    table: _Path
    """The table it stands in, or opens."""
    key: _Path | None = None
    """What it sets."""
    opens: bool = False
    """Whether it opens its table."""

    @property
    def full_name(self) -> str:
        return ".".join((*self.table, *(self.key or ())))


def _changed(text: str, path: _Path, value: Value | None) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    statements = _statements(text)
    for index, statement in enumerate(statements):
        if statement.key is not None and statement.full_name == ".".join(path):
            statements[index : index + 1] = [] if value is None else [_with_value(statement, value)]
            return "".join(each.text for each in statements)
    if value is None:
        return text
    *table, name = path
    line = _Statement(f"{_quoted(name)} = {_toml(value)}{newline}", tuple(table))
    at = _place(statements, tuple(table))
    before = "".join(each.text for each in statements[:at])
    after = "".join(each.text for each in statements[at:])
    if before and not before.endswith("\n"):
        before += newline
    if table and not any(each.opens and each.table == line.table for each in statements):
        before += f"{newline if before else ''}[{'.'.join(map(_quoted, table))}]{newline}"
    elif at == 0 and after.startswith(("[", "#")):
        after = newline + after
    return before + line.text + after


def _place(statements: list[_Statement], table: _Path) -> int:
    """Return where a new line of the table goes: after its last one, or where it opens, or the file ends."""
    inside = [
        index
        for index, each in enumerate(statements)
        if each.table == table and (each.key is not None or each.opens)
    ]
    if inside:
        return inside[-1] + 1
    has_tables = any(each.opens for each in statements)
    return 0 if not table and has_tables else len(statements)


def _statements(text: str) -> list[_Statement]:
    """Cut a file that is TOML into statements, blank lines and comments among them."""
    lines = text.split("\n")
    lines = [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    found: list[_Statement] = []
    table: _Path = ()
    start = 0
    while start < len(lines):
        end = start + 1
        while (said := _said("".join(lines[start:end]))) is None and end < len(lines):
            end += 1
        chunk = "".join(lines[start:end])
        start = end
        if chunk.lstrip(" \t").startswith("["):
            table = _only_path(said or {})
            found.append(_Statement(chunk, table, opens=True))
        else:
            found.append(_Statement(chunk, table, _only_path(said) if said else None))
    return found


def _said(chunk: str) -> dict[str, object] | None:
    """Return what lines say by themselves, None where they are not TOML."""
    text = chunk.removesuffix("\n")
    try:
        return tomllib.loads(text if "\n" in text else text.removesuffix("\r"))
    except ValueError:
        try:
            return tomllib.loads(text.removesuffix("\r"))
        except ValueError:
            return None


def _only_path(data: Mapping[str, object]) -> _Path:
    """Return the path to the one thing that a statement sets or opens."""
    path: list[str] = []
    inner: object = data
    while isinstance(inner, dict) and len(inner) == 1:
        name, inner = next(iter(inner.items()))
        path.append(str(name))
    return tuple(path)


def _with_value(statement: _Statement, value: Value) -> _Statement:
    """Return the statement with another value; its indentation and the comment at its end stay."""
    text = statement.text.rstrip("\r\n")
    equals = next(at for at, letter in enumerate(text) if letter == "=" and _said(text[:at] + "= 0"))
    said = _said(text)
    marks = (at for at, letter in enumerate(text) if letter == "#" and at > equals)
    comment = next((at for at in marks if _said(text[:at]) == said), len(text))
    end = len(text[:comment].rstrip(" \t"))
    changed = f"{text[:equals]}= {_toml(value)}{text[end:]}{statement.text[len(text) :]}"
    return _Statement(changed, statement.table, statement.key)


def _toml(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _quoted(name: str) -> str:
    is_bare = name and all(letter.isascii() and (letter.isalnum() or letter in "-_") for letter in name)
    return name if is_bare else _toml(name)
