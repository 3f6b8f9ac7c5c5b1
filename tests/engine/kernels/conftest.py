"""Small products too are given to two threads here: which thread does what must not show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package", autouse=True)
def _every_product_in_parallel() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.kernels.cpu._PARALLEL_WORK", 0)
        yield
