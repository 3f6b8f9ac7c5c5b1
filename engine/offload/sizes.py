"""Amounts as people give them: of memory, "12GB" or "50%", of a drive's speed, "200MB/s", of context, 4096.

A number without a unit is refused: nobody knows whether it is bytes or gigabytes, and a factor of 1e9 is not
guessed. GB is 1e9 bytes and GiB 2^30, as drives and memory are sold; letters may be small.
"""

from __future__ import annotations

import re
from fractions import Fraction

from engine.errors import UsageError, shown

DEFAULT_RAM_SHARE = 0.6
"""Of the available memory, where no budget is given."""

DEFAULT_CONTEXT = 4096
"""Tokens that caches are reserved for, unless the model was made for fewer."""

_UNITS = {"b": 1} | {
    f"{letter}{kind}": base**power
    for power, letter in enumerate("kmgt", start=1)
    for kind, base in (("b", 1000), ("ib", 1024))
}
_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,9})?"
_AMOUNT = re.compile(rf"\s*({_NUMBER})\s*([a-z]+)\s*", re.IGNORECASE)
_PERCENT = re.compile(rf"\s*({_NUMBER})\s*%\s*")
_BARE = re.compile(rf"\s*({_NUMBER})\s*")


def parse_bytes(text: str) -> int:
    """Return an amount such as "12GB" in whole bytes. Raises UsageError for all else, also for 0."""
    bare = _BARE.fullmatch(text)
    if bare is not None:
        raise UsageError(f"{shown(text)} has no unit: write {bare[1]}GB, {bare[1]}GiB or {bare[1]}MB.")
    amount = _AMOUNT.fullmatch(text)
    unit = _UNITS.get(amount[2].lower()) if amount is not None else None
    if amount is None or unit is None:
        raise UsageError(f"{shown(text)} is not an amount of memory: write it as 12GB, 12GiB or 800MB.")
    size = int(Fraction(amount[1]) * unit)
    if size < 1:
        raise UsageError(f"{shown(text)} is no memory at all: give at least one byte.")
    return size


def parse_ram(text: str, available_bytes: int) -> int:
    """Return a budget in bytes: an amount, or a share such as "50%" of what is available.

    An amount may be more than is available: whoever plans for another machine says so. Raises UsageError.
    """
    share = _PERCENT.fullmatch(text)
    if share is None:
        return parse_bytes(text)
    percent = Fraction(share[1])
    if not 0 < percent <= 100:
        raise UsageError(f"{shown(text)} is not a share of the memory: give more than 0% and at most 100%.")
    return max(1, int(available_bytes * percent / 100))


def parse_speed(text: str) -> float:
    """Return a drive's speed such as "200MB/s" in bytes per second. Raises UsageError."""
    amount, slash, second = text.rpartition("/")
    if slash and second.strip().lower() == "s":
        try:
            return float(parse_bytes(amount))
        except UsageError:
            pass
    raise UsageError(f"{shown(text)} is not a speed: write it as 200MB/s or 1.15GB/s, and above 0.")


def context_tokens(wanted: int | None, most: int) -> int:
    """Return the context to reserve caches for: as wanted, at most what the model was made for."""
    if wanted is None:
        return min(DEFAULT_CONTEXT, most)
    if not 2 <= wanted <= most:
        raise UsageError(f"context must be from 2 to {most:,}, what this model was made for, not {wanted:,}.")
    return wanted


def shown_bytes(count: float, *, up: bool = False) -> str:
    """Return an amount as people read it, "12.34 GB"; never more than it is, or with `up` never less.

    What it returns can be parsed again, so a least budget that is rounded up works when it is typed in.
    """
    size = Fraction(count)
    unit = next((name for name in ("TB", "GB", "MB", "kB") if size >= _UNITS[name.lower()]), "B")
    hundredths = size * 100 / _UNITS[unit.lower()]
    whole = -(-hundredths // 1) if up else hundredths // 1
    if unit == "B":
        return f"{-(-size // 1) if up else size // 1} B"
    return f"{whole // 100:,}.{whole % 100:02} {unit}".replace(",", "")
