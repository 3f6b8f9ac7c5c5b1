"""Weights by name, wherever they live: what the model is assembled from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from engine.kernels.base import Expert, Matrix
    from engine.model.feed_forward import ExpertBank
    from engine.model.supply import Embedding, HeadPiece, Supply


class Weights(Protocol):
    """A checkpoint's weights, in memory or on their way there when their supply is asked."""

    @property
    def experts_move(self) -> bool:
        """Whether experts come and go, so that guessing the next ones is worth while."""

    def matrix(self, name: str) -> Matrix:
        """A matrix by its tensor's name, FP8 with its scales."""

    def vector(self, name: str) -> Tensor:
        """A norm's weight or a bias, as float32."""

    def net(self, prefix: str) -> Expert:
        """The gated net whose gate_proj, up_proj and down_proj lie under a prefix."""

    def supply(self, unit: str) -> Supply:
        """What brings the matrices of a unit in, by its name (see `units`)."""

    def experts(self, layer: int, prefix: str) -> ExpertBank:
        """A layer's routed experts, numbered nets under a prefix."""

    def head(self) -> tuple[HeadPiece, ...]:
        """The output head, in pieces of rows."""

    def embedding(self) -> Embedding:
        """The token embedding."""
