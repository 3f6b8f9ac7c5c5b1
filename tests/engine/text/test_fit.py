"""Leaving a chat's oldest turns out."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from engine.text.fit import fit, prompt_room

SYSTEM, USER, ASSISTANT = "system", "user", "assistant"


def test_a_chat_that_fits_stays_whole() -> None:
    assert fit([USER, ASSISTANT, USER], 3, len).dropped_turns == 0


def test_a_user_message_goes_with_its_reply_and_the_system_message_stays() -> None:
    found = fit([SYSTEM, USER, ASSISTANT, USER, ASSISTANT, USER], 4, len)
    assert (found.kept, found.dropped_turns) == ((0, 3, 4, 5), 1)


def test_what_is_left_out_stays_the_same_for_a_few_turns() -> None:
    """So the prompt's beginning does, and with it what the caches hold."""
    dropped = [fit([USER, ASSISTANT] * turns + [USER], 40, len).dropped_turns for turns in range(15, 60)]
    assert dropped[:5] == [0] * 5
    assert dropped == sorted(dropped)
    changes = sum(now != before for before, now in itertools.pairwise(dropped))
    assert changes == 8  # every five turns, which are a quarter of the room
    assert len(set(dropped[5:10])) == 1


def test_the_last_user_message_stays_even_if_it_is_too_long() -> None:
    found = fit([SYSTEM, USER, ASSISTANT, USER], 1, len)
    assert (found.kept, found.dropped_turns) == ((0, 3), 1)
    assert fit([SYSTEM, USER], 1, len).dropped_turns == 0


@given(
    st.lists(st.tuples(st.sampled_from([SYSTEM, USER, ASSISTANT]), st.integers(0, 9)), min_size=1),
    st.integers(0, 60),
)
def test_what_is_left_fits_and_is_not_much_less_than_fits(messages: list[tuple[str, int]], room: int) -> None:
    roles = [role for role, _ in messages]

    def length(kept: tuple[int, ...]) -> int:
        return sum(messages[index][1] for index in kept)

    found = fit(roles, room, length)
    gone = [index for index in range(len(roles)) if index not in found.kept]
    assert all(roles[index] != SYSTEM for index in gone)
    if USER in roles:
        assert len(roles) - 1 - roles[::-1].index(USER) in found.kept
    spoken = [index for index, role in enumerate(roles) if role != SYSTEM]
    assert gone == spoken[: len(gone)]
    if gone:
        starts = [index for index in gone if roles[index] == USER] or gone[:1]
        last = starts[-1] if found.dropped_turns > 1 or roles[gone[0]] == USER else gone[0]
        one_fewer = tuple(sorted({*found.kept, *(index for index in gone if index >= last)}))
        assert length(one_fewer) > room - max(1, room // 4)
    if len(found.kept) > 1 and found.dropped_turns < roles.count(USER) - 1:
        assert length(found.kept) <= room


def test_a_reply_has_a_quarter_of_the_context_and_at_most_256_tokens() -> None:
    assert prompt_room(100) == 75
    assert prompt_room(4096) == 3840
