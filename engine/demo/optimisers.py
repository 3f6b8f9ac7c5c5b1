"""Who moves what: Muon the matrices, AdamW the embedding, the head, the routers and the norms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.demo.muon import Muon

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from engine.demo.network import Network

_CLIP = 1.0
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


@dataclass(frozen=True, slots=True)
class Rates:
    """Learning rates, before the schedule's factor."""

    matrices: float = 0.02
    embedding: float = 8e-3
    head: float = 3e-3
    rest: float = 2e-3
    clip: bool = True
    """Whether the gradient of what AdamW moves is clipped to norm 1; Muon's updates have their own norm."""


CORPUS_RATES = Rates()
WARMUP_RATES = Rates(embedding=3e-3, rest=3e-3, clip=False)


class Optimisers:
    """Both, stepped as one."""

    def __init__(self, network: Network, rates: Rates) -> None:
        named = dict(network.named_parameters())
        matrices = {name: parameter for name, parameter in named.items() if _is_matrix(name, parameter)}
        self._rest = [parameter for name, parameter in named.items() if name not in matrices]
        self._all = tuple(named.values())
        self._clip = rates.clip
        self._muon = Muon(
            [(parameter, 2 if name.endswith("gate_up") else 1) for name, parameter in matrices.items()],
            rates.matrices,
        )
        shared = (EMBEDDING, HEAD)
        others = [p for name, p in named.items() if name not in matrices and name not in shared]
        self._bases = (rates.embedding, rates.head, rates.rest)
        self._adamw = torch.optim.AdamW(
            [{"params": [named[EMBEDDING]]}, {"params": [named[HEAD]]}, {"params": others}],
            betas=(0.9, 0.95),
            weight_decay=0.0,
            fused=True,
        )

    def step(self, factor: float) -> None:
        """Move everything along its gradient, which is dropped afterwards."""
        for group, base in zip(self._adamw.param_groups, self._bases, strict=True):
            group["lr"] = base * factor
        if self._clip:
            torch.nn.utils.clip_grad_norm_(self._rest, _CLIP)
        self._muon.step(factor)
        self._adamw.step()
        for parameter in self._all:
            parameter.grad = None

    def state(self) -> dict[str, object]:
        """What `load` needs to go on."""
        return {"muon": self._muon.state(), "adamw": self._adamw.state_dict()}

    def load(self, state: Mapping[str, object]) -> None:
        """Go on from a state."""
        momenta, adamw = state["muon"], state["adamw"]
        assert isinstance(momenta, list)
        assert isinstance(adamw, dict)
        self._muon.load(momenta)
        self._adamw.load_state_dict(adamw)


def _is_matrix(name: str, parameter: Tensor) -> bool:
    return parameter.dim() >= 2 and name not in (EMBEDDING, HEAD) and not name.endswith("mlp.gate.weight")
