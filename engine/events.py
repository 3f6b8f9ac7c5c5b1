"""What decoding reports: one frozen dataclass an event, and their one JSON form.

The worker, `run --json`, traces, replay and servers all speak this form. Encoder, decoder and schema are
derived from the dataclasses' own annotations, so they cannot drift apart. Two rules complete it: a field
with a default may be missing when reading, and one whose default is None is not written while it is None.
Numbers that JSON lacks (a logprob of -inf or NaN) are written as null and read back as None.

Standard library only: the app and the tests of everything else read events without loading the engine.
"""

from __future__ import annotations

import math
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from enum import Enum, StrEnum
from functools import cache
from typing import TypeAlias, TypeGuard

from engine.errors import UsageError
from engine.options import GenerateOptions, Mode  # noqa: TC001  # the annotations are read at run time

SCHEMA_VERSION = 1


class Origin(StrEnum):
    """Where a token of the text came from."""

    ORDINARY = "ordinary"
    """The main model's token in a round without drafts, and the first token after prefill (round 0)."""
    ACCEPTED = "accepted"
    """A draft that the main model agreed with."""
    CORRECTED = "corrected"
    """The main model's token in place of a rejected draft."""
    BONUS = "bonus"
    """The main model's extra token after every draft of the round was accepted."""


class FinishReason(StrEnum):
    """Why a reply ended."""

    STOP = "stop"
    LENGTH = "length"
    CONTEXT = "context"
    CANCELLED = "cancelled"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class DraftedToken:
    """A draft that is about to be verified."""

    id: int
    text: str
    logprob: float | None
    """Under the drafter; None where it has no probabilities (n-gram)."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token of the text. Logprobs are log softmax of the raw logits."""

    id: int
    text: str
    origin: Origin
    position: int
    """For an accepted draft 1..depth, how far ahead it was drafted; otherwise 0."""
    logprob: float | None
    """Under the main model."""
    draft_logprob: float | None
    """Of this token under the drafter; None where nothing was drafted here."""


@dataclass(frozen=True, slots=True)
class RejectedToken:
    """A draft that was not kept."""

    id: int
    text: str
    logprob: float | None
    """Under the main model; None for the drafts after the first rejected one."""
    draft_logprob: float | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token that a model thought likely."""

    id: int
    text: str
    logprob: float | None


@dataclass(frozen=True, slots=True)
class TokenDetail:
    """The likeliest tokens at one position of the text, best first."""

    main: tuple[Candidate, ...]
    draft: tuple[Candidate, ...]
    """Empty where nothing was drafted."""


@dataclass(frozen=True, slots=True)
class RoundDetail:
    """What `GenerateOptions.detail` adds to a round."""

    tokens: tuple[TokenDetail, ...]
    """One for each of the round's tokens."""
    experts: tuple[tuple[int, ...], ...]
    """For each layer with experts, in order, those that the verifying pass used for any token, ascending."""


@dataclass(frozen=True, slots=True)
class Header:
    """What was asked of whom. Opens a trace; the engine itself does not emit it."""

    schema: int = field(default=SCHEMA_VERSION, kw_only=True)
    model: str
    options: GenerateOptions


@dataclass(frozen=True, slots=True)
class Prefilling:
    """The prompt is being read; comes at least once a second."""

    layer: int
    """Layers done."""
    layers: int
    tokens: int
    bytes_read: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Prefilled:
    """The prompt has been read."""

    prompt_tokens: int
    reused_tokens: int
    """How many of them were still in the cache."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Drafted:
    """A round has drafted and is about to verify."""

    round: int
    tokens: tuple[DraftedToken, ...]


@dataclass(frozen=True, slots=True)
class Verified:
    """A round is over: its tokens are text now. Round 0 is the first token after prefill."""

    round: int
    mode: Mode
    depth: int
    """Tokens drafted: the depth asked for, or fewer where the drafter or the space left had no more."""
    accepted: int
    tokens: tuple[Token, ...]
    rejected: tuple[RejectedToken, ...]
    """All drafts that were not kept."""
    draft_seconds: float = 0.0
    verify_seconds: float = 0.0
    catchup_seconds: float = 0.0
    """Feeding the MTP layer tokens that earlier rounds decoded without it."""
    wait_seconds: float = 0.0
    """Waiting for reads from disk; part of the above, not beside it."""
    expert_uses: int = 0
    expert_hits: int = 0
    expert_loads: int = 0
    prefetch_used: int = 0
    prefetch_wasted: int = 0
    bytes_read: int = 0
    detail: RoundDetail | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The reply is over; always the last event."""

    reason: FinishReason
    tokens: int
    seconds: float
    message: str | None = None
    """One sentence, for FinishReason.ERROR."""


Event: TypeAlias = Header | Prefilling | Prefilled | Drafted | Verified | Finished

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
