"""What each line of the engine's process means: an event, or what `engine.worker` says beside events."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from app.backends.base import (
    CacheKept,
    CacheRecalled,
    ComparisonNews,
    ExpertsSeen,
    Loaded,
    Loading,
    Memory,
    Refused,
    Trimmed,
    WiringFound,
    WiringProgress,
)
from engine import lanes_json
from engine.errors import UsageError
from engine.event_json import from_json
from engine.experts import ExpertUse
from engine.lab.results import WiringReport
from engine.options import GenerateOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.events import Event

_Line: TypeAlias = "Mapping[str, object]"


@dataclass(frozen=True, slots=True)
class Hello:
    """The first line of a worker."""

    schema: int


WorkerNews: TypeAlias = (
    "Event | Hello | Loading | Loaded | Memory | Trimmed | ComparisonNews"
    " | CacheKept | CacheRecalled | ExpertsSeen | WiringProgress | WiringFound | Refused"
)


def read_line(data: bytes) -> WorkerNews:
    """Read a line; ValueError says what is wrong with it."""
    try:
        line = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(line, dict):
        raise ValueError("it is not a JSON object")
    match line.get("event"):
        case "hello":
            return Hello(_whole(line, "schema"))
        case "loading":
            return Loading(_text(line, "what"), _whole(line, "done_bytes"), _whole(line, "total_bytes"))
        case "loaded":
            return _loaded(line)
        case "memory":
            return Memory(_whole(line, "used_bytes"), _whole(line, "budget_bytes"))
        case "dropped":
            return Trimmed(_whole(line, "turns"))
        case "kept":
            return CacheKept(_whole(line, "bytes"))
        case "recalled":
            return CacheRecalled(_whole(line, "tokens"))
        case "wiring_progress":
            return WiringProgress(_whole(line, "done"), _whole(line, "total"), _text(line, "what"))
        case "wiring":
            report = line.get("report")
            if report is not None and not isinstance(report, dict):
                raise ValueError("its report is no object")
            return WiringFound(None if report is None else WiringReport.from_json(report))
        case "experts":
            return ExpertsSeen(ExpertUse.from_json(line))
        case "error":
            command = line.get("command")
            return Refused(command if isinstance(command, str) else None, _text(line, "message"))
    if lanes_json.is_of_lanes(line):
        return ComparisonNews(lanes_json.from_json(line))
    return from_json(line)


def _loaded(line: _Line) -> Loaded:
    options, warnings = line.get("options"), line.get("warnings")
    if not isinstance(options, dict) or not isinstance(warnings, list):
        raise ValueError("options or warnings are missing")
    try:
        read = GenerateOptions().changed(options)
    except UsageError as error:
        raise ValueError(str(error)) from None
    return Loaded(
        _text(line, "model"),
        _whole(line, "context"),
        _flag(line, "mtp"),
        read,
        _whole(line, "weights_bytes"),
        tuple(map(str, warnings)),
        _flag(line, "draft_model"),
    )


def _whole(line: _Line, key: str) -> int:
    value = line.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"{key} is {value!r}, which is no whole number")


def _text(line: _Line, key: str) -> str:
    value = line.get(key)
    if isinstance(value, str):
        return value
    raise ValueError(f"{key} is {value!r}, which is no text")


def _flag(line: _Line, key: str) -> bool:
    value = line.get(key)
    if isinstance(value, bool):
        return value
    raise ValueError(f"{key} is {value!r}, which is neither true nor false")
