"""Rotary positions: cosine and sine of every position and pair, with YaRN where the config asks for it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from engine.kernels.base import Rotary

if TYPE_CHECKING:
    from engine.config import ModelConfig
    from engine.yarn import YarnScaling


def rotary_table(config: ModelConfig, context: int) -> Rotary:
    """Cosine and sine for positions 0..context-1, computed in float64 and stored in float32."""
    rope = config.qk_rope_head_dim
    frequencies = config.rope_theta ** (-np.arange(0, rope, 2, dtype=np.float64) / rope)  # [rope / 2]
    magnitude = 1.0
    if config.rope_scaling is not None:
        frequencies = _stretched(frequencies, config.rope_theta, rope, config.rope_scaling)
        magnitude = config.rope_scaling.rotary_mscale
    angles = np.arange(context, dtype=np.float64)[:, None] * frequencies
    tables = (np.cos(angles) * magnitude, np.sin(angles) * magnitude)
    return Rotary(*(torch.from_numpy(table.astype(np.float32)) for table in tables))


def _stretched(
    frequencies: np.ndarray[tuple[int], np.dtype[np.float64]], theta: float, rope: int, yarn: YarnScaling
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """YaRN (Peng et al. 2023, section 3.2): fast pairs stay, slow ones are divided by the factor.

    Pairs that turn more than `beta_fast` times in the original context are fast, fewer than `beta_slow`
    times slow; between them the two frequencies are mixed along a ramp.
    """

    def pair_that_turns(times: float) -> float:
        length = yarn.original_max_position_embeddings
        return rope * math.log(length / (times * 2 * math.pi)) / (2 * math.log(theta))

    low = max(math.floor(pair_that_turns(yarn.beta_fast)), 0)
    high = min(math.ceil(pair_that_turns(yarn.beta_slow)), rope - 1)
    span = high - low if high != low else 0.001
    slow = np.clip((np.arange(rope // 2, dtype=np.float64) - low) / span, 0.0, 1.0)
    return frequencies * (1.0 - slow) + frequencies / yarn.factor * slow
