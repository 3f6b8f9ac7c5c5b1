"""config.json read by key, with type and range checked, and the sentence that refuses what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import CheckpointError, shown

if TYPE_CHECKING:
    from pathlib import Path

RUNS = "Use DeepSeek-V3, V3-0324, R1, V3.1 or another checkpoint of their architecture"
MEND = "Use the config.json that was published with these weights"

# Far above every published model, and low enough that no product of two overflows 64 bits.
MAX_SIZE = 1 << 24
MAX_CONTEXT = 1 << 30


@dataclass(frozen=True, slots=True)
class Fields:
    """One JSON object of config.json, read by key with its type and range checked."""

    raw: Mapping[str, object]
    file: Path
    prefix: str = ""

    def has(self, key: str) -> bool:
        """Whether a key is there and not null."""
        return self.raw.get(key) is not None

    def refusal(self, key: str, sentence: str, mend: str = MEND) -> CheckpointError:
        """The error for a key: file, key and value, then why, then what to do."""
        state = f"is {shown(self.raw[key])}" if key in self.raw else "is missing"
        return CheckpointError(f"{shown(self.file)}: {self.prefix}{key} {state}: {sentence}. {mend}.")

    def integer(self, key: str, low: int, high: int, alternative: str = "") -> int:
        value = self.raw.get(key)
        if type(value) is not int or not low <= value <= high:  # `true` is an int to Python
            raise self.refusal(key, f"a whole number from {low} to {high}{alternative} is needed")
        return value

    def size(self, key: str, high: int = MAX_SIZE) -> int:
        return self.integer(key, 1, high)

    def number(self, key: str, low: float, high: float, default: float | None = None) -> float:
        value = self.raw.get(key)
        if value is None and default is not None:
            return default
        # Compared before it is converted: an int of 400 digits does not fit a float. NaN fails both.
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise self.refusal(key, f"a number from {low:g} to {high:g} is needed")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self.raw.get(key, default)
        if not isinstance(value, bool):
            raise self.refusal(key, "true or false is needed")
        return value

    def section(self, key: str) -> Fields | None:
        """A nested object, or None where it is null or absent."""
        value = self.raw.get(key)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self.refusal(key, "an object is needed")
        return Fields(value, self.file, f"{self.prefix}{key}.")

    def only(self, key: str, *allowed: object, sentence: str) -> None:
        """Refuse a key that is there with any other value than the allowed ones."""
        if key in self.raw and not any(
            type(self.raw[key]) is type(one) and self.raw[key] == one for one in allowed
        ):
            raise self.refusal(key, sentence, RUNS)
