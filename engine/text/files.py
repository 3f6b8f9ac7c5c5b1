"""Reading the small JSON files that lie beside a checkpoint's weights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from engine.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path


def read_text(path: Path) -> str | None:
    """Return the file's text, or None where there is no such file."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise CheckpointError(f"{path} is not UTF-8 text; download it again.") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from None


def read_object(path: Path) -> dict[str, object]:
    """Return the JSON object in the file; a missing file is an empty one."""
    text = read_text(path)
    if text is None:
        return {}
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not JSON ({error}); download it again.") from None
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} does not hold a JSON object; download it again.")
    return data
