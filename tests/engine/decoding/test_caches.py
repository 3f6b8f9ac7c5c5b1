"""Whatever was changed, cancelled or edited before, an engine goes on as a fresh one would, to the bit.

A fresh engine's events hold the drafts' log probabilities, so equal events mean that MTP rows are right too.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.decoding.controls import Controls
from engine.events import Drafted, FinishReason, Prefilled, Prefilling, Verified
from engine.model.mtp import MtpModule
from tests.engine.decoding.conftest import MODELS
from tests.engine.decoding.replies import (
    BASE,
    Outcome,
    check_shape,
    options,
    plain,
    repetitive,
    reply,
    watched,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from engine import Engine
    from engine.events import Event
    from engine.model.steps import Steps

LAYERS = 3
SOME = settings(deadline=None, max_examples=12, derandomize=True, database=None)

changes = st.tuples(st.integers(0, 8), st.sampled_from(["ordinary", "mtp", "ngram"]))
samplings = st.sampled_from([{}, {"temperature": 0.8, "seed": 5}, {"temperature": 1.0, "top_p": 0.7}])


@contextmanager
def cancelling_at(checks: int) -> Iterator[list[int]]:
    """Cancel when the engine asks for the n-th time whether it is cancelled, as before each layer it does."""
    left = [checks]

    def cancelled(self: Controls) -> bool:
        left[0] -= 1
        if left[0] == 0:
            self.cancel()
        return self._cancelled

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Controls, "cancelled", property(cancelled))
        yield left


def common_prefix(old: Sequence[int], new: Sequence[int]) -> int:
    """How many tokens two texts begin with alike."""
    return next(
        (i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new))
    )


def check_like_fresh(engine: Engine, other: Engine, prompt: Sequence[int], **values: object) -> None:
    """Assert that an engine decodes as one does whose caches are empty."""
    outcome = reply(engine, prompt, **values)
    expected = reply(other, prompt, **values)
    assert expected.prefilled.reused_tokens == 0
    assert outcome.ids == expected.ids
    assert outcome.bits == expected.bits


class Changing:
    """Sets the next depth and mode between two events, and starts again when it has used them all."""

    def __init__(self, engine: Engine, plan: Sequence[tuple[int, str]], between_rounds: bool) -> None:
        self._engine, self._plan, self._between_rounds = engine, plan, between_rounds
        self._turn = 0

    def __call__(self, event: Event) -> bool:
        if self._plan and isinstance(event, Verified) is self._between_rounds:
            self._engine.controls.depth, self._engine.controls.mode = self._plan[self._turn % len(self._plan)]
            self._turn += 1
        return True


@pytest.mark.parametrize("name", MODELS)
@SOME
@given(plan=st.lists(changes, min_size=1, max_size=12), between_rounds=st.booleans(), sampling=samplings)
def test_depth_and_mode_may_change_at_any_time(
    name: str,
    plan: list[tuple[int, str]],
    between_rounds: bool,
    sampling: dict[str, float],
    engine_of: Callable[[str], Engine],
    fresh: Callable[..., Engine],
) -> None:
    engine = engine_of(name)
    prompt = repetitive(engine)
    text = plain(engine, prompt, **sampling)
    engine.logits([1])
    changing = Changing(engine, plan, between_rounds)
    outcome = watched(engine, prompt, changing, **sampling)
    assert outcome.ids == text
    check_shape(outcome)
    check_like_fresh(engine, fresh(name), [*prompt, *text], depth=5, max_tokens=20, **sampling)


def test_a_change_holds_from_the_next_round(engine: Engine) -> None:
    plan = [(3, "mtp"), (0, "mtp"), (5, "mtp"), (4, "ordinary"), (1, "mtp"), (2, "ngram")]
    outcome = watched(engine, repetitive(engine), Changing(engine, plan, between_rounds=True), depth=8)
    for number, event in enumerate(outcome.verified[1:]):
        depth, mode = plan[number % len(plan)]
        assert event.mode == mode
        assert event.depth <= depth
        if mode == "mtp" and number < len(outcome.verified) - 12:  # else the end is near
            assert event.depth == depth
        if mode == "ordinary":
            assert event.depth == 0


def test_a_change_in_a_round_does_not_touch_it(engine: Engine) -> None:
    def between(event: Event) -> bool:
        if isinstance(event, Drafted):
            engine.controls.depth, engine.controls.mode = 0, "ordinary"
        elif isinstance(event, Verified):
            engine.controls.depth, engine.controls.mode = 3, "mtp"
        return True

    outcome = watched(engine, BASE, between)
    assert outcome.ids == plain(engine, BASE)
    check_shape(outcome)
    assert all((event.mode, event.depth) == ("mtp", 3) for event in outcome.verified[1:-4])


def mtp_passes(monkeypatch: pytest.MonkeyPatch) -> list[range]:
    """The rows of every pass through the MTP layer from now on."""
    passes: list[range] = []
    forward = MtpModule.forward

    def spied(
        self: MtpModule, next_ids: Sequence[int], hidden: Tensor, start: int, cache: Tensor
    ) -> Steps[Tensor]:
        assert len(next_ids) == len(hidden)
        passes.append(range(start, start + len(next_ids)))
        return forward(self, next_ids, hidden, start, cache)

    monkeypatch.setattr(MtpModule, "forward", spied)
    return passes


def test_the_mtp_layer_is_fed_lazily_and_catches_up_in_one_pass(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = mtp_passes(monkeypatch)
    by_round: list[list[range]] = []

    def between(event: Event) -> bool:
        if isinstance(event, Verified):
            engine.controls.depth, engine.controls.mode = 3, ("mtp" if 11 <= event.round <= 15 else "ngram")
            by_round.append(passes[:])
            passes.clear()
        return True

    engine.logits([1])
    outcome = watched(engine, BASE, between, mode="ngram", depth=3)
    assert not any(by_round[:12])
    assert not any(by_round[17:])
    rows = 0
    ends = [len(BASE)]  # main rows after each round
    for event in outcome.verified[1:]:
        ends.append(ends[-1] + len(event.tokens))
    for number in range(12, 17):
        end = ends[number - 1]
        *fed, second, third = by_round[number]
        # Two provisional rows, which do not count; the next round feeds the same rows again.
        assert (second, third) == (range(end, end + 1), range(end + 1, end + 2))
        if number == 12:
            assert fed == [range(ends[10]), range(ends[10], end)]
        else:
            assert fed == [range(rows, end)]
        rows = end
    assert not any(event.catchup_seconds for event in (*outcome.verified[:12], *outcome.verified[17:]))
    assert outcome.verified[12].catchup_seconds > 0


def test_no_time_is_spent_on_catching_up_in_a_steady_state(engine: Engine) -> None:
    engine.logits([1])
    outcome = reply(engine, BASE, depth=3)
    assert outcome.verified[1].catchup_seconds > 0, "the prompt's rows"
    assert [event.catchup_seconds for event in outcome.verified[2:]] == [0.0] * len(outcome.verified[2:])


@pytest.mark.parametrize("mode", ["ordinary", "ngram"])
def test_other_modes_never_touch_the_mtp_layer(
    mode: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = mtp_passes(monkeypatch)
    reply(engine, repetitive(engine), mode=mode, depth=4)
    reply(engine, BASE, mode="mtp", depth=0)
    assert passes == []


@pytest.mark.parametrize("name", MODELS)
@SOME
@given(
    checks=st.integers(1, 60),
    depth=st.integers(0, 8),
    mode=st.sampled_from(["mtp", "ngram"]),
    after=st.sampled_from([{"depth": 4}, {"depth": 3, "temperature": 0.8}, {"depth": 0}]),
    reuse=st.booleans(),
)
def test_cancel_at_any_layer(
    name: str,
    checks: int,
    depth: int,
    mode: str,
    after: dict[str, float],
    reuse: bool,
    engine_of: Callable[[str], Engine],
    fresh: Callable[..., Engine],
) -> None:
    engine = engine_of(name)
    prompt = repetitive(engine)
    text = plain(engine, prompt)
    if reuse:
        reply(engine, prompt, depth=2)
    else:
        engine.logits([1])
    with cancelling_at(checks) as left:
        outcome = reply(engine, prompt, mode=mode, depth=depth)
    assert left[0] < checks, "the engine never asked"
    if left[0] > 0:
        assert outcome.finished.reason is FinishReason.LENGTH
    else:
        assert outcome.finished.reason is FinishReason.CANCELLED
        assert left[0] == 0, "the engine went on after it knew"
    assert outcome.ids == text[: len(outcome.ids)]
    assert outcome.finished.tokens == len(outcome.ids)
    check_like_fresh(engine, fresh(name), [*prompt, *outcome.ids], max_tokens=20, **after)
    rest = reply(engine, [*prompt, *outcome.ids], max_tokens=40).ids
    assert rest[: 40 - len(outcome.ids)] == text[len(outcome.ids) :]


@pytest.mark.parametrize("layer", range(1, LAYERS + 1))
def test_cancel_comes_before_every_layer_of_the_prompt(engine: Engine, layer: int) -> None:
    engine.logits([1])
    with cancelling_at(layer):
        outcome = reply(engine, BASE)
    assert [type(event) for event in outcome.events if not isinstance(event, Prefilling)] == [
        type(outcome.finished)
    ]
    assert (outcome.finished.reason, outcome.finished.tokens) == (FinishReason.CANCELLED, 0)


@pytest.mark.parametrize("mode", ["mtp", "ngram"])
def test_nothing_is_drafted_after_a_cancel(mode: str, engine: Engine) -> None:
    def between(event: Event) -> bool:
        if isinstance(event, Verified):
            engine.controls.cancel()
        return True

    prompt = repetitive(engine)
    assert reply(engine, prompt, mode=mode, depth=8).verified[1].depth, "its first round drafts"
    outcome = watched(engine, prompt, between, mode=mode, depth=8)
    assert [type(event).__name__ for event in outcome.events] == ["Prefilled", "Verified", "Finished"]
    assert outcome.finished.reason is FinishReason.CANCELLED


def test_cancel_comes_before_every_pass_of_the_mtp_layer(
    engine: Engine, model: str, fresh: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first round catches up with the prompt, so its drafts take five passes; a later one's take four.
    forward, text = MtpModule.forward, plain(engine, BASE)
    for last in range(1, 11):
        passes = 0

        def cancelling(self: MtpModule, *args: object, last: int = last) -> Tensor:
            nonlocal passes
            passes += 1
            if passes == last:
                engine.controls.cancel()
            return forward(self, *args)  # type: ignore[arg-type]

        engine.logits([1])
        with monkeypatch.context() as patch:
            patch.setattr(MtpModule, "forward", cancelling)
            outcome = reply(engine, BASE, depth=4)
        assert passes == last, "the MTP layer went on"
        assert outcome.finished.reason is FinishReason.CANCELLED
        assert outcome.verified[-1].round == (0 if last <= 5 else 1 if last <= 9 else 2)
        assert outcome.ids == text[: len(outcome.ids)]
        check_like_fresh(engine, fresh(model), [*BASE, *outcome.ids], depth=4, max_tokens=8)


@pytest.mark.parametrize("name", MODELS)
@SOME
@given(
    events=st.integers(1, 20),
    close=st.booleans(),
    depth=st.integers(0, 8),
    after=st.integers(0, 8),
    tail=changes,
)
def test_cancel_between_events(
    name: str,
    events: int,
    close: bool,
    depth: int,
    after: int,
    tail: tuple[int, str],
    engine_of: Callable[[str], Engine],
    fresh: Callable[..., Engine],
) -> None:
    engine = engine_of(name)
    text = plain(engine, BASE)
    engine.logits([1])
    left = events

    def between(event: Event) -> bool:
        nonlocal left
        left -= 1
        if left == 0 and not close:
            engine.controls.cancel()
        return not (left <= 0 and close)

    outcome = watched(engine, BASE, between, depth=depth)
    assert outcome.ids == text[: len(outcome.ids)]
    if not close:
        check_shape(outcome)
        ended = len(outcome.ids) == len(text)
        assert outcome.finished.reason is (FinishReason.LENGTH if ended else FinishReason.CANCELLED)
    check_like_fresh(engine, fresh(name), [*BASE, *outcome.ids], depth=after, max_tokens=12)
    check_like_fresh(engine, fresh(name), [*BASE, *outcome.ids], depth=tail[0], mode=tail[1], max_tokens=12)


@dataclass(frozen=True)
class Turn:
    """One of a user's turns: what the prompt keeps of the last text, what it adds, and how the reply ends."""

    keep: float
    """0 to 1: how much of the last text."""
    tail: tuple[int, ...]
    values: dict[str, object]
    plan: list[tuple[int, str]]
    checks: int
    """When it is cancelled; 0 never."""
    close_after: int
    """Events after which it is abandoned; 0 never."""


turns = st.builds(
    Turn,
    keep=st.floats(0, 1),
    tail=st.lists(st.integers(5, 47), max_size=3).map(tuple),
    values=st.fixed_dictionaries(
        {
            "depth": st.integers(0, 8),
            "mode": st.sampled_from(["mtp", "ngram"]),
            "max_tokens": st.integers(1, 16),
        }
    ),
    plan=st.lists(changes, max_size=4),
    checks=st.sampled_from([0, 0, 0, 2, 3, 5, 9, 14, 20]),
    close_after=st.sampled_from([0, 0, 0, 1, 2, 3, 6]),
)


@pytest.mark.parametrize("name", MODELS)
@settings(SOME, max_examples=20)
@given(history=st.lists(turns, min_size=1, max_size=5), sampling=samplings, depth=st.integers(1, 8))
def test_any_history_of_edits_cancels_and_regenerations(
    name: str,
    history: list[Turn],
    sampling: dict[str, float],
    depth: int,
    engine_of: Callable[[str], Engine],
    fresh: Callable[..., Engine],
) -> None:
    engine, prompt, text = engine_of(name), list(BASE), list(BASE)
    engine.logits([1])
    for turn in history:
        prompt = [*text[: max(1, round(turn.keep * len(text)))], *turn.tail]
        change, count = Changing(engine, turn.plan, between_rounds=True), 0

        def between(event: Event, turn: Turn = turn, change: Changing = change) -> bool:
            nonlocal count
            count += 1
            return change(event) and count != turn.close_after

        with cancelling_at(turn.checks):
            outcome = watched(engine, prompt, between, **{**turn.values, **sampling})
        text = [*prompt, *outcome.ids]
    check_like_fresh(engine, fresh(name), text, depth=depth, max_tokens=12, **sampling)
    # And the prompt of the last reply once more, which is a regeneration.
    check_like_fresh(engine, fresh(name), prompt, depth=depth, max_tokens=12, **sampling)


@pytest.mark.parametrize("first_depth", [0, 4])
def test_an_edit_at_every_token(
    first_depth: int, engine: Engine, model: str, fresh: Callable[..., Engine]
) -> None:
    # MTP row i has seen token i + 1, so the row before an edit is wrong although its own token is not.
    other = fresh(model)
    for cut in range(1, 24, 2):
        text = [*BASE, *reply(engine, BASE, depth=first_depth, max_tokens=20).ids]
        prompt = [*text[:cut], 31 if text[cut] != 31 else 32, 33]
        other.logits([1])
        check_like_fresh(engine, other, prompt, depth=4, max_tokens=8)


def test_logits_and_drafts_in_between_change_nothing(
    engine: Engine, model: str, fresh: Callable[..., Engine]
) -> None:
    text = [*BASE, *reply(engine, BASE, depth=3).ids]
    rows = engine.logits(text[:20], chunk=7)
    check_like_fresh(engine, fresh(model), text[:20], depth=4)
    drafts = engine.draft(text[:25], 5)
    check_like_fresh(engine, fresh(model), text[:25], depth=4)
    other = fresh(model)
    assert (other.logits(text[:20]) == rows).all()
    ids, logits = other.draft(text[:25], 5)
    assert ids == drafts[0]
    assert (logits == drafts[1]).all()


def test_of_the_longest_common_prefix_the_last_token_runs_again(engine: Engine) -> None:
    text = [*BASE, *reply(engine, BASE, depth=3).ids]
    for shared in (len(text) - 2, 30, 17, len(BASE), 5, 2, 1):
        reply(engine, BASE, depth=3)
        prompt = [*text[:shared], 31 if text[shared] != 31 else 32, 33]
        assert common_prefix(text, prompt) == shared
        prefilled = reply(engine, prompt, max_tokens=3).prefilled
        assert (prefilled.prompt_tokens, prefilled.reused_tokens) == (len(prompt), shared - 1)
    assert reply(engine, [1, *BASE], max_tokens=3).prefilled.reused_tokens == 0


def test_a_regeneration_runs_only_the_last_token_of_the_prompt(engine: Engine) -> None:
    reply(engine, BASE)
    for values in ({}, {"depth": 8}, {"temperature": 1.0}):
        assert reply(engine, BASE, **values).prefilled.reused_tokens == len(BASE) - 1


def test_a_reply_is_reused_by_the_prompt_that_follows_it(engine: Engine) -> None:
    for depth in (0, 1, 8):
        text = [*BASE, *reply(engine, BASE, depth=depth).ids]
        # The last token was never run, so its predecessor is the last in the caches.
        reused = reply(engine, [*text, 31, 32], max_tokens=2).prefilled.reused_tokens
        assert len(text) - 2 <= reused <= len(text) - 1


def test_a_cancelled_prompt_leaves_what_it_shares_with_the_text_before(
    engine: Engine, model: str, fresh: Callable[..., Engine]
) -> None:
    text = [*BASE, *reply(engine, BASE, depth=3).ids]
    with cancelling_at(2):
        assert reply(engine, [*text[:20], 31, 32, 33]).finished.reason is FinishReason.CANCELLED
    outcome = reply(engine, text, depth=4)
    assert 18 <= outcome.prefilled.reused_tokens <= 19
    assert outcome.bits == reply(fresh(model), text, depth=4).bits


def test_a_reply_abandoned_before_it_began_changes_nothing(engine: Engine) -> None:
    text = [*BASE, *reply(engine, BASE).ids]
    engine.generate([7, 8, 9], options()).close()  # type: ignore[attr-defined]
    assert reply(engine, text).prefilled.reused_tokens >= len(text) - 2


def test_a_cancel_before_a_reply_is_forgotten(engine: Engine) -> None:
    engine.controls.cancel()
    assert reply(engine, BASE).finished.reason is FinishReason.LENGTH
    iterator = engine.generate(BASE, options())
    engine.controls.cancel()
    outcome = Outcome(tuple(iterator))
    assert [type(event) for event in outcome.events] == [type(outcome.finished)]
    assert outcome.finished.reason is FinishReason.CANCELLED


def test_a_reply_closed_while_its_prompt_is_read(
    engine: Engine, model: str, fresh: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.decoding.progress.PROGRESS_SECONDS", 0.0)
    for stop in range(1, LAYERS + 2):
        reply(engine, BASE, depth=2)
        seen = 0

        def between(event: Event, stop: int = stop) -> bool:
            nonlocal seen
            seen += 1
            return seen < stop

        outcome = watched(engine, [*BASE, 31, 32, 33], between)
        assert type(outcome.events[-1]) is (Prefilling, Prefilling, Prefilled, Verified)[stop - 1]
        check_like_fresh(engine, fresh(model), [*BASE, 31, 34], depth=4, max_tokens=10)
