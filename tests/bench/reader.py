"""A bare parallel reader: what a drive gives when nothing is computed. The measure for the engine's reads.

It reads whole spans of experts, as the engine does: for each token and layer as many different ones as the
engine had to load, drawn at random. It holds as much memory as the engine, so that in the same control group
the same is left for pages of files. No layer waits for the one before it, so the queue never runs dry.
"""

from __future__ import annotations

import itertools
import mmap
import os
import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.checkpoint.checkpoint import open_checkpoint
from engine.config import read_config
from engine.offload.layout import lay_out

if TYPE_CHECKING:
    from pathlib import Path

    from engine.checkpoint.checkpoint import Checkpoint
    from engine.config import ModelConfig
    from engine.offload.layout import Span

_PAGE_BYTES = 4096
_MAX_READ_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Speed:
    """What one pass has read, and in what time."""

    readers: int
    direct: bool
    bytes: int
    seconds: float

    @property
    def gb_per_second(self) -> float:
        """10^9 bytes a second."""
        return self.bytes / self.seconds / 1e9


def draw(folder: Path, loads: int, loads_per_layer: int, seed: int = 0) -> list[Span]:
    """The spans of that many random experts, layer after layer of the main model."""
    config = read_config(folder)
    layers = [layer for layer in range(config.num_hidden_layers) if config.is_moe(layer)]
    with open_checkpoint(folder) as checkpoint:
        spans = {
            (layer, expert): _spans(checkpoint, layer, expert)
            for layer in layers
            for expert in range(config.n_routed_experts)
        }
    generator = random.Random(seed)
    drawn: list[tuple[int, int]] = []
    for layer in itertools.cycle(layers):
        experts = generator.sample(range(config.n_routed_experts), loads_per_layer)
        drawn += [(layer, expert) for expert in experts]
        if len(drawn) >= loads:
            return [span for key in drawn[:loads] for span in spans[key]]
    raise ValueError("a model without layers of experts")


def expert_bytes(checkpoint: Checkpoint, config: ModelConfig) -> int:
    """What is read to bring in one expert."""
    first = min(config.first_k_dense_replace, config.num_hidden_layers - 1)
    return sum(span.bytes for span in _spans(checkpoint, first, 0))


def read(spans: list[Span], readers: int, direct: bool, held_bytes: int = 0) -> Speed:
    """Read all spans once, with so many threads. Raises OSError where the file system has no O_DIRECT."""
    ballast = mmap.mmap(-1, held_bytes) if held_bytes else None
    for place in range(0, held_bytes, _PAGE_BYTES):
        assert ballast is not None
        ballast[place] = 1
    flags = os.O_RDONLY | (os.O_DIRECT if direct else 0)
    descriptors = {shard: os.open(shard, flags) for shard in {span.shard for span in spans}}
    largest = max(span.bytes for span in spans) + 2 * _PAGE_BYTES
    queue = iter(spans)
    lock = threading.Lock()
    errors: list[OSError] = []

    def work() -> None:
        buffer = memoryview(mmap.mmap(-1, largest))
        try:
            while True:
                with lock:
                    span = next(queue, None)
                if span is None or errors:
                    return
                _read(descriptors[span.shard], span, direct, buffer)
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(readers)]
    began = time.perf_counter()
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - began
    finally:
        for descriptor in descriptors.values():
            os.close(descriptor)
    if errors:
        raise errors[0]
    return Speed(readers, direct, sum(span.bytes for span in spans), seconds)


def _spans(checkpoint: Checkpoint, layer: int, expert: int) -> tuple[Span, ...]:
    """What the engine reads to have an expert: its three matrices, for scales are kept in memory."""
    prefix = f"model.layers.{layer}.mlp.experts.{expert}"
    return lay_out(checkpoint.record(f"{prefix}.{part}_proj.weight") for part in ("gate", "up", "down")).spans


def _read(descriptor: int, span: Span, direct: bool, buffer: memoryview) -> None:
    begin, end = span.offset, span.offset + span.bytes
    if direct:  # whole pages, the file's end apart
        begin = begin // _PAGE_BYTES * _PAGE_BYTES
        end = -(-end // _PAGE_BYTES) * _PAGE_BYTES
    wanted = span.offset + span.bytes - begin
    done = 0
    while done < wanted:
        count = os.preadv(descriptor, [buffer[done : min(end - begin, done + _MAX_READ_BYTES)]], begin + done)
        if count == 0:
            raise OSError(f"{span.shard} ended at byte {begin + done:,}")
        done += count
