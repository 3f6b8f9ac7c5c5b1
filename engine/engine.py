"""The engine: a checkpoint, opened and ready to decode.

One text at a time, from one thread; `controls` may be used from any other. Everything an engine is asked for
works on the same caches, which keep what the last call left: a prompt that begins as the last text did is
only run from where they part.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from engine.decoding import kept_cache
from engine.decoding.build import build_identity
from engine.decoding.controls import Controls
from engine.decoding.decoder import Decoder
from engine.decoding.drafters import MtpDrafter
from engine.decoding.lanes import Comparison
from engine.decoding.reply import Reply
from engine.decoding.sampling import Sampler
from engine.decoding.sequence import SequenceState
from engine.decoding.tally import ExpertTally
from engine.errors import CheckpointError, UsageError
from engine.lab.run import run_lab
from engine.offload.traffic import SharedTraffic
from engine.options import MAX_DEPTH, Acceptance
from engine.surface import reply_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from engine.config import ModelConfig
    from engine.decoding.kept_cache import KeptCache
    from engine.events import Event
    from engine.experts import ExpertUse
    from engine.lab.results import WiringReport
    from engine.lanes import Lane, LanesNews
    from engine.model.mtp import MtpModule
    from engine.model.transformer import Transformer
    from engine.offload.home import Home
    from engine.options import GenerateOptions
    from engine.second import SecondModel
    from engine.text.generation import GenerationDefaults
    from engine.text.template import ChatTemplate
    from engine.text.tokenizer import Tokenizer

    Rows = np.ndarray[Any, np.dtype[np.float32]]

_GREEDY = Sampler(temperature=0.0, top_k=0, top_p=1.0, min_p=0.0, seed=0)


class Engine:
    """A loaded checkpoint. Made by `load`; close it, or use it in a `with`."""

    def __init__(
        self,
        config: ModelConfig,
        model: Transformer,
        mtp: MtpModule | None,
        context: int,
        tokenizer: Tokenizer | None,
        chat_template: ChatTemplate | None,
        generation: GenerationDefaults,
        warnings: tuple[str, ...],
        home: Home,
        second: SecondModel | None = None,
    ) -> None:
        self.config = config
        self.context = context
        self.tokenizer = tokenizer
        """None where the checkpoint has no tokenizer.json."""
        self.chat_template = chat_template
        self.generation = generation
        """What the checkpoint's authors recommend."""
        self.warnings = warnings
        """Sentences for the user: what is odd about the checkpoint or the machine."""
        self.home = home
        """Where the weights are, and what moving them has cost."""
        self.second = second
        """The model that drafts in mode model, if one was given."""
        self.controls = Controls(has_mtp=mtp is not None, has_draft_model=second is not None)
        state = SequenceState(config, context, mtp is not None, second.model.config if second else None)
        self._decoder = Decoder(
            model,
            mtp,
            state,
            self.controls,
            generation.eos_ids,
            SharedTraffic(self._homes),
            ExpertTally(config),
            second=second.model if second else None,
        )

    @property
    def most_context(self) -> int:
        """The largest context that this model was made for."""
        return self.config.max_position_embeddings

    @property
    def has_mtp(self) -> bool:
        """Whether the checkpoint can draft for itself."""
        return self._decoder.mtp is not None

    @property
    def has_draft_model(self) -> bool:
        """Whether a second model drafts in mode model."""
        return self.second is not None

    def logits(self, token_ids: Sequence[int], chunk: int | None = None) -> Rows:
        """The main model's logits after each token, float32 [tokens, vocab].

        The prompt is run `chunk` tokens at a time, or whole; the bits are the same. Raises UsageError for ids
        outside the vocabulary and for more than the context holds, Cancelled after `controls.cancel()`.
        """
        ids = self._checked(token_ids, room=0)
        self.controls.begin()
        state = self._decoder.state
        state.begin([])
        rows = []
        for first in range(0, len(ids), chunk or len(ids)):
            part = ids[first : first + (chunk or len(ids))]
            self._decoder.finish(self._decoder.run(part))
            rows.append(self._decoder.finish(self._decoder.logits(len(part))))
            state.tokens += part
            state.keep(len(part))
        return np.concatenate(rows)

    def draft(self, token_ids: Sequence[int], depth: int) -> tuple[list[int], Rows]:
        """What the MTP layer drafts after the tokens and the main model's greedy next one.

        Returns `depth` ids and their logits, float32 [depth, vocab]. Raises CheckpointError where there is
        no MTP layer.
        """
        if not 1 <= depth <= MAX_DEPTH:
            raise UsageError(f"depth must be from 1 to {MAX_DEPTH}, not {depth}.")
        ids, decoder, state = self._checked(token_ids, room=depth), self._decoder, self._decoder.state
        if decoder.mtp is None:
            raise CheckpointError("This checkpoint has no MTP layer, so nothing drafts.")
        self.controls.begin()
        reused = state.begin(ids)
        decoder.finish(decoder.run(ids[reused:]))
        state.main_rows = len(ids) - 1
        last = decoder.finish(decoder.logits(1))[0]
        state.prefilled()
        state.tokens.append(_GREEDY.pick(last, len(ids)))
        drafter = MtpDrafter(decoder.mtp, _GREEDY, Acceptance.COUPLED, frozenset())
        decoder.finish(drafter.catch_up(state))
        drafts = decoder.finish(drafter.draft(state, depth)).drafts
        return [d.id for d in drafts], np.stack([d.logits for d in drafts if d.logits is not None])

    def generate(self, token_ids: Sequence[int], options: GenerateOptions | None = None) -> Iterator[Event]:
        """Decode a reply to the tokens; closing the iterator, or `controls.cancel()`, ends it.

        Sets `controls.depth` and `controls.mode` to the options'; changes to them hold from the next round.
        Raises UsageError for a prompt that does not fit, CheckpointError for mode mtp without an MTP layer.
        """
        ids = self._checked(token_ids, room=1)
        options = options or reply_options(self, {})
        self.controls.mode = options.mode
        self.controls.depth = options.depth
        self.controls.begin()
        detokenizer = self.tokenizer.detokenizer() if self.tokenizer else None
        return Reply(self._decoder, options, detokenizer).events(ids)

    def compare(
        self,
        token_ids: Sequence[int],
        lanes: Sequence[Lane],
        options: GenerateOptions | None = None,
        *,
        repeats: int = 1,
    ) -> Iterator[LanesNews]:
        """Decode a reply to the tokens in every lane, to compare their speeds; see `engine.decoding.lanes`.

        Depth and mode of the options give way to each lane's; `controls.cancel()` ends it. The prompt is read
        once and takes the place of the text in the caches: a chat's next reply has its prompt to read again.
        Raises UsageError and CheckpointError as `generate` does.
        """
        ids = self._checked(token_ids, room=1)
        if not lanes or len(set(lanes)) < len(lanes):
            raise UsageError("Give lanes to compare, and each only once.")
        if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1:
            raise UsageError(f"repeats must be 1 or more, not {repeats!r}.")
        for lane in lanes:
            lane.mode.check(has_mtp=self.has_mtp, has_draft_model=self.has_draft_model)
        self.controls.begin()
        options = options or reply_options(self, {})
        comparison = Comparison(
            self._decoder, self._homes, self.tokenizer, tuple(ids), tuple(lanes), options, repeats
        )
        return comparison.news()

    def wiring(
        self, text: str | None = None, progress: Callable[[int, int, str], None] = lambda *_: None
    ) -> WiringReport | None:
        """Find out by trial how the MTP layer is wired, on a text or on the model's own continuations.

        `progress(done, in_all, what)` is called as it goes; None comes back after `controls.cancel()`. The
        caches hold no earlier text afterwards. Raises CheckpointError without an MTP layer, UsageError
        without a tokenizer, and for a text or a context that is too short.
        """
        self.controls.begin()
        return run_lab(self._decoder, self.tokenizer, self.chat_template, text, progress)

    def expert_use(self) -> ExpertUse:
        """Which experts of the main model were used since it was loaded, and which are in RAM now.

        May be called from any thread, while a reply is decoded as well.
        """
        resident = self.home.resident_experts() if self.home.experts_move else None
        return self._decoder.tally.report(resident)

    def keep_cache(self, path: str | Path) -> KeptCache:
        """Write the last text and its caches to a file, for `recall_cache`; see `engine.decoding.kept_cache`.

        Raises UsageError where there is no text yet or the file cannot be written.
        """
        return kept_cache.keep(self._decoder.state, self._cache_identity, Path(path))

    def recall_cache(self, path: str | Path) -> int:
        """Put a kept text in place of the last one; returns its tokens, which prompts need not be run for.

        Raises UsageError, and changes nothing, where the file is missing or damaged, of another checkpoint or
        build, or longer than the context.
        """
        return kept_cache.recall(self._decoder.state, self._cache_identity, Path(path))

    @property
    def weights_bytes(self) -> int:
        """Of the checkpoint's tensors on disk."""
        return self.home.weights_bytes

    @property
    def budget_bytes(self) -> int:
        """The RAM budget, of both models where two were loaded."""
        return sum(home.plan.budget_bytes for home in self._homes)

    @property
    def reading_seconds(self) -> float:
        """How long at least one read was outstanding, since the engine was loaded."""
        return sum(home.reading_seconds for home in self._homes)

    def close(self) -> None:
        """End a reply under way and all reading, and remember the hot experts; memory goes with this."""
        self.controls.cancel()
        for home in self._homes:
            home.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _homes(self) -> tuple[Home, ...]:
        return (self.home,) if self.second is None else (self.home, self.second.home)

    @cached_property
    def _cache_identity(self) -> kept_cache.CacheIdentity:
        """Looked up when it is first asked for: it takes some hundred small reads."""
        return kept_cache.CacheIdentity(self.home.fingerprint(), build_identity(self._decoder.model.kernels))

    def _checked(self, token_ids: Sequence[int], room: int) -> list[int]:
        ids = [int(token) for token in token_ids]
        if not ids:
            raise UsageError("The prompt is empty: give at least one token.")
        wrong = next((token for token in ids if not 0 <= token < self.config.vocab_size), None)
        if wrong is not None:
            raise UsageError(f"Token {wrong} is outside the vocabulary, 0 to {self.config.vocab_size - 1}.")
        if len(ids) + room > self.context:
            most = self.most_context
            larger = f"or choose a larger context (--context {most} at the most)"
            raise UsageError(
                f"The prompt has {len(ids):,} tokens and the context holds {self.context:,}"
                f"{', the reply included' if room else ''}: shorten it, "
                f"{larger if self.context < most else 'since this model was made for no more'}."
            )
        return ids
