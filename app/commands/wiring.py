"""`draftscope wiring`: find out by trial how a checkpoint's MTP layer is wired, and how far ahead it guesses.

The result alone goes to standard output; progress, and where a picture was written, to standard error. With
--json the object is that of `engine.lab.results.WiringReport.to_json`: model, source, texts, places, wirings
(ranked: wiring, label, acceptance by depth, accepted, cross_entropy, both differences to the base as mean,
low and high, verdict), far (name, acceptance), far_places, verdict (sentences).
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from app.commands.interrupt import INTERRUPTED, interrupt_cancels
from app.commands.terminal import StatusLine, harmless
from engine.errors import UsageError, shown

if TYPE_CHECKING:
    from engine.lab.results import WiringReport
    from engine.surface import Load, LoadSettings

_BAR_CELLS = 20


@dataclass(frozen=True, slots=True)
class WiringArguments:
    """What was asked for on the command line."""

    model: str
    text: str | None
    """A file."""
    json: bool
    svg: str | None
    settings: LoadSettings


def wiring(arguments: WiringArguments, load: Load) -> int:
    """Print what the lab has found; return the exit code."""
    text = None if arguments.text is None else _read(Path(arguments.text))
    status = StatusLine(sys.stderr)
    try:
        engine = load(arguments.model, arguments.settings, status.loading)
    finally:
        status.clear()

    def show(done: int, total: int, what: str) -> None:
        cells = _BAR_CELLS * done // max(total, 1)
        status.show(f"[{'#' * cells}{'-' * (_BAR_CELLS - cells)}] {what}")

    try:
        for warning in engine.warnings:
            print(harmless(warning), file=sys.stderr, flush=True)
        with interrupt_cancels(engine.controls):
            report = engine.wiring(text, show)
    finally:
        status.clear()
        engine.close()
    if report is None:
        return INTERRUPTED
    report = replace(report, model=Path(arguments.model).name or arguments.model)
    if arguments.svg is not None:
        _write(Path(arguments.svg), report)
    if arguments.json:
        print(json.dumps(report.to_json(), allow_nan=False))
    else:
        from app.wiring_page import wiring_page

        print(wiring_page(report))
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError as error:
        raise UsageError(f"{shown(path)} cannot be read: {error.strerror}.") from None


def _write(path: Path, report: WiringReport) -> None:
    from app.wiring_svg import far_svg

    try:
        path.write_text(far_svg(report), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{shown(path)} cannot be written: {error.strerror}.") from None
    print(f"Written: {harmless(str(path))}.", file=sys.stderr, flush=True)
