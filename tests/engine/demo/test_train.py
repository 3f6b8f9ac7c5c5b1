"""The trainer: it learns, it stops and goes on as if it had not, and its clock ignores pauses."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest
import torch

from engine.demo.batches import Documents, pack
from engine.demo.card import Measured, model_card
from engine.demo.objective import losses
from engine.demo.optimisers import CORPUS_RATES, Optimisers
from engine.demo.schedule import TrainedClock, mtp_weight, rate_factor
from engine.demo.shape import demo_json
from engine.demo.state import TrainingState
from engine.demo.trainer import CORPUS, WARMUP, Plan, Trainer
from tests.engine.demo.made import made_documents, made_tokenizer, small_json, small_network

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engine.demo.made import Made

PLAN = Plan(minutes=1e6, warmup_minutes=1e6, watch_minutes=1e6, batch_tokens=400, log_steps=1)


def documents(skip: int) -> Iterator[Made]:
    return islice(made_documents(), skip, None)


class StopsAt:
    """A log that stops its trainer after a number of lines, and keeps them."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.lines: list[str] = []
        self.trainer: Trainer | None = None

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        if len(self.lines) >= self.count and self.trainer:
            self.trainer.stopping = True

    def losses(self) -> list[str]:
        return [line.split("main")[1].split("lr")[0] for line in self.lines]


class Nobody:
    def watch(self, trainer: Trainer) -> None:
        raise AssertionError("too early")


def trained(steps: int, phase: str, state: TrainingState | None = None) -> tuple[Trainer, StopsAt]:
    log = StopsAt(steps)
    trainer = Trainer(PLAN, small_json(), made_tokenizer(), documents, log)
    log.trainer = trainer
    if state:
        trainer.resume(state)
    elif phase == CORPUS:
        trainer.progress.phase = phase
        trainer.optimisers = Optimisers(trainer.network, CORPUS_RATES)
    assert not trainer.run(Nobody())
    return trainer, log


def test_loss_falls_on_one_batch() -> None:
    network = small_network(torch.bfloat16).train()
    optimisers = Optimisers(network, CORPUS_RATES)
    batch = pack(Documents(made_documents()).take(400))
    found = []
    for _ in range(12):
        step = losses(network, batch, 0.3)
        step.joint.backward()
        optimisers.step(1.0)
        found.append(step)
    assert found[-1].main < 0.5 * found[0].main
    assert found[-1].mtp < 0.8 * found[0].mtp


@pytest.mark.parametrize("phase", [WARMUP, CORPUS])
def test_goes_on_as_if_it_had_not_stopped(phase: str, tmp_path: Path) -> None:
    whole, _ = trained(5, phase)
    first, _ = trained(3, phase)
    file = tmp_path / "state.pt"
    first.state().save(file)
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]
    second, log = trained(2, phase, TrainingState.load(file))
    assert len(log.lines) == 2
    assert second.progress.step == whole.progress.step == 5
    assert second.progress.tokens == whole.progress.tokens
    assert second.documents.taken == whole.documents.taken
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, second.network.state_dict()[name]), name


def test_refuses_a_state_of_another_seed(tmp_path: Path) -> None:
    first, _ = trained(1, CORPUS)
    first.state().save(tmp_path / "state.pt")
    other = Trainer(Plan(seed=1), small_json(), made_tokenizer(), documents, print)
    with pytest.raises(ValueError, match="another seed"):
        other.resume(TrainingState.load(tmp_path / "state.pt"))


def test_warmup_gives_way_when_its_time_is_up() -> None:
    log = StopsAt(1)
    trainer = Trainer(Plan(warmup_minutes=0, batch_tokens=200), small_json(), "", documents, log)
    log.trainer = trainer
    trainer.run(Nobody())
    assert "does not copy yet" in log.lines[0]
    assert (trainer.progress.phase, trainer.progress.step) == (CORPUS, 0)


def test_clock_ignores_pauses() -> None:
    clock = TrainedClock()
    for _ in range(10):
        clock.count(1.0)
    assert clock.count(3600.0) == 3.0
    assert clock.seconds == 13.0


def test_schedule() -> None:
    assert rate_factor(0, 0.0) == pytest.approx(1 / 30)
    assert rate_factor(100, 0.3) == 1.0
    assert rate_factor(100, 0.675) == pytest.approx(0.5)
    assert rate_factor(100, 1.0) == 0.02
    assert (mtp_weight(0.1), mtp_weight(0.6)) == (0.3, 0.2)


def test_card_states_only_what_was_measured() -> None:
    bare = model_card(demo_json(), "fp8", Measured())
    assert "Measured" not in bare
    assert "Training" not in bare
    full = model_card(
        demo_json(),
        "fp8",
        Measured(
            heldout_loss=0.4,
            acceptance=(0.9, 0.5),
            mean_length=2.3,
            skills=(("sum", 17, 20),),
            countries=("France",),
            training_minutes=100,
        ),
    )
    for part in ("0.400", "0.90 / 0.50", "2.30", "17 of 20", "France", "100 minutes", "at depth 2"):
        assert part in full
