"""What a caller may ask of one reply, checked once and then never again.

Standard library only, so that the command line, the worker and the chat read options without loading the
engine. Strings are accepted where an enum is stored (`mode="mtp"`), lists where a tuple is.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from engine.errors import CheckpointError, UsageError, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_DEPTH = 8
"""The most tokens one round may draft."""

_SEED_MASK = (1 << 64) - 1


class Mode(StrEnum):
    """Who drafts. Depth 0 is ordinary decoding in every mode."""

    ORDINARY = "ordinary"
    """Nobody: one token a round."""
    MTP = "mtp"
    """The checkpoint's own multi-token-prediction layer."""
    NGRAM = "ngram"
    """Prompt lookup: continue the longest suffix that was seen before."""
    AUTO = "auto"
    """The MTP layer, at the depth that what was measured makes fastest; `depth` is not looked at."""
    MODEL = "model"
    """A second, smaller checkpoint of the same tokenizer."""

    @property
    def needs_mtp(self) -> bool:
        """Whether only a checkpoint with an MTP layer can do it."""
        return self in (Mode.MTP, Mode.AUTO)

    def objection(self, *, has_mtp: bool, has_draft_model: bool) -> str | None:
        """Return why it cannot be done with what was loaded, as a sentence; None if it can."""
        if self.needs_mtp and not has_mtp:
            return "This checkpoint has no MTP layer: use mode ngram or ordinary."
        if self is Mode.MODEL and not has_draft_model:
            return "Mode model needs a second checkpoint, which drafts: give its folder with --draft-model."
        return None

    def check(self, *, has_mtp: bool, has_draft_model: bool) -> None:
        """Raise the objection, if there is one: CheckpointError for want of an MTP layer, else UsageError."""
        objection = self.objection(has_mtp=has_mtp, has_draft_model=has_draft_model)
        if objection is not None:
            raise (CheckpointError if self.needs_mtp else UsageError)(objection)

    @staticmethod
    def default(*, has_mtp: bool, has_draft_model: bool) -> Mode:
        """Return who drafts unless it is said: a second model that was given, else the MTP layer."""
        if has_draft_model:
            return Mode.MODEL
        return Mode.MTP if has_mtp else Mode.NGRAM


class Acceptance(StrEnum):
    """How a draft is judged when sampling; under greedy decoding both rules agree."""

    COUPLED = "coupled"
    """Both models pick with the same noise: one seed gives one text at every depth."""
    REJECTION = "rejection"
    """Leviathan et al. 2023: keeps the law but not the text, and accepts more."""


@dataclass(frozen=True, slots=True)
class GenerateOptions:
    """How one reply is decoded. Raises UsageError, naming the option, for a value that cannot be meant."""

    max_tokens: int = 512
    """The reply's most tokens; what the context leaves bounds it as well."""
    temperature: float = 0.0
    """0 is greedy."""
    top_p: float = 1.0
    """Keep the likeliest tokens that together reach this probability; 1 keeps all."""
    top_k: int = 0
    """Keep this many of the likeliest tokens; 0 keeps all."""
    min_p: float = 0.0
    """Keep tokens at least this fraction as likely as the likeliest; 0 keeps all."""
    seed: int = 0
    """Folded to 64 bits. With the position and the token id it fixes all noise."""
    mode: Mode = Mode.MTP
    depth: int = 1
    """Tokens drafted a round, 0 to MAX_DEPTH."""
    accept: Acceptance = Acceptance.COUPLED
    stop_ids: tuple[int, ...] = ()
    """Tokens that end the reply, beside the checkpoint's own end-of-text tokens."""
    stop_strings: tuple[str, ...] = ()
    """Texts that end the reply."""
    ignore_eos: bool = False
    """Decode past the checkpoint's end-of-text tokens."""
    detail: bool = False
    """Report the top candidates of both models and the experts used, which costs a little."""

    def __post_init__(self) -> None:
        checked: dict[str, object] = {
            "max_tokens": _integer("max_tokens", self.max_tokens, least=1),
            "temperature": _number("temperature", self.temperature, "0 or more", lambda x: x >= 0),
            "top_p": _number("top_p", self.top_p, "above 0 and at most 1", lambda x: 0 < x <= 1),
            "top_k": _integer("top_k", self.top_k, least=0),
            "min_p": _number("min_p", self.min_p, "from 0 to 1", lambda x: 0 <= x <= 1),
            "seed": _integer("seed", self.seed) & _SEED_MASK,
            "mode": _member(Mode, "mode", self.mode),
            "depth": _integer("depth", self.depth, least=0, most=MAX_DEPTH),
            "accept": _member(Acceptance, "accept", self.accept),
            "stop_ids": tuple(_integer("stop_ids", i, least=0) for i in _sequence("stop_ids", self.stop_ids)),
            "stop_strings": _stop_strings(self.stop_strings),
            "ignore_eos": _flag("ignore_eos", self.ignore_eos),
            "detail": _flag("detail", self.detail),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def changed(self, values: Mapping[str, object]) -> GenerateOptions:
        """Return these options with the named values in place; an unknown name raises UsageError."""
        known = [field.name for field in fields(self)]
        for name in values:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else f"; the options are {', '.join(known)}."
                raise UsageError(f"There is no option {name!r}{hint}")
        return replace(self, **values)  # type: ignore[arg-type]  # __post_init__ checks every type


def checked_pace(value: object) -> float:
    """Return a pace, which is no option of a reply but may be set like one. Raises UsageError."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and _finite(value) and value >= 0:
        return float(value)
    raise UsageError(f"pace must be 0 (full speed) or rounds a second, not {shown(value)}.")


_StrEnum = TypeVar("_StrEnum", bound=StrEnum)


def _integer(name: str, value: object, least: int | None = None, most: int | None = None) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        if (least is None or value >= least) and (most is None or value <= most):
            return value
        wanted = f"from {least} to {most}" if most is not None else f"{least} or more"
        raise UsageError(f"{name} must be {wanted}, not {value}.")
    raise UsageError(f"{name} must be a whole number, not {value!r}.")


def _number(name: str, value: object, wanted: str, holds: Callable[[float], bool]) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and _finite(value) and holds(value):
        return float(value)
    raise UsageError(f"{name} must be a number {wanted}, not {value!r}.")


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond the range of floats
        return False


def _member(kind: type[_StrEnum], name: str, value: object) -> _StrEnum:
    if isinstance(value, str) and value in set(kind):
        return kind(value)
    raise UsageError(f"{name} must be one of {', '.join(kind)}, not {value!r}.")


def _sequence(name: str, value: object) -> tuple[object, ...]:
    if isinstance(value, (list, tuple)):
        return tuple(value)
    raise UsageError(f"{name} must be a list, not {value!r}.")


def _stop_strings(value: object) -> tuple[str, ...]:
    texts: list[str] = []
    for text in _sequence("stop_strings", value):
        if not isinstance(text, str) or not text:
            raise UsageError(f"stop_strings must hold texts that are not empty, not {text!r}.")
        texts.append(text)
    return tuple(texts)


def _flag(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise UsageError(f"{name} must be true or false, not {value!r}.")
