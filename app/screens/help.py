"""Help for what is on the screen: its keys as they are bound now, what the colours mean, and definitions.

Keys are read from the screen below, after the user's rebinding; a key without an id of its own (those that
every text area has) is not listed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from app.key_hints import key_of
from app.token_colours import TokenKind
from app.widgets.legend import KIND_MEANINGS, KIND_NAMES, kind_style

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from textual import events
    from textual.app import App, ComposeResult
    from textual.binding import ActiveBinding, BindingsMap, BindingType
    from textual.screen import Screen

TOPICS: Mapping[str, str] = {
    "prompt": (
        "Write, and send with enter; a line that begins with / is a command. The reply grows above, each "
        "token in the colour of its origin. /compare shows what every depth costs and gains."
    ),
    "transcript": (
        "Here single letters act. Move the token cursor with the arrows to look at a token; digits set how "
        "far ahead is drafted."
    ),
    "compare": (
        "The same prompt and seed at several depths, one lane each; modes as well: ngram 2, auto. A ratio "
        "stands only between lanes that decoded the same tokens. Letters act while the lanes have the focus."
    ),
}
"""What is said first, for each place that help is asked for from."""

DEFINITIONS: tuple[tuple[str, str], ...] = (
    ("round", "draft so many tokens as the depth says, verify them in one pass of the main model"),
    ("acceptance", "accepted / drafted"),
    ("at position k", "rounds in which draft k was accepted / rounds that drafted it"),
    ("tokens a pass", "the mean length, 1 + accepted / rounds: one token is the main model's own"),
    (
        "tokens/s",
        "of the engine's own rounds; the time between them is not in it, but an engine that sleeps there "
        "wakes up slower, so rounds at a pace are in no row of the table",
    ),
    ("×", "speed over that of depth 0, only where both decoded the same tokens: by /measure or /compare"),
    ("±", "half the range of the runs' own ratios; what lies within it is not told apart"),
    ("auto", "the MTP layer, at the depth that what was measured makes fastest; rows are by what it drafted"),
    ("coupled", "both models pick with the same noise, so one seed gives one text at every depth"),
    ("rejection", "keeps the law of sampling but not the text, and accepts more"),
    ("loads", "experts read from disk to be used, when they were needed or ahead of it"),
    ("RAM", "what the engine's whole process takes, Python and its libraries included / what --ram bounds"),
    ("--ram", "a bound on what the model takes: weights, expert slots, buffers, caches and activations"),
    ("in RAM", "expert uses for which nothing was read / all uses"),
    ("waiting", "the share of a round's time that stood still for reads"),
)
"""Words of the panel and what they mean."""

_LABEL = 16
_NUMBERED = re.compile(r"(.*\D)\d+")


@dataclass(frozen=True, slots=True)
class KeyRow:
    """Keys and what they do."""

    ident: str
    keys: str
    title: str


class HelpScreen(ModalScreen[None]):
    """The page."""

    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "back", id="help.leave"),
        Binding("f1", "leave", "back", id="help.toggle"),
    ]

    def __init__(self, topic: str = "prompt") -> None:
        """`topic` is one of TOPICS; others have no introduction."""
        super().__init__()
        self._topic = topic

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help-box"):
            yield Static(id="help-text")

    def on_mount(self) -> None:
        self.query_one("#help-box", VerticalScroll).focus()

    def on_resize(self, _event: events.Resize) -> None:
        self.call_after_refresh(self._fill)

    def _fill(self) -> None:
        box = self.query_one("#help-box", VerticalScroll)
        self.query_one("#help-text", Static).update(self._page(box.scrollable_content_region.width))

    def action_leave(self) -> None:
        """Close."""
        self.dismiss(None)

    def _page(self, columns: int) -> Content:
        below = self.app.screen_stack[-2] if len(self.app.screen_stack) > 1 else None
        sections: list[list[Content]] = []
        if self._topic in TOPICS:
            sections.append([Content(TOPICS[self._topic])])
        if below is not None:
            here = key_rows(self.app, below.active_bindings.values())
            sections.append([_heading("KEYS"), *_key_lines(here, columns)])
            elsewhere = _elsewhere(self.app, below, {row.ident for row in here})
            if elsewhere:
                sections.append([_heading("KEYS IN OTHER PANES"), *_key_lines(elsewhere, columns)])
        colours = [(KIND_NAMES[kind], kind_style(kind), KIND_MEANINGS[kind]) for kind in TokenKind]
        sections.append([_heading("COLOURS"), *(_row(*colour, columns) for colour in colours)])
        words = [_row(word, "bold", text, columns) for word, text in DEFINITIONS]
        sections.append([_heading("WORDS"), *words])
        leave = key_of(self, "help.leave")
        closing = f"{leave} closes this page. Keys are rebound in the settings file."
        sections.append([Content.styled(closing, "dim")])
        return Content("\n\n").join(Content("\n").join(lines) for lines in sections)


def key_rows(app: App[object], active: Iterable[ActiveBinding]) -> list[KeyRow]:
    """Return the keys of active bindings that have an id and a description, one row an id."""
    return _rows(app, [each.binding for each in active])


def _elsewhere(app: App[object], screen: Screen[object], known: set[str]) -> list[KeyRow]:
    """Return the keys that other panes of the screen have when they are focused."""
    bindings: list[Binding] = []
    for widget in screen.query("*"):
        if widget.can_focus and widget.display:
            found: BindingsMap = widget._bindings.copy()  # Textual tells only the focused chain's
            found.apply_keymap(app._keymap)
            bindings += [binding for _key, binding in found]
    return [row for row in _rows(app, bindings) if row.ident not in known]


def _rows(app: App[object], bindings: Sequence[Binding]) -> list[KeyRow]:
    keys: dict[str, list[str]] = {}
    titles: dict[str, list[str]] = {}
    for binding in bindings:
        if not binding.id or not binding.description:
            continue
        # A family such as depth_0 … depth_8 is one row.
        numbered = _NUMBERED.fullmatch(binding.id)
        ident = numbered[1] if numbered else binding.id
        key = app.get_key_display(binding)
        if key not in keys.setdefault(ident, []):
            keys[ident].append(key)
        if binding.description not in titles.setdefault(ident, []):
            titles[ident].append(binding.description)
    return [KeyRow(ident, _range(keys[ident]), _range(titles[ident])) for ident in keys]


def _range(texts: Sequence[str]) -> str:
    return f"{texts[0]} … {texts[-1]}" if len(texts) > 3 else ", ".join(texts)


def _key_lines(rows: Sequence[KeyRow], columns: int) -> list[Content]:
    return [_row(row.keys, "bold $accent", row.title, columns) for row in rows]


def _row(label: str, style: str, text: str, columns: int) -> Content:
    """Return a label and a text that is wrapped beside it."""
    gap = " " * max(2, _LABEL - cell_len(label))
    lines = wrap(text, max(_LABEL, columns - _LABEL - 1)) or [""]
    return Content.assemble((label, style), gap, f"\n{' ' * _LABEL}".join(lines))


def _heading(text: str) -> Content:
    return Content.styled(text, "$text-muted")
