"""What a plan will cost at each draft depth, before anything is read: a forecast, and named so when shown.

Counted are bytes from the drive and multiplications. Taken for granted: tokens choose experts independently
and evenly, so that a pass of n tokens uses E (1 - (1 - k/E)^n) of a layer's E experts; a slot is as likely to
hold one expert as another; reads and products overlap wholly, so that the slower of the two is the time; and
attention to earlier tokens costs nothing, which holds for short contexts only. How many drafts are accepted
is not forecast: it is given how many tokens a round must yield to be worth its time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from engine.offload.units import UnitKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.config import ModelConfig
    from engine.offload.plan import Plan
    from engine.offload.units import Inventory, Unit

DEPTHS = (0, 1, 2, 3, 4)
PROMPTS = (20, 200, 2000)


class Bound(StrEnum):
    """Which of the two is waited for."""

    DRIVE = "the drive"
    MULTIPLIER = "the multiplier"


@dataclass(frozen=True, slots=True)
class Multiplier:
    """How fast weights in RAM are multiplied: w weights with n tokens each take w * (first + n * each) s."""

    first_seconds: float
    """Per weight, however many tokens it is multiplied with."""
    each_seconds: float
    """Per weight and token."""

    @property
    def weights_per_second(self) -> float:
        """For one token."""
        return 1 / (self.first_seconds + self.each_seconds)

    def seconds(self, work: Work) -> float:
        """What the products of a pass take."""
        return work.weights * self.first_seconds + work.products * self.each_seconds


@dataclass(frozen=True, slots=True)
class Work:
    """What a pass, or a round of passes, reads and computes."""

    bytes_read: float = 0.0
    expert_loads: float = 0.0
    weights: float = 0.0
    """Different weights that are used."""
    products: float = 0.0
    """Weights times the tokens each is used for."""

    def __add__(self, other: Work) -> Work:
        return Work(
            self.bytes_read + other.bytes_read,
            self.expert_loads + other.expert_loads,
            self.weights + other.weights,
            self.products + other.products,
        )


@dataclass(frozen=True, slots=True)
class Cost:
    """Work, and its time where the drive's and the multiplier's speeds are known."""

    work: Work
    reading_seconds: float | None
    computing_seconds: float | None

    @property
    def seconds(self) -> float | None:
        """The slower of the two."""
        if self.reading_seconds is None or self.computing_seconds is None:
            return None
        return max(self.reading_seconds, self.computing_seconds)

    @property
    def bound(self) -> Bound | None:
        """What it waits for."""
        if self.reading_seconds is None or self.computing_seconds is None:
            return None
        return Bound.DRIVE if self.reading_seconds > self.computing_seconds else Bound.MULTIPLIER


@dataclass(frozen=True, slots=True)
class RoundForecast:
    """A round at one draft depth: drafts, their verification, and the MTP layer's catching up."""

    depth: int
    cost: Cost
    breakeven_tokens: float | None
    """Tokens it must yield on average to be as fast as depth 0; it can yield depth + 1."""


@dataclass(frozen=True, slots=True)
class PromptForecast:
    """The time to the first token of a reply."""

    tokens: int
    cost: Cost


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a plan will cost."""

    rounds: tuple[RoundForecast, ...]
    prompts: tuple[PromptForecast, ...]
    disk_bytes_per_second: float | None
    multiplier: Multiplier | None


def forecast(
    plan: Plan,
    inventory: Inventory,
    config: ModelConfig,
    disk_bytes_per_second: float | None = None,
    multiplier: Multiplier | None = None,
    depths: Sequence[int] = DEPTHS,
    prompts: Sequence[int] = PROMPTS,
) -> Forecast:
    """Forecast rounds and prompts, those longer than the context left out; seconds need both speeds."""

    def cost(work: Work) -> Cost:
        return Cost(
            work,
            None if disk_bytes_per_second is None else work.bytes_read / disk_bytes_per_second,
            None if multiplier is None else multiplier.seconds(work),
        )

    works = _Works(plan, inventory, config)
    plain = cost(works.round(0)).seconds
    rounds = []
    for depth in depths:
        one = cost(works.round(depth))
        even = one.seconds / plain if one.seconds is not None and plain else None
        rounds.append(RoundForecast(depth, one, even))
    return Forecast(
        rounds=tuple(rounds),
        prompts=tuple(
            PromptForecast(tokens, cost(works.main(tokens, logits=1)))
            for tokens in prompts
            if tokens < plan.context
        ),
        disk_bytes_per_second=disk_bytes_per_second,
        multiplier=multiplier,
    )


def experts_used(experts: int, per_token: int, tokens: int) -> float:
    """How many of a layer's experts a pass uses, where tokens choose independently and evenly."""
    return experts * (1 - (1 - per_token / experts) ** tokens)


class _Works:
    """The work of passes under one plan."""

    def __init__(self, plan: Plan, inventory: Inventory, config: ModelConfig) -> None:
        self._experts = inventory.experts
        self._hit = min(1.0, plan.slots / plan.expert_count) if plan.expert_count else 1.0
        self._streamed = {unit.name for unit in plan.streamed}
        self._body = [unit for unit in inventory.main if unit.kind is not UnitKind.HEAD]
        self._head = [unit for unit in inventory.main if unit.kind is UnitKind.HEAD]
        self._mtp = inventory.mtp
        self._row_bytes = 0 if plan.embedding_pinned else inventory.embedding.bytes / config.vocab_size
        layers = inventory.experts.layers if inventory.experts else ()
        self._main_layers = sum(layer < config.num_hidden_layers for layer in layers)
        self._mtp_layers = len(layers) - self._main_layers

    def main(self, tokens: int, logits: int) -> Work:
        """The main model over some tokens, and the head over the last of them."""
        body = self._units(self._body, tokens) + self._units(self._head, logits)
        return body + self._mixtures(self._main_layers, tokens) + self._rows(tokens)

    def round(self, depth: int) -> Work:
        """Drafting, and verifying in one pass.

        The MTP layer's first pass takes in the last round's tokens: depth + 1 of them, as after a round
        whose drafts were all kept. Each further draft is a pass over one row, and each needs the head.
        """
        work = self.main(depth + 1, logits=depth + 1)
        if self._mtp:
            for draft in range(depth):
                rows = 1 if draft else depth + 1
                work += self._units(self._mtp, rows) + self._units(self._head, 1)
                work += self._mixtures(self._mtp_layers, rows) + self._rows(rows)
        return work

    def _units(self, units: Iterable[Unit], tokens: int) -> Work:
        work = Work()
        for unit in units:
            read = unit.tensor_bytes if unit.name in self._streamed else 0
            work += Work(read, 0.0, unit.weights, unit.weights * tokens)
        return work

    def _mixtures(self, layers: int, tokens: int) -> Work:
        shape = self._experts
        if shape is None:
            return Work()
        used = layers * experts_used(shape.per_layer, shape.per_token, tokens)
        loads = used * (1 - self._hit)
        products = layers * shape.per_token * tokens * shape.weights_per_expert
        return Work(loads * shape.bytes_per_expert, loads, used * shape.weights_per_expert, products)

    def _rows(self, tokens: int) -> Work:
        return Work(bytes_read=tokens * self._row_bytes)
