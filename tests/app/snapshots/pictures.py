"""Pictures of the screen, compared with those that were looked at and kept.

An SVG holds every letter, colour and attribute. What differs between two drawings of the same screen (names
that are made up anew) is taken out first. With DRAFTSCOPE_KEEP_PICTURES=1 in the environment a test writes
its picture instead of comparing it: look at it before it is kept.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.main import DraftscopeApp

KEPT = Path(__file__).parent / "kept"
VARIABLE = "DRAFTSCOPE_KEEP_PICTURES"
_MADE_UP = re.compile(r"terminal-\d+")


def compare(app: DraftscopeApp, name: str, folder: Path) -> None:
    """Fail where the screen differs from the picture of this name; the new one goes into the folder."""
    drawn = _MADE_UP.sub("terminal", app.export_screenshot(title="draftscope"))
    drawn = "\n".join(line.rstrip() for line in drawn.splitlines()) + "\n"
    file = KEPT / f"{name}.svg"
    if os.environ.get(VARIABLE) == "1":
        file.parent.mkdir(exist_ok=True)
        file.write_text(drawn, encoding="utf-8")
        return
    assert file.exists(), f"there is no picture {file}: set {VARIABLE}=1 to keep one"
    if file.read_text(encoding="utf-8") != drawn:
        new = folder / file.name
        new.write_text(drawn, encoding="utf-8")
        raise AssertionError(f"the screen is no longer that of {file}: compare it with {new}")
