"""The chat screen's keys: those that act everywhere, and single letters that act in the transcript alone.

Every binding has an id by which settings rebind it, and runs a verb, as slash commands and the palette do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.binding import Binding

from engine.options import MAX_DEPTH

if TYPE_CHECKING:
    from textual.binding import BindingType


def _verb(key: str, name: str, shown: str, ident: str, *, show: bool = False, argument: str = "") -> Binding:
    action = f"screen.verb('{name}', '{argument}')"
    return Binding(key, action, shown, id=ident, show=show, priority=key.startswith("f"))


_DEPTH = Binding.Group("depth ")


EVERYWHERE: list[BindingType] = [
    # Function keys go first: a text area has its own idea of some.
    Binding("f7", "screen.less", "less depth", id="chat.less", group=_DEPTH, priority=True),
    Binding("f8", "screen.more", "more depth", id="chat.more", group=_DEPTH, priority=True),
    _verb("f2", "mode", "mode", "chat.mode", show=True),
    _verb("f3", "compare", "compare", "chat.compare", show=True),
    _verb("f4", "pause", "pause", "chat.pause", show=True),
    _verb("f6", "inspect", "inspect", "chat.inspect", show=True),
    _verb("f1", "help", "help", "chat.help", show=True),
    _verb("f5", "panel", "figures", "chat.panel"),
    _verb("ctrl+n", "new", "new chat", "chat.new"),
    _verb("ctrl+o", "sessions", "chats", "chat.sessions"),
    _verb("ctrl+r", "regenerate", "write anew", "chat.regenerate"),
    Binding("escape", "screen.escape", "stop", id="chat.stop", show=False),
    # With priority, so that what is typed right after it goes to the other pane already.
    Binding("ctrl+t", "screen.other_pane", "prompt or transcript", id="chat.pane", show=False, priority=True),
    Binding("pageup", "screen.page(-1)", "page up", id="chat.page_up", show=False),
    Binding("pagedown", "screen.page(1)", "page down", id="chat.page_down", show=False),
    Binding("ctrl+q", "app.quit", "quit", id="chat.quit", show=False),
]
"""Bindings of the screen."""

IN_TRANSCRIPT: list[BindingType] = [
    *(
        _verb(str(depth), "depth", f"depth {depth}", f"transcript.depth_{depth}", argument=str(depth))
        for depth in range(MAX_DEPTH + 1)
    ),
    Binding("left_square_bracket", "screen.less", "less depth", id="transcript.less", show=False),
    Binding("right_square_bracket", "screen.more", "more depth", id="transcript.more", show=False),
    _verb("space", "step", "step", "transcript.step"),
    _verb("p", "pace", "pace", "transcript.pace"),
    _verb("k", "view", "view", "transcript.view"),
    _verb("b", "measure", "measure", "transcript.measure"),
    _verb("m", "markdown", "Markdown", "transcript.markdown"),
    _verb("t", "thoughts", "thoughts", "transcript.thoughts"),
    _verb("r", "regenerate", "write anew", "transcript.regenerate"),
    _verb("e", "edit", "edit the prompt", "transcript.edit"),
    _verb("y", "copy", "copy the reply", "transcript.copy"),
    _verb("x", "experts", "experts", "transcript.experts"),
    _verb("d", "detail", "detail", "transcript.detail"),
    Binding("i", "screen.prompt", "to the prompt", id="transcript.prompt", show=False),
    # With priority, so that what is typed right after it is the prompt's already.
    Binding("slash", "screen.command", "begin a command", id="transcript.command", show=False, priority=True),
]
"""Bindings of the transcript."""
