"""All that is known of one token of a reply: where it came from, what both models thought, what it cost.

The text is made by pure functions from a `Reply`; a line that has nothing to say is left out, save those that
say how it could have something.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from app.commands.terminal import harmless
from app.token_colours import TokenKind
from app.widgets.header import MODE_NAMES
from app.widgets.legend import kind_style
from engine.events import Origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from app.conversation import Reply
    from engine.events import Candidate, RejectedToken, RoundDetail, Token, Verified

_LABEL = 12
_CANDIDATE = 22
COLUMNS = 2 * _CANDIDATE
"""Of a page where nothing need be cut short."""
UNKNOWN = "–"


class Inspector(VerticalScroll):
    """The token's page; `show` turns to another one."""

    DEFAULT_CSS = Path(__file__).with_suffix(".tcss").read_text(encoding="utf-8")

    def __init__(self, *, is_live: bool = True, id: str | None = None) -> None:  # noqa: A002  # Textual's name
        super().__init__(id=id)
        self._is_live = is_live
        self._text = Content("")

    def compose(self) -> ComposeResult:
        yield Static(id="inspector-text")

    def show(self, reply: Reply, token_index: int) -> None:
        """Show a token of a reply."""
        columns = self.scrollable_content_region.width or COLUMNS
        text = inspection(reply, token_index, columns, is_live=self._is_live)
        if not text.is_same(self._text):
            self._text = text
            self.query_one("#inspector-text", Static).update(text)


def inspection(reply: Reply, token_index: int, columns: int = COLUMNS, *, is_live: bool = True) -> Content:
    """Return all about a token of a reply, its tables for a page of so many columns.

    Of what was not reported it says how to have it, where there is a reply to come.
    """
    placed = reply.tokens[token_index]
    token, event = placed.token, reply.rounds[placed.round_index]
    first = token_index
    while first and reply.tokens[first - 1].round_index == placed.round_index:
        first -= 1
    sections = [
        _token_lines(reply, token_index, event),
        _logprob_lines(token, event),
        _candidate_lines(event.detail, token_index - first, min(_CANDIDATE, columns // 2), is_live),
        _expert_lines(event.detail),
        _round_lines(event, placed.round_index),
    ]
    return Content("\n\n").join(Content("\n").join(lines) for lines in sections if lines)


def origin_in_words(token: Token, event: Verified) -> str:
    """Return where a token came from, as one would say it."""
    match token.origin:
        case Origin.ACCEPTED:
            return f"a draft, made {token.position} ahead, that the main model agreed with"
        case Origin.CORRECTED:
            return "the main model's own, in place of a draft that it rejected"
        case Origin.BONUS:
            drafts = "draft was" if event.accepted == 1 else f"{event.accepted} drafts were"
            return f"the main model's extra token: all of the round's {drafts} accepted"
        case Origin.ORDINARY if event.round == 0:
            return "the main model's own: the first token after the prompt"
        case Origin.ORDINARY:
            return "the main model's own: nothing was drafted in this round"


def quoted(text: str) -> str:
    """Return a token's text with its spaces visible and nothing in it that a terminal would obey."""
    return f"“{harmless(text.replace(chr(10), '⏎').replace(chr(9), '⇥'))}”" if text else "no text of its own"


def _token_lines(reply: Reply, token_index: int, event: Verified) -> list[Content]:
    token = reply.tokens[token_index].token
    return [
        Content.assemble(
            (quoted(token.text), f"bold {kind_style(TokenKind(token.origin))}"),
            (f"   id {token.id}", "$text-muted"),
        ),
        Content(origin_in_words(token, event)),
        Content.styled(f"token {token_index + 1} of {len(reply.tokens)} of this reply", "$text-muted"),
    ]


def _logprob_lines(token: Token, event: Verified) -> list[Content]:
    lines = [_heading("LOGPROB"), _line("main model", _likelihood(token.logprob))]
    if token.draft_logprob is not None:
        lines.append(_line("drafter", _likelihood(token.draft_logprob)))
    elif token.origin is Origin.ACCEPTED:
        lines.append(_line("drafter", f"{MODE_NAMES[event.mode]} drafts have no probabilities"))
    if token.origin is Origin.CORRECTED and event.rejected:
        lines += _replaced_lines(event.rejected[0])
    return lines


def _replaced_lines(rejected: RejectedToken) -> list[Content]:
    text = Content.styled(quoted(rejected.text), kind_style(TokenKind.REJECTED))
    return [
        Content.assemble(
            (f"{'replaced':<{_LABEL}} ", "$text-muted"), text, (f"   id {rejected.id}", "$text-muted")
        ),
        _line("  main model", _likelihood(rejected.logprob)),
        _line("  drafter", _likelihood(rejected.draft_logprob)),
    ]


def _candidate_lines(detail: RoundDetail | None, place: int, width: int, is_live: bool) -> list[Content]:
    heading = _heading("LIKELIEST")
    if detail is None or place >= len(detail.tokens):
        live, recorded = "Not reported: /detail on reports it from the next reply on.", "It was not recorded."
        return [heading, Content.styled(live if is_live else recorded, "dim")]
    of_token = detail.tokens[place]
    columns = ["main model".ljust(width), "drafter" if of_token.draft else ""]
    lines = [heading, Content.styled("".join(columns).rstrip(), "$text-muted")]
    for rank in range(max(len(of_token.main), len(of_token.draft))):
        main, draft = (_candidate(each, rank, width) for each in (of_token.main, of_token.draft))
        lines.append(Content.assemble(main, " " * max(1, width - main.cell_length), draft))
    return lines


def _candidate(candidates: Sequence[Candidate], rank: int, width: int) -> Content:
    if rank >= len(candidates):
        return Content("")
    found = candidates[rank]
    text = Content(quoted(found.text)).truncate(max(1, width - 9), ellipsis=True)
    percent = UNKNOWN if found.logprob is None else _percent(found.logprob)
    return Content.assemble((f"{percent:>7} ", "$text-muted"), text)


def _expert_lines(detail: RoundDetail | None) -> list[Content]:
    if detail is None or not detail.experts:
        return []
    lines = [_heading("EXPERTS OF THE ROUND"), Content.styled("by layer that has experts", "$text-muted")]
    for layer, numbers in enumerate(detail.experts, start=1):
        lines.append(Content.assemble((f"{layer:>3}  ", "$text-muted"), " ".join(map(str, numbers))))
    return lines


def _round_lines(event: Verified, round_index: int) -> list[Content]:
    drafted = f"{event.accepted} of {_drafted(event)} drafts accepted" if event.depth else "nothing drafted"
    lines = [
        _heading(f"ROUND {round_index} OF THE REPLY"),
        Content(f"{MODE_NAMES[event.mode]}, {drafted}"),
        _line("drafting", _milliseconds(event.draft_seconds)),
        _line("verifying", _milliseconds(event.verify_seconds)),
    ]
    if event.choice:
        lines.append(_line("auto's choice", event.choice))
    if event.catchup_seconds:
        lines.append(_line("catching up", _milliseconds(event.catchup_seconds)))
    lines.append(_line("waiting", f"{_milliseconds(event.wait_seconds)} of it, for reads"))
    lines.append(_line("read", f"{event.bytes_read / 1e6:.1f} MB"))
    if event.expert_uses:
        ahead = event.prefetch_used
        in_ram, loaded = event.expert_hits - ahead, event.expert_loads + ahead
        moved = f"{event.expert_uses} used, {in_ram} in RAM, {loaded} loaded"
        if ahead or event.prefetch_wasted:
            moved += f" ({ahead} ahead; {event.prefetch_wasted} more in vain)"
        lines.append(_line("experts", moved))
    return lines


def _drafted(event: Verified) -> int:
    return event.accepted + len(event.rejected)


def _heading(text: str) -> Content:
    return Content.styled(text, "$text-muted")


def _line(label: str, text: str) -> Content:
    return Content.assemble((f"{label:<{_LABEL}} ", "$text-muted"), text)


def _likelihood(logprob: float | None) -> str:
    return UNKNOWN if logprob is None else f"{logprob:7.2f}  {_percent(logprob)}"


def _percent(logprob: float) -> str:
    return f"{math.exp(min(logprob, 0.0)) * 100:.1f} %"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"
