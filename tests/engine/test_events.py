"""Events and options: one JSON form, round trips, and a schema that says what is emitted."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.event_json import from_json, json_schema, to_json
from engine.events import (
    SCHEMA_VERSION,
    Candidate,
    Drafted,
    DraftedToken,
    Event,
    Finished,
    FinishReason,
    Header,
    Origin,
    Phase,
    Prefilled,
    Prefilling,
    RejectedToken,
    RoundDetail,
    Token,
    TokenDetail,
    Verified,
    Waiting,
)
from engine.options import MAX_DEPTH, Acceptance, GenerateOptions, Mode

counts = st.integers(0, 2**40)
ids = st.integers(0, 200_000)
texts = st.text(max_size=5)
seconds = st.floats(0, 1e9)
logprobs = st.none() | st.floats(-1e30, 0)
candidates = st.lists(st.builds(Candidate, ids, texts, logprobs), max_size=2).map(tuple)
details = st.builds(
    RoundDetail,
    st.lists(st.builds(TokenDetail, candidates, candidates), max_size=2).map(tuple),
    st.lists(st.lists(ids, max_size=2).map(tuple), max_size=2).map(tuple),
)
options = st.builds(
    GenerateOptions,
    max_tokens=st.integers(1, 10**9),
    temperature=st.floats(0, 1e30),
    top_p=st.floats(0, 1, exclude_min=True),
    top_k=counts,
    min_p=st.floats(0, 1),
    seed=st.integers(),
    mode=st.sampled_from(Mode),
    depth=st.integers(0, MAX_DEPTH),
    accept=st.sampled_from(Acceptance),
    stop_ids=st.lists(ids, max_size=3).map(tuple),
    stop_strings=st.lists(st.text(min_size=1, max_size=3), max_size=2).map(tuple),
    ignore_eos=st.booleans(),
    detail=st.booleans(),
)
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(Header, texts, options),
    st.builds(Prefilling, counts, counts, counts, counts, seconds),
    st.builds(Prefilled, counts, counts, seconds),
    st.builds(Waiting, counts, counts, counts, seconds, st.sampled_from(Phase)),
    st.builds(
        Drafted, counts, st.lists(st.builds(DraftedToken, ids, texts, logprobs), max_size=3).map(tuple)
    ),
    st.builds(
        Verified,
        counts,
        st.sampled_from(Mode),
        counts,
        counts,
        st.lists(
            st.builds(Token, ids, texts, st.sampled_from(Origin), counts, logprobs, logprobs), max_size=3
        ).map(tuple),
        st.lists(st.builds(RejectedToken, ids, texts, logprobs, logprobs), max_size=2).map(tuple),
        seconds,
        seconds,
        seconds,
        seconds,
        counts,
        counts,
        counts,
        counts,
        counts,
        counts,
        st.none() | details,
    ),
    st.builds(Finished, st.sampled_from(FinishReason), counts, seconds, st.none() | texts),
)


def fits(value: object, schema: dict[str, object], root: dict[str, object]) -> bool:
    """Whether a value satisfies the part of JSON Schema that the events' schema is written in."""
    known = {"$schema", "$defs", "title", "$ref", "oneOf", "anyOf", "const", "enum", "type", "items"}
    known |= {"properties", "required", "additionalProperties"}
    assert not set(schema) - known
    if "$ref" in schema:
        name = str(schema["$ref"]).removeprefix("#/$defs/")
        return fits(value, root["$defs"][name], root)  # type: ignore[index]
    if "oneOf" in schema:
        return sum(fits(value, each, root) for each in schema["oneOf"]) == 1  # type: ignore[attr-defined]
    if "anyOf" in schema:
        return any(fits(value, each, root) for each in schema["anyOf"])  # type: ignore[attr-defined]
    if "const" in schema:
        return value == schema["const"]
    if "enum" in schema:
        return value in cast("list[object]", schema["enum"])
    match schema["type"]:
        case "object":
            properties = cast("dict[str, dict[str, object]]", schema["properties"])
            return (
                isinstance(value, dict)
                and set(cast("list[str]", schema["required"])) <= set(value)
                and set(value) <= set(properties)
                and all(fits(part, properties[key], root) for key, part in value.items())
            )
        case "array":
            items = cast("dict[str, object]", schema["items"])
            return isinstance(value, list) and all(fits(part, items, root) for part in value)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case other:
            return isinstance(value, {"string": str, "boolean": bool, "null": type(None)}[str(other)])


@given(events)
def test_events_survive_json(event: Event) -> None:
    line = json.dumps(to_json(event), allow_nan=False)
    assert "\n" not in line
    assert from_json(json.loads(line)) == event


@given(events)
def test_emitted_events_satisfy_the_schema(event: Event) -> None:
    schema = cast("dict[str, object]", json.loads(json.dumps(json_schema())))
    data = json.loads(json.dumps(to_json(event)))
    assert fits(data, schema, schema)
    assert not fits({**data, "extra": 1}, schema, schema)
    for key in data:
        rest = {name: part for name, part in data.items() if name != key}
        try:
            from_json(rest)
        except ValueError:
            assert not fits(rest, schema, schema)
        else:
            assert fits(rest, schema, schema)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(events, st.data())
def test_a_wrong_value_is_a_sentence_and_nothing_else(event: Event, data: st.DataObject) -> None:
    encoded = dict(to_json(event))
    encoded[data.draw(st.sampled_from(sorted(encoded)))] = data.draw(json_values)
    try:
        again = from_json(encoded)
    except ValueError:
        return
    assert from_json(to_json(again)) == again


def test_the_documented_form() -> None:
    sea = Token(12, " sea", Origin.ACCEPTED, 1, -0.01, -0.02)
    was = Token(99, " was", Origin.CORRECTED, 0, -0.7, None)
    event = Verified(3, Mode.MTP, 2, 1, (sea, was), (RejectedToken(31, " is", -1.9, -0.4),), bytes_read=4)
    assert to_json(event) == {
        "event": "verified",
        "round": 3,
        "mode": "mtp",
        "depth": 2,
        "accepted": 1,
        "tokens": [
            {
                "id": 12,
                "text": " sea",
                "origin": "accepted",
                "position": 1,
                "logprob": -0.01,
                "draft_logprob": -0.02,
            },
            {
                "id": 99,
                "text": " was",
                "origin": "corrected",
                "position": 0,
                "logprob": -0.7,
                "draft_logprob": None,
            },
        ],
        "rejected": [{"id": 31, "text": " is", "logprob": -1.9, "draft_logprob": -0.4}],
        "draft_seconds": 0.0,
        "verify_seconds": 0.0,
        "catchup_seconds": 0.0,
        "wait_seconds": 0.0,
        "expert_uses": 0,
        "expert_hits": 0,
        "expert_loads": 0,
        "prefetch_used": 0,
        "prefetch_wasted": 0,
        "bytes_read": 4,
    }
    assert to_json(Finished(FinishReason.STOP, 120, 3.2)) == {
        "event": "finished",
        "reason": "stop",
        "tokens": 120,
        "seconds": 3.2,
    }
    assert to_json(Waiting(3, 11, 61, 2.0)) == {
        "event": "waiting",
        "round": 3,
        "layer": 11,
        "layers": 61,
        "seconds": 2.0,
        "phase": "verifying",
    }
    assert list(to_json(Header("m", GenerateOptions())))[:2] == ["event", "schema"]


@pytest.mark.parametrize("logprob", [-math.inf, math.nan])
def test_numbers_that_json_lacks_are_null(logprob: float) -> None:
    event = Drafted(1, (DraftedToken(1, "a", logprob),))
    assert from_json(json.loads(json.dumps(to_json(event)))) == Drafted(1, (DraftedToken(1, "a", None),))
    with pytest.raises(ValueError, match="no JSON form"):
        to_json(Prefilled(1, 0, logprob))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"event": "teleported"}, "no event 'teleported'.*newer"),
        ({}, "no event None"),
        ({"event": ["header"]}, "no event"),
        ({"event": "header", "schema": SCHEMA_VERSION + 1, "wings": 2}, "schema 2.*reads schema 1"),
        ({"event": "prefilled", "prompt_tokens": 1, "reused_tokens": 0, "seconds": 1, "x": 1}, "'x'.*newer"),
        ({"event": "prefilled", "prompt_tokens": 1, "reused_tokens": 0}, "lacks 'seconds'"),
        (
            {"event": "prefilled", "prompt_tokens": True, "reused_tokens": 0, "seconds": 1},
            "prompt_tokens is True",
        ),
        (
            {"event": "prefilled", "prompt_tokens": 1, "reused_tokens": 0, "seconds": math.nan},
            "seconds is nan",
        ),
        ({"event": "prefilled", "prompt_tokens": 1, "reused_tokens": 0, "seconds": 10**400}, "seconds is"),
        ({"event": "finished", "reason": "bored", "tokens": 0, "seconds": 1}, "none of stop, length"),
        ({"event": "header", "model": "m", "options": {"depth": 9}}, "depth must be from 0 to 8"),
        (
            {"event": "drafted", "round": 1, "tokens": [{"id": 1, "text": 2, "logprob": None}]},
            r"tokens\[0\]\.text",
        ),
    ],
)
def test_what_cannot_be_read_is_said(data: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        from_json(data)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"depth": 9}, "depth must be from 0 to 8, not 9"),
        ({"depth": True}, "depth must be a whole number"),
        ({"temperature": -1}, "temperature must be a number 0 or more"),
        ({"temperature": math.inf}, "temperature"),
        ({"temperature": 10**400}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": math.nan}, "top_p"),
        ({"top_k": -1}, "top_k must be 0 or more"),
        ({"min_p": 1.5}, "min_p"),
        ({"max_tokens": 0}, "max_tokens must be 1 or more"),
        ({"mode": "telepathy"}, "mode must be one of ordinary, mtp, ngram"),
        ({"mode": []}, "mode must be one of"),
        ({"accept": None}, "accept must be one of coupled, rejection"),
        ({"stop_strings": ["a", ""]}, "stop_strings"),
        ({"stop_strings": "ab"}, "stop_strings must be a list"),
        ({"stop_ids": [-1]}, "stop_ids"),
        ({"detail": 1}, "detail must be true or false"),
        ({"wings": 2}, "no option 'wings'; the options are max_tokens"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        GenerateOptions().changed(values)


def test_options_take_strings_and_lists() -> None:
    changed = GenerateOptions().changed(
        {"mode": "ngram", "accept": "rejection", "stop_ids": [1], "stop_strings": ["x"], "temperature": 1}
    )
    assert (changed.mode, changed.accept) == (Mode.NGRAM, Acceptance.REJECTION)
    assert isinstance(changed.mode, Mode)
    assert (changed.stop_ids, changed.stop_strings) == ((1,), ("x",))
    assert isinstance(changed.temperature, float)


@given(st.integers())
def test_any_seed_is_folded_to_64_bits(seed: int) -> None:
    folded = GenerateOptions(seed=seed).seed
    assert 0 <= folded < 2**64
    assert (folded - seed) % 2**64 == 0


def test_events_are_light() -> None:
    code = "import sys, engine.events; print([m for m in ('torch', 'numba', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
