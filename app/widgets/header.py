"""One line on what is running: the model on the left, and on the right how it decodes and what room is left.

The right half says what the user can change, so it outlives the left one where the terminal is narrow: pieces
go from the least important on, and mode, depth and context stay to the last.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from app.commands.terminal import harmless
from app.widgets.bars import bar
from engine.options import GenerateOptions, Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.backends.base import Loading, Memory

MODE_NAMES = {
    Mode.MTP: "MTP",
    Mode.AUTO: "MTP",
    Mode.NGRAM: "n-gram",
    Mode.MODEL: "draft model",
    Mode.ORDINARY: "ordinary",
}

ESTIMATE_AFTER_SECONDS = 2.0
"""Of loading: before that, its rate says nothing."""

_SEPARATOR = " · "
_BAR_COLUMNS = 16
_KEPT = 100
"""Pieces of this importance are never left out."""


@dataclass(frozen=True, slots=True)
class HeaderState:
    """What the line says."""

    model: str = ""
    form: str = "DeepSeek-V3 format"
    """Of the checkpoint; empty where there is none to speak of."""
    weights_bytes: int = 0
    """On disk; 0 where that is not known."""
    options: GenerateOptions = field(default_factory=GenerateOptions)
    pace: float = 0.0
    """Rounds a second; 0 is full speed."""
    paused: bool = False
    replay: bool = False
    """Whether this is a recording."""
    memory: Memory | None = None
    context_used: int = 0
    context: int = 0
    """0 where it is not known."""
    loading: Loading | None = None
    notice: str = ""
    """What else is under way, in a word or two, such as `measuring`."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the line."""

    content: Content
    importance: int
    joint: str = _SEPARATOR
    """What stands before it, unless it is the first of its half."""


class LoadEstimate:
    """The time that loading still takes, from the rate measured so far."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: tuple[float, int] | None = None
        self._done = 0

    def seconds_left(self, loading: Loading | None) -> float | None:
        """Return the forecast; None in the first seconds and where the rate is not known."""
        if loading is None or loading.done_bytes < self._done:  # another load
            self._began, self._done = None, 0
        if loading is None:
            return None
        self._done = loading.done_bytes
        now = self._clock()
        if self._began is None:
            self._began = now, loading.done_bytes
        began, first = self._began
        seconds, read = now - began, loading.done_bytes - first
        if seconds < ESTIMATE_AFTER_SECONDS or read <= 0 or not loading.total_bytes:
            return None
        return max(0, loading.total_bytes - loading.done_bytes) * seconds / read


class Header(Widget):
    """The line."""

    DEFAULT_CSS = Path(__file__).with_suffix(".tcss").read_text(encoding="utf-8")

    state: reactive[HeaderState] = reactive(HeaderState)

    def __init__(self, *, id: str | None = None, clock: Callable[[], float] = time.monotonic) -> None:  # noqa: A002
        super().__init__(id=id)
        self._estimate = LoadEstimate(clock)
        self._seconds_left: float | None = None

    def watch_state(self, state: HeaderState) -> None:
        """Measure how fast loading is."""
        self._seconds_left = self._estimate.seconds_left(state.loading)

    def render(self) -> Content:
        """Draw what there is room for."""
        return header_line(self.state, self.content_size.width, self._seconds_left)


def header_line(state: HeaderState, width: int, seconds_left: float | None = None) -> Content:
    """Return the line for a width in columns."""
    left, right = _model_pieces(state), _decoding_pieces(state, seconds_left)
    while True:
        model, decoding = _joined(left), _joined(right)
        room = width - model.cell_length - decoding.cell_length
        candidates = [piece for piece in (*left, *right) if piece.importance < _KEPT]
        if room >= (2 if left and right else 0) or not candidates:
            return Content.assemble(model, " " * max(0, room), decoding)
        least = min(candidates, key=lambda piece: piece.importance)
        left = [piece for piece in left if piece is not least]
        right = [piece for piece in right if piece is not least]


def sampling_pieces(options: GenerateOptions) -> Sequence[str]:
    """Return how tokens are picked, the most important first: `greedy`, or `T 0.8`, `seed 3`, `coupled`."""
    if options.temperature == 0:
        return ("greedy",)
    return (f"T {options.temperature:g}", f"seed {options.seed}", str(options.accept))


def _model_pieces(state: HeaderState) -> list[Piece]:
    pieces = [Piece(Content.styled("draftscope", "bold"), 50)]
    if state.model:
        pieces.append(Piece(Content(harmless(state.model).replace("\n", " ")), 60, "  "))
    if state.form:
        pieces.append(Piece(Content.styled(state.form, "$text-muted"), 10))
    if state.weights_bytes:
        pieces.append(Piece(Content.styled(_amount(state.weights_bytes), "$text-muted"), 20))
    return pieces


def _decoding_pieces(state: HeaderState, seconds_left: float | None) -> list[Piece]:
    if state.loading is not None:
        return _loading_pieces(state.loading, seconds_left)
    options = state.options
    pieces = [Piece(Content.styled("replay", "bold $warning"), 90)] if state.replay else []
    pieces.append(Piece(Content.styled(MODE_NAMES[options.mode], "bold $accent"), _KEPT))
    drafts = "dim" if options.mode is Mode.ORDINARY else ""
    count = "auto" if options.mode is Mode.AUTO else str(options.depth)
    depth = Content.assemble(("depth ", drafts), "‹ ", (count, f"bold {drafts}".strip()), " ›")
    pieces.append(Piece(depth, _KEPT))
    first, *others = sampling_pieces(options)
    pieces.append(Piece(Content(first), 70))
    pieces += [Piece(Content(other), 55 - place) for place, other in enumerate(others)]
    if state.paused:
        pieces.append(Piece(Content.styled("paused", "bold $warning"), 95))
    elif state.pace:
        pieces.append(Piece(Content("paced"), 45))
    if state.notice:
        pieces.append(Piece(Content.styled(state.notice, "$warning"), 80))
    if state.memory is not None:
        pieces.append(Piece(Content(_memory(state.memory)), 40))
    if state.context:
        pieces.append(Piece(Content(f"context {state.context_used}/{state.context}"), _KEPT))
    return pieces


def _loading_pieces(loading: Loading, seconds_left: float | None) -> list[Piece]:
    if not loading.total_bytes:
        doing = f"{_amount(loading.done_bytes)} read" if loading.done_bytes else harmless(loading.what)
        return [Piece(Content(f"loading, {doing}"), _KEPT)]
    share = min(1.0, loading.done_bytes / loading.total_bytes)
    full, rest = bar(share, _BAR_COLUMNS)
    total = _amount(loading.total_bytes)
    pieces = [
        Piece(Content.assemble((full, "$accent"), (rest, "$text-disabled")), 70),
        Piece(Content(f"loading {share * 100:.0f} % of {total}"), _KEPT, "  "),
    ]
    if seconds_left is not None:
        pieces.append(Piece(Content(f"{_duration(seconds_left)} left"), 75))
    return pieces


def _joined(pieces: Sequence[Piece]) -> Content:
    parts: list[Content] = []
    for piece in pieces:
        if parts:
            parts.append(Content.styled(piece.joint, "$text-muted"))
        parts.append(piece.content)
    return Content("").join(parts)


def _memory(memory: Memory) -> str:
    largest = memory.budget_bytes or memory.used_bytes
    unit, name, digits = (1e9, "GB", 1) if largest >= 1e8 else (1e6, "MB", 0)
    used, budget = memory.used_bytes / unit, memory.budget_bytes / unit
    if not memory.budget_bytes:
        return f"RAM {used:.{digits}f} {name}"
    if used <= budget:
        return f"RAM {used:.{digits}f}/{budget:.{digits}f} {name}"
    # A small budget: what the process takes for itself, libraries above all, is no part of it.
    return f"model ≤ {budget:.{digits}f} of {used:.{digits}f} {name}"


def _amount(count: int) -> str:
    """Return bytes as drives are sold: 12.1 GB, 19 MB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
