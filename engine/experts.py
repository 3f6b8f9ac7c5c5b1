"""What a session has seen of the routed experts: how often each was used, and which are in RAM now.

Standard library only, as events are; the worker sends it as JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class UnionRow:
    """The passes of one width: the union over their tokens is what a layer has to have in memory."""

    width: int
    """Tokens run in one pass: the drafts and the token before them."""
    passes: int
    experts_per_layer: float
    """Mean number of different experts that a layer used in a pass."""


@dataclass(frozen=True, slots=True)
class ExpertUse:
    """Of the main model's layers that have experts, since the checkpoint was loaded."""

    layers: tuple[int, ...]
    experts_per_layer: int
    experts_per_token: int
    uses: tuple[tuple[int, ...], ...]
    """For each of `layers`, of each expert: passes that used it, those over prompts included."""
    unions: tuple[UnionRow, ...]
    """By width, ascending; passes over more than nine tokens, as prompts are, are not in it."""
    resident: tuple[tuple[int, ...], ...] | None
    """For each of `layers`, the experts in RAM at this moment, ascending; None where all of them stay."""

    def to_json(self) -> dict[str, object]:
        """Return what `json.dumps` takes."""
        return {
            "layers": list(self.layers),
            "experts_per_layer": self.experts_per_layer,
            "experts_per_token": self.experts_per_token,
            "uses": [list(row) for row in self.uses],
            "unions": [[row.width, row.passes, row.experts_per_layer] for row in self.unions],
            "resident": None if self.resident is None else [list(row) for row in self.resident],
        }

    @classmethod
    def from_json(cls, line: Mapping[str, object]) -> Self:
        """Read what `to_json` has written. Raises ValueError."""
        layers, uses = _integers(line.get("layers")), _rows(line.get("uses"))
        per_layer, per_token = _integers([line.get("experts_per_layer"), line.get("experts_per_token")])
        held = line.get("resident")
        resident = None if held is None else _rows(held)
        if len(uses) != len(layers) or any(len(row) != per_layer for row in uses):
            raise ValueError("uses has not a number for every expert")
        if resident is not None and len(resident) != len(layers):
            raise ValueError("resident has not a list for every layer")
        unions = line.get("unions")
        if not isinstance(unions, list):
            raise ValueError("unions are missing")
        return cls(layers, per_layer, per_token, uses, tuple(map(_union, unions)), resident)

    def hottest(self, count: int) -> tuple[tuple[int, int, int], ...]:
        """Return the most used experts, each as layer, number and uses; the first of equals first."""
        found = (
            (layer, number, uses)
            for layer, row in zip(self.layers, self.uses, strict=True)
            for number, uses in enumerate(row)
            if uses
        )
        return tuple(sorted(found, key=lambda each: (-each[2], each[0], each[1]))[:count])


def _union(value: object) -> UnionRow:
    if not isinstance(value, list) or len(value) != 3 or not isinstance(value[2], (int, float)):
        raise ValueError(f"{value!r} is no row of unions")
    width, passes = _integers(value[:2])
    return UnionRow(width, passes, float(value[2]))


def _rows(value: object) -> tuple[tuple[int, ...], ...]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is no list of rows")
    return tuple(map(_integers, value))


def _integers(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(isinstance(each, int) and each >= 0 for each in value):
        raise ValueError(f"{value!r} is no list of whole numbers")
    return tuple(value)
