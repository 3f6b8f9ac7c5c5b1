"""Replies that end inside a round: by a stop id, a stop string, their length, or the context."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine import load
from engine.errors import UsageError
from engine.events import Drafted, FinishReason, Origin, Verified
from tests.engine.decoding.conftest import MODELS
from tests.engine.decoding.replies import (
    BASE,
    Outcome,
    accepted_positions,
    check_shape,
    plain,
    repetitive,
    reply,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine import Engine
    from engine.events import Token
    from engine.text.tokenizer import Tokenizer
    from tests.engine.tiny import TinySpec

HALF = "\N{REPLACEMENT CHARACTER}"


def last_token(outcome: Outcome) -> Token:
    """The token that a reply ended with."""
    return outcome.verified[-1].tokens[-1]


def check_end(outcome: Outcome, text: list[int], length: int, reason: FinishReason) -> None:
    """Assert that a reply is the first tokens of a known text, and that its events agree."""
    assert outcome.ids == text[:length]
    assert (outcome.finished.reason, outcome.finished.tokens) == (reason, length)
    check_shape(outcome)


def check_goes_on(engine: Engine, other: Engine, outcome: Outcome) -> None:
    """Assert that the caches ended with the reply: it is continued as by an engine whose caches are empty."""
    other.logits([1])
    prompt = [*BASE, *outcome.ids]
    assert (
        reply(engine, prompt, depth=4, max_tokens=8).bits == reply(other, prompt, depth=4, max_tokens=8).bits
    )


@pytest.mark.parametrize("depth", [1, 8])
def test_a_stop_id_ends_the_reply_where_it_stands(
    depth: int, engine: Engine, model: str, fresh: Callable[..., Engine]
) -> None:
    text, other, outcomes = plain(engine, BASE), fresh(model), []
    for token in dict.fromkeys(text):
        outcome = reply(engine, BASE, depth=depth, stop_ids=(token,))
        check_end(outcome, text, text.index(token) + 1, FinishReason.STOP)
        for event in outcome.events:
            if isinstance(event, Drafted):
                assert token not in [draft.id for draft in event.tokens[:-1]], "drafted past a stop id"
        if last_token(outcome).origin is Origin.ACCEPTED:
            assert outcome.verified[-1].rejected == ()
            assert outcome.verified[-1].accepted == outcome.verified[-1].depth
        outcomes.append(outcome)
        check_goes_on(engine, other, outcome)
    if depth == 8:
        ends = [last_token(outcome) for outcome in outcomes]
        assert {token.position for token in ends} >= {0, 1, 2, 3, 4}
        assert {token.origin for token in ends} >= {Origin.ACCEPTED, Origin.CORRECTED}


def test_a_stop_id_drafted_by_ngram_ends_the_draft(engine: Engine) -> None:
    prompt = repetitive(engine)
    text, positions = plain(engine, prompt), set()
    for token in dict.fromkeys(text):
        outcome = reply(engine, prompt, mode="ngram", depth=8, stop_ids=(token,))
        check_end(outcome, text, text.index(token) + 1, FinishReason.STOP)
        for event in outcome.events:
            if isinstance(event, Drafted):
                assert token not in [draft.id for draft in event.tokens[:-1]], "drafted past a stop id"
        positions.add(last_token(outcome).position)
    assert positions >= {0, 1, 2, 3}


def test_a_stop_id_that_is_rejected_ends_nothing(engine: Engine) -> None:
    text = plain(engine, BASE)
    whole = reply(engine, BASE, depth=8)
    wrong = {each.id for event in whole.verified for each in event.rejected} - set(text)
    assert wrong
    for token in sorted(wrong)[:12]:
        check_end(reply(engine, BASE, depth=8, stop_ids=(token,)), text, len(text), FinishReason.LENGTH)


def test_sampled_replies_stop_alike_at_every_depth(engine: Engine) -> None:
    for seed in range(3):
        values = {"temperature": 0.8, "seed": seed}
        text = plain(engine, BASE, **values)
        for token in dict.fromkeys(text[5:25:3]):
            outcome = reply(engine, BASE, depth=6, stop_ids=(token, text[-1]), **values)
            length = min(text.index(token), text.index(text[-1])) + 1
            check_end(outcome, text, length, FinishReason.STOP)


@pytest.mark.parametrize("depth", [0, 4])
def test_ignore_eos_ignores_the_checkpoints_own_tokens_only(
    depth: int, engine: Engine, model: str, tiny: Callable[[TinySpec], Path], tmp_path: Path
) -> None:
    text = plain(engine, BASE)
    eos, other = list(dict.fromkeys(text))[-2:]
    folder = shutil.copytree(tiny(MODELS[model]), tmp_path / "with-eos")
    contents = {"eos_token_id": [1, eos]}
    (folder / "generation_config.json").write_text(json.dumps(contents), encoding="utf-8")
    ending = load(folder, context=64, threads=1)
    at_eos, at_other = text.index(eos) + 1, text.index(other) + 1
    outcome = reply(ending, BASE, depth=depth, ignore_eos=False)
    check_end(outcome, text, at_eos, FinishReason.STOP)
    check_end(
        reply(ending, BASE, depth=depth, ignore_eos=False, stop_ids=(other,)), text, at_eos, FinishReason.STOP
    )
    check_end(reply(ending, BASE, depth=depth), text, len(text), FinishReason.LENGTH)
    check_end(reply(ending, BASE, depth=depth, stop_ids=(other,)), text, at_other, FinishReason.STOP)
    check_end(reply(ending, BASE, depth=depth, stop_ids=(eos,)), text, at_eos, FinishReason.STOP)


def tokenizer_of(engine: Engine) -> Tokenizer:
    """The tokenizer of a model that has one."""
    assert engine.tokenizer is not None
    return engine.tokenizer


def readable(engine: Engine) -> tuple[list[int], list[tuple[int, str]]]:
    """A prompt whose reply holds readable words, and the stop strings to be found there with where they end.

    Each string is cut out of the text, is unlike any earlier part, and spans two tokens or more.
    """
    tokenizer = tokenizer_of(engine)
    text = plain(engine, BASE, max_tokens=120)
    texts = [tokenizer.decode(text[:count]) for count in range(len(text) + 1)]
    found = []
    for end in range(2, len(text) + 1):
        for count in range(2, 7):
            stop = texts[end][-count:]
            if HALF in stop or stop in texts[end - 1] or len(texts[end]) < count:
                continue
            if len(texts[end]) - len(texts[end - 1]) < count:
                found.append((end, stop))
    return text, found


@pytest.mark.parametrize("mode", ["mtp", "ngram"])
def test_a_stop_string_may_span_tokens(mode: str, engine_of: Callable[[str], Engine]) -> None:
    engine = engine_of("fp8")
    text, stops = readable(engine)
    assert len(stops) > 30
    outcomes = []
    for end, stop in stops[:: len(stops) // 10]:
        for depth in (0, 8):
            outcome = reply(
                engine, BASE, mode=mode, depth=depth, max_tokens=120, stop_strings=("never", stop, "\n\n\n")
            )
            check_end(outcome, text, end, FinishReason.STOP)
            assert stop in outcome.text
            assert outcome.text == tokenizer_of(engine).decode(outcome.ids)
            outcomes.append(outcome)
    if mode == "mtp":
        ends = [outcome.verified[-1] for outcome in outcomes]
        assert {event.tokens[-1].position for event in ends} >= {0, 1, 2, 3}
        # Agreed drafts after the stop string are dropped, and count as not accepted.
        dropped = [event for event in ends if event.tokens[-1].origin is Origin.ACCEPTED and event.rejected]
        assert dropped
        assert all(event.accepted == len(event.tokens) for event in dropped)


def test_after_a_stop_string_the_caches_end_with_the_reply(
    engine_of: Callable[[str], Engine], fresh: Callable[..., Engine]
) -> None:
    engine, other = engine_of("fp8"), fresh("fp8")
    for _end, stop in readable(engine)[1][::15]:
        outcome = reply(engine, BASE, depth=8, max_tokens=120, stop_strings=(stop,))
        other.logits([1])
        prompt = [*BASE, *outcome.ids[:40]]
        bits = reply(engine, prompt, depth=4, max_tokens=8).bits
        assert bits == reply(other, prompt, depth=4, max_tokens=8).bits
        outcome = reply(engine, BASE, depth=8, max_tokens=120, stop_strings=(stop,))
        state = engine._decoder.state  # no later reply could tell, but memory is counted by it
        assert state.tokens == [*BASE, *outcome.ids]
        assert len(state.tokens) - 1 <= state.main_rows <= len(state.tokens)
        prompt = [*BASE, *outcome.ids]
        assert reply(engine, prompt, max_tokens=1).prefilled.reused_tokens >= len(prompt) - 2


@settings(deadline=None, max_examples=30, derandomize=True, database=None)
@given(data=st.data(), depth=st.integers(0, 8), sampled=st.booleans())
def test_stop_strings_of_any_kind_end_at_the_first_of_them(
    data: st.DataObject, depth: int, sampled: bool, engine_of: Callable[[str], Engine]
) -> None:
    engine = engine_of("fp8")
    decode = tokenizer_of(engine).decode
    values = {"temperature": 0.8, "seed": 4, "max_tokens": 60} if sampled else {"max_tokens": 60}
    text = plain(engine, BASE, **values)
    whole = decode(text)
    stops = []
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(whole) - 1))
        stops.append(whole[start : start + data.draw(st.integers(1, 5))])
    assume(not any(HALF in stop for stop in stops))
    end = next(n for n in range(1, len(text) + 1) if any(stop in decode(text[:n]) for stop in stops))
    outcome = reply(engine, BASE, depth=depth, stop_strings=tuple(stops), **values)
    check_end(outcome, text, end, FinishReason.STOP)


def test_without_a_tokenizer_there_are_no_texts(engine_of: Callable[[str], Engine]) -> None:
    engine = engine_of("f32")
    assert engine.tokenizer is None
    outcome = reply(engine, BASE, depth=4, stop_strings=("a",))
    assert outcome.finished.reason is FinishReason.LENGTH
    assert outcome.text == ""


@pytest.mark.parametrize("mode", ["mtp", "ngram"])
def test_every_length_is_kept_to(mode: str, engine: Engine, model: str, fresh: Callable[..., Engine]) -> None:
    other, prompt = fresh(model), repetitive(engine)
    text = plain(engine, prompt)
    outcomes = []
    for length in range(1, 26):
        outcome = reply(engine, prompt, mode=mode, depth=8, max_tokens=length)
        check_end(outcome, text, length, FinishReason.LENGTH)
        check_cut(outcome, length)
        outcomes.append(outcome)
    assert accepted_positions(outcomes) >= {1, 2, 3, 4}
    # Where a draft ends short of the length, one token of the main model's own is still to come.
    assert {last_token(outcome).origin for outcome in outcomes} >= {Origin.BONUS, Origin.ORDINARY}
    assert Origin.ACCEPTED not in {last_token(outcome).origin for outcome in outcomes}
    check_goes_on(engine, other, reply(engine, BASE, depth=8, max_tokens=13))


def check_cut(outcome: Outcome, room: int) -> None:
    """Assert that no round drafted more than there was room for besides the main model's own token."""
    emitted = 0
    for event in outcome.events:
        if isinstance(event, Drafted):
            assert len(event.tokens) <= room - emitted - 1
        elif isinstance(event, Verified):
            emitted += len(event.tokens)


def test_depth_is_cut_and_no_further(engine: Engine) -> None:
    outcome = reply(engine, BASE, depth=8)
    emitted = 1
    for event in outcome.verified[1:]:
        assert event.depth == min(8, 40 - emitted - 1)
        emitted += len(event.tokens)


@pytest.mark.parametrize("mode", ["mtp", "ngram"])
def test_a_full_context_ends_the_reply(
    mode: str, engine: Engine, model: str, fresh: Callable[..., Engine]
) -> None:
    start = repetitive(engine)
    text = [*start, *plain(engine, start)]
    small = fresh(model, context=60)
    for length in range(len(start), 60):
        prompt = text[:length]
        for depth in (0, 3, 8):
            outcome = reply(small, prompt, mode=mode, depth=depth, max_tokens=100)
            check_end(outcome, text[length:], 60 - length, FinishReason.CONTEXT)
            check_cut(outcome, 60 - length)


def test_the_last_place_of_the_context_is_used(fresh: Callable[..., Engine], model: str) -> None:
    small = fresh(model, context=len(BASE) + 1)
    outcome = reply(small, BASE, depth=8)
    assert (outcome.finished.reason, outcome.finished.tokens) == (FinishReason.CONTEXT, 1)
    with pytest.raises(UsageError, match="context"):
        small.generate([*BASE, 31])
    assert small.logits([*BASE, 31]).shape == (len(BASE) + 1, MODELS[model].vocab)
    with pytest.raises(UsageError, match="context"):
        small.logits([*BASE, 31, 32])


def test_a_context_that_fills_in_a_round_with_the_length_reached_is_length(
    fresh: Callable[..., Engine], model: str
) -> None:
    small = fresh(model, context=len(BASE) + 9)
    for depth in (0, 8):
        assert reply(small, BASE, depth=depth, max_tokens=9).finished.reason is FinishReason.LENGTH
        assert reply(small, BASE, depth=depth, max_tokens=8).finished.reason is FinishReason.LENGTH
        assert reply(small, BASE, depth=depth, max_tokens=10).finished.reason is FinishReason.CONTEXT


def test_a_stop_id_at_the_last_place_is_a_stop(engine: Engine) -> None:
    text = plain(engine, BASE)
    for depth in (0, 8):
        for length in range(2, 14):
            stop = text[length - 1]
            if stop in text[: length - 1]:
                continue
            outcome = reply(engine, BASE, depth=depth, max_tokens=length, stop_ids=(stop,))
            check_end(outcome, text, length, FinishReason.STOP)


@pytest.mark.parametrize("mode", ["mtp", "ngram"])
def test_texts_join_to_what_the_tokenizer_decodes(mode: str, engine_of: Callable[[str], Engine]) -> None:
    engine = engine_of("fp8")
    tokenizer, prompt = tokenizer_of(engine), repetitive(engine)
    halves = 0
    for length in range(1, 61, 2):
        outcome = reply(engine, prompt, mode=mode, depth=length % 9, max_tokens=length)
        assert outcome.text == tokenizer.decode(outcome.ids)
        streaming = tokenizer.detokenizer()
        pushed = [streaming.push(token) for token in outcome.ids]
        rest = streaming.flush()
        halves += rest != ""
        texts = [token.text for event in outcome.verified for token in event.tokens]
        assert texts == [*pushed[:-1], pushed[-1] + rest]
    assert halves > 3, "no reply ended within a character, which is what this is about"


def test_drafts_have_the_texts_that_they_would_add(engine_of: Callable[[str], Engine]) -> None:
    engine = engine_of("fp8")
    streaming = tokenizer_of(engine).detokenizer()
    outcome = reply(engine, BASE, depth=6, max_tokens=100)
    continued = 0
    streaming.push(outcome.ids[0])
    for drafted, event in outcome.rounds:
        copy = streaming.copy()
        if drafted:
            texts = [copy.push(draft.id) for draft in drafted.tokens]
            assert [draft.text for draft in drafted.tokens] == texts
            alone = tokenizer_of(engine).detokenizer().push(drafted.tokens[0].id)
            continued += alone != texts[0]
        for token in event.tokens:
            streaming.push(token.id)
    assert continued, "no draft continued a character, which is what this is about"
