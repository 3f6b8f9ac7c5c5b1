"""What events make of a reply."""

from __future__ import annotations

from app.conversation import Change, Conversation, Exchange, Reply
from engine.events import FinishReason
from engine.options import Mode
from tests.app.chat.fake_backend import drafted, finished, header, prefilled, verified


def test_a_round_s_drafts_stand_until_it_is_verified() -> None:
    reply = Reply()
    for event in (header(), prefilled(), verified(0, (), "A")):
        reply.take(event)
    reply.take(drafted(1, " b", " c"))
    assert [ghost.text for ghost in reply.ghosts] == [" b", " c"]
    reply.take(verified(1, (" b",), " d", (" c",)))
    assert reply.ghosts == ()
    assert [lost.text for lost in reply.struck] == [" c"]
    assert reply.text == "A b d"
    assert [placed.round_index for placed in reply.tokens] == [0, 1, 1]
    reply.take(drafted(2, " e"))
    assert reply.struck == ()
    reply.take(finished(3, FinishReason.CANCELLED))
    assert reply.ghosts == ()
    assert reply.text == "A b d"


def test_a_change_is_marked_before_the_first_token_decoded_so() -> None:
    reply = Reply()
    for event in (header(), prefilled(), verified(0, (), "A")):
        reply.take(event)
    reply.ask(Mode.MTP, 2)  # as it is
    assert reply.changes == []
    reply.ask(Mode.MTP, 3)
    reply.ask(Mode.MTP, 4)  # before anything was decoded at 3
    assert reply.changes == [Change(1, Mode.MTP, 4)]


def test_drafts_that_stand_are_verified_as_they_were_drafted() -> None:
    reply = Reply()
    for event in (header(), prefilled(), verified(0, (), "A"), drafted(1, " b", " c")):
        reply.take(event)
    reply.ask(Mode.MTP, 0)
    assert reply.changes == []
    reply.take(verified(1, (" b", " c"), " d"))
    assert reply.changes == [Change(4, Mode.MTP, 0)]


def test_a_prompt_holds_earlier_replies_as_their_own_tokens() -> None:
    reply = Reply()
    reply.take(header())
    reply.take(verified(0, (), "Hello"))
    conversation = Conversation("Be kind.", [Exchange("hi", reply), Exchange("again")])
    messages = conversation.messages()
    assert [(message.role, message.content) for message in messages] == [
        ("system", "Be kind."), ("user", "hi"), ("assistant", "Hello"), ("user", "again"),
    ]  # fmt: skip
    assert messages[2].ids == (99,)
    assert conversation.messages(upto=0) == messages[:2]


def test_a_prompt_that_failed_before_its_first_token_is_no_turn_of_later_ones() -> None:
    too_long, cut_off = Reply(), Reply()
    for event in (header(), finished(0, FinishReason.ERROR)):
        too_long.take(event)
    for event in (header(), verified(0, (), "Hel"), finished(1, FinishReason.ERROR)):
        cut_off.take(event)
    conversation = Conversation(
        exchanges=[Exchange("long", too_long), Exchange("hi", cut_off), Exchange("on")]
    )
    assert [message.content for message in conversation.messages()] == ["hi", "Hel", "on"]
    assert [message.content for message in conversation.messages(upto=0)] == ["long"]
