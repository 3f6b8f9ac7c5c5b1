"""Several decodes of one prompt, so that their speeds can be compared.

Where everything is in RAM lanes take turns round by round, each in caches of its own forked from one prefill:
whatever else the machine does then falls on all alike, and each lane's clock counts its own rounds only.
Where weights move, a lane would find in memory what another has just read, and the one ahead would pay for
all. There each runs alone, in the order A B B A, and begins with the same weights in memory and nothing
under way. Alone, a lane needs no fork: the engine's own caches are cut back to the prompt instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from engine.decoding.controls import Controls
from engine.decoding.decoder import Cancelled
from engine.decoding.reply import Reply
from engine.decoding.sampling import Sampler
from engine.decoding.sequence import SequenceState
from engine.errors import DraftscopeError
from engine.events import Finished, FinishReason, Prefilled, Verified
from engine.lanes import LaneEvent, LanesFinished, LanesPlanned, LanesPrepared
from engine.model.steps import mapped
from engine.options import Mode

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from engine.decoding.decoder import Decoder
    from engine.decoding.drafters import Drafter
    from engine.events import Event
    from engine.lanes import Lane, LanesNews
    from engine.offload.home import Home
    from engine.options import GenerateOptions
    from engine.text.tokenizer import Tokenizer

_Ended: TypeAlias = FinishReason | None
"""Why it was broken off; None where all lanes came to their ends."""


class LaneControls(Controls):
    """Depth and mode of one lane, deaf to changes, to pace and to pause; a cancel is everybody's."""

    def __init__(self, shared: Controls, lane: Lane, has_mtp: bool, has_draft_model: bool) -> None:
        super().__init__(has_mtp, has_draft_model)
        self._shared = shared
        self.mode, self.depth = lane.mode, lane.depth

    @property
    def cancelled(self) -> bool:
        """See `Controls`."""
        return self._shared.cancelled


@dataclass(frozen=True, slots=True)
class Comparison:
    """What lanes are decoded with."""

    decoder: Decoder
    """The engine's own."""
    homes: tuple[Home, ...]
    """Of its model, and of the second one that drafts, if there is one."""
    tokenizer: Tokenizer | None
    prompt: tuple[int, ...]
    lanes: tuple[Lane, ...]
    options: GenerateOptions
    repeats: int

    def news(self) -> Iterator[LanesNews]:
        """Measure; closing the iterator, or a cancel, ends it and keeps what was measured.

        Afterwards the engine is as after any reply to the prompt: its caches hold that and no earlier text.
        """
        planned = self._planned()
        yield planned
        ended: _Ended = None
        message = None
        try:
            yield from self._prepare()
            ended = yield from self._interleaved() if planned.interleaved else self._isolated()
        except Cancelled:
            ended = FinishReason.CANCELLED
        except DraftscopeError as error:
            ended, message = FinishReason.ERROR, str(error)
        yield LanesFinished(ended is None, message)

    @property
    def _context(self) -> int:
        """What a lane's text can grow to."""
        return min(self.decoder.state.context, len(self.prompt) + self.options.max_tokens)

    @property
    def _has_mtp(self) -> bool:
        return self.decoder.mtp is not None

    def _planned(self) -> LanesPlanned:
        plans, second = [home.plan for home in self.homes], self.decoder.second
        forks = len(self.lanes) * SequenceState.bytes_for(
            self.decoder.model.config, self._context, self._has_mtp, second.config if second else None
        )
        spent = sum(plan.planned_bytes for plan in plans) + forks
        interleaved = False
        if not all(plan.holds_everything for plan in plans):
            why = "Weights are read from disk, so each lane runs alone, from the same weights in memory."
        elif spent > sum(plan.budget_bytes for plan in plans):
            why = "The RAM budget has no room for every lane's caches, so each lane runs alone."
        else:
            why = "Everything is in RAM, so lanes take turns round by round."
            interleaved = True
        return LanesPlanned(self.lanes, self.repeats, interleaved, why, forks if interleaved else 0)

    def _prepare(self) -> Iterator[LanesNews]:
        """Read the prompt, and feed the MTP layer with it if any lane drafts with that."""
        decoder, seconds, catchup_seconds = self.decoder, 0.0, 0.0
        reply = Reply(decoder, self.options, None)
        for event in reply.prefill(self.prompt):
            yield LaneEvent(None, 0, event)
            if isinstance(event, Prefilled):
                seconds = event.seconds
                break  # every lane picks its own first token
        how = Sampler.of(self.options), self.options.accept, frozenset[int]()
        modes = {lane.mode for lane in self.lanes}
        drafters: list[Drafter | None] = []
        if any(mode.needs_mtp for mode in modes):
            drafters.append(decoder.mtp_drafter(*how))
        if Mode.MODEL in modes:
            drafters.append(decoder.second_drafter(*how))
        for drafter in drafters:
            if drafter is not None:
                events = reply.catch_up(drafter)
                catchup_seconds += yield from mapped(events, lambda event: LaneEvent(None, 0, event))
        yield LanesPrepared(seconds, catchup_seconds)

    def _interleaved(self) -> Generator[LanesNews, None, _Ended]:
        decoder, second = self.decoder, self.decoder.second
        states = [
            SequenceState(
                decoder.model.config, self._context, self._has_mtp, second.config if second else None
            )
            for _ in self.lanes
        ]
        for state in states:
            state.take(self.decoder.state)
        for repeat in range(self.repeats):
            decodes = [self._decode(lane, state) for lane, state in zip(self.lanes, states, strict=True)]
            left = list(range(len(decodes)))
            turn = repeat
            while left:
                # Back and forth, so that no lane always follows the same one.
                for number in left[::-1] if turn % 2 else list(left):
                    finished = yield from self._round(number, repeat, decodes[number])
                    if finished is not None:
                        left.remove(number)
                    if finished is not None and finished.reason is FinishReason.ERROR:
                        raise DraftscopeError(finished.message)
                turn += 1
            if self.decoder.controls.cancelled:
                return FinishReason.CANCELLED
        return None

    def _isolated(self) -> Generator[LanesNews, None, _Ended]:
        for home in self.homes:
            self._wait(home.settle())
        records = [home.recorded() for home in self.homes]
        for repeat in range(self.repeats):
            numbers = range(len(self.lanes))
            for number in reversed(numbers) if repeat % 2 else numbers:
                for home, record in zip(self.homes, records, strict=True):
                    self._wait(home.restore(record))
                decode = self._decode(self.lanes[number], self.decoder.state)
                finished = None
                while finished is None:
                    finished = yield from self._round(number, repeat, decode)
                if finished.reason is FinishReason.ERROR:
                    raise DraftscopeError(finished.message)
                if finished.reason is FinishReason.CANCELLED:
                    return finished.reason
        return None

    def _round(
        self, number: int, repeat: int, events: Iterator[Event]
    ) -> Generator[LanesNews, None, Finished | None]:
        """Take a lane's events up to the end of a round; the last one if it was the lane's last."""
        for event in events:
            yield LaneEvent(number, repeat, event)
            if isinstance(event, Finished):
                return event
            if isinstance(event, Verified):
                return None
        message = "a reply ended without saying so"
        raise RuntimeError(message)

    def _decode(self, lane: Lane, state: SequenceState) -> Iterator[Event]:
        has_draft_model = self.decoder.second is not None
        controls = LaneControls(self.decoder.controls, lane, self._has_mtp, has_draft_model)
        options = lane.options(self.options).changed({"detail": True})  # the experts of every pass
        detokenizer = self.tokenizer.detokenizer() if self.tokenizer else None
        decoder = replace(self.decoder, state=state, controls=controls)
        return Reply(decoder, options, detokenizer).events(self.prompt)

    def _wait(self, waiting: Iterator[None]) -> None:
        for _ in waiting:
            self.decoder.check()
