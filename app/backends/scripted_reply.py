"""One reply of the scripted engine: rounds with drafts that are right as often as the script says.

Which drafts are right depends on the place in the text alone, so that a change of depth, or another lane of a
measurement, goes through the same text. All figures are made up, but hang together as an engine's do.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from app.backends.scripted_text import script, wrong
from engine.events import (
    Candidate,
    Drafted,
    DraftedToken,
    Finished,
    FinishReason,
    Origin,
    RejectedToken,
    RoundDetail,
    Token,
    TokenDetail,
    Verified,
)
from engine.options import MAX_DEPTH, Mode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.backends.scripted_text import ScriptedToken
    from engine.options import GenerateOptions

_EXPERTS, _CHOSEN, _LAYERS = 16, 2, 3
_EXPERT_BYTES = 44_040_192
_DRAFT_SECONDS, _PASS_SECONDS, _TOKEN_SECONDS = 0.002, 0.030, 0.004
_AUTO_DEPTH, _CHOICE = 2, "Depth 2: 2.35 tokens in 42 ms; depth 0: 1.00 tokens in 30 ms."
"""Mode auto always chooses alike."""


@dataclass(frozen=True, slots=True)
class _Round:
    """Drafted and not yet verified."""

    number: int
    mode: Mode
    right: int
    """How many of the drafts are."""
    drafts: tuple[ScriptedToken, ...]
    drafted: Drafted
    choice: str | None
    """In mode auto: why so many were drafted."""


class ScriptedReply:
    """Yields a reply's rounds in two steps, `draft` and `verify`."""

    def __init__(
        self, key: str, options: GenerateOptions, reply_tokens: int, room: int, acceptance: Sequence[float]
    ) -> None:
        """`key` decides all that is random; `room` is what the context leaves."""
        self._key, self._options, self._acceptance = key, options, tuple(acceptance)
        self._script = script(key, reply_tokens)
        self._most = min(options.max_tokens, room)
        self._end_reason = FinishReason.LENGTH if options.max_tokens <= room else FinishReason.CONTEXT
        self._round: _Round | None = None
        self._number = -1
        self._seconds = 0.0
        self._spoken = 0

    @property
    def rounds(self) -> int:
        """Verified after round 0."""
        return max(self._number, 0)

    @property
    def reason(self) -> FinishReason | None:
        """Why it is over; None while it is not."""
        if self._spoken == len(self._script):
            return FinishReason.STOP
        return self._end_reason if self._spoken >= self._most else None

    def finished(self, reason: FinishReason, message: str | None = None) -> Finished:
        """Return its end."""
        return Finished(reason, self._spoken, self._seconds, message)

    def draft(self, mode: Mode, depth: int) -> Drafted | None:
        """Begin the next round; None where nothing is drafted."""
        number = self._number + 1
        left = self._script[self._spoken : self._spoken + MAX_DEPTH + 2]
        if number == 0:
            mode = Mode.ORDINARY
        choice = None
        if mode is Mode.AUTO and number:
            depth, choice = _AUTO_DEPTH, _CHOICE
        depth = 0 if mode is Mode.ORDINARY else min(depth, self._most - self._spoken - 1)
        random = self._random("draft")
        right = min(self._right(random.random(), mode), depth, len(left))
        drafts = list(left[:right])
        if right < len(left):  # nothing is drafted past the token that ends the reply
            drafts += [
                wrong(random, left[min(right + ahead, len(left) - 1)]) for ahead in range(depth - right)
            ]
        sure = mode is not Mode.NGRAM  # a look-up has no probabilities
        tokens = tuple(
            DraftedToken(each.id, each.text, -random.random() if sure else None) for each in drafts
        )
        drafted = Drafted(number, tokens)
        self._round = _Round(number, mode, right, tuple(drafts), drafted, choice)
        return drafted if tokens else None

    def verify(self) -> Verified:
        """End the round that `draft` began."""
        now, self._round = self._round, None
        assert now is not None
        random = self._random("verify")
        depth, right = len(now.drafts), now.right
        spoken = self._script[self._spoken : self._spoken + right + 1]
        own = Origin.ORDINARY if depth == 0 else Origin.BONUS if right == depth else Origin.CORRECTED
        tokens = tuple(
            Token(
                each.id,
                each.text,
                Origin.ACCEPTED if ahead < right else own,
                ahead + 1 if ahead < right else 0,
                -2 * random.random() ** 2,
                now.drafted.tokens[ahead].logprob if ahead < right else None,
            )
            for ahead, each in enumerate(spoken)
        )
        rejected = tuple(
            RejectedToken(each.id, each.text, -2 - random.random() if ahead == 0 else None, each.logprob)
            for ahead, each in enumerate(now.drafted.tokens[right:])
        )
        self._number = now.number
        self._spoken += len(tokens)
        verify_seconds = _PASS_SECONDS + _TOKEN_SECONDS * depth
        self._seconds += verify_seconds + _DRAFT_SECONDS * depth
        uses = _LAYERS * min(_CHOSEN * (depth + 1), _EXPERTS) if now.number else 0
        loads = sum(random.random() < 0.1 for _ in range(uses))
        return Verified(
            now.number,
            now.mode,
            depth,
            right,
            tokens,
            rejected,
            draft_seconds=_DRAFT_SECONDS * depth,
            verify_seconds=verify_seconds,
            wait_seconds=0.001 * loads,
            expert_uses=uses,
            expert_hits=uses - loads,
            expert_loads=loads,
            prefetch_used=loads // 2,
            prefetch_wasted=loads // 3,
            bytes_read=(loads + loads // 3) * _EXPERT_BYTES,
            detail=self._detail(random, now, spoken) if self._options.detail else None,
            choice=now.choice,
        )

    def _right(self, draw: float, mode: Mode) -> int:
        """How many drafts a round would get right: one draw against the rate of each position."""
        scale = 0.5 if mode is Mode.NGRAM else 1.0
        right = 0
        while right < len(self._acceptance) and draw < self._acceptance[right] * scale:
            right += 1
        return right

    def _random(self, what: str) -> Random:
        return Random(f"{self._key}/{what}/{self._spoken}")

    def _detail(self, random: Random, now: _Round, spoken: Sequence[ScriptedToken]) -> RoundDetail:
        def candidates(first: ScriptedToken) -> tuple[Candidate, ...]:
            others = (wrong(random, first) for _ in range(2))
            return tuple(
                Candidate(each.id, each.text, -0.3 - 1.5 * place)
                for place, each in enumerate(dict.fromkeys((first, *others)))
            )

        tokens = tuple(
            TokenDetail(candidates(each), candidates(now.drafts[ahead]) if ahead < len(now.drafts) else ())
            for ahead, each in enumerate(spoken)
        )
        used = min(_CHOSEN * (len(now.drafts) + 1), _EXPERTS)
        experts = tuple(tuple(sorted(random.sample(range(_EXPERTS), used))) for _ in range(_LAYERS))
        return RoundDetail(tokens, experts if now.number else ())
