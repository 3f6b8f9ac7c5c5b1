"""Products as wide as V3's, where a kernel may take x in pieces: where they end must not show in any bit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.kernels.made import exact, normal, same_bits, soil
from tests.engine.kernels.test_products import CPU, KINDS, ONE, stored

CACHE_FLOATS = 6144
"""About what the nearest cache holds of x, and so near what a product may pack at once."""
WIDTHS = (1, 2, 3, 4, 6, 8)
"""Tokens that are multiplied together."""
columns = st.builds(
    lambda width, times, by: max(1, CACHE_FLOATS // width * times + by),
    st.sampled_from(WIDTHS),
    st.sampled_from([1, 2]),
    st.sampled_from([-128, -64, -17, -1, 0, 1, 16, 63, 64, 65, 128]),
)


@settings(max_examples=40, deadline=None)
@given(
    cols=columns,
    rows=st.integers(1, 80),
    tokens=st.integers(1, 19),
    kind=st.sampled_from(KINDS),
    data=st.data(),
)
def test_a_wide_product(cols: int, rows: int, tokens: int, kind: torch.dtype, data: st.DataObject) -> None:
    weight = stored(kind, rows, cols, cols + rows)
    matrix = CPU.matrix(*weight)
    x = normal(tokens, tokens, cols)
    together = soil(CPU).multiply(matrix, x)
    w = exact(matrix)
    assert ((together - x.double() @ w.T).abs() <= 2e-6 * (x.double().abs() @ w.abs().T)).all()
    begin = data.draw(st.integers(0, tokens - 1))
    end = data.draw(st.integers(begin + 1, tokens))
    for kernels in (CPU, ONE):
        part = soil(kernels).multiply(kernels.matrix(*weight), x[begin:end].clone())
        assert same_bits(part, together[begin:end])


@pytest.mark.parametrize("cols", [7168, 14336])
def test_v3s_widths_at_every_number_of_tokens(cols: int) -> None:
    matrix = CPU.matrix(*stored(torch.float8_e4m3fn, 70, cols, cols))
    x = normal(1, 20, cols)
    together = CPU.multiply(matrix, x)
    for tokens in range(1, 20):
        assert same_bits(CPU.multiply(matrix, x[20 - tokens :].clone()), together[20 - tokens :])
