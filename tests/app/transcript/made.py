"""Replies that were made up, and a small app that shows them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual.app import App

from app.conversation import Conversation, Exchange
from app.token_colours import token_defaults
from app.widgets.transcript import Transcript
from engine.events import (
    Drafted,
    DraftedToken,
    Finished,
    FinishReason,
    Header,
    Origin,
    Prefilled,
    RejectedToken,
    Token,
    Verified,
)
from engine.options import GenerateOptions, Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.segment import Segment
    from rich.style import Style
    from textual.app import ComposeResult
    from textual.pilot import Pilot

    from app.conversation import Reply
    from app.transcript.layout import Place


class TranscriptApp(App[None]):
    """A transcript and nothing else."""

    def __init__(self, conversation: Conversation | None = None) -> None:
        super().__init__()
        self.conversation = conversation or Conversation()
        self.inspected: list[Place] = []
        self.moved: list[Place | None] = []
        self.hovered: list[Place | None] = []
        self.followed: list[bool] = []
        self.escaped = False

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return token_defaults(self.current_theme)

    def compose(self) -> ComposeResult:
        yield Transcript()

    def on_mount(self) -> None:
        self.transcript.show(self.conversation)
        self.transcript.focus()

    def key_escape(self) -> None:
        self.escaped = True

    def on_transcript_inspect(self, message: Transcript.Inspect) -> None:
        self.inspected.append((message.exchange_index, message.token_index))

    def on_transcript_cursor_moved(self, message: Transcript.CursorMoved) -> None:
        self.moved.append(message.place)

    def on_transcript_hovered(self, message: Transcript.Hovered) -> None:
        self.hovered.append(message.place)

    def on_transcript_following_changed(self, message: Transcript.FollowingChanged) -> None:
        self.followed.append(message.following)

    @property
    def transcript(self) -> Transcript:
        return self.query_one(Transcript)

    @property
    def shown(self) -> list[str]:
        """The lines on screen, without the gutter."""
        return [line[3:].rstrip() for line in self.shown_with_gutter]

    @property
    def shown_with_gutter(self) -> list[str]:
        transcript = self.transcript
        return [transcript.render_line(y).text.rstrip() for y in range(transcript.size.height)]

    def segments(self) -> Iterator[Segment]:
        transcript = self.transcript
        for y in range(transcript.size.height):
            yield from transcript.render_line(y)

    def style_of(self, text: str) -> Style:
        """The style of the one segment that says this."""
        (found,) = [segment for segment in self.segments() if segment.text.strip() == text]
        assert found.style is not None
        return found.style

    async def take(self, pilot: Pilot[None], *events: object) -> None:
        """Apply events to the last reply, and show what came of it."""
        assert self.conversation.last is not None
        for event in events:
            self.conversation.last.reply.take(event)  # type: ignore[arg-type]
        self.transcript.refresh_tail()
        await pilot.pause()


async def wait_until(pilot: Pilot[None], is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await pilot.pause()


def token(
    text: str, origin: Origin = Origin.ORDINARY, position: int = 0, logprob: float | None = -0.01
) -> Token:
    return Token(1, text, origin, position, logprob, None)


def accepted(text: str, position: int = 1) -> Token:
    return token(text, Origin.ACCEPTED, position)


def corrected(text: str) -> Token:
    return token(text, Origin.CORRECTED)


def bonus(text: str) -> Token:
    return token(text, Origin.BONUS)


def drafted(round_index: int, *texts: str) -> Drafted:
    return Drafted(round_index, tuple(DraftedToken(1, text, -0.5) for text in texts))


def verified(round_index: int, *tokens: Token, rejected: tuple[str, ...] = (), depth: int = 2) -> Verified:
    drafts = tuple(RejectedToken(1, text, None, None) for text in rejected)
    kept = sum(each.origin is Origin.ACCEPTED for each in tokens)
    return Verified(round_index, Mode.MTP, depth, kept, tokens, drafts, verify_seconds=0.11)


def finished(reason: FinishReason = FinishReason.STOP, message: str | None = None) -> Finished:
    return Finished(reason, 1, 1.0, message)


def begun(model: str = "demo", depth: int = 2) -> tuple[Header, Prefilled]:
    return Header(model, GenerateOptions(depth=depth)), Prefilled(5, 0, 0.3)


def chat(*exchanges: tuple[str, str]) -> Conversation:
    """A conversation of finished exchanges; each reply's tokens are its words, with the space before."""
    conversation = Conversation()
    for said, replied in exchanges:
        exchange = Exchange(said)
        for event in begun():
            exchange.reply.take(event)
        words = [word if number == 0 else f" {word}" for number, word in enumerate(replied.split(" "))]
        feed(exchange.reply, *words)
        exchange.reply.take(finished())
        conversation.exchanges.append(exchange)
    return conversation


def feed(reply: Reply, *texts: str) -> None:
    """Give a reply ordinary tokens, a round each."""
    for text in texts:
        reply.take(verified(len(reply.rounds), token(text)))


def growing(said: str = "why?") -> Conversation:
    """A conversation with a reply that begins."""
    conversation = Conversation()
    conversation.exchanges.append(Exchange(said))
    for event in begun():
        conversation.exchanges[-1].reply.take(event)
    return conversation
