"""Turn token ids into text while they arrive, each in constant time.

What was pushed so far, and what `flush` adds at the end, concatenate to `Tokenizer.decode` of all ids, to
the character: the checkpoint's decoder is rebuilt as a chain of stages that carry their state along (half
a UTF-8 character, a run of byte tokens). Nothing is decoded twice. Text is held back only until it can no
longer change: half a character, or under sentencepiece's ByteFallback a run of byte tokens, which becomes
U+FFFD as a whole when any of it is invalid.

Special tokens have no text; they leave the stages as they are. So have ids outside the vocabulary.
"""

from __future__ import annotations

import codecs
import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from engine.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class Detokenizer:
    """The state of one text. `piece` returns a token's stored form, or None for one that has no text."""

    def __init__(self, piece: Callable[[int], str | None], stages: Sequence[Stage]) -> None:
        self._piece = piece
        self._stages = tuple(stages)

    def push(self, token: int) -> str:
        """Return the text that this token completes, perhaps none."""
        piece = self._piece(token)
        return "" if piece is None else self._run([piece], 0)

    def flush(self) -> str:
        """Return what was held back, half a character as U+FFFD. The text ends here."""
        return "".join(self._run(stage.flush(), position + 1) for position, stage in enumerate(self._stages))

    def copy(self) -> Detokenizer:
        """Return an independent copy of the state, for texts that may not come to stand."""
        return Detokenizer(self._piece, [stage.copy() for stage in self._stages])

    def _run(self, parts: Iterable[str], first: int) -> str:
        for stage in self._stages[first:]:
            parts = [out for part in parts for out in stage.push(part)]
        return "".join(parts)


class Stage(ABC):
    """One decoder of the chain: takes a part, returns the parts that are certain by now."""

    @abstractmethod
    def push(self, part: str) -> list[str]: ...

    def flush(self) -> list[str]:
        return []

    def copy(self) -> Stage:
        """Return a copy of the state; a stage without any is its own copy."""
        return self


class ByteLevel(Stage):
    """GPT-2's byte alphabet, as in DeepSeek-V3's tokenizer: every character stands for a byte."""

    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, part: str) -> list[str]:
        try:
            data = bytes(map(_BYTES.__getitem__, part))
        except KeyError:  # an added token, stored as plain text
            data = part.encode()
        return [self._utf8.decode(data)]

    def flush(self) -> list[str]:
        return [self._utf8.decode(b"", final=True)]

    def copy(self) -> ByteLevel:
        twin = ByteLevel()
        twin._utf8.setstate(self._utf8.getstate())
        return twin


class ByteFallback(Stage):
    """Sentencepiece's `<0x0A>` tokens: a run of them is UTF-8, or one U+FFFD a byte."""

    _BYTE = re.compile(r"<0x([0-9A-Fa-f]{2}|\+[0-9A-Fa-f])>")

    def __init__(self, held: bytes = b"") -> None:
        self._held = held

    def push(self, part: str) -> list[str]:
        match = self._BYTE.fullmatch(part)
        if match is None:
            return [*self.flush(), part]
        self._held += bytes([int(match[1], 16)])
        return []

    def flush(self) -> list[str]:
        held, self._held = self._held, b""
        try:
            return [held.decode()] if held else []
        except UnicodeDecodeError:
            return [_REPLACEMENT] * len(held)

    def copy(self) -> ByteFallback:
        return ByteFallback(self._held)


class Metaspace(Stage):
    """Sentencepiece's visible space; the first token loses the ones that encoding put before the text."""

    def __init__(self, space: str, first: bool) -> None:
        self._space = space
        self._first = first

    def push(self, part: str) -> list[str]:
        first, self._first = self._first, False
        return [part.replace(self._space, "" if first else " ")]

    def copy(self) -> Metaspace:
        return Metaspace(self._space, self._first)


class Replace(Stage):
    """A fixed text in place of another, within a part."""

    def __init__(self, old: str, new: str) -> None:
        self._old, self._new = old, new

    def push(self, part: str) -> list[str]:
        return [part.replace(self._old, self._new)]


class Strip(Stage):
    """Up to `most` of a character taken from the start: of every part, or of the whole text when fused."""

    def __init__(self, character: str, most: int, fused: bool) -> None:
        self._character, self._most, self._fused = character, most, fused
        self._left = most

    def push(self, part: str) -> list[str]:
        if not self._fused:
            self._left = self._most
        while self._left and part.startswith(self._character):
            part = part[1:]
            self._left -= 1
        if part:
            self._left = 0
        return [part]

    def copy(self) -> Strip:
        twin = Strip(self._character, self._most, self._fused)
        twin._left = self._left
        return twin


class Separator(Stage):
    """No decoder at all: tokens stand apart by a space."""

    def __init__(self, first: bool = True) -> None:
        self._first = first

    def push(self, part: str) -> list[str]:
        first, self._first = self._first, False
        return [part if first else " " + part]

    def copy(self) -> Separator:
        return Separator(self._first)


def build_stages(decoder: object) -> list[Stage]:
    """Return the stages of a decoder as tokenizer.json states it; CheckpointError for one not known here."""
    if decoder is None:
        return [Separator()]
    stages: list[Stage] = []
    fused = False  # whether the parts are by now pieces of one text rather than tokens
    for each in _flat(decoder):
        kind = each.get("type")
        if kind == "Fuse":
            fused = True
        elif kind == "ByteLevel" and not fused:
            stages.append(ByteLevel())
            fused = True
        elif kind == "ByteFallback" and not fused:
            stages.append(ByteFallback())
        elif kind == "Metaspace" and not fused:
            stages.append(_metaspace(each))
        elif kind == "Replace":
            stages.append(_replace(each, fused))
        elif kind == "Strip":
            stages.append(_strip(each, fused))
        else:
            raise _unknown(each)
    return stages


def _flat(decoder: object) -> list[Mapping[str, object]]:
    if not isinstance(decoder, dict):
        raise _unknown({"type": decoder})
    inner = decoder.get("decoders")
    if decoder.get("type") == "Sequence" and isinstance(inner, list):
        return [each for part in inner for each in _flat(part)]
    return [decoder]


def _metaspace(data: Mapping[str, object]) -> Metaspace:
    space, scheme = data.get("replacement", "▁"), data.get("prepend_scheme", "always")
    if not isinstance(space, str):
        raise _unknown(data)
    return Metaspace(space, first=scheme != "never")


def _replace(data: Mapping[str, object], fused: bool) -> Replace:
    pattern, new = data.get("pattern"), data.get("content")
    old = pattern.get("String") if isinstance(pattern, dict) else None
    # across parts only a single character can be found without looking ahead
    if not isinstance(old, str) or not isinstance(new, str) or not old or (fused and len(old) != 1):
        raise _unknown(data)
    return Replace(old, new)


def _strip(data: Mapping[str, object], fused: bool) -> Strip:
    character, start, stop = data.get("content"), data.get("start"), data.get("stop")
    if not isinstance(character, str) or len(character) != 1 or not isinstance(start, int) or stop != 0:
        raise _unknown(data)
    return Strip(character, start, fused)


def _unknown(data: Mapping[str, object]) -> CheckpointError:
    return CheckpointError(
        f"The tokenizer's decoder {data.get('type')!r} is of a kind, or has settings, that draftscope cannot "
        "stream; use the tokenizer.json that was published with these weights."
    )


def _byte_alphabet() -> dict[str, int]:
    """Return GPT-2's alphabet: printable Latin-1 stands for itself, the rest follows from U+0100 on."""
    itself = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in itself]
    return {chr(byte): byte for byte in itself} | {chr(0x100 + n): byte for n, byte in enumerate(others)}


_BYTES = _byte_alphabet()
