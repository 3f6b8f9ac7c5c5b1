"""The JSON form of events, which the worker, `run --json`, traces, replay and servers all speak.

Encoder, decoder and schema are derived from the dataclasses' own annotations, so they cannot drift apart. Two
rules complete it: a field with a default may be missing when reading, and one whose default is None is not
written while it is None. Numbers that JSON lacks (a logprob of -inf or NaN) are written as null and read back
as None.
"""

from __future__ import annotations

import math
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import TypeAlias, TypeGuard

from engine.errors import UsageError
from engine.events import SCHEMA_VERSION, Event, Header

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

_EVENTS: dict[str, type[Event]] = {kind.__name__.lower(): kind for kind in typing.get_args(Event)}


def to_json(event: Event) -> dict[str, Json]:
    """Return the event as what `json.dumps` takes."""
    return {"event": type(event).__name__.lower(), **_encode_fields(event)}


def from_json(data: Mapping[str, object]) -> Event:
    """Read an event back; ValueError says in one sentence what is wrong with it."""
    name = data.get("event")
    kind = _EVENTS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(
            f"There is no event {name!r} in schema {SCHEMA_VERSION}; a newer draftscope may read it."
        )
    schema = data.get("schema")
    if kind is Header and isinstance(schema, int) and schema != SCHEMA_VERSION:
        raise ValueError(f"This is schema {schema}, and this draftscope reads schema {SCHEMA_VERSION}.")
    event = _decode_fields(kind, {key: data[key] for key in data if key != "event"}, str(name))
    return typing.cast("Event", event)


def json_schema() -> dict[str, Json]:
    """Return the JSON Schema (2020-12) of one event."""
    definitions: dict[str, Json] = {}
    events: list[Json] = []
    for name, kind in _EVENTS.items():
        schema = _describe_fields(kind, definitions)
        properties = typing.cast("dict[str, Json]", schema["properties"])
        required = typing.cast("list[Json]", schema["required"])
        definitions[kind.__name__] = {
            **schema,
            "properties": {"event": {"const": name}, **properties},
            "required": ["event", *required],
        }
        events.append({"$ref": f"#/$defs/{kind.__name__}"})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"draftscope event, schema {SCHEMA_VERSION}",
        "oneOf": events,
        "$defs": definitions,
    }


@cache
def _annotations(kind: type) -> tuple[tuple[Field[object], object], ...]:
    hints = typing.get_type_hints(kind)
    return tuple((each, hints[each.name]) for each in fields(kind))


def _is_kind(annotation: object) -> TypeGuard[type]:
    return isinstance(annotation, type) and is_dataclass(annotation)


def _optional(annotation: object) -> object | None:
    """Return X for `X | None`, and None for anything else."""
    if isinstance(annotation, types.UnionType):
        return typing.cast("object", next(part for part in annotation.__args__ if part is not types.NoneType))
    return None


def _encode_fields(value: object) -> dict[str, Json]:
    encoded: dict[str, Json] = {}
    kind: type = value.__class__
    for each, annotation in _annotations(kind):
        part = getattr(value, each.name)
        if part is None and each.default is None:
            continue
        encoded[each.name] = _encode(part, annotation)
    return encoded


def _encode(value: object, annotation: object) -> Json:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, float) and not math.isfinite(value):
        if _optional(annotation) is None:
            raise ValueError(f"{value} has no JSON form here.")
        return None
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (tuple, list)):
        inner = typing.get_args(annotation)[0]
        return [_encode(part, inner) for part in value]
    return _encode_fields(value)


def _decode_fields(kind: type, data: Mapping[str, object], where: str) -> object:
    values: dict[str, object] = {}
    for each, annotation in _annotations(kind):
        if each.name in data:
            values[each.name] = _decode(data[each.name], annotation, f"{where}.{each.name}")
        elif each.default is MISSING:
            raise ValueError(f"{where} lacks {each.name!r}.")
    unknown = sorted(set(data) - set(values))
    if unknown:
        raise ValueError(
            f"{where} has a key {unknown[0]!r} that schema {SCHEMA_VERSION} does not know; "
            "a newer draftscope may have written it."
        )
    try:
        return kind(**values)
    except UsageError as error:
        raise ValueError(f"{where}: {error}") from None


def _decode(value: object, annotation: object, where: str) -> object:
    inner = _optional(annotation)
    if inner is not None:
        return None if value is None else _decode(value, inner, where)
    if _is_kind(annotation):
        if isinstance(value, Mapping):
            return _decode_fields(annotation, value, where)
    elif typing.get_origin(annotation) is tuple:
        if isinstance(value, list):
            part = typing.get_args(annotation)[0]
            return tuple(_decode(each, part, f"{where}[{index}]") for index, each in enumerate(value))
    elif isinstance(annotation, type):
        if issubclass(annotation, Enum):
            try:
                return annotation(value)
            except ValueError:
                known = ", ".join(str(member.value) for member in annotation)
                raise ValueError(f"{where} is {value!r}, which is none of {known}.") from None
        if annotation is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            if abs(value) <= sys.float_info.max:  # neither NaN nor infinite, nor an integer beyond both
                return float(value)
        elif type(value) is annotation:
            return value
    raise ValueError(f"{where} is {value!r}, which is of the wrong type.")


_JSON_TYPES: dict[object, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}


def _describe_fields(kind: type, definitions: dict[str, Json]) -> dict[str, Json]:
    annotations = _annotations(kind)
    return {
        "type": "object",
        "properties": {each.name: _describe(hint, definitions) for each, hint in annotations},
        "required": [each.name for each, _ in annotations if each.default is MISSING],
        "additionalProperties": False,
    }


def _describe(annotation: object, definitions: dict[str, Json]) -> dict[str, Json]:
    inner = _optional(annotation)
    if inner is not None:
        return {"anyOf": [_describe(inner, definitions), {"type": "null"}]}
    if typing.get_origin(annotation) is tuple:
        return {"type": "array", "items": _describe(typing.get_args(annotation)[0], definitions)}
    if _is_kind(annotation):
        if annotation.__name__ not in definitions:
            definitions[annotation.__name__] = _describe_fields(annotation, definitions)
        return {"$ref": f"#/$defs/{annotation.__name__}"}
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return {"enum": [str(member.value) for member in annotation]}
    return {"type": _JSON_TYPES[annotation]}
