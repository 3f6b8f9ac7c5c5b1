"""What the colours of the tokens say: which look a token has in each of the five views."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from app.setting_rules import View as View  # settings know it without knowing the transcript
from app.transcript.rows import Look
from engine.events import Origin
from engine.options import MAX_DEPTH

if TYPE_CHECKING:
    from engine.events import Token

SURPRISE_STEPS = (0.105, 0.693, 1.609, 2.996)
"""Negative logprobs at which the next step begins: a probability below 90, 50, 20 and 5 percent."""

_ORIGINS = {
    Origin.ORDINARY: Look.ORDINARY,
    Origin.ACCEPTED: Look.ACCEPTED,
    Origin.CORRECTED: Look.CORRECTED,
    Origin.BONUS: Look.ORDINARY,
}
_ALL_ORIGINS = {**_ORIGINS, Origin.BONUS: Look.BONUS}
_POSITIONS = tuple(Look(f"position-{position}") for position in range(1, MAX_DEPTH + 1))
_SURPRISES = tuple(Look(f"surprise-{step}") for step in range(len(SURPRISE_STEPS) + 1))


def next_view(view: View) -> View:
    """Return the view after this one, in a circle."""
    views = list(View)
    return views[(views.index(view) + 1) % len(views)]


def look_of(token: Token, view: View) -> Look:
    """Return how a token of the text looks."""
    match view:
        case View.ORIGIN:
            return _ORIGINS[token.origin]
        case View.ALL_ORIGINS:
            return _ALL_ORIGINS[token.origin]
        case View.POSITION if token.origin is Origin.ACCEPTED:
            return _POSITIONS[min(max(token.position, 1), MAX_DEPTH) - 1]
        case View.SURPRISE if token.logprob is not None:
            return _SURPRISES[bisect_left(SURPRISE_STEPS, -token.logprob)]
        case _:
            return Look.ORDINARY
