"""Replies of an engine that streams, added up: what benchmarks show of them.

Everything is of the rounds after the first token; the prompt's time stands apart.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine import Engine, GenerateOptions


@dataclass(frozen=True, slots=True)
class Streamed:
    """One reply's rounds after the first token, in sums."""

    depth: int
    rounds: int
    drafted: int
    accepted: int
    seconds: float
    wait_seconds: float
    reading_seconds: float
    """With at least one read outstanding."""
    expert_uses: int
    expert_hits: int
    expert_loads: int
    prefetch_used: int
    prefetch_wasted: int
    bytes_read: int
    first_seconds: float
    """From the call to the first token."""
    ids: list[int]
    """The whole text."""

    @property
    def tokens(self) -> int:
        """Of the counted rounds."""
        return len(self.ids) - 1

    @property
    def tokens_per_second(self) -> float:
        """Of the counted rounds."""
        return self.tokens / self.seconds

    @property
    def drive_gb_per_second(self) -> float:
        """Drive use: bytes over the time in which at least one read was outstanding."""
        return self.bytes_read / self.reading_seconds / 1e9 if self.reading_seconds else 0.0

    def row(self) -> str:
        """A row of `HEAD`."""
        return (
            f"| {self.depth} | {self.expert_hits / max(self.expert_uses, 1):.1%} "
            f"| {self.expert_loads / self.tokens:.1f} "
            f"| {self.prefetch_used / self.tokens:.1f} / {self.prefetch_wasted / self.tokens:.1f} "
            f"| {self.bytes_read / self.tokens / 1e6:,.0f} | {self.wait_seconds / self.seconds:.0%} "
            f"| {self.drive_gb_per_second:.2f} | {self.accepted} / {self.drafted} "
            f"| {self.seconds / self.rounds:.3f} | {self.tokens_per_second:.2f} |"
        )


HEAD = (
    "| depth | hit rate | loads a token | guesses a token: used / wasted | MB a token | waiting | drive GB/s "
    "| accepted | s a round | tokens/s |\n|---|---|---|---|---|---|---|---|---|---|"
)


def reply(engine: Engine, prompt: Sequence[int], options: GenerateOptions) -> Streamed:
    """Decode and add up."""
    from engine import Verified

    began = time.perf_counter()
    reading_before = first = 0.0
    rounds: list[Verified] = []
    ids: list[int] = []
    for event in engine.generate(prompt, options):
        if isinstance(event, Verified):
            ids += [token.id for token in event.tokens]
            if event.round:
                rounds.append(event)
            else:
                first, reading_before = time.perf_counter() - began, engine.reading_seconds
    return Streamed(
        depth=options.depth,
        rounds=len(rounds),
        drafted=sum(each.accepted + len(each.rejected) for each in rounds),
        accepted=sum(each.accepted for each in rounds),
        seconds=sum(each.draft_seconds + each.verify_seconds + each.catchup_seconds for each in rounds),
        wait_seconds=sum(each.wait_seconds for each in rounds),
        reading_seconds=engine.reading_seconds - reading_before,
        expert_uses=sum(each.expert_uses for each in rounds),
        expert_hits=sum(each.expert_hits for each in rounds),
        expert_loads=sum(each.expert_loads for each in rounds),
        prefetch_used=sum(each.prefetch_used for each in rounds),
        prefetch_wasted=sum(each.prefetch_wasted for each in rounds),
        bytes_read=sum(each.bytes_read for each in rounds),
        first_seconds=first,
        ids=ids,
    )
