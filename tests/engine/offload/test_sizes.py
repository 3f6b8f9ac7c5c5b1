"""Amounts and speeds as people write them: what is understood, and what is refused in a sentence."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.offload.sizes import parse_bytes, parse_ram, parse_speed, shown_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("12GB", 12_000_000_000),
        ("12GiB", 12 * 2**30),
        ("800MB", 800_000_000),
        ("1.5 GB", 1_500_000_000),
        (" 0.5gib ", 2**29),
        ("2TB", 2_000_000_000_000),
        ("16kB", 16_000),
        ("123B", 123),
    ],
)
def test_amounts(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "text",
    [
        *("", "GB", "12", "1e9", "-1GB", "0GB", "0.0 MB", "0.1B", "12 G", "12XB", "nanGB", "infGB", "١٢GB"),
        *("1,5GB", "12GB/s", "50%", "9" * 16 + "GB", "12 GB GB"),
    ],
)
def test_amounts_that_are_none(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_bytes(text)
    assert str(caught.value).count("\n") == 0
    assert str(caught.value).endswith(".")


def test_a_bare_number_is_asked_for_its_unit() -> None:
    with pytest.raises(UsageError, match="'12' has no unit: write 12GB, 12GiB or 12MB"):
        parse_bytes("12")


@given(st.integers(1, 10**12), st.sampled_from(["B", "kB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB"]))
def test_whole_amounts_are_exact(count: int, unit: str) -> None:
    base, powers = (1024, "_KMGT") if "i" in unit else (1000, "_KMGT")
    power = powers.find(unit[0].upper()) if unit != "B" else 0
    assert parse_bytes(f"{count} {unit}") == count * base**power


@given(st.text())
def test_any_text_is_an_amount_or_a_usage_error(text: str) -> None:
    for parse in (parse_bytes, parse_speed, lambda each: parse_ram(each, 1000)):
        with contextlib.suppress(UsageError):
            assert parse(text) > 0


@given(st.integers(1, 10**15), st.integers(1, 100_000))
def test_a_share_is_of_what_is_available(available: int, thousandths: int) -> None:
    size = parse_ram(f"{thousandths // 1000}.{thousandths % 1000:03}%", available)
    assert size == max(1, available * thousandths // 100_000)


def test_shares() -> None:
    assert parse_ram("50%", 1000) == 500
    assert parse_ram("100 %", 1000) == 1000
    assert parse_ram("12GB", 1000) == 12_000_000_000
    for text in ("0%", "100.1%", "-5%", "%", "200%"):
        with pytest.raises(UsageError):
            parse_ram(text, 1000)


def test_speeds() -> None:
    assert parse_speed("200MB/s") == 200e6
    assert parse_speed("1.15GB/s") == 1.15e9
    assert parse_speed("7 GB / s") == 7e9
    for text in ("200MB", "0MB/s", "-1GB/s", "7/s", "7Gbit/s", "/s", ""):
        with pytest.raises(UsageError):
            parse_speed(text)


@given(st.integers(0, 10**16))
def test_what_is_shown_is_a_bound_that_can_be_typed(count: int) -> None:
    low, high = shown_bytes(count), shown_bytes(count, up=True)
    if count:
        assert parse_bytes(high) >= count
        assert parse_bytes(low) <= count
        assert parse_bytes(high) - parse_bytes(low) <= max(1, count // 99)


def test_shown() -> None:
    assert shown_bytes(44_040_192) == "44.04 MB"
    assert shown_bytes(44_040_192, up=True) == "44.05 MB"
    assert shown_bytes(999) == "999 B"
    assert shown_bytes(12_000_000_000) == "12.00 GB"
