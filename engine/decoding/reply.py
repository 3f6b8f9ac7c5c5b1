"""One reply, from prompt to stop: prefill, then rounds of draft, verify, accept.

A round drafts k tokens, runs them behind the last token in one pass of the main model, keeps the longest
agreeing prefix and one more token of the main model's own. Everything is reported as events; nothing is
counted before its pass is complete, so the iterator may be cancelled or abandoned anywhere.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from engine.decoding.acceptance import judge_by_picks, judge_by_rejection
from engine.decoding.depth_controller import DepthController
from engine.decoding.drafters import Drafts, MtpDrafter, NgramDrafter
from engine.decoding.report import Reporter, RouteRecord
from engine.decoding.sampling import Sampler
from engine.decoding.second_model import SecondModelDrafter
from engine.errors import DraftscopeError
from engine.events import Drafted, Finished, FinishReason, Prefilled, Prefilling, Verified, Waiting
from engine.options import Acceptance, Mode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

    from engine.decoding.controls import Controls
    from engine.decoding.drafters import Drafter
    from engine.decoding.sequence import SequenceState
    from engine.decoding.tally import ExpertTally
    from engine.events import Event
    from engine.model.mtp import MtpModule
    from engine.model.transformer import Transformer
    from engine.offload.traffic import Traffic, TrafficSource
    from engine.options import GenerateOptions
    from engine.text.detokenizer import Detokenizer

    Rows = np.ndarray[Any, np.dtype[np.float32]]

PROGRESS_SECONDS = 0.25
"""How often prefill says where it is, where layers are quicker than that."""
WAITING_SECONDS = 1.0
"""How long a round stands still for the disk before it says so, and how often then."""

_NOTHING = Drafts((), 0.0)


class Cancelled(Exception):  # noqa: N818  it is no error
    """A pass was given up between two layers, or while it waited for weights."""


@dataclass(frozen=True, slots=True)
class Decoder:
    """What a reply is decoded with."""

    model: Transformer
    mtp: MtpModule | None
    state: SequenceState
    controls: Controls
    eos_ids: tuple[int, ...]
    weights: TrafficSource
    """Whose reads a round's figures are about."""
    tally: ExpertTally
    """Counts the main model's experts."""
    depths: DepthController = field(default_factory=DepthController)
    """Learns from every round, and chooses in mode auto."""
    second: Transformer | None = None
    """A second model that drafts in mode model."""

    def run(
        self, ids: Sequence[int], routes: RouteRecord | None = None, last: int | None = None
    ) -> Iterator[int]:
        """Run tokens behind the main rows; yields layers done. Raises Cancelled between layers.

        The same number again says that the next layer is waiting for weights. The states of the
        `last` tokens, of all if not given, are in `state` afterwards; making the rows count is the caller's.
        """
        state = self.state
        hidden = state.states_to_fill(len(ids), last)
        self.check()
        watched = self.tally.watch(len(ids), routes)
        for done in self.model.forward(ids, state.main_rows, state.caches, hidden, watched):
            yield done
            if done < len(self.model.layers):
                self.check()

    def logits(self, rows: int) -> Rows:
        """The main model's logits for the last pass's first rows, [rows, vocab]. Raises Cancelled."""
        return self.model.logits(self.state.states(self.state.main_rows, rows), self.check).numpy()

    def mtp_drafter(
        self, sampler: Sampler, accept: Acceptance, stop_ids: frozenset[int]
    ) -> MtpDrafter | None:
        """The MTP layer as a drafter; None where there is none."""
        return None if self.mtp is None else MtpDrafter(self.mtp, sampler, accept, stop_ids, self.check)

    def second_drafter(
        self, sampler: Sampler, accept: Acceptance, stop_ids: frozenset[int]
    ) -> SecondModelDrafter | None:
        """The second model as a drafter; None where there is none."""
        if self.second is None:
            return None
        return SecondModelDrafter(self.second, sampler, accept, stop_ids, self.check)

    def check(self) -> None:
        """Raise Cancelled if the reply is to end."""
        if self.controls.cancelled:
            raise Cancelled


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
        """Seconds of the round that whoever takes the events spent on one."""
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
        began = reported = time.perf_counter()
        before = decoder.weights.traffic()
        reused = state.begin(prompt)
        ids, layers = prompt[reused:], len(decoder.model.layers)
        for layer in decoder.run(ids, last=1):
            now = time.perf_counter()
            if now - reported >= PROGRESS_SECONDS and layer < layers:
                reported = now
                bytes_read = decoder.weights.traffic().bytes_read - before.bytes_read
                yield Prefilling(layer, layers, len(ids), bytes_read, now - began)
        state.main_rows = len(prompt) - 1
        row = decoder.logits(1)
        state.prefilled()
        first = self._sampler.pick(row[0], len(prompt))
        self._seconds = time.perf_counter() - began
        yield Prefilled(len(prompt), reused, self._seconds)
        moved = decoder.weights.traffic() - before
        yield self._emit(0, Mode.ORDINARY, _NOTHING, 0, first, row, None, 0.0, 0.0, moved)

    def _round(self, number: int) -> Iterator[Event]:
        decoder, state, options = self._decoder, self._decoder.state, self._options
        began = time.perf_counter()
        before = decoder.weights.traffic()
        mode, drafts, choice = self._draft()
        drafted = time.perf_counter()
        if drafts.drafts:
            yield Drafted(number, self._report.drafted(drafts.drafts))
        resumed, self._away = time.perf_counter(), 0.0
        routes = RouteRecord() if options.detail else None
        ids = [state.tokens[-1], *(draft.id for draft in drafts.drafts)]
        yield from self._watch(number, decoder.run(ids, routes))
        rows = decoder.logits(len(ids))
        judge = judge_by_rejection if options.accept is Acceptance.REJECTION else judge_by_picks
        verdict = judge(self._sampler, drafts.drafts, rows, len(state.tokens))
        verify_seconds = time.perf_counter() - resumed - self._away
        draft_seconds = drafted - began - drafts.catchup_seconds
        self._seconds += drafted - began + verify_seconds
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
            decoder.weights.traffic() - before,
        )
        yield event if choice is None else replace(event, choice=choice)

    def _watch(self, number: int, layers: Iterator[int]) -> Iterator[Event]:
        """Run a pass, and say so where it stands still for the disk."""
        moved = reported = time.perf_counter()
        done = 0
        for layer in layers:
            now = time.perf_counter()
            if layer > done:
                done, moved, reported = layer, now, now
            elif now - reported >= WAITING_SECONDS:
                yield Waiting(number, layer, len(self._decoder.model.layers), now - moved)
                reported = time.perf_counter()
                self._away += reported - now

    def _draft(self) -> tuple[Mode, Drafts, str | None]:
        """As is in force now, cut to what is left of the reply and of the context; and why, in mode auto."""
        state, controls = self._decoder.state, self._decoder.controls
        room = min(self._options.max_tokens - self._emitted, state.context - len(state.tokens)) - 1
        mode, depth = controls.mode, min(controls.depth, room)
        if mode is Mode.AUTO and self._mtp is not None:
            drafts, reason = self._mtp_at_best(self._mtp, room)
            return mode, drafts, reason
        drafter = self._drafters.get(mode)
        if drafter is None or depth == 0:
            return mode, _NOTHING, None
        return mode, drafter.draft(state, depth), None

    def _mtp_at_best(self, drafter: MtpDrafter, room: int) -> tuple[Drafts, str]:
        depths = self._decoder.depths
        choice = depths.choose(room)
        if choice.depth == 0:
            return _NOTHING, choice.reason
        most = choice.depth if choice.is_trial else choice.most
        drafts = drafter.draft(
            self._decoder.state, most, lambda sure: choice.is_trial or depths.pays(sure, most)
        )
        return drafts, choice.reason

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
                drafts.catchup_seconds,
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
