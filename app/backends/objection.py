"""Why settings would be refused by an engine, so that one that is started later never meets them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import UsageError, shown
from engine.options import GenerateOptions, Mode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.backends.base import Loaded


def objection(values: Mapping[str, object], loaded: Loaded | None) -> str | None:
    """Return a sentence on what is wrong with them; None if nothing is, as far as is known."""
    pace = values.get("pace", 0)
    if isinstance(pace, bool) or not isinstance(pace, (int, float)) or not 0 <= pace < float("inf"):
        return f"pace must be 0 (full speed) or rounds a second, not {shown(pace)}."
    try:
        GenerateOptions().changed({name: values[name] for name in values if name != "pace"})
    except UsageError as error:
        return str(error)
    if loaded is None or "mode" not in values:
        return None
    mode = Mode(str(values["mode"]))
    return mode.objection(has_mtp=loaded.has_mtp, has_draft_model=loaded.has_draft_model)
