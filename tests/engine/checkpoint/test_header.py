"""One shard's header: what is read from it, what is refused, and that no bytes whatever do harm."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import safetensors
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from engine.checkpoint.header import Header, read_header
from engine.checkpoint.source import FileSource
from engine.checkpoint.tensor import Dtype
from engine.errors import CheckpointError
from tests.engine.checkpoint.files import MemorySource, entry, file_bytes

SHARD = Path("folder/model-00001-of-00002.safetensors")


def parse(data: bytes) -> Header:
    return read_header(MemorySource({SHARD: data}), SHARD)


def refused(data: bytes) -> str:
    with pytest.raises(CheckpointError) as caught:
        parse(data)
    message = str(caught.value)
    assert str(SHARD) in message
    assert message.isprintable()
    assert len(message) < 1000
    return message


def test_records_say_where_the_bytes_lie_that_the_official_writer_wrote(tmp_path: Path) -> None:
    tensors = {
        "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.array(7, dtype=np.int64),
        "empty": np.zeros((0, 4), dtype=np.float16),
        "c.bias": np.arange(5, dtype=np.uint8),
    }
    file = tmp_path / "model.safetensors"
    save_file(tensors, file, metadata={"format": "pt"})
    header = read_header(FileSource(), file)
    data = file.read_bytes()
    assert header.metadata == {"format": "pt"}
    assert {record.name for record in header.records} == set(tensors)
    for record in header.records:
        expected = tensors[record.name]
        assert record.shape == expected.shape
        assert data[record.offset : record.end] == expected.tobytes()
        assert record.shard == file


def test_only_the_header_is_read() -> None:
    source = MemorySource({SHARD: file_bytes({"a": entry(0, 1000)}, bytes(1000))})
    read_header(source, SHARD)
    assert max(offset + count for _, offset, count in source.reads) == source.size(SHARD) - 1000


def test_every_dtype_has_its_size() -> None:
    for dtype in Dtype:
        length = 6 * dtype.bytes
        (record,) = parse(file_bytes({"t": entry(0, length, (2, 3), dtype.value)}, bytes(length))).records
        assert (record.dtype, record.shape, record.bytes) == (dtype, (2, 3), length)


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (b"", ["0 bytes"]),
        (bytes(7), ["7 bytes"]),
        (file_bytes(b"{}", length=3), ["claims 3", "only 2"]),
        (file_bytes(b"{}", length=100_000_001), ["100,000,001", "100,000,000"]),
        (file_bytes(b"{}", length=2**64 - 1), ["18,446,744,073,709,551,615"]),
        (file_bytes(b"{]"), ["not valid JSON"]),
        (file_bytes(b""), ["not valid JSON"]),
        (file_bytes(b"[]"), ["not a JSON object"]),
        (file_bytes(b"\xff\xfe{}"), ["not valid JSON", "utf-8"]),
        (file_bytes("{}".encode("utf-16")), ["not valid JSON"]),
        (file_bytes(b'{"a": NaN}'), ["not valid JSON", "NaN"]),
        (file_bytes(b'{"a": -Infinity}'), ["not valid JSON", "Infinity"]),
        (file_bytes(b'{"a\\ud800": 1}'), ["not valid JSON"]),
        (file_bytes(b'{"a": ' + b"9" * 5000 + b"}"), ["not valid JSON"]),
        (file_bytes(b'{"a": {}, "b": {}, "a": {}}'), ["'a'", "twice"]),
        (file_bytes(b'{"t": {"dtype": "U8", "dtype": "U8"}}'), ["'dtype'", "twice"]),
        (file_bytes({"__metadata__": {"a": 1}}), ["__metadata__"]),
        (file_bytes({"__metadata__": []}), ["__metadata__"]),
        (file_bytes({"t": 5}), ["'t'", "5"]),
        (file_bytes({"t": {}}), ["'t'", "dtype null"]),
        (file_bytes({"t": entry(0, 1, [2], "F4")}, b"1"), ["'t'", "'F4'"]),
        (file_bytes({"t": {**entry(0, 1), "dtype": ["U8"]}}, b"1"), ["'t'", "dtype"]),
        (file_bytes({"t": {**entry(0, 1), "shape": [True]}}, b"1"), ["'t'", "shape [true]"]),
        (file_bytes({"t": {**entry(0, 1), "shape": [1.0]}}, b"1"), ["'t'", "shape [1.0]"]),
        (file_bytes({"t": {**entry(0, 1), "shape": [-1, -1]}}, b"1"), ["'t'", "shape [-1, -1]"]),
        (file_bytes({"t": {**entry(0, 1), "shape": None}}, b"1"), ["'t'", "shape null"]),
        (file_bytes({"t": {**entry(0, 1), "shape": [2**62, 2**62, 0]}}, b"1"), ["'t'", "larger"]),
        (file_bytes({"t": {**entry(0, 1), "data_offsets": [0]}}, b"1"), ["'t'", "data_offsets [0]"]),
        (file_bytes({"t": {**entry(0, 1), "data_offsets": [False, 1]}}, b"1"), ["'t'", "data_offsets"]),
        (file_bytes({"t": {**entry(0, 1), "data_offsets": [1, 0]}}, b"1"), ["'t'", "[1, 0]"]),
        (file_bytes({"t": {**entry(0, 1), "data_offsets": [-1, 0]}}, b"1"), ["'t'", "[-1, 0]"]),
        (file_bytes({"t": {"dtype": "U8", "shape": [1]}}, b"1"), ["'t'", "data_offsets null"]),
        (file_bytes({"t": entry(0, 5, [3])}, b"12345"), ["'t'", "[3]", "3 bytes", "span 5"]),
        (file_bytes({"t": entry(0, 5)}, b"1234"), ["'t'", "cut short"]),
        (file_bytes({"t": entry(10**30, 10**30 + 1)}, b"1"), ["'t'", "cut short"]),
        (file_bytes({"a": entry(0, 3), "t": entry(2, 5)}, b"12345"), ["'t'", "overlaps"]),
        (file_bytes({"a": entry(0, 3), "t": entry(0, 3)}, b"123"), ["'t'", "overlaps"]),
        (file_bytes({"a": entry(0, 3), "t": entry(4, 5)}, b"12345"), ["'t'", "hole"]),
        (file_bytes({"t": entry(1, 5)}, b"12345"), ["'t'", "hole"]),
        (file_bytes({"t": entry(0, 5)}, b"123456"), ["accounts for"]),
        (file_bytes({}, b"1"), ["accounts for"]),
    ],
)
def test_a_wrong_file_is_refused_with_file_tensor_and_figure(data: bytes, parts: list[str]) -> None:
    message = refused(data)
    for part in parts:
        assert part in message
    assert message.endswith((".", "F32."))


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_deep_nesting_is_refused(opening: bytes) -> None:
    refused(file_bytes(b'{"t":' + opening * 100_000))


def test_a_header_of_millions_of_values_is_refused_before_they_are_made() -> None:
    data = file_bytes(b'{"t":[' + b"[]," * 5_000_000 + b"[]]}")
    tracemalloc.start()
    try:
        message = refused(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "4,000,000" in message
    assert peak < 3 * len(data)


def test_names_cannot_move_the_terminal() -> None:
    message = refused(file_bytes({"\x1b[2Jevil\u202e\n": entry(0, 5, [3])}, b"12345"))
    assert "\\x1b[2Jevil\\u202e\\n" in message


def test_a_long_name_is_cut_in_messages() -> None:
    assert "…" in refused(file_bytes({"n" * 100_000: entry(0, 5, [3])}, b"12345"))


def is_sound(header: Header, size: int) -> bool:
    """Whether every record lies in the file, none touches another, and sizes agree."""
    position = 0
    for record in header.records:
        if record.offset < max(position, 8) or record.end > size:
            return False
        if int(np.prod([1, *record.shape], dtype=object)) * record.dtype.bytes != record.bytes:
            return False
        position = record.end
    return len({record.name for record in header.records}) == len(header.records)


def check_harmless(data: bytes) -> None:
    message = ""
    try:
        header = parse(data)
    except CheckpointError as error:
        message = str(error)
    else:
        assert is_sound(header, len(data))
    assert message.isprintable()
    assert len(message) < 1500


VALID = file_bytes(
    {
        "__metadata__": {"format": "pt"},
        "model.a.weight": entry(0, 12, (3, 4), "F8_E4M3"),
        "model.a.weight_scale_inv": entry(12, 16, (1, 1), "F32"),
        "z": entry(16, 16, (0,)),
        "model.b": entry(16, 24, (2, 2), "BF16"),
    },
    bytes(range(24)),
)

WHOLE = st.integers(-2, 2**66) | st.integers(0, 12) | st.just(10**300)
ODD = st.none() | st.booleans() | st.floats() | st.text(max_size=3) | WHOLE
JSON = st.recursive(ODD, lambda deeper: st.lists(deeper, max_size=4) | st.dictionaries(st.text(), deeper))
ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["U8", "F8_E4M3", "BF16", "F32", "F4", "C64"]) | ODD,
        "shape": st.lists(st.integers(0, 3), max_size=3) | st.lists(WHOLE, max_size=3) | ODD,
        "data_offsets": st.lists(st.integers(0, 12), min_size=2, max_size=2) | st.lists(WHOLE) | ODD,
    }
)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=64))
def test_any_bytes_are_harmless(data: bytes) -> None:
    check_harmless(data)
    check_harmless(file_bytes(data))


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_any_json_is_harmless(value: object) -> None:
    check_harmless(file_bytes(value, bytes(8)))


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.text(max_size=3), ENTRY | JSON, max_size=3), st.integers(0, 16))
def test_any_entries_are_harmless(entries: dict[str, object], size: int) -> None:
    check_harmless(file_bytes(entries, bytes(size)))


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_mutated_file_is_harmless(data: st.DataObject) -> None:
    mutant = bytearray(VALID)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(mutant) - 1))
        match data.draw(st.sampled_from(["change", "insert", "remove", "cut"])):
            case "change":
                mutant[at] = data.draw(st.integers(0, 255))
            case "insert":
                mutant[at:at] = data.draw(st.sampled_from([b"-", b"0", b"[", b"{", b'"', b",", b"\\ud83d"]))
            case "remove" if len(mutant) > 1:
                del mutant[at]
            case "cut":
                del mutant[max(at, 1) :]
    check_harmless(bytes(mutant))


SMALL_ENTRY = st.builds(
    lambda dtype, shape, begin, slack: entry(
        begin, begin + int(np.prod([1, *shape])) * Dtype(dtype).bytes + slack, shape, dtype
    ),
    st.sampled_from(["U8", "BF16", "F32"]),
    st.lists(st.integers(0, 2), max_size=2),
    st.sampled_from([0, 1, 2, 4, 8]),
    st.sampled_from([0, 0, 0, 0, 1]),
)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from("abc"), SMALL_ENTRY, max_size=3), st.integers(0, 16))
def test_the_official_reader_accepts_and_refuses_the_same(entries: dict[str, object], size: int) -> None:
    data = file_bytes(entries, bytes(size))
    try:
        official = {
            name: (Dtype(view["dtype"]), tuple(view["shape"])) for name, view in safetensors.deserialize(data)
        }
    except safetensors.SafetensorError:
        refused(data)
    else:
        assert {record.name: (record.dtype, record.shape) for record in parse(data).records} == official


def test_the_valid_file_of_these_tests_is_valid() -> None:
    records = {record.name: record for record in parse(VALID).records}
    assert len(records) == 4
    scale = records["model.a.weight_scale_inv"]
    assert VALID[scale.offset : scale.end] == bytes(range(12, 16))


def test_empty_tensors_may_share_a_position_in_any_order() -> None:
    header = parse(file_bytes({"a": entry(0, 2), "empty": entry(0, 0, (0, 3)), "end": entry(2, 2)}, b"12"))
    assert [record.name for record in header.records] == ["empty", "a", "end"]


def test_padding_and_unknown_keys_are_accepted_as_the_official_reader_does() -> None:
    text = json.dumps({"t": {**entry(0, 2), "note": "x"}, "__metadata__": None}).encode()
    assert len(parse(file_bytes(b"  " + text + b"    ", b"12")).records) == 1
