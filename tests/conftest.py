"""For all tests: hypothesis counts examples, not milliseconds, which a busy machine has its own idea of."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
