"""One reply, from prompt to stop: prefill, then rounds of draft, verify, accept.

A round drafts k tokens, runs them behind the last token in one pass of the main model, keeps the longest
agreeing prefix and one more token of the main model's own. Everything is reported as events; nothing is
counted before its pass is complete, so the iterator may be cancelled or abandoned anywhere.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from engine.decoding.acceptance import judge_by_picks, judge_by_rejection
from engine.decoding.decoder import Cancelled
from engine.decoding.drafters import Drafts, NgramDrafter
from engine.decoding.progress import PromptProgress, Standstill
from engine.decoding.report import Reporter, RouteRecord
from engine.decoding.sampling import Sampler
from engine.errors import DraftscopeError
from engine.events import Drafted, Finished, FinishReason, Phase, Prefilled, Verified
from engine.options import Acceptance, Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    import numpy as np

    from engine.decoding.decoder import Decoder
    from engine.decoding.drafters import Drafter, MtpDrafter
    from engine.events import Event
    from engine.model.steps import Layers
    from engine.offload.traffic import Traffic
    from engine.options import GenerateOptions
    from engine.text.detokenizer import Detokenizer

    Rows = np.ndarray[Any, np.dtype[np.float32]]

T = TypeVar("T")

_NOTHING = Drafts(())


class Reply:
    """The state of one reply while it is decoded."""

    def __init__(self, decoder: Decoder, options: GenerateOptions, detokenizer: Detokenizer | None) -> None:
        self._decoder = decoder
        self._options = options
        self._sampler = Sampler.of(options)
        self._stop_ids = frozenset(
            options.stop_ids if options.ignore_eos else (*options.stop_ids, *decoder.eos_ids)
        )
        self._report = Reporter(detokenizer, options.stop_strings, options.detail)
        self._emitted = 0
        self._seconds = 0.0
        self._away = 0.0
        """Seconds that whoever takes the events has spent on those of passes."""
        self._reason: FinishReason | None = None
        self._mtp = decoder.mtp_drafter(self._sampler, options.accept, self._stop_ids)
        self._drafters: dict[Mode, Drafter | None] = {
            Mode.MTP: self._mtp,
            Mode.NGRAM: NgramDrafter(self._stop_ids),
            Mode.MODEL: decoder.second_drafter(self._sampler, options.accept, self._stop_ids),
        }

    def events(self, prompt: Sequence[int]) -> Iterator[Event]:
        """Decode the reply to a prompt that fits into the context."""
        controls, message = self._decoder.controls, None
        try:
            yield from self.prefill(prompt)
            number = 0
            began = time.perf_counter()
            while self._reason is None:
                number += 1
                controls.hold(began)
                self._decoder.check()
                began = time.perf_counter()
                yield from self._round(number)
        except Cancelled:
            self._reason = FinishReason.CANCELLED
        except DraftscopeError as error:
            self._reason, message = FinishReason.ERROR, f"{error}{self._kept()}"
        yield Finished(self._reason or FinishReason.ERROR, self._emitted, self._seconds, message)

    def _kept(self) -> str:
        """What an error leaves, as a sentence."""
        if self._emitted == 0:
            return ""
        tokens = "token is" if self._emitted == 1 else f"{self._emitted:,} tokens are"
        return f" The reply's {tokens} kept."

    def prefill(self, prompt: Sequence[int]) -> Iterator[Event]:
        """Run what the caches lack of the prompt, then pick the first token; raises Cancelled."""
        decoder, state = self._decoder, self._decoder.state
        began = time.perf_counter()
        before = decoder.weights.traffic()
        reused = state.begin(prompt)
        progress = PromptProgress(decoder.weights, len(decoder.model.layers), len(prompt) - reused)
        row = yield from self._run(self._read(prompt[reused:]), progress)
        state.prefilled()
        first = self._sampler.pick(row[0], len(prompt))
        self._seconds = time.perf_counter() - began
        yield Prefilled(len(prompt), reused, self._seconds)
        moved = decoder.weights.traffic() - before
        yield self._emit(0, Mode.ORDINARY, _NOTHING, 0, first, row, None, 0.0, 0.0, 0.0, moved)

    def catch_up(self, drafter: Drafter, number: int = 0) -> Generator[Event, None, float]:
        """Show a drafter what it lacks of the text; returns the seconds that took, 0 where it lacked nothing.

        Raises Cancelled.
        """
        began, away = time.perf_counter(), self._away
        standstill = Standstill(self._decoder.weights, number, Phase.CATCHING_UP, drafter.layers)
        lacked = yield from self._run(drafter.catch_up(self._decoder.state), standstill)
        return time.perf_counter() - began - (self._away - away) if lacked else 0.0

    def _run(self, steps: Layers[T], news: Callable[[int], Event | None]) -> Generator[Event, None, T]:
        """Run steps to their end and tell the news at each. Raises Cancelled before the first and at each."""
        while True:
            self._decoder.check()
            try:
                layer = next(steps)
            except StopIteration as end:
                result: T = end.value
                return result
            event = news(layer)
            if event is not None:
                now = time.perf_counter()
                yield event
                self._away += time.perf_counter() - now

    def _read(self, ids: Sequence[int]) -> Layers[Rows]:
        """The rest of the prompt, of which only the last token's logits are wanted."""
        yield from self._decoder.run(ids, last=1)
        self._decoder.state.main_rows += len(ids) - 1
        return (yield from self._decoder.logits(1))

    def _verify(self, ids: Sequence[int], routes: RouteRecord | None) -> Layers[Rows]:
        yield from self._decoder.run(ids, routes)
        return (yield from self._decoder.logits(len(ids)))

    def _round(self, number: int) -> Iterator[Event]:
        decoder, state, options = self._decoder, self._decoder.state, self._options
        began, away = time.perf_counter(), self._away
        before = decoder.weights.traffic()
        mode, drafts, catchup_seconds, choice = yield from self._draft(number)
        draft_seconds = time.perf_counter() - began - (self._away - away) - catchup_seconds
        if drafts.drafts:
            yield Drafted(number, self._report.drafted(drafts.drafts))
        resumed, away = time.perf_counter(), self._away
        routes = RouteRecord() if options.detail else None
        ids = [state.tokens[-1], *(draft.id for draft in drafts.drafts)]
        standstill = Standstill(decoder.weights, number, Phase.VERIFYING, len(decoder.model.layers))
        rows = yield from self._run(self._verify(ids, routes), standstill)
        judge = judge_by_rejection if options.accept is Acceptance.REJECTION else judge_by_picks
        verdict = judge(self._sampler, drafts.drafts, rows, len(state.tokens))
        verify_seconds = time.perf_counter() - resumed - (self._away - away)
        self._seconds += catchup_seconds + draft_seconds + verify_seconds
        decoder.depths.observe(
            len(drafts.drafts),
            verdict.accepted,
            draft_seconds,
            verify_seconds,
            drafts.probabilities or None,
            by_mtp=mode.needs_mtp,
        )
        event = self._emit(
            number,
            mode,
            drafts,
            verdict.accepted,
            verdict.last,
            rows,
            routes,
            draft_seconds,
            verify_seconds,
            catchup_seconds,
            decoder.weights.traffic() - before,
        )
        yield event if choice is None else replace(event, choice=choice)

    def _draft(self, number: int) -> Generator[Event, None, tuple[Mode, Drafts, float, str | None]]:
        """As is in force now, cut to what is left of the reply and of the context.

        Returns the mode, the drafts, the seconds spent on catching up before, and why, in mode auto.
        """
        decoder, state, controls = self._decoder, self._decoder.state, self._decoder.controls
        room = min(self._options.max_tokens - self._emitted, state.context - len(state.tokens)) - 1
        mode, depth = controls.mode, min(controls.depth, room)
        drafter: Drafter | None = self._drafters.get(mode)
        steps = drafter.draft(state, depth) if drafter is not None and depth else None
        why = None
        if mode is Mode.AUTO and self._mtp is not None:
            drafter = self._mtp
            steps, why = self._at_best(self._mtp, room)
        if drafter is None or steps is None:
            return mode, _NOTHING, 0.0, why
        catchup_seconds = yield from self.catch_up(drafter, number)
        standstill = Standstill(decoder.weights, number, Phase.DRAFTING, drafter.layers)
        return mode, (yield from self._run(steps, standstill)), catchup_seconds, why

    def _at_best(self, drafter: MtpDrafter, room: int) -> tuple[Layers[Drafts] | None, str]:
        depths = self._decoder.depths
        choice = depths.choose(room)
        if choice.depth == 0:
            return None, choice.reason
        most = choice.depth if choice.is_trial else choice.most
        steps = drafter.draft(
            self._decoder.state, most, lambda sure: choice.is_trial or depths.pays(sure, most)
        )
        return steps, choice.reason

    def _emit(
        self,
        number: int,
        mode: Mode,
        drafts: Drafts,
        accepted: int,
        last: int,
        rows: Rows,
        routes: RouteRecord | None,
        draft_seconds: float,
        verify_seconds: float,
        catchup_seconds: float,
        moved: Traffic,
    ) -> Verified:
        """Make a round's tokens text: all of them, or those up to the end of the reply."""
        state, options = self._decoder.state, self._options
        tokens = [*(draft.id for draft in drafts.drafts[:accepted]), last]
        before = len(state.tokens)
        for count, token in enumerate(tokens, start=1):
            state.tokens.append(token)
            self._emitted += 1
            stops = self._report.push(token)
            if token in self._stop_ids or stops:
                self._reason = FinishReason.STOP
            elif self._emitted == options.max_tokens:
                self._reason = FinishReason.LENGTH
            elif len(state.tokens) == state.context:
                self._reason = FinishReason.CONTEXT
            if self._reason is not None:
                tokens = tokens[:count]
                break
        if number:
            state.keep(min(len(state.tokens), before + accepted) - before + 1)
        return self._report.verified(
            Verified(
                number,
                mode,
                len(drafts.drafts),
                min(accepted, len(tokens)),
                (),
                (),
                draft_seconds,
                verify_seconds,
                catchup_seconds,
                moved.wait_seconds,
                moved.expert_uses,
                moved.expert_hits,
                moved.expert_loads,
                moved.prefetch_used,
                moved.prefetch_wasted,
                moved.bytes_read,
            ),
            tokens,
            accepted,
            drafts.drafts,
            rows,
            routes,
            ended=self._reason is not None,
        )
