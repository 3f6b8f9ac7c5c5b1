"""The JSON form of a comparison's news: round trips, and refusals in a sentence."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import event_json
from engine.errors import UsageError
from engine.events import Finished, FinishReason
from engine.lanes import Lane, LaneEvent, LanesFinished, LanesNews, LanesPlanned, LanesPrepared
from engine.lanes_json import from_json, is_of_lanes, lane_to_json, read_lane, to_json
from engine.options import MAX_DEPTH, Mode
from tests.engine.test_events import events

counts = st.integers(0, 2**40)
seconds = st.floats(0, 1e9)
lanes = st.builds(Lane, st.sampled_from(Mode), st.integers(0, MAX_DEPTH))
news: st.SearchStrategy[LanesNews] = st.one_of(
    st.builds(LanesPlanned, st.lists(lanes, max_size=4).map(tuple), counts, st.booleans(), st.text(), counts),
    st.builds(LanesPrepared, seconds, seconds),
    st.builds(LaneEvent, st.none() | counts, counts, events),
    st.builds(LanesFinished, st.booleans(), st.none() | st.text()),
)


@given(news)
def test_what_is_written_is_read_back(each: LanesNews) -> None:
    line = json.loads(json.dumps(to_json(each), allow_nan=False))
    assert is_of_lanes(line)
    assert from_json(line) == each


@given(events)
def test_events_of_a_reply_and_of_a_measurement_are_none_of_them(event) -> None:
    line = event_json.to_json(event)
    assert not is_of_lanes(line)
    assert not is_of_lanes({**line, "lane": 1})


def test_a_lane_s_event_is_the_event_s_own_json_with_a_tag() -> None:
    finished = Finished(FinishReason.LENGTH, 4, 0.5)
    line = to_json(LaneEvent(1, 0, finished))
    assert line.pop("compare") == {"lane": 1, "repeat": 0}
    assert line == event_json.to_json(finished)
    assert to_json(LaneEvent(None, 0, finished))["compare"] == {"lane": None, "repeat": 0}


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ({"event": "lanes_dreamt"}, "no news of lanes called 'lanes_dreamt'"),
        ({"event": "lanes_finished"}, "complete is None"),
        ({"event": "lanes_finished", "complete": True, "why": 1}, "has a key 'why'"),
        ({"event": "lanes_finished", "complete": True, "message": 5}, "message is 5, which is no text"),
        ({"event": "lanes_prepared", "prefill_seconds": "1", "catchup_seconds": 0}, "prefill_seconds is '1'"),
        (
            {"event": "lanes_prepared", "prefill_seconds": float("nan"), "catchup_seconds": 0},
            "which is no number",
        ),
        (
            {
                "event": "lanes_planned",
                "lanes": 3,
                "repeats": 1,
                "interleaved": True,
                "why": "",
                "fork_bytes": 0,
            },
            "lanes is 3",
        ),
        (
            {"event": "lanes_planned", "lanes": [{"mode": "mtp", "depth": 9}]},
            "depth must be from 0 to 8",
        ),
        ({"event": "finished", "compare": {"lane": -1, "repeat": 0}}, "lane is -1"),
        ({"event": "finished", "compare": {"lane": 1}}, "no object with lane and repeat"),
        ({"event": "dreamt", "compare": {"lane": 1, "repeat": 0}}, "no event 'dreamt'"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(line: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as refused:
        from_json(line)
    assert sentence in str(refused.value)


@given(lanes)
def test_a_lane_is_read_as_it_is_written(lane: Lane) -> None:
    assert read_lane(lane_to_json(lane)) == lane


def test_a_lane_may_leave_out_the_depth_that_it_has_not() -> None:
    assert read_lane({"mode": "auto"}) == Lane(Mode.AUTO, 0)
    assert read_lane({"mode": "ordinary"}) == Lane(Mode.ORDINARY, 0)
    for wrong in ({"mode": "mtp"}, {"depth": 2}, {"mode": "fast", "depth": 1}, {"mode": "mtp", "deep": 1}, 3):
        with pytest.raises(UsageError):
            read_lane(wrong)
