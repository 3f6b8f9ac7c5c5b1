"""What a round looks like from outside: texts, origins and log probabilities for its event."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.decoding.sampling import log_softmax
from engine.events import (
    Candidate,
    DraftedToken,
    Origin,
    RejectedToken,
    RoundDetail,
    Token,
    TokenDetail,
    Verified,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.decoding.acceptance import Draft
    from engine.text.detokenizer import Detokenizer

    Doubles = np.ndarray[Any, np.dtype[np.float64]]
    Rows = np.ndarray[Any, np.dtype[np.float32]]

CANDIDATES = 5
"""How many of each model's likeliest tokens `detail` reports."""


class RouteRecord:
    """Collects the experts that a pass used, layer by layer."""

    def __init__(self) -> None:
        self._used: dict[int, set[int]] = {}

    def used(self, layer: int, numbers: tuple[int, ...]) -> None:
        """See `engine.model.feed_forward.Routes`."""
        self._used.setdefault(layer, set()).update(numbers)

    def by_layer(self) -> tuple[tuple[int, ...], ...]:
        """For each layer with experts, those used, ascending."""
        return tuple(tuple(sorted(self._used[layer])) for layer in sorted(self._used))


class Reporter:
    """Turns the tokens of one reply into what events carry. Without a detokenizer all texts are empty."""

    def __init__(self, detokenizer: Detokenizer | None, stop_strings: Sequence[str], detail: bool) -> None:
        self._detokenizer = detokenizer
        self._fresh = detokenizer.copy() if detokenizer else None
        self._stop_strings = tuple(stop_strings)
        self._detail = detail
        self._tail = ""
        self._texts: list[str] = []
        self._drafted: list[DraftedToken] = []

    def drafted(self, drafts: Sequence[Draft]) -> tuple[DraftedToken, ...]:
        """The drafts of the round that begins, with the texts they would have."""
        text = self._detokenizer.copy() if self._detokenizer else None
        self._drafted = [
            DraftedToken(draft.id, text.push(draft.id) if text else "", _logprob(draft.logits, draft.id))
            for draft in drafts
        ]
        return tuple(self._drafted)

    def push(self, token: int) -> bool:
        """Add a token to the text; whether that completes a stop string."""
        text = self._detokenizer.push(token) if self._detokenizer else ""
        self._texts.append(text)
        if not self._stop_strings:
            return False
        self._tail += text
        found = any(stop in self._tail for stop in self._stop_strings)
        longest = max(len(stop) for stop in self._stop_strings)
        self._tail = self._tail[max(len(self._tail) - longest + 1, 0) :]
        return found

    def verified(
        self,
        event: Verified,
        tokens: Sequence[int],
        accepted: int,
        drafts: Sequence[Draft],
        rows: Rows,
        routes: RouteRecord | None,
        ended: bool,
    ) -> Verified:
        """Complete an event with the round's tokens, which were pushed, and its rejected drafts.

        `accepted` is the verdict's, `tokens` what is left of it where the reply ends inside the round; rows
        is [drafts + 1, vocab], the main model's logits.
        """
        texts, self._texts = self._texts, []
        if ended and self._detokenizer:
            texts[-1] += self._detokenizer.flush()
        logprobs = [log_softmax(row) for row in rows[: len(tokens)]]
        own = Origin.ORDINARY if not drafts else Origin.BONUS if accepted == len(drafts) else Origin.CORRECTED
        reported = [
            Token(
                token,
                texts[i],
                Origin.ACCEPTED if i < accepted else own,
                i + 1 if i < accepted else 0,
                float(logprobs[i][token]),
                self._drafted[i].logprob if i < accepted else None,
            )
            for i, token in enumerate(tokens)
        ]
        kept = min(accepted, len(tokens))
        rejected = [
            RejectedToken(
                draft.id,
                draft.text,
                float(logprobs[i][draft.id]) if i == accepted and i < len(tokens) else None,
                draft.logprob,
            )
            for i, draft in enumerate(self._drafted[: len(drafts)])
            if i >= kept
        ]
        detail = None
        if self._detail:
            detail = RoundDetail(
                tuple(
                    TokenDetail(
                        self._candidates(logprobs[i]),
                        self._candidates(log_softmax(draft))
                        if i < len(drafts) and (draft := drafts[i].logits) is not None
                        else (),
                    )
                    for i in range(len(tokens))
                ),
                routes.by_layer() if routes is not None else (),
            )
        return replace(event, tokens=tuple(reported), rejected=tuple(rejected), detail=detail)

    def _candidates(self, logprobs: Doubles) -> tuple[Candidate, ...]:
        best = np.argsort(-logprobs, kind="stable")[:CANDIDATES]
        return tuple(Candidate(int(i), self._text_of(int(i)), float(logprobs[i])) for i in best)

    def _text_of(self, token: int) -> str:
        return self._fresh.copy().push(token) if self._fresh else ""


def _logprob(logits: Rows | None, token: int) -> float | None:
    return None if logits is None else float(log_softmax(logits)[token])
