"""What is minimised: cross-entropy of the next token, plus lambda times that of the MTP layer's (V3 report,
equations 24 and 25, with one MTP depth)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

    from engine.demo.batches import Batch
    from engine.demo.network import Network


@dataclass(frozen=True, slots=True)
class Losses:
    """One batch's."""

    joint: Tensor
    """With its graph."""
    main: float
    mtp: float
    correct: float
    """Share of the main model's targets that it holds likeliest."""


def losses(network: Network, batch: Batch, mtp_weight: float) -> Losses:
    """Run a batch forward."""
    hidden = network.hidden(batch.ids, batch.positions, batch.groups)
    main, correct = _cross_entropy(network, hidden, batch.next_ids, batch.next_weights)
    drafts = network.draft_hidden(batch.next_ids, hidden, batch.positions, batch.groups)
    mtp, _ = _cross_entropy(network, drafts, batch.later_ids, batch.later_weights)
    return Losses(main + mtp_weight * mtp, main.item(), mtp.item(), correct)


def _cross_entropy(
    network: Network, hidden: Tensor, targets: Tensor, weights: Tensor
) -> tuple[Tensor, float]:
    """Weighted mean; only rows that count go through the head, which is the widest product of the step."""
    counted = weights > 0
    wanted, weight = targets[counted], weights[counted]
    logits = network.logits(hidden[counted])
    each = F.cross_entropy(logits, wanted, reduction="none")
    correct = (logits.detach().argmax(-1) == wanted).to(torch.float32).mean().item()
    return (each * weight).sum() / weight.sum(), correct
