"""One training run in a folder: its log, its states, its probes and its final checkpoint."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

import tokenizers
import torch

from engine.demo.batches import encoded
from engine.demo.card import Measured
from engine.demo.corpus import chats, countries
from engine.demo.export import export
from engine.demo.probe import Probed, probe
from engine.demo.reopen import reopen
from engine.demo.shape import demo_json
from engine.demo.state import STATE_FILE, TrainingState
from engine.demo.tokens import encode, train_tokenizer
from engine.demo.trainer import Plan, Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

    from engine.demo.batches import Document

TOKENIZER_CHATS = 20_000
HELDOUT_SEED = 1_000_003
"""Added to the run's seed for chats and cases that training never sees."""
HELDOUT_CHATS = 48
FINAL_COUNT, FINAL_SECONDS = 20, 120.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command was given."""

    out: Path
    minutes: float
    warmup_minutes: float
    probe_minutes: float
    seed: int
    threads: int
    resume: bool
    start: Path | None = None
    """An exported checkpoint whose weights and tokenizer to start with; it has learned to copy already."""
    rate: float = 1.0
    """Factor of all learning rates."""


class _Log:
    """Lines on stdout and in a file, which stays with the model as the record of its training."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self, line: str) -> None:
        print(line, flush=True)
        with self._file.open("a", encoding="utf-8") as stream:
            stream.write(f"{line}\n")


class _Keeper:
    """Saves a state every few minutes and probes its export."""

    def __init__(self, settings: Settings, log: Callable[[str], None]) -> None:
        self._settings = settings
        self._log = log
        self._heldout: list[Document] = []
        self.last: Probed | None = None

    def watch(self, trainer: Trainer) -> None:
        self.save(trainer)
        self.last = self.probe(trainer, self._settings.out / "probe", 10, 30.0)

    def save(self, trainer: Trainer) -> None:
        trainer.state().save(self._settings.out / STATE_FILE)

    def probe(self, trainer: Trainer, folder: Path, count: int, seconds: float) -> Probed | None:
        """Export to the folder and measure; a probe that fails is reported and costs no training."""
        seed = self._settings.seed + HELDOUT_SEED
        try:
            if not self._heldout:
                tokenizer = tokenizers.Tokenizer.from_str(trainer.tokenizer)
                held = encoded(chats(seed), lambda chat: encode(tokenizer, chat))
                self._heldout = list(islice(held, HELDOUT_CHATS))
            export(trainer.config, trainer.network.state_dict(), trainer.tokenizer, folder)
            found = probe(folder, self._heldout, seed, self._settings.threads, count, seconds)
        except Exception as error:  # hours of training must not end for a probe
            print(f"PROBE failed: {error}", flush=True)  # may hold paths, which the record must not
            self._log(f"PROBE failed: {type(error).__name__}")
            return None
        for line in found.lines():
            self._log(line)
        return found


def run(settings: Settings) -> None:
    """Train, from the start or from the folder's state, to the final checkpoint."""
    torch.set_num_threads(settings.threads)
    settings.out.mkdir(parents=True, exist_ok=True)
    state_file = settings.out / STATE_FILE
    saved = TrainingState.load(state_file) if settings.resume else None
    log = _Log(settings.out / "train.log")
    reopened = reopen(settings.start) if settings.start and not saved else None
    begun = saved or reopened
    text = begun.tokenizer if begun else _new_tokenizer(settings.seed)
    tokenizer = tokenizers.Tokenizer.from_str(text)

    def documents(skip: int) -> Iterator[Document]:
        return encoded(chats(settings.seed), lambda chat: encode(tokenizer, chat), skip)

    plan = Plan(
        minutes=settings.minutes,
        warmup_minutes=settings.warmup_minutes,
        watch_minutes=settings.probe_minutes,
        seed=settings.seed,
        rate=settings.rate,
    )
    config = begun.config if begun else demo_json()
    trainer = Trainer(plan, config, text, documents, log)
    if saved:
        trainer.resume(saved)
        log(f"resumed at {trainer.progress.phase} step {trainer.progress.step}")
    else:
        if reopened:
            trainer.start_with(reopened.network)
            log(
                f"starts with the weights of a trained checkpoint, all learning rates times {settings.rate:g}"
            )
        parameters = sum(parameter.numel() for parameter in trainer.network.parameters())
        log(f"config {json.dumps(config, sort_keys=True)}")
        log(
            f"seed {settings.seed}, corpus seed {settings.seed}, "
            f"held-out seed {settings.seed + HELDOUT_SEED}, {settings.minutes:g} minutes, "
            f"{plan.batch_tokens} tokens a step, {parameters:,} parameters, "
            f"torch {torch.__version__}, {settings.threads} threads"
        )

    def stop(_signal: int, _frame: FrameType | None) -> None:
        trainer.stopping = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    keeper = _Keeper(settings, log)
    finished = trainer.run(keeper)
    keeper.save(trainer)
    if not finished:
        log(f"stopped at {trainer.progress.phase} step {trainer.progress.step}; state saved")
        print(
            f"Go on with: python -m engine.demo.train --resume {' '.join(_others(sys.argv[1:]))}", flush=True
        )
        return
    _finish(settings, trainer, keeper, log)


def _finish(settings: Settings, trainer: Trainer, keeper: _Keeper, log: Callable[[str], None]) -> None:
    """Export, measure the export, and export again with the figures on its card."""
    folder = settings.out / "checkpoint"
    found = keeper.probe(trainer, folder, FINAL_COUNT, FINAL_SECONDS)
    progress = trainer.progress
    measured = Measured(
        heldout_loss=found.loss if found else None,
        acceptance=found.acceptance if found else (),
        mean_length=found.mean_length if found else None,
        skills=found.skills if found else (),
        countries=tuple(country for country, _ in countries()),
        training_minutes=progress.minutes,
        training_tokens=progress.tokens,
    )
    network = trainer.network.state_dict()
    size = export(trainer.config, network, trainer.tokenizer, folder, measured=measured)
    loss = f"held-out loss {found.loss:.4f}, " if found else ""
    log(
        f"FINAL {loss}{progress.step} corpus steps, {progress.tokens:,} tokens, "
        f"{progress.minutes:.1f} min, {size / 1e6:.1f} MB"
    )


def _new_tokenizer(seed: int) -> str:
    size = demo_json()["vocab_size"]
    assert isinstance(size, int)
    first = islice(chats(seed), TOKENIZER_CHATS)
    texts = chain.from_iterable((message.content for message in chat.messages) for chat in first)
    text: str = train_tokenizer(texts, size).to_str()
    return text


def _others(arguments: list[str]) -> list[str]:
    return [argument for argument in arguments if argument != "--resume"]
