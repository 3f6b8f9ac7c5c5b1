"""Weights that are there when they are used, and may be elsewhere in between.

A unit is what is brought in as one: a layer's attention, a dense or shared net, a piece of the head. Whoever
computes with one asks for it first and says when it is done. Waiting is an iterator that yields now and then,
so that whoever runs the model can look at the clock, report, or give the pass up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import torch

from engine.model.steps import in_slices

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from engine.kernels.base import Kernels, Matrix
    from engine.model.steps import Steps


class Supply(Protocol):
    """Brings one unit's weights into memory for as long as they are used."""

    def arrive(self) -> Iterator[None]:
        """Yields while the weights are on their way; they are there once it is exhausted."""

    def leave(self) -> None:
        """The weights are not needed until the next `arrive`."""


class InMemory:
    """The supply of a unit that never leaves."""

    def arrive(self) -> Iterator[None]:
        """See `Supply`."""
        return iter(())

    def leave(self) -> None:
        """See `Supply`."""


@dataclass(frozen=True, slots=True)
class HeadPiece:
    """Some rows of the output head."""

    supply: Supply
    matrix: Matrix  # [rows, hidden]


@dataclass(frozen=True, slots=True)
class Head:
    """The output head, perhaps in pieces: rows are independent, so the bits are those of one product."""

    kernels: Kernels
    pieces: tuple[HeadPiece, ...]

    def __call__(self, hidden: Tensor) -> Steps[Tensor]:
        """[tokens, hidden] to [tokens, vocab]."""
        parts = []
        for piece in self.pieces:
            yield from piece.supply.arrive()
            parts.append((yield from in_slices(partial(self.kernels.multiply, piece.matrix), hidden)))
            piece.supply.leave()
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


class Embedding(Protocol):
    """The token embedding."""

    def rows(self, ids: Sequence[int]) -> Steps[Tensor]:
        """[tokens, hidden] float32; yields while rows are on their way."""


@dataclass(frozen=True, slots=True)
class EmbeddingTable:
    """An embedding in memory."""

    stored: Tensor  # [vocab, hidden], as stored

    def rows(self, ids: Sequence[int]) -> Steps[Tensor]:
        """See `Embedding`."""
        yield from ()
        return self.stored[torch.tensor(ids, dtype=torch.int64)].float()
