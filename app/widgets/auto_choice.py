"""What mode auto chose, as the panel says it."""

from __future__ import annotations

import re

_CHOSEN = re.compile(r"Depth (\d+)(: | on trial: )")


def choice_line(depth: int | None, sentence: str) -> str:
    """Return what mode auto chose for its last round, and why, in the engine's own figures.

    What was drafted may be less or more, since every draft is weighed when it is due.
    """
    if depth is None:
        return "auto has not chosen a depth yet."
    found = _CHOSEN.match(sentence)
    if found is not None:
        verb = "tries" if "trial" in found[2] else "chose"
        drafted = "" if found[1] == str(depth) else f", drafted {depth}"
        return f"auto {verb} {found[1]}{drafted}: {sentence[found.end() :]}"
    return f"auto chose {depth}" + (f": {sentence[0].lower()}{sentence[1:]}" if sentence else ".")
