"""Where an engine's weights live: checkpoint, plan, reader and store, opened and closed as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from engine.checkpoint.fingerprint import fingerprint
from engine.errors import MemoryBudgetError, UsageError
from engine.offload.hot_set import HotSet
from engine.offload.measure import DEFAULT, ReaderChoice, choose_reader, direct_works
from engine.offload.memory import available_bytes
from engine.offload.plan import CPU, make_plan
from engine.offload.planned import PlannedWeights, sampled_spans
from engine.offload.reader import Reader
from engine.offload.sizes import DEFAULT_RAM_SHARE, parse_ram, parse_speed, shown_bytes
from engine.offload.throttle import Throttle
from engine.offload.traffic import Traffic, TrafficCounter
from engine.offload.units import inventory
from engine.offload.waiting import HEARTBEAT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.checkpoint.audit import Audit
    from engine.checkpoint.checkpoint import Checkpoint
    from engine.config import ModelConfig
    from engine.kernels.base import Kernels
    from engine.offload.plan import Plan
    from engine.offload.resident import Progress
    from engine.offload.store import StoreRecord

_MOST_READERS = 64


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user may say about memory and drive."""

    ram_bytes: int
    disk_limit: float | None
    """Bytes a second that the drive is held to."""
    readers: int | None
    """Threads; None: measured."""
    direct: bool | None
    """Past the page cache; None: measured."""

    @classmethod
    def checked(
        cls,
        ram: str | int | None,
        disk_limit: str | float | None,
        readers: int | None,
        direct: bool | None,
    ) -> Self:
        """Read what was given. Raises UsageError."""
        available = available_bytes()
        if ram is None:
            ram_bytes = int(available * DEFAULT_RAM_SHARE)
        else:
            ram_bytes = parse_ram(ram, available) if isinstance(ram, str) else ram
        if readers is not None and not 1 <= readers <= _MOST_READERS:
            raise UsageError(f"readers must be from 1 to {_MOST_READERS}, not {readers}.")
        limit = parse_speed(disk_limit) if isinstance(disk_limit, str) else disk_limit
        return cls(ram_bytes, limit, readers, direct)


@dataclass(frozen=True, slots=True)
class HomeRecord:
    """What was in memory at one moment, of all that moves."""

    store: StoreRecord | None
    streams: tuple[tuple[int, ...], ...]


class Home:
    """See the module. Reads what stays in RAM while it is made."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        config: ModelConfig,
        audit: Audit,
        kernels: Kernels,
        context: int,
        settings: Settings,
        progress: Progress | None,
        beside: Home | None = None,
    ) -> None:
        """Takes the checkpoint over: it is closed with this. Raises MemoryBudgetError.

        `beside` is another home on the same drive: an emulated drive's speed is then that of both together.
        """
        self._checkpoint = checkpoint
        self.weights_bytes = checkpoint.bytes
        """Of the checkpoint's tensors on disk."""
        self.inventory = inventory(checkpoint, config, audit)
        self.plan: Plan = make_plan(self.inventory, config, context, {CPU: settings.ram_bytes})
        available = available_bytes()
        if self.plan.planned_bytes > available:
            raise MemoryBudgetError(
                f"{shown_bytes(self.plan.planned_bytes)} of memory are needed with this budget, and "
                f"{shown_bytes(available)} are available: give a smaller one, or close other programs."
            )
        self.disk_limit = settings.disk_limit
        self.choice = self._choose(settings)
        self._throttle: Throttle | None = None
        if beside is not None:
            self._throttle = beside._throttle
        elif settings.disk_limit is not None:
            self._throttle = Throttle(settings.disk_limit)
        self._reader = Reader(checkpoint.source, self.choice.threads, self.choice.direct, self._throttle)
        self._counter = TrafficCounter(self._reader)
        self._hot_set = HotSet.of(checkpoint)
        hot = self._hot_set.load()
        try:
            self.weights = PlannedWeights(
                checkpoint,
                self.inventory,
                self.plan,
                kernels,
                self._reader,
                self._counter,
                progress,
                hot,
            )
        except BaseException:
            self._reader.close()
            raise
        self.nan_bytes = self.weights.nan_bytes
        """FP8 weights, of those that stay in RAM, that stand for NaN."""
        if self.weights.store is not None:
            self.weights.store.preload(sorted(hot, key=lambda key: (-hot[key], key)))

    @property
    def reading_seconds(self) -> float:
        """How long at least one read was outstanding."""
        return self._reader.busy_seconds()

    @property
    def wait_seconds(self) -> float:
        """How long the model stood still for reads."""
        return self._counter.wait_seconds

    def traffic(self) -> Traffic:
        """What moving weights has cost since they were loaded."""
        return self._counter.traffic()

    @property
    def experts_move(self) -> bool:
        """Whether experts come and go."""
        return self.weights.store is not None

    def resident_experts(self) -> tuple[tuple[int, int], ...]:
        """Layer and number of the experts that are in memory now; all of them where none ever leaves."""
        if self.weights.store is not None:
            return self.weights.store.resident()
        shape = self.inventory.experts
        if shape is None:
            return ()
        return tuple((layer, number) for layer in shape.layers for number in range(shape.per_layer))

    def fingerprint(self) -> str:
        """By what the checkpoint is known again. Raises CheckpointError where it cannot be read."""
        return fingerprint(self._checkpoint)

    def settle(self) -> Iterator[None]:
        """Wait until nothing is being read; yields now and then."""
        while not self._reader.drain(HEARTBEAT_SECONDS):
            yield

    def recorded(self) -> HomeRecord:
        """What to restore later; only once it has settled."""
        store = self.weights.store
        return HomeRecord(
            None if store is None else store.recorded(),
            tuple(stream.recorded() for stream in self.weights.streams),
        )

    def restore(self, record: HomeRecord) -> Iterator[None]:
        """Have in memory what was there then, all of it read; yields now and then."""
        yield from self.settle()
        if self.weights.store is not None and record.store is not None:
            self.weights.store.restore(record.store)
        for stream, held in zip(self.weights.streams, record.streams, strict=True):
            stream.restore(held)
        yield from self.settle()

    def close(self) -> None:
        """End all reading, and remember which experts were hot. May be called twice."""
        self._reader.close()
        if self.weights.store is not None:
            self._hot_set.save(self.weights.store.findings())
        self._checkpoint.close()

    def _choose(self, settings: Settings) -> ReaderChoice:
        if self.plan.holds_everything or (settings.readers is not None and settings.direct is not None):
            choice = DEFAULT
        else:
            spans = sampled_spans(self._checkpoint, self.inventory)
            spare = max(0, available_bytes() - self.plan.planned_bytes)
            choice = choose_reader(
                self._checkpoint.source,
                spans,
                budget_bytes=settings.ram_bytes,
                cached_share=min(1.0, spare / self.weights_bytes),
            )
        direct = choice.direct if settings.direct is None else settings.direct
        if settings.direct and not direct_works(self._checkpoint.source, self._checkpoint.shards[0]):
            raise UsageError(
                f"{self._checkpoint.shards[0]} cannot be read past the page cache: its file system has no "
                f"O_DIRECT. Leave direct reading out."
            )
        return ReaderChoice(
            settings.readers or choice.threads, direct, choice.bytes_per_second, choice.measured
        )
