"""The sentence: its verb follows the ratio, and it says only what was measured."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from app.figures import Comparison, Figures
from app.why import verdict, why
from engine.decoding.counters import Counters
from engine.options import Acceptance, GenerateOptions, Mode
from tests.app.panel.made import verified
from tests.app.panel.test_figures import BASE, FAST, measured


def counted(*events):
    counters = Counters()
    for event in events:
        counters.observe(event)
    return counters


def compared(lane, base, depth=2, options=None, is_same=True):
    return Comparison(depth, lane, base, is_same, options)


def base(tokens=12, **figures):
    return counted(*(verified(n, [n], seconds=0.1, **figures) for n in range(1, tokens + 1)))


def lane(tokens=12, a_round=2, depth=2, **figures):
    return counted(
        *(verified(n, [0] * a_round, depth=depth, **figures) for n in range(1, tokens // a_round + 1))
    )


def test_a_depth_that_pays():
    found = compared(lane(seconds=0.155), base())
    assert verdict(found) == "Depth 2 pays: 2.00 tokens a round, a round costs 1.55."


def test_a_slower_depth_whose_passes_wait_for_more_experts():
    found = compared(
        lane(seconds=0.26, loads=29, uses=50, wait=0.2, depth=3), base(loads=10, uses=20, wait=0.05), depth=3
    )
    assert (
        verdict(found) == "Depth 3 is slower: 2.00 tokens a round, but a round loads 2.9 times the experts."
    )


def test_a_slower_depth_that_waits_for_nothing_uses_more_experts():
    found = compared(lane(seconds=0.26, loads=29, uses=50), base(loads=10, uses=20))
    assert verdict(found) == "Depth 2 is slower: 2.00 tokens a round, but a round uses 2.5 times the experts."


def test_a_slower_depth_where_only_time_has_grown():
    found = compared(lane(seconds=0.26, uses=30), base(uses=20))
    assert verdict(found) == "Depth 2 is slower: 2.00 tokens a round, but a round costs 2.60."


def test_drafts_that_are_hardly_ever_accepted():
    found = compared(lane(a_round=1, depth=2, seconds=0.12), base())
    assert verdict(found) == (
        "Depth 2 is slower: 1.00 tokens a round, since only 0 % of its drafts are accepted."
    )


def test_sampling_names_the_rule():
    options = GenerateOptions(temperature=0.8)
    assert "2.00 tokens a round under coupled acceptance" in verdict(
        compared(lane(seconds=0.155), base(), options=options)
    )
    rejection = options.changed({"accept": Acceptance.REJECTION})
    assert "rejection sampling" in verdict(compared(lane(), base(), options=rejection, is_same=False))


def test_texts_that_differ_though_they_should_not():
    said = verdict(compared(lane(), base(), options=GenerateOptions(), is_same=False))
    assert said.startswith("No ratio: depth 2 wrote another text than depth 0")


def test_a_drafter_that_found_nothing():
    found = compared(lane(a_round=1, depth=0, seconds=0.11), base())
    assert verdict(found) == "Depth 2 is slower: nothing was drafted in 12 tokens."


def test_no_cause_is_named_within_what_the_runs_scatter():
    near = Comparison(2, lane(seconds=0.19), base(), True, None, spread=0.06)
    assert verdict(near) == (
        "Depth 2 is as fast as depth 0, as far as its runs can tell: 1.05 ± 0.06 times the speed."
    )
    clear = Comparison(2, lane(seconds=0.155), base(), True, None, spread=0.06)
    assert verdict(clear).startswith("Depth 2 pays")


def test_what_is_missing_is_said():
    figures = Figures()
    options = GenerateOptions(depth=2)
    assert why(figures, options) == "Nothing is measured yet: ask something first."
    figures.observe(verified(1), 2)
    assert why(figures, options, "x").startswith("Not measured yet: press x in the transcript")
    assert why(figures, options, "").startswith("Not measured yet: type /measure to decode")
    assert why(measured((0, BASE), (1, FAST)), GenerateOptions(depth=1)).startswith("Depth 1 pays")
    partly = measured((0, BASE), (1, FAST))
    partly.observe(verified(1), 2)
    assert why(partly, options).startswith("Depth 2 is not measured yet")


def test_mode_auto_is_judged_by_the_depth_it_drafted_last():
    figures, options = measured((0, BASE), (1, FAST)), GenerateOptions(mode=Mode.AUTO, depth=3)
    assert why(figures, options).startswith("Mode auto chooses by what it measures")
    figures.observe(verified(1, [1, 2], depth=1, mode=Mode.AUTO), 3)
    assert why(figures, options).startswith("Depth 1 pays")
    figures.observe(verified(2, [1, 2, 3], depth=2, mode=Mode.AUTO), 3)
    assert why(figures, options).startswith("Depth 2 is not measured yet")
    figures.observe(verified(3, [1], mode=Mode.AUTO), 3)
    assert why(figures, options).startswith("Depth 1 was faster: 1.60 times")


def test_depth_0_points_to_the_best():
    ordinary = GenerateOptions(depth=0)
    assert why(Figures(), ordinary).startswith("Nothing is drafted at depth 0")
    assert why(measured((0, BASE), (1, FAST)), ordinary) == (
        "Depth 1 was faster: 1.60 times the speed of depth 0, over the same tokens."
    )
    slow = [verified(0, [1]), *(verified(n, [2 * n, 2 * n + 1], depth=1, seconds=0.25) for n in range(1, 4))]
    assert "Depth 0 is the fastest measured" in why(measured((0, BASE), (1, slow)), ordinary)
    figures = measured((0, BASE))
    assert why(figures, GenerateOptions(mode=Mode.ORDINARY, depth=3)).startswith("Nothing is drafted")


amounts = st.integers(0, 60)


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=16),
    st.floats(0.001, 1),
    st.floats(0.001, 1),
    amounts,
    amounts,
    st.floats(0, 1),
    st.integers(0, 1),
)
def test_the_verb_agrees_with_the_ratio(accepted, mine, other, uses, base_uses, waiting, cut):
    rounds = []
    for number, count in enumerate(accepted, start=1):
        ids = [0] * (count + 1)
        if cut and number == len(accepted) and count:  # a reply may end with an accepted token
            ids.pop()
        figures = {"uses": uses, "loads": uses, "wait": waiting * mine, "seconds": mine}
        rounds.append(verified(number, ids, depth=4, accepted=count, **figures))
    fast = counted(*rounds)
    slow = counted(
        *(verified(n, [0], seconds=other, uses=base_uses, loads=base_uses) for n in range(1, fast.tokens + 1))
    )
    found = compared(fast, slow, depth=4)
    said, ratio = verdict(found), found.ratio
    assert ratio is not None
    assert ("pays" in said) == (ratio > 1 and f"{ratio:.2f}" != "1.00")
    assert ("is slower" in said) == (ratio < 1 and f"{ratio:.2f}" != "1.00")
    assert ("breaks even" in said) == (f"{ratio:.2f}" == "1.00")
    told = re.search(r": (\d+\.\d+) tokens a round, (?:but )?a round costs (\d+\.\d+)", said)
    if told and "breaks even" not in said:
        length, cost = map(float, told.groups())
        assert (length > cost) == (ratio > 1), "the numbers said must bear the verb out"
    grown = re.search(r": (\d+\.\d+) tokens.* (?:loads|uses) (\d+\.\d+) times", said)
    if grown:
        assert float(grown[2]) + 0.05 >= float(grown[1]), "what is blamed has grown by more than was gained"
