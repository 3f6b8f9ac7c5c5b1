"""A small chat with every origin in it, and texts that would like to be more than text."""

from __future__ import annotations

from app.conversation import Conversation, Exchange
from engine.events import (
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

EVIL = '<script>alert("x")</script>\x1b[31m\x9b2J&amp;'


def chat(evil: str = EVIL) -> Conversation:
    conversation = Conversation("Be brief.", [Exchange(f"why {evil}?")])
    reply = conversation.exchanges[0].reply
    reply.take(Header("demo", GenerateOptions(depth=2)))
    reply.take(Prefilled(10, 2, 0.5))
    reply.take(Verified(0, Mode.MTP, 0, 0, (Token(1, "The", Origin.ORDINARY, 0, -0.5, None),), ()))
    reply.take(
        Verified(
            1,
            Mode.MTP,
            2,
            1,
            (
                Token(2, " sea", Origin.ACCEPTED, 1, -0.25, -0.125),
                Token(3, evil, Origin.CORRECTED, 0, -1.5, None),
            ),
            (RejectedToken(9, " is", -1.9, -0.4),),
            verify_seconds=0.5,
        )
    )
    reply.ask(Mode.NGRAM, 1)
    reply.take(
        Verified(
            2,
            Mode.NGRAM,
            1,
            1,
            (Token(4, " é\n", Origin.ACCEPTED, 1, None, None), Token(5, "end", Origin.BONUS, 0, -0.1, None)),
            (),
            verify_seconds=0.5,
        )
    )
    reply.take(Finished(FinishReason.STOP, 5, 1.5))
    return conversation
