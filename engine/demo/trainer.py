"""The training loop: the copy warm-up, then the corpus, with states and probes every few minutes.

It knows nothing of files but the state it saves, and nothing of the engine: a `Watcher` is handed the network
now and then, and a `Log` the lines. Between two steps it may be stopped, and goes on from its state with the
very next document.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import torch

from engine.demo.batches import Documents, pack
from engine.demo.network import Network
from engine.demo.objective import losses
from engine.demo.optimisers import CORPUS_RATES, WARMUP_RATES, Optimisers
from engine.demo.schedule import TrainedClock, mtp_weight, ramp, rate_factor
from engine.demo.shape import read_shape
from engine.demo.state import TrainingState
from engine.demo.warmup import is_formed, repeats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

    from engine.demo.batches import Batch, Document
    from engine.demo.objective import Losses

BIAS_STEP = 0.003
"""The router's bias moves this much a step, times the rates' factor."""
WARMUP_RAMP = 20
WARMUP, CORPUS = "warmup", "corpus"
_KEPT = 0.95
"""Of the running means in the log."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often."""

    minutes: float = 100.0
    """Trained, the warm-up included."""
    warmup_minutes: float = 10.0
    """The warm-up's most."""
    watch_minutes: float = 8.0
    """Between two states."""
    batch_tokens: int = 3072
    log_steps: int = 20
    user_weight: float = 0.0
    seed: int = 0
    rate: float = 1.0
    """Factor of the corpus phase's learning rates."""


class Watcher(Protocol):
    """Told every few minutes."""

    def watch(self, trainer: Trainer) -> None:
        """Between two steps; takes as long as it likes, none of it counts as training."""


@dataclass(slots=True)
class _Means:
    """Running means of one phase, and the rate since the last line."""

    main: float | None = None
    mtp: float = 0.0
    correct: float = 0.0
    tokens: int = 0
    seconds: float = 0.0

    def add(self, found: Losses, tokens: int, seconds: float) -> None:
        kept = 0.0 if self.main is None else _KEPT
        self.main = kept * (self.main or 0.0) + (1 - kept) * found.main
        self.mtp = kept * self.mtp + (1 - kept) * found.mtp
        self.correct = kept * self.correct + (1 - kept) * found.correct
        self.tokens += tokens
        self.seconds += seconds

    def rate(self) -> float:
        """Tokens a second since the last call."""
        rate = self.tokens / max(self.seconds, 1e-9)
        self.tokens, self.seconds = 0, 0.0
        return rate


@dataclass(slots=True)
class Progress:
    """Where a run is."""

    phase: str = WARMUP
    step: int = 0
    tokens: int = 0
    warmup: TrainedClock = field(default_factory=TrainedClock)
    corpus: TrainedClock = field(default_factory=TrainedClock)

    @property
    def minutes(self) -> float:
        """Trained."""
        return (self.warmup.seconds + self.corpus.seconds) / 60


class Trainer:
    """A run."""

    def __init__(
        self,
        plan: Plan,
        config: Mapping[str, object],
        tokenizer: str,
        documents: Callable[[int], Iterator[Document]],
        log: Callable[[str], None],
    ) -> None:
        """`documents(n)` is the corpus behind its first n documents."""
        self.plan = plan
        self.config = dict(config)
        self.tokenizer = tokenizer
        self.stopping = False
        """Set from a signal handler: the run ends after the step under way."""
        self._log = log
        self._open = documents
        self.documents = Documents(documents(0))
        self.progress = Progress()
        self._means = _Means()
        torch.manual_seed(plan.seed)
        self.network = Network(read_shape(config))
        self.network.train()
        self.optimisers = Optimisers(self.network, WARMUP_RATES)
        self._random = torch.Generator().manual_seed(plan.seed + 1)

    @property
    def fraction(self) -> float:
        """Of the corpus phase's time."""
        left = self.plan.minutes * 60 - self.progress.warmup.seconds
        return self.progress.corpus.seconds / max(left, 1e-9)

    def run(self, watcher: Watcher) -> bool:
        """Train to the end, or until `stopping`; returns whether the end was reached."""
        watched = self.progress.minutes
        while not self.stopping:
            if self.progress.phase == CORPUS and self.fraction >= 1:
                return True
            if self.progress.phase == WARMUP:
                self._warm_up()
            else:
                self._learn()
            if self.progress.minutes - watched >= self.plan.watch_minutes:
                watcher.watch(self)
                watched = self.progress.minutes
        return False

    def _warm_up(self) -> None:
        progress = self.progress
        began = time.perf_counter()
        batch, length = repeats(self.network.config.vocab_size, self.plan.batch_tokens, self._random)
        factor = ramp(progress.step, WARMUP_RAMP)
        found = self._step(batch, mtp_weight(0.0), factor)
        self._account(batch, found, factor, progress.warmup, time.perf_counter() - began)
        formed = is_formed(progress.step, length, found.correct)
        if formed or progress.warmup.seconds >= self.plan.warmup_minutes * 60:
            what = "copies" if formed else "does not copy yet"
            self._log(
                f"warm-up over after {progress.step} steps, {progress.minutes:.1f} min: {what} "
                f"({found.correct:.0%} of repeats of length {length})"
            )
            progress.phase, progress.step = CORPUS, 0
            self.optimisers = Optimisers(self.network, CORPUS_RATES)
            self._means = _Means()

    def _learn(self) -> None:
        progress = self.progress
        began = time.perf_counter()
        batch = pack(self.documents.take(self.plan.batch_tokens), self.plan.user_weight)
        factor = self.plan.rate * rate_factor(progress.step, self.fraction)
        found = self._step(batch, mtp_weight(self.fraction), factor)
        self._account(batch, found, factor, progress.corpus, time.perf_counter() - began)

    def _step(self, batch: Batch, weight: float, factor: float) -> Losses:
        found = losses(self.network, batch, weight)
        found.joint.backward()  # type: ignore[no-untyped-call]
        self.optimisers.step(factor)
        for mixture in self.network.mixtures():
            mixture.gate.balance(BIAS_STEP * factor)
        self.progress.step += 1
        self.progress.tokens += batch.tokens
        return found

    def _account(
        self, batch: Batch, found: Losses, factor: float, clock: TrainedClock, seconds: float
    ) -> None:
        progress, means = self.progress, self._means
        means.add(found, batch.tokens, clock.count(seconds))
        if progress.step % self.plan.log_steps:
            return
        self._log(
            f"{progress.phase} step {progress.step}  {progress.minutes:.1f} min, "
            f"{max(0.0, self.plan.minutes - progress.minutes):.1f} left  "
            f"{progress.tokens / 1e6:.2f} M tokens, {means.rate():.0f}/s  "
            f"main {means.main:.3f}  mtp {means.mtp:.3f}  right {means.correct:.0%}  lr {factor:.3f}"
        )

    def state(self) -> TrainingState:
        """The run between two steps. Tensors are the run's own: save them before going on."""
        return TrainingState(
            config=self.config,
            tokenizer=self.tokenizer,
            network=self.network.state_dict(),
            optimisers=self.optimisers.state(),
            random=self._random.get_state(),
            seed=self.plan.seed,
            phase=self.progress.phase,
            step=self.progress.step,
            tokens=self.progress.tokens,
            documents=self.documents.taken,
            warmup_seconds=self.progress.warmup.seconds,
            corpus_seconds=self.progress.corpus.seconds,
        )

    def start_with(self, network: Mapping[str, Tensor]) -> None:
        """Begin the corpus phase with a trained network's state: there is no copying left to warm up."""
        self.network.load_state_dict(dict(network))
        self.progress.phase = CORPUS
        self.optimisers = Optimisers(self.network, CORPUS_RATES)

    def resume(self, state: TrainingState) -> None:
        """Go on from a state of the same seed, config and corpus."""
        if (state.seed, state.config) != (self.plan.seed, self.config):
            raise ValueError("the state is of another seed or model")
        self.network.load_state_dict(state.network)
        self.optimisers = Optimisers(self.network, WARMUP_RATES if state.phase == WARMUP else CORPUS_RATES)
        self.optimisers.load(state.optimisers)
        self._random.set_state(state.random)
        self.documents = Documents(self._open(state.documents), state.documents)
        self.progress = Progress(
            state.phase,
            state.step,
            state.tokens,
            TrainedClock(state.warmup_seconds),
            TrainedClock(state.corpus_seconds),
        )
