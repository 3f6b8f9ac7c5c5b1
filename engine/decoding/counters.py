"""What rounds add up to: acceptance, length and speed. Pure counting; no clock is read here.

Definitions, those of vLLM's metrics: acceptance = accepted / drafted; at position k = rounds in which the
k-th draft was accepted / rounds that drafted one; mean length = 1 + accepted / rounds, the tokens a round
yields. Round 0 (the first token, which prefill decides) is outside every rate.

Where weights move: hit rate = the share of expert uses for which nothing had to be read, neither when they
were needed nor ahead of it, a use being one expert in one pass of one layer, however many tokens want it;
loads a token = all other uses, and bytes a token = all bytes read, guesses that were wrong included, over the
tokens of the rounds. Waiting is part of drafting, verifying and
catching up, wherever the model stood still for a read, so waiting share = waiting / (seconds of all three);
reads that overlap with computing are not in it.
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
        """Standing still for reads; part of `seconds` and `catchup_seconds`."""
        self.bytes_read = 0
        self.expert_uses = 0
        self.expert_hits = 0
        self.expert_loads = 0
        self.prefetch_used = 0
        self.prefetch_wasted = 0
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
        self.expert_uses += event.expert_uses
        self.expert_hits += event.expert_hits
        self.expert_loads += event.expert_loads
        self.prefetch_used += event.prefetch_used
        self.prefetch_wasted += event.prefetch_wasted
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

    @property
    def hit_rate(self) -> float | None:
        """Uses of experts that stood in memory without having been read for it / uses; None if none moves."""
        return (self.expert_hits - self.prefetch_used) / self.expert_uses if self.expert_uses else None

    @property
    def loads_per_token(self) -> float | None:
        """Experts read to be used, when they were needed or ahead of it, a token; None before the first."""
        return (self.expert_loads + self.prefetch_used) / self.tokens if self.tokens else None

    @property
    def bytes_per_token(self) -> float | None:
        """Bytes read from disk, guesses included, a token; None before the first token."""
        return self.bytes_read / self.tokens if self.tokens else None

    @property
    def wait_share(self) -> float | None:
        """Waiting over the time of drafting, verifying and catching up; None before any."""
        seconds = self.seconds + self.catchup_seconds
        return self.wait_seconds / seconds if seconds else None
