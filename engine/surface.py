"""What the worker and the command line need of an engine, so that tests can give them another one."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from engine.options import GenerateOptions, Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from engine.decoding.kept_cache import KeptCache
    from engine.events import Event
    from engine.experts import ExpertUse
    from engine.lab.results import WiringReport
    from engine.lanes import Lane, LanesNews
    from engine.text.generation import GenerationDefaults
    from engine.text.template import ChatTemplate
    from engine.text.tokenizer import Tokenizer


class ControlsSurface(Protocol):
    """What may change while a reply is decoded, from any thread."""

    @property
    def depth(self) -> int: ...
    @depth.setter
    def depth(self, value: int) -> None: ...
    @property
    def mode(self) -> Mode: ...
    @mode.setter
    def mode(self, value: Mode) -> None: ...
    @property
    def pace(self) -> float: ...
    @pace.setter
    def pace(self, value: float) -> None: ...
    def cancel(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def step(self) -> None: ...


class EngineSurface(Protocol):
    """A loaded checkpoint."""

    @property
    def controls(self) -> ControlsSurface: ...
    @property
    def has_mtp(self) -> bool: ...
    @property
    def has_draft_model(self) -> bool: ...
    @property
    def tokenizer(self) -> Tokenizer | None: ...
    @property
    def chat_template(self) -> ChatTemplate | None: ...
    @property
    def generation(self) -> GenerationDefaults: ...
    @property
    def context(self) -> int: ...
    @property
    def most_context(self) -> int: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    @property
    def weights_bytes(self) -> int: ...
    @property
    def budget_bytes(self) -> int: ...
    def logits(self, token_ids: Sequence[int]) -> NDArray[np.float32]: ...
    def generate(self, token_ids: Sequence[int], options: GenerateOptions) -> Iterator[Event]: ...
    def compare(
        self, token_ids: Sequence[int], lanes: Sequence[Lane], options: GenerateOptions, *, repeats: int = 1
    ) -> Iterator[LanesNews]: ...
    def expert_use(self) -> ExpertUse: ...
    def wiring(self, text: str | None, progress: Callable[[int, int, str], None]) -> WiringReport | None: ...
    def keep_cache(self, path: Path) -> KeptCache: ...
    def recall_cache(self, path: Path) -> int: ...
    def close(self) -> None: ...


def reply_options(engine: EngineSurface, values: Mapping[str, object]) -> GenerateOptions:
    """Return a reply's options: the checkpoint's defaults, and the values in place of them.

    A second model that was given drafts, else the MTP layer where there is one, else prompt lookup.
    """
    mode = Mode.default(has_mtp=engine.has_mtp, has_draft_model=engine.has_draft_model)
    return engine.generation.options({"mode": mode, **values})


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """What a user may say about how a checkpoint is loaded; None leaves it to `engine.load`."""

    ram: str | None = None
    context: int | None = None
    threads: int | None = None
    disk_limit: str | None = None
    readers: int | None = None
    direct: bool | None = None
    draft_model: str | None = None


class Load(Protocol):
    """`engine.load`, with its settings in one; `progress(0, 0, what)` says what is done without any bytes."""

    def __call__(
        self, path: str, settings: LoadSettings, progress: Callable[[int, int, str], None]
    ) -> EngineSurface: ...


def load_engine(
    path: str, settings: LoadSettings, progress: Callable[[int, int, str], None]
) -> EngineSurface:
    """Load with the real engine, imported only now: nobody waits for torch before its work begins.

    `progress` is told of kernels that must be compiled as well: some are when the engine is imported.
    """
    from engine.kernels.compiling import compiling_said

    with compiling_said(progress) as told:
        import engine

        loaded = engine.load(
            path,
            ram=settings.ram,
            context=settings.context,
            threads=settings.threads,
            disk_limit=settings.disk_limit,
            readers=settings.readers,
            direct=settings.direct,
            draft_model=settings.draft_model,
            progress=told,
        )
    # All that was imported lives as long as the process does. Looking through it for cycles takes 0.1 s,
    # which would fall into some round of some reply.
    gc.freeze()
    return loaded
