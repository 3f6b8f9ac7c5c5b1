"""The JSON form of what a comparison of lanes says, in both directions. Standard library only, as lanes are.

An event of a lane is the event's own JSON with a "compare" beside it: {"lane":1,"repeat":0}, where the lane
is null for the prompt that all share. The three other kinds are events of their own names:

    {"event":"lanes_planned","lanes":[{"mode":"mtp","depth":2}],"repeats":2,"interleaved":true,"why":"…",
     "fork_bytes":0}
    {"event":"lanes_prepared","prefill_seconds":0.41,"catchup_seconds":0.02}
    {"event":"lanes_finished","complete":true}              with "message":"…" where something went wrong
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine import event_json
from engine.errors import UsageError
from engine.lanes import Lane, LaneEvent, LanesFinished, LanesPlanned, LanesPrepared
from engine.options import GenerateOptions, Mode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.event_json import Json
    from engine.lanes import LanesNews

TAG = "compare"
"""The key that an event of a lane has beside its own."""

_KEYS = {
    "lanes_planned": {"event", "lanes", "repeats", "interleaved", "why", "fork_bytes"},
    "lanes_prepared": {"event", "prefill_seconds", "catchup_seconds"},
    "lanes_finished": {"event", "complete", "message"},
}


def is_of_lanes(data: Mapping[str, object]) -> bool:
    """Whether an object is one of these rather than an event of a reply."""
    return TAG in data or data.get("event") in _KEYS


def to_json(news: LanesNews) -> dict[str, Json]:
    """Return the news as what `json.dumps` takes."""
    match news:
        case LanesPlanned():
            return {
                "event": "lanes_planned",
                "lanes": [lane_to_json(lane) for lane in news.lanes],
                "repeats": news.repeats,
                "interleaved": news.interleaved,
                "why": news.why,
                "fork_bytes": news.fork_bytes,
            }
        case LanesPrepared():
            return {
                "event": "lanes_prepared",
                "prefill_seconds": news.prefill_seconds,
                "catchup_seconds": news.catchup_seconds,
            }
        case LaneEvent():
            return {**event_json.to_json(news.event), TAG: {"lane": news.lane, "repeat": news.repeat}}
        case LanesFinished():
            message: dict[str, Json] = {} if news.message is None else {"message": news.message}
            return {"event": "lanes_finished", "complete": news.complete, **message}


def from_json(data: Mapping[str, object]) -> LanesNews:
    """Read news back; ValueError says in one sentence what is wrong with it."""
    if TAG in data:
        return _lane_event(data)
    name = data.get("event")
    known = _KEYS.get(name) if isinstance(name, str) else None
    if known is None:
        raise ValueError(f"There is no news of lanes called {name!r}; a newer draftscope may read it.")
    unknown = set(data) - known
    if unknown:
        raise ValueError(f"{name} has a key {min(unknown)!r} that is not known here.")
    if name == "lanes_planned":
        lanes = data.get("lanes")
        if not isinstance(lanes, list):
            raise ValueError(f"lanes is {lanes!r}, which is no list.")
        return LanesPlanned(
            tuple(map(_lane, lanes)),
            _whole(data, "repeats"),
            _flag(data, "interleaved"),
            _text(data, "why"),
            _whole(data, "fork_bytes"),
        )
    if name == "lanes_prepared":
        return LanesPrepared(_seconds(data, "prefill_seconds"), _seconds(data, "catchup_seconds"))
    message = None if data.get("message") is None else _text(data, "message")
    return LanesFinished(_flag(data, "complete"), message)


def lane_to_json(lane: Lane) -> dict[str, Json]:
    """Return a lane as a command or a line names it."""
    return {"mode": str(lane.mode), "depth": lane.depth}


def read_lane(value: object) -> Lane:
    """Read a lane as `lane_to_json` writes it, its depth left out where there is none to choose.

    Raises UsageError.
    """
    if not isinstance(value, dict) or not {"mode"} <= set(value) <= {"mode", "depth"}:
        raise UsageError(f"Each lane must be an object with mode and depth, not {value!r}.")
    mode, depth = value["mode"], value.get("depth")
    if depth is None and mode not in (Mode.AUTO, Mode.ORDINARY):
        raise UsageError(f"A lane of mode {mode!r} needs a depth.")
    checked = GenerateOptions().changed({"mode": mode, "depth": depth or 0})
    return Lane(checked.mode, checked.depth)


def _lane(value: object) -> Lane:
    try:
        return read_lane(value)
    except UsageError as error:
        raise ValueError(str(error)) from None


def _lane_event(data: Mapping[str, object]) -> LaneEvent:
    tag = data[TAG]
    if not isinstance(tag, dict) or set(tag) != {"lane", "repeat"}:
        raise ValueError(f"{TAG} is {tag!r}, which is no object with lane and repeat.")
    lane = None if tag["lane"] is None else _whole(tag, "lane")
    repeat = _whole(tag, "repeat")
    return LaneEvent(lane, repeat, event_json.from_json({key: data[key] for key in data if key != TAG}))


def _whole(data: Mapping[str, object], key: str) -> int:
    value = data.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError(f"{key} is {value!r}, which is no whole number.")


def _seconds(data: Mapping[str, object], key: str) -> float:
    value = data.get(key)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise ValueError(f"{key} is {value!r}, which is no number.")


def _text(data: Mapping[str, object], key: str) -> str:
    value = data.get(key)
    if isinstance(value, str):
        return value
    raise ValueError(f"{key} is {value!r}, which is no text.")


def _flag(data: Mapping[str, object], key: str) -> bool:
    value = data.get(key)
    if isinstance(value, bool):
        return value
    raise ValueError(f"{key} is {value!r}, which is neither true nor false.")
