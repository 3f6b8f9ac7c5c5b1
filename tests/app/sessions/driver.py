"""A chat without screen or engine: what happens goes into a conversation and into a writer alike."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from app.conversation import Conversation, Exchange
from app.session_file import closing
from engine.events import (
    Drafted,
    DraftedToken,
    Finished,
    FinishReason,
    Header,
    Origin,
    Prefilled,
    Prefilling,
    RejectedToken,
    Token,
    Verified,
    Waiting,
)
from engine.options import GenerateOptions, Mode

if TYPE_CHECKING:
    from app.session_writer import SessionWriter
    from engine.events import Event

texts = st.text(max_size=6)
tokens = st.builds(
    Token,
    st.integers(0, 200_000),
    texts,
    st.sampled_from(Origin),
    st.integers(0, 8),
    st.none() | st.floats(-1e9, 0),
    st.none() | st.floats(-1e9, 0),
)
rejected = st.builds(RejectedToken, st.integers(0, 9), texts, st.none(), st.floats(-9, 0))
rounds = st.builds(
    Verified,
    st.integers(0, 99),
    st.sampled_from(Mode),
    st.integers(0, 8),
    st.integers(0, 8),
    st.lists(tokens, max_size=3).map(tuple),
    st.lists(rejected, max_size=2).map(tuple),
    draft_seconds=st.floats(0, 9),
    verify_seconds=st.floats(0, 9),
)
drafted = st.just(Drafted(1, (DraftedToken(1, "x", None),)))
fleeting = st.sampled_from([Prefilling(1, 2, 3, 4, 0.5), Waiting(1, 2, 3, 4.0)])
asked = st.tuples(st.just("ask"), st.sampled_from(Mode), st.integers(0, 8))
steps = st.one_of(
    st.tuples(st.just("say"), texts),
    st.tuples(st.just("system"), texts),
    st.tuples(st.just("trimmed"), st.integers(0, 5)),
    st.tuples(st.just("cut"), st.integers(0, 3)),
    st.tuples(st.just("rename"), texts),
    asked,
    st.tuples(st.just("event"), rounds | fleeting | drafted),
    st.tuples(st.just("event"), rounds),
    st.tuples(st.just("header"), st.integers(0, 8)),
    st.tuples(st.just("end"), st.sampled_from(FinishReason)),
)


class Driver:
    """Does what the chat does, in the order in which the chat does it."""

    def __init__(self, writer: SessionWriter, conversation: Conversation | None = None) -> None:
        self.writer = writer
        self.conversation = conversation or Conversation()
        self.title = ""

    def say(self, text: str) -> None:
        last = self.conversation.last
        if last is not None and last.reply.finished is None:
            self.end(FinishReason.CANCELLED)
        self.conversation.exchanges.append(Exchange(text))
        self.writer.user(text)
        self.writer.event(Prefilling(0, 1, 1, 0, 0.0))

    def event(self, event: Event) -> None:
        last = self.conversation.last
        if last is not None and last.reply.finished is None and last.reply.options is not None:
            last.reply.take(event)
            self.writer.event(event)

    def header(self, depth: int) -> None:
        last = self.conversation.last
        if last is not None and last.reply.options is None and last.reply.finished is None:
            last.reply.take(header := Header("demo", GenerateOptions(depth=depth)))
            self.writer.event(header)
            self.event(Prefilled(3, 1, 0.25))

    def end(self, reason: FinishReason) -> None:
        last = self.conversation.last
        if last is not None and last.reply.finished is None:
            end = dataclasses.replace(closing(last.reply), reason=reason)
            last.reply.take(end)
            self.writer.event(end)

    def ask(self, mode: Mode, depth: int) -> None:
        last = self.conversation.last
        if last is not None and last.reply.finished is None and last.reply.options and not last.reply.ghosts:
            last.reply.ask(mode, depth)
            self.writer.ask(mode, depth)

    def system(self, text: str) -> None:
        self.conversation.system = text
        self.writer.system(text)

    def trimmed(self, turns: int) -> None:
        if self.conversation.last is not None:
            self.conversation.last.trimmed_turns = turns
            self.writer.trimmed(turns)

    def cut(self, count: int) -> None:
        if count <= len(self.conversation.exchanges):
            self.end(FinishReason.CANCELLED)
            del self.conversation.exchanges[count:]
            self.writer.cut(count)

    def rename(self, title: str) -> None:
        self.title = title
        self.writer.rename(title)

    def closed(self) -> Conversation:
        """Return the conversation as a reader of the file has it."""
        last = self.conversation.last
        if last is not None and last.reply.finished is None:
            last.reply.take(closing(last.reply))
        return self.conversation


def reply(driver: Driver, text: str, count: int = 4) -> None:
    """Say something and have it answered in rounds of two tokens."""
    driver.say(text)
    driver.header(1)
    for number in range(count):
        pair = (
            Token(number, f" t{number}", Origin.ACCEPTED, 1, -0.1, -0.2),
            Token(number, ".", Origin.BONUS, 0, -0.5, None),
        )
        driver.event(Verified(number, Mode.MTP, 1, 1, pair, (), verify_seconds=0.1))
    driver.end(FinishReason.STOP)


def finished(conversation: Conversation) -> Finished:
    last = conversation.last
    assert last is not None
    assert last.reply.finished is not None
    return last.reply.finished
