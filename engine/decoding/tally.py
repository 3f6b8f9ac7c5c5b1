"""Counts which experts passes use, while the model is loaded. Read from any thread, written by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.experts import ExpertUse, UnionRow
from engine.options import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.config import ModelConfig
    from engine.model.feed_forward import Routes

_WIDEST = MAX_DEPTH + 1
"""A pass over more tokens reads a prompt."""


class ExpertTally:
    """See the module."""

    def __init__(self, config: ModelConfig) -> None:
        layers = [layer for layer in range(config.num_hidden_layers) if config.is_moe(layer)]
        self._place = {layer: place for place, layer in enumerate(layers)}
        self._per_token = config.num_experts_per_tok
        # Lists: a few numbers a layer are added ten times as fast as by numpy's indexing.
        self._per_layer = config.n_routed_experts
        self._uses = [[0] * config.n_routed_experts for _ in layers]
        self._layers_run = [0] * (_WIDEST + 1)
        """By width: layers with experts that passes went through."""
        self._experts = [0] * (_WIDEST + 1)
        """By width: different experts that those used."""

    def watch(self, width: int, beside: Routes | None) -> Routes:
        """Return what to tell the routes of a pass over so many tokens; it tells `beside` as well."""
        return _Watched(self, width, beside)

    def used(self, layer: int, numbers: tuple[int, ...], width: int) -> None:
        """A layer of a pass over so many tokens used these."""
        row = self._uses[self._place[layer]]
        for number in numbers:
            row[number] += 1
        if width <= _WIDEST:
            self._layers_run[width] += 1
            self._experts[width] += len(numbers)

    def report(self, resident: Iterable[tuple[int, int]] | None) -> ExpertUse:
        """Return the sums so far; `resident` are the experts in RAM, None if all are."""
        held: list[list[int]] = [[] for _ in self._place]
        for layer, number in resident or ():
            if layer in self._place:  # the MTP layer's are in the same memory
                held[self._place[layer]].append(number)
        count = len(self._place) or 1
        return ExpertUse(
            layers=tuple(self._place),
            experts_per_layer=self._per_layer,
            experts_per_token=self._per_token,
            uses=tuple(map(tuple, self._uses)),
            unions=tuple(
                UnionRow(width, -(-run // count), self._experts[width] / run)
                for width, run in enumerate(self._layers_run)
                if run
            ),
            resident=None if resident is None else tuple(tuple(sorted(row)) for row in held),
        )


class _Watched:
    """The routes of one pass."""

    def __init__(self, tally: ExpertTally, width: int, beside: Routes | None) -> None:
        self._tally, self._width, self._beside = tally, width, beside

    def used(self, layer: int, numbers: tuple[int, ...]) -> None:
        """See `Routes`."""
        self._tally.used(layer, numbers, self._width)
        if self._beside is not None:
            self._beside.used(layer, numbers)
