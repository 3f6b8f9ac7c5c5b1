"""A chat as a picture: the coloured text as a terminal of 80 columns shows it, in one SVG."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text
from textual.color import Color

from app.exports.palette import palette
from app.exports.parts import KINDS, LEGEND, figures, safe, speaker

if TYPE_CHECKING:
    from textual.theme import Theme

    from app.conversation import Conversation, Reply
    from app.exports.palette import Palette
    from app.token_colours import TokenKind

COLUMNS = 80

_NETWORK_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def svg(conversation: Conversation, title: str, theme: Theme | None = None) -> str:
    """Return the chat as a picture in the theme's colours."""
    colours = palette(theme)
    console = Console(
        record=True,
        width=COLUMNS,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        no_color=False,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    heading = Style(color=colours.muted, bold=True)
    muted = Style(color=colours.muted)
    if conversation.system:
        console.print(Text("System", heading))
        console.print(Text(safe(conversation.system)), "")
    for exchange in conversation.exchanges:
        console.print(Text("You", heading))
        console.print(Text(safe(exchange.user)), "")
        if exchange.reply.tokens:
            console.print(Text(speaker(exchange.reply), heading))
            console.print(_coloured(exchange.reply, colours), "")
            console.print(Text(figures(exchange.reply), muted), "")
    console.print(Text("   ").join(Text(LEGEND[kind], _style(kind, colours)) for kind in LEGEND))
    picture = console.export_svg(title=" ".join(safe(title).split()), theme=_terminal(colours))
    style, end, rest = picture.partition("</style>")
    return _NETWORK_FONT.sub("", style) + end + rest  # the viewer's own monospace font does


def _coloured(reply: Reply, colours: Palette) -> Text:
    text = Text()
    for placed in reply.tokens:
        text.append(safe(placed.token.text), _style(KINDS[placed.token.origin], colours))
    return text


def _style(kind: TokenKind, colours: Palette) -> Style:
    return Style.parse(f"{kind.attributes.removeprefix('none')} {colours.kinds[kind]}")


def _terminal(colours: Palette) -> TerminalTheme:
    background, foreground = Color.parse(colours.background).rgb, Color.parse(colours.foreground).rgb
    return TerminalTheme(
        background, foreground, [background] * 8
    )  # no other colour is ever asked for by number
