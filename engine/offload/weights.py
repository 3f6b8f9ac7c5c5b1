"""Weights by name, wherever they live: what the model is assembled from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from engine.kernels.base import Expert, Matrix
    from engine.model.feed_forward import ExpertBank


class Weights(Protocol):
    """A checkpoint's weights, ready for use."""

    def matrix(self, name: str) -> Matrix:
        """A matrix by its tensor's name, FP8 with its scales."""

    def stored(self, name: str) -> Tensor:
        """A tensor as it is stored."""

    def vector(self, name: str) -> Tensor:
        """A norm's weight or a bias, as float32."""

    def net(self, prefix: str) -> Expert:
        """The gated net whose gate_proj, up_proj and down_proj lie under a prefix."""

    def experts(self, prefix: str, count: int) -> ExpertBank:
        """A layer's routed experts, numbered nets under a prefix."""
