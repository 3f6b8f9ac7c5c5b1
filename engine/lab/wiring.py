"""The ways in which an MTP layer might be wired, and which of them are tried. Standard library only.

The V3 report (section 2.2, equations 21-23) leaves open what a checkpoint's tensors don't say: which half of
eh_proj is the embedding's, whether the state is taken before or after the main model's final norm, what the
layer's own output goes through, and what it is given when it is applied again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Order(StrEnum):
    """What comes first in what eh_proj is given."""

    EMBEDDING = "embedding first"
    HIDDEN = "hidden state first"


class State(StrEnum):
    """Where the main model's hidden state is taken."""

    AFTER = "after the final norm"
    BEFORE = "before the final norm"


class EndNorm(StrEnum):
    """What stands between the layer and the output head."""

    SHARED_HEAD = "shared_head.norm at the end"
    MODEL = "model.norm at the end"
    NONE = "no norm at the end"


class Token(StrEnum):
    """Whose embedding a row is given."""

    NEXT = "the next token's embedding"
    CURRENT = "the current token's embedding"


class Position(StrEnum):
    """Where a row stands, for the rotary."""

    ROW = "position i"
    NEXT = "position i + 1"


class Recursion(StrEnum):
    """What the layer is given of itself when it is applied again."""

    NORMED = "again from the normed state"
    RAW = "again from the raw state"


class Prompt(StrEnum):
    """Whether the layer has seen the prompt."""

    RUN = "prompt rows run"
    LEFT_OUT = "prompt rows left out"


@dataclass(frozen=True, slots=True)
class Wiring:
    """One way; the defaults are those that draftscope runs."""

    order: Order = Order.EMBEDDING
    state: State = State.AFTER
    end_norm: EndNorm = EndNorm.SHARED_HEAD
    token: Token = Token.NEXT
    position: Position = Position.ROW
    recursion: Recursion = Recursion.NORMED
    prompt: Prompt = Prompt.RUN

    @property
    def differences(self) -> tuple[StrEnum, ...]:
        """What is otherwise than in the base."""
        mine, base = asdict(self), asdict(BASE)
        return tuple(mine[each.name] for each in fields(self) if mine[each.name] != base[each.name])

    @property
    def label(self) -> str:
        """As it is called in tables: by what differs."""
        return " + ".join(self.differences) or "as draftscope runs it"

    def to_json(self) -> dict[str, str]:
        """Return every choice by its name."""
        return {name: str(choice) for name, choice in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Wiring:
        """Read what `to_json` has written. Raises ValueError or KeyError."""
        return cls(
            Order(str(data["order"])),
            State(str(data["state"])),
            EndNorm(str(data["end_norm"])),
            Token(str(data["token"])),
            Position(str(data["position"])),
            Recursion(str(data["recursion"])),
            Prompt(str(data["prompt"])),
        )


BASE = Wiring()

ALONE: tuple[Wiring, ...] = (
    Wiring(order=Order.HIDDEN),
    Wiring(state=State.BEFORE),
    Wiring(end_norm=EndNorm.MODEL),
    Wiring(end_norm=EndNorm.NONE),
    Wiring(token=Token.CURRENT),
    Wiring(position=Position.NEXT),
    Wiring(recursion=Recursion.RAW),
    Wiring(prompt=Prompt.LEFT_OUT),
)
"""Every other choice, with all else as in the base."""

COMBINED: tuple[Wiring, ...] = (
    replace(BASE, state=State.BEFORE, recursion=Recursion.RAW),
    replace(BASE, order=Order.HIDDEN, state=State.BEFORE),
    replace(BASE, order=Order.HIDDEN, token=Token.CURRENT),
)
"""Choices that somebody who has one of them wrong may well have wrong together."""

TRIED: tuple[Wiring, ...] = (BASE, *ALONE, *COMBINED)
