"""Keys as sentences name them: as they are bound now, after the user's rebinding."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.dom import DOMNode

_WORDS = {"enter": "enter", "end": "End"}
"""Where a sign, or the bare name, would be misread in a sentence."""


def key_of(node: DOMNode, ident: str) -> str:
    """Return the first key of a binding of this widget or screen; empty where it has none (any more)."""
    bindings = node._bindings.copy()  # Textual tells only the focused chain's
    bindings.apply_keymap(node.app._keymap)
    for key, binding in bindings:
        if binding.id == ident:
            return _WORDS.get(key) or node.app.get_key_display(binding)
    return ""


def key_line(node: DOMNode, *pieces: str | tuple[str, str]) -> str:
    """Return the line of keys at the foot of a page: texts as they are, ids with what they do.

    What has no key is left out.
    """
    said: list[str] = []
    for piece in pieces:
        if isinstance(piece, str):
            said.append(piece)
        elif key := key_of(node, piece[0]):
            said.append(f"{key} {piece[1]}")
    return "   ".join(said)
