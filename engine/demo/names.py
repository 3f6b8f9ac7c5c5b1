"""From the network's names to the published ones and back: alike but for experts, which training stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

_GATE_UP, _DOWN = "experts.gate_up", "experts.down"


def pieces(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Published names and views of one tensor of the network's state; writing to a view writes it."""
    if name.endswith(_GATE_UP):
        prefix = name.removesuffix("gate_up")
        for number, expert in enumerate(tensor):
            gate, up = expert.chunk(2)
            yield f"{prefix}{number}.gate_proj.weight", gate
            yield f"{prefix}{number}.up_proj.weight", up
    elif name.endswith(_DOWN):
        prefix = name.removesuffix("down")
        for number, expert in enumerate(tensor):
            yield f"{prefix}{number}.down_proj.weight", expert
    else:
        yield name, tensor


def to_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's state by published names, in its order; experts come as views of their stacks."""
    return {part: view for name, tensor in state.items() for part, view in pieces(name, tensor)}


def from_published(published: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's state in the shapes of `like` from published tensors; others (MTP's copies) are left."""
    state = {name: torch.empty_like(tensor) for name, tensor in like.items()}
    for name, tensor in state.items():
        for part, view in pieces(name, tensor):
            view.copy_(published[part])
    return state
