"""The JSON form of events, which the worker, `run --json`, traces, replay and servers all speak.

Encoder, decoder and schema are derived from the dataclasses' own annotations, so they cannot drift apart;
each type's encoder and decoder is put together once, since a long chat is read back by the thousand. Two
rules complete it: a field with a default may be missing when reading, and one whose default is None is not
written while it is None. Numbers that JSON lacks (a logprob of -inf or NaN) are written as null and read back
as None.
"""

from __future__ import annotations

import math
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import TypeAlias, TypeGuard

from engine.errors import UsageError
from engine.events import SCHEMA_VERSION, Event, Header

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
_FieldsEncoder: TypeAlias = Callable[[object], dict[str, Json]]
_Encoder: TypeAlias = Callable[[object], Json]
_Decoder: TypeAlias = Callable[[object], object]

_PLAIN = (str, int, bool)
"""Types whose values are the same in JSON, which saves most of the calls."""

_MOST = sys.float_info.max

_EVENTS: dict[str, type[Event]] = {kind.__name__.lower(): kind for kind in typing.get_args(Event)}


def to_json(event: Event) -> dict[str, Json]:
    """Return the event as what `json.dumps` takes."""
    kind: type = type(event)
    return {"event": kind.__name__.lower(), **_fields_encoder(kind)(event)}


def from_json(data: Mapping[str, object]) -> Event:
    """Read an event back; ValueError says in one sentence what is wrong with it."""
    name = data.get("event")
    kind: type | None = _EVENTS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(
            f"There is no event {name!r} in schema {SCHEMA_VERSION}; a newer draftscope may read it."
        )
    schema = data.get("schema")
    if kind is Header and isinstance(schema, int) and schema != SCHEMA_VERSION:
        raise ValueError(f"This is schema {schema}, and this draftscope reads schema {SCHEMA_VERSION}.")
    values = dict(data)
    del values["event"]
    try:
        return typing.cast("Event", _fields_decoder(kind)(values))
    except _WrongError as wrong:
        raise ValueError(f"{name}{wrong.path}{wrong.what}") from None


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


@cache
def _fields_encoder(kind: type) -> _FieldsEncoder:
    """Return what encodes the fields of a dataclass."""
    parts = [
        (each.name, None if hint in _PLAIN else _encoder(hint), each.default is None)
        for each, hint in _annotations(kind)
    ]

    def encode_fields(value: object) -> dict[str, Json]:
        encoded: dict[str, Json] = {}
        for name, encode, left_out_while_none in parts:
            part = getattr(value, name)
            if encode is None:
                encoded[name] = part
            elif part is not None or not left_out_while_none:
                encoded[name] = encode(part)
        return encoded

    return encode_fields


@cache
def _encoder(annotation: object) -> _Encoder:
    """Return what encodes a value of this type."""
    inner = _optional(annotation)
    if inner is float:
        return _encode_float_or_null
    if inner is not None:
        encode_inner = _encoder(inner)
        return lambda value: None if value is None else encode_inner(value)
    if typing.get_origin(annotation) is tuple:
        encode_part = _encoder(typing.get_args(annotation)[0])
        return lambda value: [encode_part(part) for part in typing.cast("tuple[object, ...]", value)]
    if _is_kind(annotation):
        return _fields_encoder(annotation)
    return _encode_float if annotation is float else _encode_plain


def _encode_plain(value: object) -> Json:
    return str(value.value) if isinstance(value, Enum) else typing.cast("str | int", value)


def _encode_float(value: object) -> Json:
    if not math.isfinite(typing.cast("float", value)):
        raise ValueError(f"{value} has no JSON form here.")
    return typing.cast("float", value)


def _encode_float_or_null(value: object) -> Json:
    number = typing.cast("float | None", value)
    return number if number is None or math.isfinite(number) else None


class _WrongError(Exception):
    """A value that cannot be read, and the way to it, which grows as it passes what encloses the value."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
        self.path = ""

    def within(self, part: str) -> _WrongError:
        self.path = part + self.path
        return self


def _wrong_type(value: object) -> _WrongError:
    return _WrongError(f" is {value!r}, which is of the wrong type.")


@cache
def _fields_decoder(kind: type) -> Callable[[Mapping[str, object]], object]:
    """Return what makes an object of a dataclass; raises _WrongError."""
    parts = [
        (
            each.name,
            hint if hint in _PLAIN else None,
            float in (hint, _optional(hint)),
            _decoder(hint),
            each.default is MISSING,
        )
        for each, hint in _annotations(kind)
    ]

    def decode_fields(data: Mapping[str, object]) -> object:
        values: dict[str, object] = {}
        for name, plain, is_number, decode, is_required in parts:
            if name in data:
                value = data[name]
                if type(value) is plain or (is_number and type(value) is float and abs(value) <= _MOST):
                    values[name] = value
                    continue  # nearly all values end here, without a call
                try:
                    values[name] = decode(value)
                except _WrongError as wrong:
                    raise wrong.within(f".{name}") from None
            elif is_required:
                raise _WrongError(f" lacks {name!r}.")
        if len(values) != len(data):
            raise _WrongError(
                f" has a key {min(set(data) - set(values))!r} that schema {SCHEMA_VERSION} does not know; "
                "a newer draftscope may have written it."
            )
        try:
            return kind(**values)
        except UsageError as error:
            raise _WrongError(f": {error}") from None

    return decode_fields


@cache
def _decoder(annotation: object) -> _Decoder:
    """Return what reads a value of this type; raises _WrongError."""
    inner = _optional(annotation)
    if inner is not None:
        decode_inner = _decoder(inner)
        return lambda value: None if value is None else decode_inner(value)
    if _is_kind(annotation):
        decode_fields = _fields_decoder(annotation)

        def decode_object(value: object) -> object:
            if isinstance(value, (dict, Mapping)):  # a dict is found faster than a Mapping
                return decode_fields(value)
            raise _wrong_type(value)

        return decode_object
    if typing.get_origin(annotation) is tuple:
        return _tuple_decoder(_decoder(typing.get_args(annotation)[0]))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _enum_decoder(annotation)
    if annotation is float:
        return _decode_float

    def decode_plain(value: object) -> object:
        if type(value) is annotation:
            return value
        raise _wrong_type(value)

    return decode_plain


def _tuple_decoder(decode: _Decoder) -> _Decoder:
    def decode_tuple(value: object) -> object:
        if not isinstance(value, list):
            raise _wrong_type(value)
        decoded: list[object] = []
        try:
            for part in value:
                decoded.append(decode(part))  # noqa: PERF401  # its length says which part was wrong
        except _WrongError as wrong:
            raise wrong.within(f"[{len(decoded)}]") from None
        return tuple(decoded)

    return decode_tuple


def _enum_decoder(kind: type[Enum]) -> _Decoder:
    members: dict[object, Enum] = {member.value: member for member in kind}

    def decode_enum(value: object) -> object:
        member = members.get(value) if isinstance(value, str) else None
        if member is None:
            raise _WrongError(f" is {value!r}, which is none of {', '.join(map(str, members))}.")
        return member

    return decode_enum


def _decode_float(value: object) -> object:
    if isinstance(value, (float, int)) and not isinstance(value, bool) and abs(value) <= _MOST:
        return float(value)  # neither NaN nor infinite, nor an integer beyond both
    raise _wrong_type(value)


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
