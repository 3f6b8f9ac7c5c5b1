"""What the lab has found, in the form that tables, screens and JSON show. Standard library only.

Acceptance at depth j is the share of places where drafts 1 to j were all right: what the main model would
have accepted. Accepted drafts are the sum of those over the depths, the mean number of drafts kept of a
round. The cross-entropy is that of the text's own token under the first draft's distribution, in nats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from engine.lab.intervals import Interval
from engine.lab.wiring import BASE, Wiring

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


ROUNDING_NATS = 1e-4
"""Of a mean cross-entropy: what summing in another order may come to."""


class Verdict(StrEnum):
    """How a wiring does beside the base."""

    BASE = "base"
    BETTER = "better"
    WORSE = "worse"
    TIED = "tied"
    """The data cannot tell them apart."""
    UNKNOWN = "unknown"
    """There are no intervals to tell by."""


@dataclass(frozen=True, slots=True)
class WiringRow:
    """One wiring, measured over the same places as the base."""

    wiring: Wiring
    acceptance: tuple[float, ...]
    """By depth, from 1."""
    cross_entropy: float
    accepted_difference: Interval
    """Of accepted drafts a place, to the base."""
    cross_entropy_difference: Interval

    @property
    def accepted(self) -> float:
        """Mean number of drafts kept."""
        return sum(self.acceptance)

    @property
    def verdict(self) -> Verdict:
        """Beside the base: by accepted drafts, and where those cannot tell by cross-entropy."""
        if self.wiring == BASE:
            return Verdict.BASE
        gain = self.accepted_difference
        if not gain.is_known:
            return Verdict.UNKNOWN
        if not gain.is_zero:
            return Verdict.BETTER if gain.mean > 0 else Verdict.WORSE
        loss = self.cross_entropy_difference
        if loss.is_zero or abs(loss.mean) < ROUNDING_NATS:
            return Verdict.TIED
        return Verdict.WORSE if loss.mean > 0 else Verdict.BETTER


@dataclass(frozen=True, slots=True)
class FarRow:
    """One way to guess, and how often its first j guesses are all right, for j from 1."""

    name: str
    acceptance: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class WiringReport:
    """All of it."""

    model: str
    source: str
    """What it was measured on, in a few words."""
    texts: int
    places: int
    rows: tuple[WiringRow, ...]
    """In the order of `ranked`."""
    far: tuple[FarRow, ...]
    far_places: int

    @property
    def base(self) -> WiringRow:
        """The row of the base."""
        return next(row for row in self.rows if row.wiring == BASE)

    @property
    def has_intervals(self) -> bool:
        """Whether wirings can be told apart: it takes two texts."""
        return all(row.accepted_difference.is_known for row in self.rows)

    @property
    def best(self) -> WiringRow:
        """The first row."""
        return self.rows[0]

    @property
    def simplest_best(self) -> WiringRow:
        """Of the rows that the first one is not surely ahead of, the one that differs least from the base."""
        interval = self.best.accepted_difference
        least = self.best.accepted - (interval.high - interval.low) / 2
        near = [row for row in self.rows if row.accepted >= least]
        return min(near, key=lambda row: len(row.wiring.differences))

    def verdict(self) -> list[str]:
        """Return in plain sentences what the figures say."""
        best, base = self.simplest_best, self.base
        if self.best.verdict is Verdict.BETTER:
            return [
                f"This checkpoint is wired otherwise than draftscope runs it: {best.wiring.label}, "
                f"{_percent(best)} of first drafts accepted. As draftscope runs it: {_percent(base)}.",
            ]
        alone = [row for row in self.rows if len(row.wiring.differences) == 1]
        lines = [
            f"{_capital(BASE.order)}, {BASE.state}, {BASE.end_norm}, {BASE.token}: {_percent(base)} of first "
            f"drafts accepted."
        ]
        if not self.has_intervals:
            return [
                *lines,
                "One text gives no intervals, so no other wiring is called better, worse or tied: "
                "a longer text gives them.",
            ]
        worse = [row for row in alone if row.verdict is Verdict.WORSE]
        tied = [row for row in alone if row.verdict is not Verdict.WORSE]
        by_drafts = [row for row in worse if not row.accepted_difference.is_zero]
        by_nats = [row for row in worse if row.accepted_difference.is_zero]
        if by_drafts:
            found = "; ".join(
                f"{row.wiring.label}: {_percent(row)}, {row.accepted:.2f} kept" for row in by_drafts
            )
            lines.append(f"Worse than its {base.accepted:.2f} drafts kept a round: {found}.")
        if by_nats:
            found = "; ".join(f"{row.wiring.label}: {row.cross_entropy:.3f}" for row in by_nats)
            lines.append(f"Tied with it by drafts, worse than its {base.cross_entropy:.3f} nats: {found}.")
        if tied:
            names = "; ".join(row.wiring.label for row in tied)
            lines.append(f"Tied, which this data cannot tell apart from it: {names}.")
        return lines

    def to_json(self) -> dict[str, object]:
        """Return everything as `json.dumps` takes it; an interval without an end has null there."""
        return {
            "model": self.model,
            "source": self.source,
            "texts": self.texts,
            "places": self.places,
            "wirings": [
                {
                    "wiring": row.wiring.to_json(),
                    "label": row.wiring.label,
                    "acceptance": list(row.acceptance),
                    "accepted": row.accepted,
                    "cross_entropy": row.cross_entropy,
                    "accepted_difference": _ends(row.accepted_difference),
                    "cross_entropy_difference": _ends(row.cross_entropy_difference),
                    "verdict": str(row.verdict),
                }
                for row in self.rows
            ],
            "far": [{"name": row.name, "acceptance": list(row.acceptance)} for row in self.far],
            "far_places": self.far_places,
            "verdict": self.verdict(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Self:
        """Read what `to_json` has written. Raises ValueError."""
        try:
            rows = tuple(_row(each) for each in _list(data["wirings"]))
            far = tuple(
                FarRow(str(each["name"]), _numbers(each["acceptance"])) for each in _list(data["far"])
            )
            return cls(
                str(data["model"]),
                str(data["source"]),
                _whole(data["texts"]),
                _whole(data["places"]),
                rows,
                far,
                _whole(data["far_places"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"a wiring report lacks {error}") from None


def ranked(rows: Sequence[WiringRow]) -> tuple[WiringRow, ...]:
    """Return the rows in the report's order: what is surely better than the base, what is tied with it, what
    is worse; within those by accepted drafts, then cross-entropy, and of equals the base first."""
    groups = (Verdict.BETTER, Verdict.TIED, Verdict.WORSE)

    def key(row: WiringRow) -> tuple[float, ...]:
        verdict = Verdict.TIED if row.verdict in (Verdict.BASE, Verdict.UNKNOWN) else row.verdict
        accepted, nats = round(row.accepted, 6), round(row.cross_entropy, 4)
        return groups.index(verdict), -accepted, nats, row.wiring != BASE

    return tuple(sorted(rows, key=key))


def _percent(row: WiringRow) -> str:
    return f"{100 * row.acceptance[0]:.0f} %" if row.acceptance else "–"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _ends(interval: Interval) -> list[float | None]:
    return [each if math.isfinite(each) else None for each in interval.to_json()]


def _row(data: Mapping[str, object]) -> WiringRow:
    wiring = data["wiring"]
    if not isinstance(wiring, dict):
        raise TypeError("a wiring")
    return WiringRow(
        Wiring.from_json(wiring),
        _numbers(data["acceptance"]),
        _numbers([data["cross_entropy"]])[0],
        _interval(data["accepted_difference"]),
        _interval(data["cross_entropy_difference"]),
    )


def _interval(value: object) -> Interval:
    if not isinstance(value, list) or len(value) != 3:
        raise ValueError(f"{value!r} is no interval")
    mean, low, high = value
    return Interval(
        float(mean),
        float("-inf") if low is None else float(low),
        float("inf") if high is None else float(high),
    )


def _list(value: object) -> list[dict[str, object]]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ValueError(f"{value!r} is no list of rows")
    return value


def _numbers(value: object) -> tuple[float, ...]:
    if not isinstance(value, list) or not all(isinstance(each, (int, float)) for each in value):
        raise ValueError(f"{value!r} is no list of numbers")
    return tuple(map(float, value))


def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"{value!r} is no whole number")
