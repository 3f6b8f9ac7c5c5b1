"""What rounds add up to: acceptance, length and speed. Pure counting; no clock is read here.

Definitions, those of vLLM's metrics: acceptance = accepted / drafted; at position k = rounds in which the
k-th draft was accepted / rounds that drafted one; mean length = 1 + accepted / rounds, the tokens a round
yields. Round 0 (the first token, which prefill decides) is outside every rate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.events import Verified


class Counters:
    """Sums over the rounds of one or more replies."""

    def __init__(self) -> None:
        self.rounds = 0
        self.tokens = 0
        """Tokens emitted by counted rounds."""
        self.drafted = 0
        self.accepted = 0
        self.seconds = 0.0
        """Drafting and verifying; catching the MTP cache up is not in it."""
        self.catchup_seconds = 0.0
        self.wait_seconds = 0.0
        self.bytes_read = 0
        self.expert_loads = 0
        self._drafted_at: list[int] = []
        self._accepted_at: list[int] = []

    def observe(self, event: Verified) -> None:
        """Count one round."""
        if event.round == 0:
            return
        drafted = event.accepted + len(event.rejected)
        self.rounds += 1
        self.tokens += len(event.tokens)
        self.drafted += drafted
        self.accepted += event.accepted
        self.seconds += event.draft_seconds + event.verify_seconds
        self.catchup_seconds += event.catchup_seconds
        self.wait_seconds += event.wait_seconds
        self.bytes_read += event.bytes_read
        self.expert_loads += event.expert_loads
        missing = drafted - len(self._drafted_at)
        self._drafted_at += [0] * missing
        self._accepted_at += [0] * missing
        for position in range(drafted):
            self._drafted_at[position] += 1
            self._accepted_at[position] += position < event.accepted

    @property
    def acceptance(self) -> float | None:
        """Accepted / drafted, or None before anything was drafted."""
        return self.accepted / self.drafted if self.drafted else None

    @property
    def acceptance_by_position(self) -> tuple[float, ...]:
        """For the first draft of a round, the second, and so on, as far as any round drafted."""
        return tuple(a / d for a, d in zip(self._accepted_at, self._drafted_at, strict=True))

    @property
    def mean_length(self) -> float | None:
        """Tokens a round yields, 1 + accepted / rounds, or None before the first round."""
        return 1 + self.accepted / self.rounds if self.rounds else None

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens of counted rounds over their seconds, or None before the first round."""
        return self.tokens / self.seconds if self.seconds else None
