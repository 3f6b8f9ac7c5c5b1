"""Engines whose weights do not fit: the same bits as with all in RAM, and an end to everything that fails."""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine import Lane, LaneEvent, LanesFinished, load
from engine.checkpoint.checkpoint import open_checkpoint
from engine.checkpoint.source import FileSource
from engine.errors import CheckpointError
from engine.events import (
    Drafted,
    Finished,
    FinishReason,
    Origin,
    Phase,
    Prefilled,
    Prefilling,
    Verified,
    Waiting,
)
from engine.model.steps import finish
from engine.options import Mode
from tests.engine.decoding.replies import Outcome, options, reply
from tests.engine.offload.sources import PATIENCE
from tests.engine.tiny import SPECS, TinySpec, partly_right_spec, sample_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from engine import Engine
    from engine.events import Event

    Tiny = Callable[[TinySpec], Path]
    Rows = np.ndarray[Any, np.dtype[np.float32]]

CONTEXT = 420
MODELS: dict[str, TinySpec] = {
    **{
        name: SPECS[name]
        for name in ("FP8", "FP8_WIDE", "E8M0", "MIXED", "BF16", "TIED", "NO_MTP", "Q_LORA_NULL")
    },
    "RIGHT": partly_right_spec(),
}
DRAFTING = "RIGHT"
"""The one whose drafts are accepted part of the time."""
WAYS = [("mtp", 0), ("mtp", 1), ("mtp", 2), ("mtp", 3), ("mtp", 4), ("ordinary", 2), ("ngram", 3)]


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where hot sets go: never into the user's own."""
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_: str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def opened(tiny: Tiny) -> Iterator[Callable[..., Engine]]:
    """Opens a model of MODELS, or a folder, within a budget: a share of the way from the least to all."""
    engines: list[Engine] = []

    def opened(model: str | Path, share: float | None = None, **values: object) -> Engine:
        folder = tiny(MODELS[model]) if isinstance(model, str) else model
        least, most = budgets(folder)
        ram = None if share is None else round(least + share * (most - least))
        kwargs: dict[str, object] = {"context": CONTEXT, "threads": 1, **values}
        engines.append(load(folder, ram=ram, **kwargs))  # type: ignore[arg-type]
        return engines[-1]

    yield opened
    for engine in engines:
        engine.close()
    assert reading_threads() == []


@cache
def budgets(folder: Path) -> tuple[int, int]:
    """The least budget that works, and what everything takes."""
    with load(folder, context=CONTEXT, threads=1) as engine:
        assert engine.home.plan.holds_everything
        return engine.home.plan.least_bytes, engine.home.plan.planned_bytes


def reading_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("read-")]


def text_of(outcome: Outcome) -> list[tuple[int, float | None]]:
    """What the text is, to the bit, however it was drafted."""
    return [(token.id, token.logprob) for event in outcome.verified for token in event.tokens]


def assert_same_bits(a: Rows, b: Rows) -> None:
    assert a.shape == b.shape
    assert np.array_equal(a.view(np.int32), b.view(np.int32))


@pytest.mark.parametrize("model", MODELS)
def test_logits_are_the_same_bits_in_any_budget_and_any_chunks(
    model: str, opened: Callable[..., Engine]
) -> None:
    ids = sample_ids(MODELS[model], 400)
    assert len(ids) * MODELS[model].num_experts_per_tok > 1024 or model == DRAFTING, "experts in order"
    whole = opened(model).logits(ids)
    assert np.isfinite(whole).all()
    least = opened(model, 0.0)
    assert least.home.plan.slots == 2
    assert not least.home.plan.pinned
    assert not least.home.plan.embedding_pinned
    assert_same_bits(least.logits(ids), whole)
    assert_same_bits(least.logits(ids[:140], chunk=7), whole[:140])
    rng = random.Random(model)
    for share in (rng.random(), rng.random() ** 3):
        some = opened(model, share, readers=rng.choice((1, 4)))
        assert not some.home.plan.holds_everything
        assert_same_bits(some.logits(ids), whole)
        assert_same_bits(some.logits(ids[:70], chunk=7), whole[:70])


def can_read_direct(engine: Engine) -> bool:
    from engine.offload.measure import direct_works

    checkpoint = engine.home._checkpoint
    return direct_works(checkpoint.source, checkpoint.shards[0])


@pytest.mark.parametrize("model", [DRAFTING, "FP8", "TIED", "BF16"])
@pytest.mark.parametrize("sampled", [False, True])
def test_replies_are_the_same_at_every_depth_mode_budget_and_reader(
    model: str, sampled: bool, opened: Callable[..., Engine]
) -> None:
    values: dict[str, object] = {"max_tokens": 20}
    if sampled:
        values |= {"temperature": 0.8, "top_p": 0.95, "seed": 5}
    ids = sample_ids(MODELS[model], 12)
    whole = opened(model)
    alone = text_of(reply(whole, ids, mode="ordinary", depth=0, **values))
    assert len(alone) == 20
    positions = set()
    rng = random.Random(model)
    for share, readers, direct in [
        (0.0, 1, False),
        (0.0, 4, True),
        (rng.random() / 3, 4, False),
        (rng.random(), 1, True),
    ]:
        engine = opened(model, share, readers=readers, direct=direct and can_read_direct(whole))
        for mode, depth in WAYS if model == DRAFTING else WAYS[::3]:
            outcome = reply(engine, ids, mode=mode, depth=depth, **values)
            assert text_of(outcome) == alone
            assert outcome.bits == reply(whole, ids, mode=mode, depth=depth, **values).bits
            positions |= {token.position for event in outcome.verified for token in event.tokens}
    if model == DRAFTING:
        assert positions >= {0, 1, 2}


def test_rejection_is_the_same_in_any_budget(opened: Callable[..., Engine]) -> None:
    values = {"temperature": 0.9, "seed": 3, "depth": 3, "accept": "rejection"}
    ids = sample_ids(MODELS[DRAFTING], 12)
    assert reply(opened(DRAFTING, 0.0), ids, **values).bits == reply(opened(DRAFTING), ids, **values).bits


def test_drafts_are_the_same_in_any_budget(opened: Callable[..., Engine]) -> None:
    ids = sample_ids(MODELS["FP8"], 300)
    drafts, rows = opened("FP8").draft(ids, 3)
    for share in (0.0, 0.4):
        others, other_rows = opened("FP8", share).draft(ids, 3)
        assert others == drafts
        assert_same_bits(other_rows, rows)


def test_a_kept_conversation_is_as_good_as_a_new_one(opened: Callable[..., Engine]) -> None:
    engine, ids = opened(DRAFTING, 0.1), sample_ids(MODELS[DRAFTING], 30)
    first = reply(engine, ids, depth=2)
    longer = [*ids, *first.ids, 17, 33]
    second = reply(engine, longer, depth=2)
    assert second.prefilled.reused_tokens > 30
    assert text_of(second) == text_of(reply(opened(DRAFTING), longer, depth=0))


def test_what_is_counted_is_what_was_done(opened: Callable[..., Engine]) -> None:
    spec = MODELS[DRAFTING]
    whole, some = opened(DRAFTING), opened(DRAFTING, 0.3, readers=4, direct=False)
    outcomes = [reply(engine, sample_ids(spec, 12), depth=2, detail=True) for engine in (whole, some)]
    for in_ram, moved in zip(outcomes[0].verified, outcomes[1].verified, strict=True):
        assert (in_ram.expert_uses, in_ram.bytes_read, in_ram.wait_seconds) == (0, 0, 0)
        assert moved.expert_uses == moved.expert_hits + moved.expert_loads
        assert moved.expert_hits >= moved.prefetch_used
        if moved.round and not moved.depth:
            assert moved.expert_uses == 2 * spec.num_experts_per_tok
    total = sum(event.bytes_read for event in outcomes[1].verified)
    assert 0 < total <= some.home.traffic().bytes_read
    assert some.reading_seconds > 0
    assert sum(event.expert_hits for event in outcomes[1].verified) > 0
    assert len(some.home.resident_experts()) <= some.home.plan.slots
    assert len(whole.home.resident_experts()) == whole.home.plan.expert_count


class HeldSource(FileSource):
    """Local files whose reads, those of the reader's threads, stand still while the test holds them."""

    made: list[HeldSource]

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None
        self.standing = threading.Event()
        self._going = threading.Event()
        self._going.set()
        HeldSource.made.append(self)

    def hold(self) -> None:
        self.standing.clear()
        self._going.clear()

    def go_on(self) -> None:
        self._going.set()

    @property
    def holds(self) -> bool:
        return not self._going.is_set()

    def read_into(self, file: Path, offset: int, buffer: memoryview) -> None:
        if threading.current_thread().name.startswith("read-"):
            if self.holds:
                self.standing.set()
            assert self._going.wait(PATIENCE), "nobody let the reads go on"
            if self.error is not None:
                raise self.error
        super().read_into(file, offset, buffer)

    def read_now(self, file: Path, offset: int, buffer: memoryview) -> bool:
        return False


@pytest.fixture
def held(
    monkeypatch: pytest.MonkeyPatch, opened: Callable[..., Engine]
) -> Iterator[Callable[..., tuple[Engine, HeldSource]]]:
    """Opens engines whose reads can be held."""
    HeldSource.made = []

    def make(*args: object, **values: object) -> tuple[Engine, HeldSource]:
        with monkeypatch.context() as patch:
            patch.setattr("engine.checkpoint.checkpoint.FileSource", HeldSource)
            engine = opened(*args, readers=1, direct=False, **values)
        source = HeldSource.made[-1]
        assert engine.home._checkpoint.source is source
        return engine, source

    yield make
    for source in HeldSource.made:
        source.go_on()


class SteppedClock:
    """Runs on as time does, and leaps ahead when the test says so."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def step(self, seconds: float) -> None:
        self._ahead += seconds

    def perf_counter(self) -> float:
        return time.perf_counter() + self._ahead


@dataclass
class At:
    """Does something once, after the given number of rounds."""

    rounds: int
    act: Callable[[], object]

    def __call__(self, event: Event) -> None:
        if isinstance(event, Verified) and event.round == self.rounds:
            self.act()


def events_of(
    engine: Engine, ids: Sequence[int], watch: Callable[[Event], object], **values: object
) -> Outcome:
    """A reply, event by event."""
    events = []
    for event in engine.generate(ids, options(**values)):
        events.append(event)
        watch(event)
    return Outcome(tuple(events))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("share", [0.0, 0.25])
@pytest.mark.parametrize("depth", [0, 2])
def test_a_cancel_is_noticed_while_a_read_stands_still(
    share: float, depth: int, held: Callable[..., tuple[Engine, HeldSource]], opened: Callable[..., Engine]
) -> None:
    engine, source = held(DRAFTING, share)
    ids = sample_ids(MODELS[DRAFTING], 12)
    right = text_of(reply(opened(DRAFTING), ids, depth=depth))

    def cancel() -> None:
        assert source.standing.wait(PATIENCE)
        engine.controls.cancel()

    for rounds in (0, 3):
        canceller = threading.Thread(target=cancel)

        def hold(canceller: threading.Thread = canceller) -> None:
            source.hold()
            canceller.start()

        outcome = events_of(engine, ids, At(rounds, hold), depth=depth)
        assert source.holds, "it did not wait for the drive"
        assert outcome.finished.reason is FinishReason.CANCELLED
        kept = text_of(outcome)
        assert kept == right[: len(kept)]
        assert outcome.finished.tokens == len(kept) > 0
        source.go_on()
        canceller.join()
        assert reply(engine, ids, depth=depth).bits == reply(opened(DRAFTING), ids, depth=depth).bits


@pytest.mark.timeout(60)
def test_a_cancel_is_noticed_while_the_prompt_waits(
    held: Callable[..., tuple[Engine, HeldSource]],
    opened: Callable[..., Engine],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engine.decoding.progress.PROGRESS_SECONDS", 0.0)
    engine, source = held("FP8", 0.0)
    ids = sample_ids(MODELS["FP8"], 300)
    source.hold()
    seen = []
    for event in engine.generate(ids, options()):
        seen.append(event)
        engine.controls.cancel()
    assert source.holds
    assert isinstance(seen[0], Prefilling), "it says where it stands"
    assert isinstance(seen[-1], Finished)
    assert seen[-1].reason is FinishReason.CANCELLED
    source.go_on()
    assert text_of(reply(engine, ids)) == text_of(reply(opened("FP8"), ids))


@pytest.mark.timeout(60)
def test_standing_still_for_the_drive_is_told(
    held: Callable[..., tuple[Engine, HeldSource]],
    opened: Callable[..., Engine],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engine.decoding.progress.WAITING_SECONDS", 0.0)
    monkeypatch.setattr("engine.offload.waiting.HEARTBEAT_SECONDS", 0.01)
    engine, source = held(DRAFTING, 0.0)
    ids = sample_ids(MODELS[DRAFTING], 12)
    waits: list[Waiting] = []

    def watch(event: Event) -> None:
        if isinstance(event, Verified) and event.round == 2:
            source.hold()
        if isinstance(event, Waiting) and source.holds:
            waits.append(event)
            if len(waits) == 3:
                source.go_on()

    outcome = events_of(engine, ids, watch, depth=0)
    assert len(waits) >= 3
    first, second, third = waits[:3]
    assert first.round == second.round == third.round == 3
    assert first.layer <= second.layer <= third.layer < third.layers == MODELS[DRAFTING].num_hidden_layers
    assert 0 < second.seconds < third.seconds
    assert outcome.finished.reason is FinishReason.LENGTH
    assert text_of(outcome) == text_of(reply(opened(DRAFTING), ids, depth=0))


@pytest.mark.timeout(60)
def test_a_round_stands_still_in_every_phase_and_says_in_which(
    held: Callable[..., tuple[Engine, HeldSource]],
    opened: Callable[..., Engine],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engine.decoding.progress.WAITING_SECONDS", 0.0)
    monkeypatch.setattr("engine.offload.waiting.HEARTBEAT_SECONDS", 0.01)
    clock = SteppedClock()
    monkeypatch.setattr("engine.decoding.reply.time", clock)
    engine, source = held(DRAFTING, 0.0)
    ids = sample_ids(MODELS[DRAFTING], 12)
    phases: list[tuple[int, Phase, int]] = []

    def watch(event: Event) -> None:
        # Round 1 begins with the prompt's rows, round 2 with drafting.
        if (isinstance(event, Verified) and event.round < 2) or isinstance(event, Drafted):
            source.hold()
        if isinstance(event, Waiting) and source.holds:
            phases.append((event.round, event.phase, event.layers))
            assert event.layer < event.layers
            clock.step(1000.0)
            source.go_on()

    outcome = events_of(engine, ids, watch, depth=2)
    layers = MODELS[DRAFTING].num_hidden_layers
    assert phases[:4] == [
        (1, Phase.CATCHING_UP, 1),
        (1, Phase.VERIFYING, layers),
        (2, Phase.DRAFTING, 1),
        (2, Phase.VERIFYING, layers),
    ]
    for event in outcome.verified:  # time that was not the engine's is in no figure
        assert event.draft_seconds + event.catchup_seconds + event.verify_seconds < 1000.0
    assert outcome.finished.seconds < 1000.0
    assert outcome.verified[1].catchup_seconds > 0
    assert text_of(outcome) == text_of(reply(opened(DRAFTING), ids, depth=2))


@pytest.mark.timeout(60)
def test_a_comparison_tells_that_it_stands_still_while_catching_up(
    held: Callable[..., tuple[Engine, HeldSource]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.decoding.progress.WAITING_SECONDS", 0.0)
    monkeypatch.setattr("engine.offload.waiting.HEARTBEAT_SECONDS", 0.01)
    engine, source = held(DRAFTING, 0.0)
    ids = sample_ids(MODELS[DRAFTING], 12)
    waits: list[Waiting] = []
    for news in engine.compare(ids, (Lane(Mode.ORDINARY, 0), Lane(Mode.MTP, 2)), options(max_tokens=4)):
        if isinstance(news, LaneEvent) and news.lane is None:
            if isinstance(news.event, Prefilled):
                source.hold()
            elif isinstance(news.event, Waiting):
                waits.append(news.event)
                source.go_on()
    assert waits[0].phase is Phase.CATCHING_UP
    assert news == LanesFinished(complete=True)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("rounds", [0, 1])
def test_a_cancel_is_noticed_while_catching_up_and_drafting(
    rounds: int,
    held: Callable[..., tuple[Engine, HeldSource]],
    opened: Callable[..., Engine],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engine.decoding.progress.WAITING_SECONDS", 0.0)
    engine, source = held(DRAFTING, 0.0)
    ids = sample_ids(MODELS[DRAFTING], 12)

    def watch(event: Event) -> None:
        if isinstance(event, Verified) and event.round == rounds:
            source.hold()
        if isinstance(event, Waiting) and source.holds:
            assert event.phase is (Phase.DRAFTING if rounds else Phase.CATCHING_UP)
            engine.controls.cancel()

    outcome = events_of(engine, ids, watch, depth=2)
    assert source.holds, "it did not wait for the drive"
    assert outcome.finished.reason is FinishReason.CANCELLED
    assert outcome.verified[-1].round == rounds
    source.go_on()
    assert reply(engine, ids, depth=2).bits == reply(opened(DRAFTING), ids, depth=2).bits


def test_a_prompts_tokens_are_read_once_each_and_counted(opened: Callable[..., Engine]) -> None:
    spec = MODELS["FP8"]
    engine = opened("FP8", 0.0)
    assert not engine.home.plan.embedding_pinned
    few, many = [5, 9, 7], [5, 9, 7] * 60
    engine.logits(few)
    engine.home._reader.drain()
    record = engine.home.inventory.embedding
    row_bytes = record.bytes // record.shape[0]
    for ids in (few, many):
        before = engine.home.traffic()
        assert finish(engine._decoder.model.embed(ids)).shape == (len(ids), spec.hidden_size)
        moved = engine.home.traffic() - before
        assert moved.bytes_read == 3 * row_bytes


@pytest.mark.timeout(60)
def test_an_abandoned_reply_leaves_an_engine_that_works(
    held: Callable[..., tuple[Engine, HeldSource]],
    opened: Callable[..., Engine],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engine.decoding.progress.WAITING_SECONDS", 0.0)
    monkeypatch.setattr("engine.offload.waiting.HEARTBEAT_SECONDS", 0.01)
    engine, source = held(DRAFTING, 0.1)
    ids = sample_ids(MODELS[DRAFTING], 12)
    events = engine.generate(ids, options(depth=0))
    for event in events:
        if isinstance(event, Verified) and event.round == 2:
            source.hold()
        if isinstance(event, Waiting) and source.holds:
            break
    events.close()  # type: ignore[attr-defined]
    source.go_on()
    assert reply(engine, ids, depth=2).bits == reply(opened(DRAFTING), ids, depth=2).bits


@pytest.mark.parametrize("share", [0.0, 0.2])
@pytest.mark.parametrize("depth", [0, 3])
def test_a_drive_that_fails_ends_the_reply_and_a_mended_one_goes_on(
    share: float, depth: int, held: Callable[..., tuple[Engine, HeldSource]], opened: Callable[..., Engine]
) -> None:
    engine, source = held(DRAFTING, share)
    ids = sample_ids(MODELS[DRAFTING], 12)
    right = reply(opened(DRAFTING), ids, depth=depth)

    def fail() -> None:
        source.error = OSError(5, "Input/output error")

    for rounds in (2, 4):
        outcome = events_of(engine, ids, At(rounds, fail), depth=depth)
        assert outcome.finished.reason is FinishReason.ERROR
        assert "Input/output error" in (outcome.finished.message or "")
        assert ".safetensors" in (outcome.finished.message or "")
        kept = text_of(outcome)
        assert kept == text_of(right)[: len(kept)]
        assert outcome.finished.tokens == len(kept) >= rounds
        source.error = None
        assert reply(engine, ids, depth=depth).bits == right.bits


@pytest.mark.parametrize("model", [DRAFTING, "BF16"])
@pytest.mark.parametrize("depth", [0, 2])
def test_a_shard_cut_in_use_ends_the_reply_with_its_name(
    model: str, depth: int, tiny: Tiny, tmp_path: Path, opened: Callable[..., Engine]
) -> None:
    folder = shutil.copytree(tiny(MODELS[model]), tmp_path / "copy")
    with open_checkpoint(folder) as checkpoint:
        shard = checkpoint.record("model.layers.1.mlp.experts.0.down_proj.weight").shard
    whole = shard.read_bytes()
    ids = sample_ids(MODELS[model], 12)
    right = reply(opened(model), ids, depth=depth)
    engine = opened(folder, 0.0)
    outcome = events_of(engine, ids, At(3, lambda: os.truncate(shard, 5000)), depth=depth)
    assert outcome.finished.reason is FinishReason.ERROR
    assert shard.name in (outcome.finished.message or "")
    assert "tokens are kept" in (outcome.finished.message or "")
    kept = text_of(outcome)
    assert kept == text_of(right)[: len(kept)]
    assert outcome.finished.tokens == len(kept) >= 4
    with pytest.raises(CheckpointError, match=shard.name):
        engine.logits(ids)
    shard.write_bytes(whole)
    assert reply(engine, ids, depth=depth).bits == right.bits


def test_two_engines_share_a_checkpoint(opened: Callable[..., Engine]) -> None:
    prompts = [sample_ids(MODELS[DRAFTING], count) for count in (12, 17)]
    right = [text_of(reply(opened(DRAFTING), ids, depth=2)) for ids in prompts]
    engines = [opened(DRAFTING, share) for share in (0.0, 0.2)]
    replies = [engine.generate(ids, options(depth=2)) for engine, ids in zip(engines, prompts, strict=True)]
    seen: list[list[Event]] = [[], []]
    for pair in zip(*replies, strict=False):
        for events, event in zip(seen, pair, strict=True):
            events.append(event)
    for events, rest in zip(seen, replies, strict=True):
        events += rest
    assert [text_of(Outcome(tuple(events))) for events in seen] == right
    engines[0].close()
    assert text_of(reply(engines[1], prompts[0], depth=2)) == right[0]


def test_closing_leaves_no_thread_and_nothing_that_hangs(
    opened: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.offload.reader.AT_ONCE_BYTES", 0)
    engine = opened(DRAFTING, 0.0, readers=4)
    ids = sample_ids(MODELS[DRAFTING], 12)
    events = engine.generate(ids, options(depth=2))
    for event in events:
        if isinstance(event, Verified) and event.round == 2:
            break
    assert len(reading_threads()) == 4
    engine.close()
    assert reading_threads() == []
    *_, last = events
    assert isinstance(last, Finished)
    assert last.reason is FinishReason.CANCELLED
    outcome = Outcome(tuple(engine.generate(ids, options(depth=2))))
    assert reading_threads() == []
    assert outcome.finished.reason is FinishReason.ERROR
    assert "closed" in (outcome.finished.message or "")
    engine.close()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("length", [12, 400])
def test_closing_under_a_pass_that_waits_ends_it(
    length: int, held: Callable[..., tuple[Engine, HeldSource]]
) -> None:
    engine, source = held("FP8", 0.0)
    source.hold()

    def close() -> None:
        assert source.standing.wait(PATIENCE)
        closing = threading.Thread(target=engine.close)
        closing.start()
        source.go_on()
        closing.join(PATIENCE)

    closer = threading.Thread(target=close)
    closer.start()
    outcome = Outcome(tuple(engine.generate(sample_ids(MODELS["FP8"], length), options())))
    closer.join()
    assert outcome.finished.reason in (FinishReason.CANCELLED, FinishReason.ERROR)
    assert reading_threads() == []


def test_hot_experts_are_remembered_and_read_at_the_start(
    opened: Callable[..., Engine], cache_folder: Path
) -> None:
    ids = sample_ids(MODELS[DRAFTING], 12)
    engine = opened(DRAFTING, 0.3)
    assert engine.home.resident_experts() == ()
    first = reply(engine, ids, depth=2)
    engine.close()
    (file,) = (cache_folder / "experts").iterdir()
    shares = engine.home._hot_set.load()
    assert shares
    again = opened(DRAFTING, 0.3)
    again.home._reader.drain()
    hottest = sorted(shares, key=lambda key: (-shares[key], key))[: again.home.plan.slots]
    assert set(again.home.resident_experts()) == set(hottest)
    second = reply(again, ids, depth=2)
    assert second.bits == first.bits
    prompt = (first.verified[0], second.verified[0])
    assert prompt[1].expert_hits > prompt[0].expert_hits
    file.write_text('{"experts": [[77, 5, 0.5], [1, 999, 0.5], [1, 0, 1.0]]}')
    misled = opened(DRAFTING, 0.3)
    assert reply(misled, ids, depth=2).bits == first.bits
    misled.close()
    assert (77, 5) not in misled.home._hot_set.load()


def test_with_everything_in_ram_nothing_is_remembered(
    opened: Callable[..., Engine], cache_folder: Path
) -> None:
    engine = opened(DRAFTING)
    outcome = reply(engine, sample_ids(MODELS[DRAFTING], 12), depth=2)
    engine.close()
    assert Origin.ACCEPTED in {token.origin for event in outcome.verified for token in event.tokens}
    assert not cache_folder.exists()
