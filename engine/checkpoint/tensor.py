"""What is known of a tensor before any of its bytes are read: a record from a shard's header."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Dtype(Enum):
    """Element types of the safetensors format that occupy whole bytes, under the format's own names."""

    BOOL = "BOOL"
    U8 = "U8"
    I8 = "I8"
    I16 = "I16"
    U16 = "U16"
    I32 = "I32"
    U32 = "U32"
    I64 = "I64"
    U64 = "U64"
    F8_E4M3 = "F8_E4M3"
    F8_E5M2 = "F8_E5M2"
    F8_E8M0 = "F8_E8M0"
    F16 = "F16"
    BF16 = "BF16"
    F32 = "F32"
    F64 = "F64"

    @property
    def bytes(self) -> int:
        """Size of one element in bytes."""
        return _ELEMENT_BYTES[self]


_ELEMENT_BYTES = {
    Dtype.BOOL: 1,
    Dtype.U8: 1,
    Dtype.I8: 1,
    Dtype.I16: 2,
    Dtype.U16: 2,
    Dtype.I32: 4,
    Dtype.U32: 4,
    Dtype.I64: 8,
    Dtype.U64: 8,
    Dtype.F8_E4M3: 1,
    Dtype.F8_E5M2: 1,
    Dtype.F8_E8M0: 1,
    Dtype.F16: 2,
    Dtype.BF16: 2,
    Dtype.F32: 4,
    Dtype.F64: 8,
}


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """One tensor of a checkpoint: where its bytes lie, and how to read them."""

    name: str
    shard: Path
    dtype: Dtype
    shape: tuple[int, ...]
    offset: int
    """Position of the first byte in the shard's file (not in its data section)."""
    bytes: int

    @property
    def end(self) -> int:
        """Position just past the last byte in the shard's file."""
        return self.offset + self.bytes
