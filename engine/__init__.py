"""The draftscope engine: run a DeepSeek-V3 checkpoint as published, and draft with its own MTP layer.

    from engine import GenerateOptions, Verified, load

    engine = load("DeepSeek-V3")
    for event in engine.generate(engine.tokenizer.encode_raw("The sea"), GenerateOptions(depth=2)):
        if isinstance(event, Verified):
            print("".join(token.text for token in event.tokens), end="", flush=True)

Events and options are light; `load` and `Engine` bring torch and numba, and are imported when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.events import (
    Drafted,
    Event,
    Finished,
    FinishReason,
    Header,
    Origin,
    Prefilled,
    Prefilling,
    Verified,
    Waiting,
)
from engine.lanes import Lane, LaneEvent, LanesFinished, LanesPlanned, LanesPrepared
from engine.options import MAX_DEPTH, Acceptance, GenerateOptions, Mode

if TYPE_CHECKING:
    from engine.engine import Engine
    from engine.loading import load

__all__ = [
    "MAX_DEPTH",
    "Acceptance",
    "Drafted",
    "Engine",
    "Event",
    "FinishReason",
    "Finished",
    "GenerateOptions",
    "Header",
    "Lane",
    "LaneEvent",
    "LanesFinished",
    "LanesPlanned",
    "LanesPrepared",
    "Mode",
    "Origin",
    "Prefilled",
    "Prefilling",
    "Verified",
    "Waiting",
    "load",
]


def __getattr__(name: str) -> object:
    if name not in ("Engine", "load"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from engine.kernels.passive import wait_passively

    wait_passively()
    from engine import loading

    return getattr(loading, name)
