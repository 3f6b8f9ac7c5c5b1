"""`draftscope config`: where the settings file lies, and every setting with where it comes from."""

from __future__ import annotations

import json

from app.commands.terminal import harmless, output_console
from app.locations import settings_file
from app.settings import PREFIX, SCALARS, Effective, Source


def config(what: str) -> int:
    """Print the file's `path`, or `show` the settings; return the exit code."""
    if what == "path":
        print(harmless(str(settings_file())))
        return 0
    _show(Effective.load())
    return 0


def _show(effective: Effective) -> None:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(style="dim", no_wrap=True)
    for key in SCALARS:
        value, source = getattr(effective.settings, key), effective.sources[key]
        where = f"{PREFIX}{key.upper()}" if source is Source.ENVIRONMENT else str(source)
        table.add_row(key, harmless(_shown(value)), where)
    for ident, key in sorted(effective.settings.keys.items()):
        table.add_row(harmless(f"keys.{ident}"), harmless(key), str(effective.sources["keys"]))
    console = output_console()
    console.print(table)
    exists = "" if effective.file.exists() else " (not there yet)"
    console.print(f"\nfile: {harmless(str(effective.file))}{exists}", soft_wrap=True)


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if not value.strip() or "\n" in value else value
    return json.dumps(value)
