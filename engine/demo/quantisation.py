"""FP8 as DeepSeek-V3 publishes it: e4m3 in blocks of 128 x 128, and a float32 factor for each block.

Factors are rounded up to four significant bits. e4m3 has four as well, so that a weight times its factor has
at most eight and is a bf16 number: the bf16 form of a model holds the very values of the FP8 form.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.demo.shape import BLOCK

_LARGEST = 448.0
_BITS = 4


def is_quantised(name: str) -> bool:
    """Whether a published tensor is stored in FP8: every projection but the MTP layer's eh_proj."""
    projection = name.removesuffix(".weight").rsplit(".", 1)[-1]
    return "_proj" in projection and projection != "eh_proj"


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """[rows, cols] to float8_e4m3fn of that shape and factors [row blocks, col blocks]."""
    rows, cols = weight.shape
    high, wide = -(-rows // BLOCK), -(-cols // BLOCK)
    whole = F.pad(weight.float(), (0, wide * BLOCK - cols, 0, high * BLOCK - rows))
    blocks = whole.view(high, BLOCK, wide, BLOCK)
    factors = _short(blocks.abs().amax((1, 3)).clamp_min(1e-12) / _LARGEST)
    stored = (blocks / factors[:, None, :, None]).to(torch.float8_e4m3fn)
    return stored.view(high * BLOCK, wide * BLOCK)[:rows, :cols].contiguous(), factors


def dequantise(stored: Tensor, factors: Tensor) -> Tensor:
    """[rows, cols] float32."""
    rows, cols = stored.shape
    spread = factors.repeat_interleave(BLOCK, 0)[:rows].repeat_interleave(BLOCK, 1)[:, :cols]
    return stored.float() * spread


def _short(factors: Tensor) -> Tensor:
    """Round up to four significant bits."""
    mantissa, exponent = torch.frexp(factors)  # 0.5 <= mantissa < 1
    return torch.ldexp((mantissa * 2**_BITS).ceil(), exponent - _BITS)
