"""What the colours of the tokens say, in one line: each word looks like the tokens that it names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from app.setting_rules import View
from app.token_colours import POSITION_ATTRIBUTES, POSITIONS, SURPRISE_ATTRIBUTES, SURPRISES, TokenKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KIND_NAMES: dict[TokenKind, str] = {
    TokenKind.ACCEPTED: "accepted draft",
    TokenKind.ORDINARY: "main model",
    TokenKind.BONUS: "bonus",
    TokenKind.CORRECTED: "corrected",
    TokenKind.REJECTED: "rejected",
    TokenKind.GHOST: "being verified",
}
"""What a kind of token is called wherever the app names it."""

_SHORT_NAMES: dict[TokenKind, str] = {
    **KIND_NAMES,
    TokenKind.ACCEPTED: "accepted",
    TokenKind.ORDINARY: "main",
    TokenKind.GHOST: "verifying",
}
"""For a line with no room for those."""

KIND_MEANINGS: dict[TokenKind, str] = {
    TokenKind.ACCEPTED: "drafted ahead, and the main model agreed",
    TokenKind.ORDINARY: "written by the main model itself",
    TokenKind.BONUS: "the main model's extra token after all drafts of a round were accepted",
    TokenKind.CORRECTED: "the main model's token in place of a draft that it rejected",
    TokenKind.REJECTED: "a draft that the main model did not agree with; it stands for a moment",
    TokenKind.GHOST: "drafts of the round under way",
}
_GAP = "   "


class Legend(Widget):
    """The line; what it says depends on what the transcript's colours say."""

    DEFAULT_CSS = Path(__file__).with_suffix(".tcss").read_text(encoding="utf-8")

    view: reactive[View] = reactive(View.ORIGIN)
    note: reactive[str] = reactive("")
    """What stands at the right end, where there is room."""

    def render(self) -> Content:
        """Draw as many words as there is room for."""
        width = self.content_size.width
        note = len(_GAP) + len(self.note) if self.note else 0
        line = _fitting(self.view, width - note) or _fitting(self.view, width)
        if line is None:
            pieces = list(legend_pieces(self.view))
            while len(pieces) > 1 and Content(_GAP).join(pieces).cell_length > width:
                pieces.pop()
            line = Content(_GAP).join(pieces)
        room = width - line.cell_length - len(self.note)
        if not self.note or room < len(_GAP):
            return line
        return Content.assemble(line, " " * room, (self.note, "$text-muted"))


def _fitting(view: View, width: int) -> Content | None:
    """Return the line at its roomiest in so many columns; None where some of it would have to go."""
    for names in (KIND_NAMES, _SHORT_NAMES):
        for gap in (_GAP, "  "):
            line = Content(gap).join(legend_pieces(view, names))
            if line.cell_length <= width:
                return line
    return None


def kind_style(kind: TokenKind) -> str:
    """Return a token kind's colour and second channel as a style of Textual's."""
    return _style(kind.variable, kind.attributes)


def _style(variable: str, attributes: str) -> str:
    return f"${variable}" if attributes == "none" else f"${variable} {attributes}"


def legend_pieces(view: View, names: Mapping[TokenKind, str] = KIND_NAMES) -> Sequence[Content]:
    """Return the words for a view of the transcript, each in its style."""
    match view:
        case View.ORIGIN:
            kinds = [kind for kind in TokenKind if kind is not TokenKind.BONUS]
            return [Content.styled(names[kind], kind_style(kind)) for kind in kinds]
        case View.ALL_ORIGINS:
            return [Content.styled(names[kind], kind_style(kind)) for kind in TokenKind]
        case View.POSITION:
            pieces = [Content.styled("main model", kind_style(TokenKind.ORDINARY))]
            for position in range(1, POSITIONS + 1):
                named = f"drafted {position} ahead" if position == 1 else str(position)
                more = " or more" if position == POSITIONS else ""
                pieces.append(
                    Content.styled(named + more, _style(f"tok-position-{position}", POSITION_ATTRIBUTES))
                )
            return pieces
        case View.SURPRISE:
            steps = ("expected", *["·"] * (SURPRISES - 2), "surprising")
            styles = (_style(f"tok-surprise-{step}", each) for step, each in enumerate(SURPRISE_ATTRIBUTES))
            return [Content.styled(name, style) for name, style in zip(steps, styles, strict=True)]
        case View.PLAIN:
            return [Content.styled("plain text: origins are not shown", "$text-muted")]
