"""`draftscope sessions`: the chats on disk, the one that was last changed first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from app.commands.terminal import harmless, output_console
from app.sessions import Sessions

if TYPE_CHECKING:
    from app.session_file import SessionInfo


def sessions(*, as_json: bool = False) -> int:
    """Print the list, or one JSON object a chat; return the exit code."""
    found = Sessions().list()
    if as_json:
        for info in found:
            print(json.dumps(_data(info)))
        return 0
    if not found:
        print("There are no chats yet: draftscope begins one.")
        return 0
    _table(found)
    return 0


def _data(info: SessionInfo) -> dict[str, object]:
    return {
        "id": info.id,
        "title": info.title,
        "model": info.model,
        "turns": info.turns,
        "tokens": info.tokens,
        "created": info.created.isoformat(timespec="seconds"),
        "modified": info.modified.isoformat(timespec="seconds"),
        "file": str(info.file),
    }


def _table(found: tuple[SessionInfo, ...]) -> None:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("id", no_wrap=True)
    table.add_column("changed", no_wrap=True)
    table.add_column("turns", justify="right", no_wrap=True)
    table.add_column("tokens", justify="right", no_wrap=True)
    table.add_column("model", overflow="fold")
    table.add_column("title", overflow="fold")
    for info in found:
        changed = f"{info.modified.astimezone():%Y-%m-%d %H:%M}"
        texts = (info.id, changed, f"{info.turns:,}", f"{info.tokens:,}", info.model, info.title)
        table.add_row(*map(harmless, texts))
    console = output_console()
    console.print(table)
    console.print("\ndraftscope chat --resume ID goes on with one, --continue with the first.")
