"""Rotary tables against the formulas in float64: plain, V3's YaRN, and YaRN with another mscale."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from engine.config import ModelConfig
from engine.model.rotary import rotary_table
from tests.engine.tiny import YARN_V3, TinySpec, config

if TYPE_CHECKING:
    from collections.abc import Mapping

V3 = TinySpec(rope=64, nope=128, rope_theta=10000, rope_scaling=YARN_V3)


def read(spec: TinySpec) -> ModelConfig:
    return ModelConfig.from_json(config(spec), Path("config.json"))


def frequencies(spec: TinySpec, low: int, high: int) -> list[float]:
    """By pair: unchanged up to `low`, divided by the factor from `high` on, a line between."""
    result = []
    for pair in range(spec.rope // 2):
        plain = spec.rope_theta ** (-2 * pair / spec.rope)
        if spec.rope_scaling is not None:
            slow = min(max((pair - low) / (high - low), 0.0), 1.0)
            plain = plain * (1 - slow) + plain / spec.rope_scaling["factor"] * slow
        result.append(plain)
    return result


def check(spec: TinySpec, context: int, low: int = 0, high: int = 1, magnitude: float = 1.0) -> None:
    table = rotary_table(read(spec), context)
    assert table.cosine.dtype == table.sine.dtype == torch.float32
    assert table.cosine.shape == table.sine.shape == (context, spec.rope // 2)
    for position in {0, 1, 2, 63, 64, context // 2, context - 1}:
        for pair, frequency in enumerate(frequencies(spec, low, high)):
            # Half a unit of float32, and what float64 leaves of an angle this large.
            close = 6e-8 * magnitude + 4e-16 * position
            angle = position * frequency
            assert abs(float(table.cosine[position, pair]) - magnitude * math.cos(angle)) <= close
            assert abs(float(table.sine[position, pair]) - magnitude * math.sin(angle)) <= close


@pytest.mark.parametrize("rope", [2, 8, 64])
@pytest.mark.parametrize("theta", [10000, 50000])
def test_plain_positions(rope: int, theta: float) -> None:
    check(TinySpec(rope=rope, rope_theta=theta), 5000)


def test_v3s_yarn() -> None:
    check(V3, 20_000, low=10, high=23)


def test_v3s_yarn_by_its_frequencies() -> None:
    # At position 1 an angle is its frequency.
    table = rotary_table(read(V3), 2)
    found = torch.atan2(table.sine[1].double(), table.cosine[1].double())
    plain = 10000.0 ** (-torch.arange(0, 64, 2, dtype=torch.float64) / 64)
    ratio = found / plain
    torch.testing.assert_close(ratio[:11], torch.ones(11, dtype=torch.float64), rtol=1e-6, atol=0)
    torch.testing.assert_close(ratio[23:], torch.full((9,), 1 / 40, dtype=torch.float64), rtol=1e-6, atol=0)
    assert (ratio[11:24].diff() < 0).all()
    assert ratio[11] < 1 - 0.07
    assert ratio[22] > 1 / 40 + 0.07


@pytest.mark.parametrize(
    ("rope", "change", "low", "high"),
    [
        # 16 / (2 ln 10000) * ln(4096 / (2 pi * turns)): 2.62 for 32 turns, 5.63 for one.
        (16, {}, 2, 6),
        # 256 positions: 0.21 and 3.22.
        (16, {"factor": 8, "original_max_position_embeddings": 256}, 0, 4),
        # 32 turns are more than 128 positions hold: below 0, held at 0. One turn: 10.47.
        (64, {"original_max_position_embeddings": 128}, 0, 11),
        # Kimi-K2's: both ends at one turn.
        (64, {"factor": 32, "beta_fast": 1, "rope_theta": 50000}, 19, 20),
    ],
)
def test_other_yarns(rope: int, change: Mapping[str, float], low: int, high: int) -> None:
    changed = dict(change)
    theta = changed.pop("rope_theta", 10000)
    check(
        TinySpec(rope=rope, rope_theta=theta, rope_scaling={**YARN_V3, **changed}), 3000, low=low, high=high
    )


@pytest.mark.parametrize(("mscale", "all_dim"), [(1.0, 1.0), (0.7, 1.0), (1.0, 0.707), (0.7, 0.4)])
def test_mscale_is_on_cosine_and_sine(mscale: float, all_dim: float) -> None:
    scaling = {**YARN_V3, "mscale": mscale, "mscale_all_dim": all_dim}
    magnitude = (0.1 * mscale * math.log(40) + 1) / (0.1 * all_dim * math.log(40) + 1)
    check(TinySpec(rope=64, rope_scaling=scaling), 200, low=10, high=23, magnitude=magnitude)


def test_a_longer_context_has_the_same_first_rows() -> None:
    short, long = (rotary_table(read(V3), context) for context in (7, 300))
    assert torch.equal(long.cosine[:7], short.cosine)
    assert torch.equal(long.sine[:7], short.sine)
