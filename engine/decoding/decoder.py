"""What a reply is decoded with, and a pass of the main model over its text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from engine.decoding.depth_controller import DepthController
from engine.decoding.drafters import MtpDrafter
from engine.decoding.second_model import SecondModelDrafter
from engine.model.steps import finish, within

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import numpy as np

    from engine.decoding.controls import Controls
    from engine.decoding.report import RouteRecord
    from engine.decoding.sampling import Sampler
    from engine.decoding.sequence import SequenceState
    from engine.decoding.tally import ExpertTally
    from engine.model.mtp import MtpModule
    from engine.model.steps import Layers
    from engine.model.transformer import Transformer
    from engine.offload.traffic import TrafficSource
    from engine.options import Acceptance

    Rows = np.ndarray[Any, np.dtype[np.float32]]

T = TypeVar("T")


class Cancelled(Exception):  # noqa: N818  it is no error
    """A pass was given up between two of its steps."""


@dataclass(frozen=True, slots=True)
class Decoder:
    """See the module. Its passes and its drafters' go in steps, and whoever runs them looks for a cancel."""

    model: Transformer
    mtp: MtpModule | None
    state: SequenceState
    controls: Controls
    eos_ids: tuple[int, ...]
    weights: TrafficSource
    """Whose reads a round's figures are about."""
    tally: ExpertTally
    """Counts the main model's experts."""
    depths: DepthController = field(default_factory=DepthController)
    """Learns from every round, and chooses in mode auto."""
    second: Transformer | None = None
    """A second model that drafts in mode model."""

    def run(
        self, ids: Sequence[int], routes: RouteRecord | None = None, last: int | None = None
    ) -> Layers[None]:
        """Run tokens behind the main rows.

        The states of the `last` tokens, of all if not given, are in `state` afterwards; making the rows count
        is the caller's.
        """
        state = self.state
        hidden = state.states_to_fill(len(ids), last)
        watched = self.tally.watch(len(ids), routes)
        return self.model.forward(ids, state.main_rows, state.caches, hidden, watched)

    def logits(self, rows: int) -> Layers[Rows]:
        """The main model's logits for the last pass's first rows, [rows, vocab]."""
        logits = self.model.logits(self.state.states(self.state.main_rows, rows))
        return (yield from within(len(self.model.layers), logits)).numpy()

    def mtp_drafter(
        self, sampler: Sampler, accept: Acceptance, stop_ids: frozenset[int]
    ) -> MtpDrafter | None:
        """The MTP layer as a drafter; None where there is none."""
        return None if self.mtp is None else MtpDrafter(self.mtp, sampler, accept, stop_ids)

    def second_drafter(
        self, sampler: Sampler, accept: Acceptance, stop_ids: frozenset[int]
    ) -> SecondModelDrafter | None:
        """The second model as a drafter; None where there is none."""
        return None if self.second is None else SecondModelDrafter(self.second, sampler, accept, stop_ids)

    def check(self) -> None:
        """Raise Cancelled if the reply is to end."""
        if self.controls.cancelled:
            raise Cancelled

    def finish(self, steps: Generator[object, None, T]) -> T:
        """Run steps to their end; raises Cancelled before the first and at each."""
        self.check()
        return finish(steps, self.check)
