"""Which drafts are kept, and what the main model says after them: greedy, coupled and rejection acceptance.

Greedy and coupled (the default) share one rule: at each position the main model picks as if nothing had been
drafted, and a draft is accepted when it is that pick. So drafts only ever save work.
Rejection (Leviathan et al. 2023, algorithm 1) accepts a draft d with probability min(1, p(d) / q(d)), and
in place of the first rejected one draws from max(0, p - q), normalised. That keeps the law, not the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.decoding.noise import Stream, uniform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.decoding.sampling import Sampler

    Doubles = np.ndarray[Any, np.dtype[np.float64]]
    Rows = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class Draft:
    """A drafted token."""

    id: int
    logits: Rows | None
    """[vocab] of the drafter; None where it has none (n-gram)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a round adds to the text: the accepted drafts, then one token of the main model's own."""

    accepted: int
    last: int
    """The correction of the first rejected draft, or the bonus after all were accepted."""


def judge_by_picks(sampler: Sampler, drafts: Sequence[Draft], rows: Rows, position: int) -> Verdict:
    """Keep drafts while they are the main model's own picks.

    rows is [drafts + 1, vocab], the main model's logits; row j decides the token at `position + j`.
    """
    for accepted, draft in enumerate(drafts):
        pick = sampler.pick(rows[accepted], position + accepted)
        if pick != draft.id:
            return Verdict(accepted, pick)
    return Verdict(len(drafts), sampler.pick(rows[len(drafts)], position + len(drafts)))


def judge_by_rejection(sampler: Sampler, drafts: Sequence[Draft], rows: Rows, position: int) -> Verdict:
    """Keep drafts by chance, in proportion to how much likelier the main model finds them.

    Each draft must have been drawn from `sampler.probabilities(draft.logits)`, or be certain (logits None).
    """
    for accepted, draft in enumerate(drafts):
        p = sampler.probabilities(rows[accepted])
        q = _one_hot(draft.id, p.size) if draft.logits is None else sampler.probabilities(draft.logits)
        if uniform(sampler.seed, Stream.ACCEPT, position + accepted) * q[draft.id] <= p[draft.id]:
            continue
        residual = np.maximum(p - q, 0.0)
        mass = residual.sum()
        # Mass 0 means p = q up to rounding, where rejection has probability 0 up to rounding.
        return Verdict(accepted, sampler.draw(residual / mass if mass > 0 else p, position + accepted))
    last = sampler.draw(sampler.probabilities(rows[len(drafts)]), position + len(drafts))
    return Verdict(len(drafts), last)


def _one_hot(token: int, size: int) -> Doubles:
    q = np.zeros(size)
    q[token] = 1.0
    return q
