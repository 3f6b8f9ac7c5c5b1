"""What keeping the books of the experts costs a token, at DeepSeek-V3's scale and with nothing to read.

    python -m tests.bench.store

58 layers of 256 experts, 8 a token, and guesses for the next layer that are hardly ever right, so that slots
change hands as often as they can. All of it is Python's and numpy's time: it comes on top of a token's.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, cast

from engine.checkpoint.source import FileSource
from engine.offload.layout import Layout
from engine.offload.popularity import NextUse
from engine.offload.reader import Reader
from engine.offload.store import ExpertStore
from engine.offload.traffic import TrafficCounter

if TYPE_CHECKING:
    from engine.kernels.base import Expert

LAYERS, EXPERTS, CHOSEN = range(3, 61), 256, 8
TOKENS = 10
NOTHING = Layout((), (), 0, 0)


class Books:
    """A store whose reads are done as soon as they are asked for."""

    def __init__(self, slots: int) -> None:
        self.rng = random.Random(slots)
        reader = Reader(FileSource(), 1)
        net = cast("Expert", object())
        self.counter = TrafficCounter(reader)
        self.store = ExpertStore(
            reader,
            self.counter,
            {(layer, number): NOTHING for layer in LAYERS for number in range(EXPERTS)},
            lambda key, memory: net,
            [memoryview(b"")] * slots,
            NextUse(LAYERS, EXPERTS, CHOSEN / EXPERTS),
        )
        self.store.preload(self.store._layouts)

    def token(self) -> None:
        """A pass of all layers."""
        for layer in LAYERS:
            arrivals = self.store.fetch(layer, self._chosen(), in_order=False)
            if layer + 1 in LAYERS:
                self.store.expect(layer + 1, self._chosen())
            for _ in arrivals:
                pass

    def _chosen(self) -> tuple[int, ...]:
        return tuple(sorted(self.rng.sample(range(EXPERTS), CHOSEN)))


def main() -> None:
    """The command."""
    print("| slots | GB of V3's | hits | ms a token | times that of the first |\n|---|---|---|---|---|")
    first = 0.0
    for slots in (500, 1000, 2000, 4000, 8000):
        books = Books(slots)
        books.token()
        before = books.counter.traffic()
        began = time.perf_counter()
        for _ in range(TOKENS):
            books.token()
        milliseconds = (time.perf_counter() - began) / TOKENS * 1e3
        moved = books.counter.traffic() - before
        first = first or milliseconds
        share = moved.expert_hits / moved.expert_uses
        gigabytes = slots * 3 * 7168 * 2048 / 1e9
        print(
            f"| {slots} | {gigabytes:.0f} | {share:.0%} | {milliseconds:.1f} | {milliseconds / first:.1f} |"
        )


if __name__ == "__main__":
    main()
