"""Work in steps: an iterator that yields now and then, and returns what came of it.

It yields while weights are on their way and between the slices of a long pass, so that whoever runs it can
look at the clock, report, cancel, or leave it unfinished. A pass over a few tokens whose weights are there is
one slice everywhere, and yields nowhere within a layer.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

S = TypeVar("S")
R = TypeVar("R")
T = TypeVar("T")

Steps: TypeAlias = Generator[None, None, T]
Layers: TypeAlias = Generator[int, None, T]
"""Steps of a pass, which say how many layers are done; the same number again is a step within the next."""

SLICE_TOKENS = 128
"""Tokens that go through attention, a net or a matrix at once. It bounds the activations of a long prompt
(V3: 128 heads x 576 latent values a token), and more at once would not make the products faster."""


def finish(steps: Generator[object, None, T], heartbeat: Callable[[], None] = lambda: None) -> T:
    """Run steps to their end; `heartbeat` is called at each, and what it raises ends them."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        heartbeat()


def mapped(steps: Generator[S, None, T], said: Callable[[S], R]) -> Generator[R, None, T]:
    """The same steps, which say something else."""
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        yield said(step)


def within(layers: int, steps: Steps[T]) -> Layers[T]:
    """Steps of a pass that has so many layers behind it."""
    return mapped(steps, lambda _: layers)


def in_slices(compute: Callable[[Tensor], Tensor], x: Tensor) -> Steps[Tensor]:
    """`compute(x)`, [tokens, ...], of what treats every token alone."""
    tokens = x.shape[0]
    if tokens <= SLICE_TOKENS:
        return compute(x)
    part = compute(x[:SLICE_TOKENS])
    whole = torch.empty(tokens, *part.shape[1:], dtype=part.dtype, device=part.device)
    whole[:SLICE_TOKENS] = part
    for first in range(SLICE_TOKENS, tokens, SLICE_TOKENS):
        yield
        whole[first : first + SLICE_TOKENS] = compute(x[first : first + SLICE_TOKENS])
    return whole
