"""Engines whose drafts are right part of the time, opened once, and fresh ones to compare them with."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from engine import load
from tests.engine.tiny import TinySpec, partly_right_spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine import Engine

MODELS = {"fp8": partly_right_spec(), "f32": partly_right_spec(dtype="f32", vocab=48)}
"""FP8 has a byte-level tokenizer; of f32's few tokens a text repeats many."""

CONTEXT = 256


@pytest.fixture(scope="session")
def fresh(tiny: Callable[[TinySpec], Path]) -> Callable[..., Engine]:
    """Opens a model anew: nothing is cached, nothing was decoded."""

    def opened(model: str, context: int = CONTEXT, threads: int = 1) -> Engine:
        return load(tiny(MODELS[model]), context=context, threads=threads)

    return opened


@pytest.fixture(scope="session")
def engine_of(fresh: Callable[..., Engine]) -> Callable[[str], Engine]:
    """An engine of a model that every test works on, one after the other."""
    return cache(fresh)


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    """Every model's name in turn."""
    return str(request.param)


@pytest.fixture
def engine(model: str, engine_of: Callable[[str], Engine]) -> Engine:
    """Every model's engine in turn."""
    return engine_of(model)
