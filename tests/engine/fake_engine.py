"""An engine without a model: the surface of the real one, its real controls, and faults on request.

The folder's name chooses the fault. The text is that of a prompt's ids, round and round; every second
draft is rejected, so that all origins occur.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.decoding.controls import Controls
from engine.decoding.kept_cache import KeptCache
from engine.errors import CheckpointError, MemoryBudgetError, UsageError
from engine.events import (
    Drafted,
    DraftedToken,
    Finished,
    FinishReason,
    Origin,
    Prefilled,
    Prefilling,
    RejectedToken,
    Token,
    Verified,
    Waiting,
)
from engine.experts import ExpertUse, UnionRow
from engine.lab.intervals import Interval
from engine.lab.results import WiringReport, WiringRow
from engine.lab.wiring import BASE
from engine.lanes import LaneEvent, LanesFinished, LanesPlanned, LanesPrepared
from engine.options import Mode
from engine.text.generation import GenerationDefaults
from engine.text.template import ChatTemplate
from engine.text.tokenizer import Tokenizer
from tests.engine.text import made

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from engine.events import Event
    from engine.lanes import Lane, LanesNews
    from engine.options import GenerateOptions
    from engine.surface import LoadSettings

FOREVER = 3600.0


class FakeEngine:
    def __init__(self, folder: Path, settings: LoadSettings) -> None:
        self.folder = folder
        self.context = settings.context or 4096
        self.most_context = 4096
        special = {"bos_token": made.BOS, "eos_token": made.EOS}
        self.tokenizer = None if folder.name == "ids-only" else Tokenizer(made.byte_level(), special)
        self.chat_template = ChatTemplate(made.TEMPLATE, special) if self.tokenizer else None
        if folder.name == "no-template":
            self.chat_template = None
        self.generation = GenerationDefaults()
        self.has_mtp = folder.name != "no-mtp"
        self.has_draft_model = settings.draft_model is not None
        self.controls = Controls(self.has_mtp, self.has_draft_model)
        self.warnings = (f"OMP_WAIT_POLICY is {os.environ.get('OMP_WAIT_POLICY')}",)
        if folder.name == "tell-settings":
            self.warnings = (str(settings),)
        self.weights_bytes, self.budget_bytes = 671_000, 9_000_000_000
        self.closed = False
        self.text_tokens = 0

    def close(self) -> None:
        self.closed = True

    def logits(self, token_ids: Sequence[int]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        return np.arange(len(token_ids) * 8, dtype=np.float32).reshape(-1, 8)

    def wiring(self, text: str | None, progress: Callable[[int, int, str], None]) -> WiringReport | None:
        progress(1, 2, "half of it")
        if not self.has_mtp:
            raise CheckpointError("This checkpoint has no MTP layer.")
        rows = (WiringRow(BASE, (0.9, 0.5), 0.5, Interval(0, 0, 0), Interval(0, 0, 0)),)
        return WiringReport("", text or "replies", 1, 2, rows, (), 0)

    def expert_use(self) -> ExpertUse:
        return ExpertUse((1, 2), 4, 2, ((1, 0, 2, 0), (0, 3, 0, 0)), (UnionRow(1, 3, 2.0),), ((0, 2), ()))

    def keep_cache(self, path: Path) -> KeptCache:
        if not self.text_tokens:
            raise UsageError("There is no text yet.")
        path.write_text(str(self.text_tokens))
        return KeptCache(path.stat().st_size, self.text_tokens)

    def recall_cache(self, path: Path) -> int:
        if not path.exists():
            raise UsageError(f"There is no kept cache {path}.")
        self.text_tokens = int(path.read_text())
        return self.text_tokens

    def generate(self, token_ids: Sequence[int], options: GenerateOptions) -> Iterator[Event]:
        ids = list(token_ids)
        if len(ids) >= self.context:
            raise UsageError(f"The prompt has {len(ids)} tokens and the context holds {self.context}.")
        if self.folder.name == "slow-start":
            time.sleep(0.3)  # what is heard now comes before the controls are set
        self.controls.mode = options.mode
        self.controls.depth = options.depth
        self.controls.begin()
        return self._events(ids, options)

    def compare(
        self, token_ids: Sequence[int], lanes: Sequence[Lane], options: GenerateOptions, *, repeats: int = 1
    ) -> Iterator[LanesNews]:
        if len(token_ids) >= self.context:
            raise UsageError(f"The prompt has {len(token_ids)} tokens and the context holds {self.context}.")
        if self.folder.name == "slow-start":
            time.sleep(0.3)
        self.controls.begin()
        return self._lanes(list(token_ids), tuple(lanes), options, repeats)

    def _lanes(
        self, ids: list[int], lanes: tuple[Lane, ...], options: GenerateOptions, repeats: int
    ) -> Iterator[LanesNews]:
        yield LanesPlanned(lanes, repeats, True, f"Seed {options.seed}.", 5)
        yield LaneEvent(None, 0, Prefilling(1, 2, len(ids), 0, 0.1))
        yield LanesPrepared(0.25, 0.5)
        for repeat in range(repeats):
            for number, lane in enumerate(lanes):
                for done in range(options.max_tokens):
                    self.controls.hold(time.perf_counter())  # so that pace would be noticed
                    if self.controls.cancelled:
                        yield LaneEvent(number, repeat, Finished(FinishReason.CANCELLED, done, 0.5))
                        yield LanesFinished(complete=False)
                        return
                    if self.folder.name == "explode":
                        raise RuntimeError("kernel on fire")
                    if self.folder.name == "damaged":
                        yield LanesFinished(False, "shard 7 is gone")
                        return
                    if self.folder.name == "hang":
                        time.sleep(FOREVER)
                    token = Token(ids[done % len(ids)], "", Origin.ORDINARY, 0, -0.5, None)
                    round_ = Verified(done, lane.mode, self.controls.depth, 0, (token,), ())
                    yield LaneEvent(number, repeat, round_)
                yield LaneEvent(number, repeat, Finished(FinishReason.LENGTH, options.max_tokens, 0.5))
        if self.folder.name != "unsaid":
            yield LanesFinished(complete=True)

    def _events(self, ids: list[int], options: GenerateOptions) -> Iterator[Event]:
        fault = self.folder.name
        yield Prefilling(1, 2, len(ids), 8_123_456_789 if fault == "stalls" else 0, 0.1)
        yield Prefilled(len(ids), min(self.text_tokens, len(ids) - 1), 0.2)
        detokenizer = self.tokenizer.detokenizer() if self.tokenizer else None
        text = detokenizer.push if detokenizer else lambda _id: ""
        done, number, began = 0, 0, 0.0

        def next_token(origin: Origin, position: int = 0) -> Token:
            nonlocal done
            id_ = ids[done % len(ids)]
            done += 1
            self.text_tokens = len(ids) + done
            return Token(id_, text(id_), origin, position, -0.5, -0.7 if position else None)

        yield Verified(0, Mode.ORDINARY, 0, 0, (next_token(Origin.ORDINARY),), ())
        while done < options.max_tokens:
            number += 1
            self.controls.hold(began)
            began = time.perf_counter()
            if self.controls.cancelled:
                yield Finished(FinishReason.CANCELLED, done, 0.5)
                return
            if fault == "noisy":
                print("a library says hello")
                os.write(1, b"and so does native code\n")
            if fault == "explode":
                raise RuntimeError("kernel on fire")
            if fault == "damaged":
                raise CheckpointError("shard 7 is gone")
            if fault == "shrinks":
                kept = f"The reply's {done} tokens are kept."
                yield Finished(FinishReason.ERROR, done, 0.5, f"shard 7 has shrunk. {kept}")
                return
            if fault == "stalls":
                yield Waiting(number, 11, 61, 3.2)
            if fault == "hang":
                time.sleep(FOREVER)
            depth = min(self.controls.depth, options.max_tokens - done - 1)
            if depth:
                yield Drafted(number, tuple(DraftedToken(ids[0], "?", -0.1) for _ in range(depth)))
            accepted = depth if number % 2 else depth // 2
            tokens = [next_token(Origin.ACCEPTED, position + 1) for position in range(accepted)]
            tokens.append(next_token(Origin.BONUS if accepted == depth else Origin.CORRECTED))
            rejected = tuple(RejectedToken(ids[0], "?", None, -0.4) for _ in range(depth - accepted))
            moved = (0.001, 20, 15, 5, 2, 1, 300_000_000) if fault == "stalls" else ()
            yield Verified(
                number,
                self.controls.mode,
                depth,
                accepted,
                tuple(tokens),
                rejected,
                0.001,
                0.003,
                0.0,
                *moved,
            )
        if self.folder.is_dir():
            (self.folder / "done").touch()
        yield Finished(FinishReason.LENGTH, done, 0.5)


def load(path: str, settings: LoadSettings, progress: Callable[[int, int, str], None]) -> FakeEngine:
    folder = Path(path)
    for part in range(3):
        progress(part * 50, 100, "model.safetensors")
    match folder.name:
        case "missing":
            raise CheckpointError(f"{folder} is missing; check the path.")
        case "too-big":
            raise MemoryBudgetError("It needs 700 GB and there are 8; give --ram more.")
        case "broken":
            raise RuntimeError("a bug")
        case "slow-load":
            if folder.is_dir():
                (folder / "loading").touch()
            time.sleep(FOREVER)
    return FakeEngine(folder, settings)
