"""JSON from a checkpoint's files, parsed as if an enemy had written it.

Python's parser accepts more than JSON (NaN, keys given twice, lone surrogates) and raises five kinds of
error; here one strict reading is made of it, which only raises CheckpointError and whose memory is bounded.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from engine.errors import CheckpointError, shown, shown_error

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.checkpoint.source import ByteSource

MAX_DOCUMENT_BYTES = 100_000_000
"""The official safetensors reader's limit for a header; V3's longest document, its index, has 9 MB."""

# A byte of `[],[],` becomes 30 bytes of objects, so 100 MB of them could fill a small machine. A tensor's
# entry has 12 of these marks: V3's index has 184,000, one header with all its tensors would have 1.1 million.
MAX_MARKS = 4_000_000

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # Windows' editors put it before JSON


def read_document(source: ByteSource, file: Path) -> dict[str, object]:
    """Read a whole file that holds one JSON object (config.json, an index).

    Raises CheckpointError where it is missing, over 100 MB, or holds anything else.
    """
    length = source.size(file)
    if length > MAX_DOCUMENT_BYTES:
        raise CheckpointError(
            f"{shown(file)} is {length:,} bytes long, over the limit of {MAX_DOCUMENT_BYTES:,}. "
            f"Download it again."
        )
    data = bytearray(length)
    source.read_into(file, 0, memoryview(data))
    if data.startswith(_BYTE_ORDER_MARK):
        del data[: len(_BYTE_ORDER_MARK)]
    return parse_object(data, file)


def parse_object(data: bytes | bytearray, file: Path, part: str = "") -> dict[str, object]:
    """Parse one JSON object strictly; `file` and `part` ("its header ") are only named in errors.

    Raises CheckpointError for all that is not UTF-8 and JSON, for keys given twice in one object, and for
    names that are not Unicode text.
    """
    if sum(data.count(mark) for mark in b"{[,:") > MAX_MARKS:
        raise CheckpointError(
            f"{shown(file)}: {part or 'it '}holds over {MAX_MARKS:,} JSON values, more than any checkpoint "
            f"needs. Download it again."
        )
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{shown(file)}: {part or 'it '}is not valid JSON ({shown_error(error)}). Download it again."
        ) from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{shown(file)}: {part or 'it '}is not a JSON object. Download it again.")
    return value


def text_map(value: object) -> Mapping[str, str] | None:
    """The value as an object whose values are all strings, or None where it is anything else."""
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        return None
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        for name, _ in pairs:
            if name not in found:
                raise ValueError(f"the key {shown(name)} is given twice")
            del found[name]
    for name in found:
        if not name.isascii():
            name.encode("utf-8")  # a lone surrogate raises UnicodeEncodeError, which is a ValueError
    return found


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON number")
