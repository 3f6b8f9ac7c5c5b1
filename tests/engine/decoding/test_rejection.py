"""The rejection rule emits tokens by the main model's law exactly, whatever drafts: chi-square tests.

Laws are over vocabularies small enough to enumerate, seeds are fixed, so a result never changes by chance.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

from engine.decoding.acceptance import Draft, Verdict, judge_by_picks, judge_by_rejection
from engine.decoding.noise import Stream, uniform
from engine.decoding.sampling import Sampler
from tests.engine.decoding import slow
from tests.engine.decoding.replies import BASE, options, repetitive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine import Engine

    Rows = np.ndarray[Any, np.dtype[np.float32]]

DRAWS = 6_000
LEAST = 1e-4
"""The p-value below which a law is held to be another one."""
POSITION = 17
VOCAB = 5

random = np.random.default_rng(20)
MAIN: Rows = (1.3 * random.standard_normal((VOCAB + 1, VOCAB))).astype(np.float32)
"""Logits of the main model: row 0 for the first token, row 1 + t for the one after t."""
OTHER: Rows = (1.3 * random.standard_normal((VOCAB + 1, VOCAB))).astype(np.float32)
APART_MAIN: Rows = np.array([[3, 2.5, 0, -1, -1]] * (VOCAB + 1), np.float32)
APART_DRAFT: Rows = APART_MAIN[:, ::-1].copy()
"""With top-k 2 the two have no token in common."""


@dataclass(frozen=True)
class Case:
    """A main model, a drafter and how tokens are sampled."""

    main: Rows
    draft: Rows | None
    """None drafts as n-grams do: certain of one token."""
    sampling: Mapping[str, Any] = field(default_factory=lambda: {"temperature": 1.0})

    def sampler(self, seed: int) -> Sampler:
        return Sampler(**{"top_k": 0, "top_p": 1.0, "min_p": 0.0, **self.sampling, "seed": seed})

    def draft_after(self, sampler: Sampler, token: int | None, position: int) -> Draft:
        """What would be drafted at a position, after a token."""
        row = 0 if token is None else 1 + token
        if self.draft is None:
            return Draft(int(self.main[row].argsort()[-2]), None)
        return Draft(sampler.pick(self.draft[row], position, Stream.DRAFT), self.draft[row])

    def law(self) -> dict[tuple[int, ...], float]:
        """The probabilities of the first two tokens."""
        first = slow.probabilities(self.main[0].tolist(), **self.sampling)
        return {
            (a, b): first[a] * slow.probabilities(self.main[1 + a].tolist(), **self.sampling)[b]
            for a, b in itertools.product(range(VOCAB), repeat=2)
        }


CASES = {
    "soft": Case(MAIN, OTHER),
    "cold": Case(MAIN, OTHER, {"temperature": 0.6}),
    "certain": Case(MAIN, None),
    "equal": Case(MAIN, MAIN),
    "top_p": Case(MAIN, OTHER, {"temperature": 1.2, "top_p": 0.8}),
    "top_k": Case(MAIN, OTHER, {"temperature": 0.9, "top_k": 3}),
    "all filters": Case(MAIN, OTHER, {"temperature": 1.5, "top_k": 4, "top_p": 0.95, "min_p": 0.1}),
    "certain, top_p": Case(MAIN, None, {"temperature": 1.0, "top_p": 0.7}),
    "apart": Case(APART_MAIN, APART_DRAFT, {"temperature": 1.0, "top_k": 2}),
}

Judge = "Callable[[Sampler, Sequence[Draft], Rows, int], Verdict]"


def two_tokens(case: Case, seed: int, judge: Judge) -> tuple[tuple[int, int], int]:
    """The first two tokens that rounds of two drafts yield, and how many drafts the first round accepted."""
    sampler = case.sampler(seed)
    first = case.draft_after(sampler, None, POSITION)
    second = case.draft_after(sampler, first.id, POSITION + 1)
    third = case.main[1 + second.id]
    verdict = judge(
        sampler, [first, second], np.stack([case.main[0], case.main[1 + first.id], third]), POSITION
    )
    tokens = [*(first.id, second.id)[: verdict.accepted], verdict.last]
    if len(tokens) == 1:  # the next round drafts the same position anew, after another token
        again = case.draft_after(sampler, tokens[0], POSITION + 1)
        rows = np.stack([case.main[1 + tokens[0]], case.main[1 + again.id]])
        following = judge(sampler, [again], rows, POSITION + 1)
        tokens.append(again.id if following.accepted else following.last)
    return (tokens[0], tokens[1]), verdict.accepted


def p_value(counts: Mapping[tuple[int, ...], int], law: Mapping[tuple[int, ...], float]) -> float:
    """By Pearson's chi-square; outcomes rarer than five times are counted together."""
    draws = sum(counts.values())
    impossible = [outcome for outcome in counts if law.get(outcome, 0.0) == 0.0]
    assert not impossible, f"drawn, although their probability is 0: {impossible}"
    common = [outcome for outcome, p in law.items() if p * draws >= 5]
    seen = [counts.get(outcome, 0) for outcome in common]
    expected = [law[outcome] * draws for outcome in common]
    rare = draws - sum(expected)
    if rare > 1e-6 * draws:
        seen.append(draws - sum(seen))
        expected.append(rare)
    assert len(seen) > 1
    return float(stats.chisquare(seen, expected, sum_check=False).pvalue)


def marginal(law: Mapping[tuple[int, ...], float]) -> dict[tuple[int, ...], float]:
    """The law of the first token alone."""
    first: dict[tuple[int, ...], float] = {}
    for outcome, p in law.items():
        first[outcome[:1]] = first.get(outcome[:1], 0.0) + p
    return first


@pytest.mark.parametrize("name", CASES)
def test_the_law_is_the_main_models(name: str) -> None:
    case = CASES[name]
    draws = 2_000 if name in ("equal", "apart") else DRAWS
    pairs: Counter[tuple[int, ...]] = Counter()
    accepted: Counter[int] = Counter()
    for seed in range(draws):
        outcome, count = two_tokens(case, seed, judge_by_rejection)
        pairs[outcome] += 1
        accepted[count] += 1
    law = case.law()
    firsts: Counter[tuple[int, ...]] = Counter()
    for outcome, count in pairs.items():
        firsts[outcome[:1]] += count
    assert p_value(firsts, marginal(law)) > LEAST
    assert p_value(pairs, law) > LEAST
    # Accepted at the first position: the sum of min(p, q).
    p = slow.probabilities(case.main[0].tolist(), **case.sampling)
    if case.draft is None:
        rate = p[case.draft_after(case.sampler(0), None, 0).id]
    else:
        q = slow.probabilities(case.draft[0].tolist(), **case.sampling)
        rate = sum(map(min, p, q))
    got = 1 - accepted[0] / draws
    assert abs(got - rate) <= 5 * np.sqrt(rate * (1 - rate) / draws) + 1e-9
    if name == "equal":
        assert accepted == {2: draws}
    if name == "apart":
        assert accepted == {0: draws}


def resampling(sampler: Sampler, drafts: Sequence[Draft], rows: Rows, position: int) -> Verdict:
    """The classic mistake: after a rejection, a draw from p in place of the residual."""
    verdict = judge_by_rejection(sampler, drafts, rows, position)
    if verdict.accepted == len(drafts):
        return verdict
    p = sampler.probabilities(rows[verdict.accepted])
    return Verdict(verdict.accepted, sampler.draw(p, position + verdict.accepted))


def taking_certain_drafts_for_soft(
    sampler: Sampler, drafts: Sequence[Draft], rows: Rows, position: int
) -> Verdict:
    """Another: drafts that were picked as likeliest, judged as if they had been drawn."""
    judged = [Draft(int(OTHER[0].argmax()), OTHER[0]) for _ in drafts]
    return judge_by_rejection(sampler, judged, rows, position)


@pytest.mark.parametrize("wrong", [resampling, taking_certain_drafts_for_soft])
def test_these_tests_would_see_the_classic_mistakes(wrong: Judge) -> None:
    counts: Counter[tuple[int, ...]] = Counter()
    case = CASES["soft"]
    for seed in range(4_000):
        sampler = case.sampler(seed)
        draft = case.draft_after(sampler, None, POSITION)
        if wrong is taking_certain_drafts_for_soft:
            draft = Draft(int(OTHER[0].argmax()), OTHER[0])
        verdict = wrong(sampler, [draft], MAIN[:2], POSITION)
        counts[(draft.id if verdict.accepted else verdict.last,)] += 1
    law = marginal(case.law())
    chi = sum((counts[outcome] - 4_000 * p) ** 2 / (4_000 * p) for outcome, p in law.items())
    freedom = len(law) - 1
    assert (chi - freedom) / np.sqrt(2 * freedom) > 20
    assert p_value(counts, law) < 1e-20


def test_the_right_rule_passes_where_the_mistakes_fail() -> None:
    counts: Counter[tuple[int, ...]] = Counter()
    case = CASES["soft"]
    for seed in range(4_000):
        sampler = case.sampler(seed)
        draft = case.draft_after(sampler, None, POSITION)
        verdict = judge_by_rejection(sampler, [draft], MAIN[:2], POSITION)
        counts[(draft.id if verdict.accepted else verdict.last,)] += 1
    assert p_value(counts, marginal(case.law())) > LEAST


def test_no_drafts_yield_the_main_models_own_draw() -> None:
    for seed in range(200):
        sampler = CASES["top_p"].sampler(seed)
        verdict = judge_by_rejection(sampler, [], MAIN[:1], POSITION)
        assert verdict == judge_by_picks(sampler, [], MAIN[:1], POSITION)


def test_a_draft_is_accepted_up_to_and_including_its_ratio() -> None:
    # p(d) / q(d) = 1 for a draft that both are certain of: never rejected, whatever the number drawn.
    sure = np.array([[50.0, 0.0, 0.0]] * 2, np.float32)
    for seed in range(500):
        sampler = Sampler(1.0, 0, 1.0, 0.0, seed)
        assert judge_by_rejection(sampler, [Draft(0, sure[0])], sure, POSITION) == Verdict(1, 0)
        assert judge_by_rejection(sampler, [Draft(0, None)], sure, POSITION) == Verdict(1, 0)
        assert judge_by_rejection(sampler, [Draft(1, None)], sure, POSITION) == Verdict(0, 0)


def test_chance_of_acceptance_is_independent_of_what_was_drafted_and_drawn() -> None:
    numbers = [[uniform(seed, stream, POSITION) for stream in Stream] for seed in range(4_000)]
    correlation = np.corrcoef(np.array(numbers).T)
    assert np.abs(correlation - np.eye(3)).max() < 5 / np.sqrt(4_000)


def test_coupled_picks_accept_what_agrees_and_emit_the_main_models() -> None:
    case, accepted = CASES["soft"], 0
    for seed in range(500):
        sampler = case.sampler(seed)
        drafts = [Draft(sampler.pick(OTHER[0], POSITION + n), OTHER[0]) for n in range(2)]
        rows = np.stack([MAIN[0], MAIN[1], MAIN[2]])
        picks = [sampler.pick(row, POSITION + n) for n, row in enumerate(rows)]
        verdict = judge_by_picks(sampler, drafts, rows, POSITION)
        agree = [draft.id == pick for draft, pick in zip(drafts, picks, strict=False)]
        assert verdict.accepted == ([*agree, False]).index(False)
        assert verdict.last == picks[verdict.accepted]
        accepted += verdict.accepted
    assert 100 < accepted < 900


@pytest.mark.parametrize("mode", ["mtp", "ngram"])
def test_whole_replies_follow_the_law(mode: str, engine_of: Callable[[str], Engine]) -> None:
    engine = engine_of("f32")
    sampling = {"temperature": 1.3, "top_k": 3}
    prompt = repetitive(engine) if mode == "ngram" else BASE
    law: dict[tuple[int, ...], float] = {(): 1.0}
    for _ in range(3):
        longer = {}
        for text, chance in law.items():
            row = engine.logits([*prompt, *text])[-1]
            p = slow.probabilities(row.tolist(), **sampling)
            longer |= {(*text, token): chance * p[token] for token in np.flatnonzero(p).tolist()}
        law = longer
    counts: Counter[tuple[int, ...]] = Counter()
    drafted = accepted = 0
    for seed in range(500):
        wanted = options(**sampling, seed=seed, mode=mode, depth=2, max_tokens=4, accept="rejection")
        ids: list[int] = []
        for event in engine.generate(prompt, wanted):
            if type(event).__name__ == "Verified":
                ids += [token.id for token in event.tokens]
                drafted += event.depth
                accepted += event.accepted
        counts[tuple(ids[:3])] += 1
    assert p_value(counts, law) > LEAST
    assert 0.1 < accepted / drafted < 0.9
