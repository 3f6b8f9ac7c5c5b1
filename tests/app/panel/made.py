"""Made-up rounds and a bare app for tests of the panel, the header, the inspector and help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import App

from app.token_colours import token_defaults
from engine.events import Origin, RejectedToken, Token, Verified
from engine.options import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.content import Content
    from textual.pilot import Pilot
    from textual.widget import Widget

WAITS = 200


def verified(
    number: int,
    ids: Sequence[int] = (7,),
    *,
    depth: int = 0,
    accepted: int | None = None,
    mode: Mode = Mode.MTP,
    seconds: float = 0.1,
    wait: float = 0.0,
    uses: int = 0,
    hits: int = 0,
    loads: int = 0,
    read: int = 0,
) -> Verified:
    """Return a round of these tokens; all but the last were accepted, as a rule."""
    accepted = len(ids) - 1 if accepted is None else accepted
    last = Origin.ORDINARY if not depth else Origin.BONUS if accepted == depth else Origin.CORRECTED
    tokens = tuple(
        Token(
            ident,
            f" w{ident}",
            Origin.ACCEPTED if place < accepted else last,
            place + 1 if place < accepted else 0,
            -0.1,
            -0.2 if place < accepted else None,
        )
        for place, ident in enumerate(ids)
    )
    rejected = tuple(
        RejectedToken(900 + place, f" bad{place}", -1.9 if place == accepted else None, -0.4)
        for place in range(accepted, depth)
    )
    return Verified(
        number,
        mode,
        depth,
        accepted,
        tokens,
        rejected,
        verify_seconds=seconds,
        wait_seconds=wait,
        expert_uses=uses,
        expert_hits=hits,
        expert_loads=loads,
        bytes_read=read,
    )


class Bare(App[None]):
    """An app of nothing but the widgets under test."""

    def __init__(self, *widgets: Widget) -> None:
        super().__init__()
        self.under_test = widgets

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return token_defaults()

    def on_mount(self) -> None:
        self.mount(*self.under_test)


def screen_text(app: App[None]) -> str:
    """Return what stands on the screen, line by line, without trailing blanks."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


def styles_of(content: Content, text: str) -> set[str]:
    """Return the styles of the spans that cover exactly this text."""
    return {str(span.style) for span in content.spans if content.plain[span.start : span.end].strip() == text}


async def wait_until(pilot: Pilot[None], holds: Callable[[], bool]) -> None:
    """Let the app go on until something holds."""
    for _ in range(WAITS):
        if holds():
            return
        await pilot.pause(0.01)
    raise AssertionError("It never came to hold:\n" + screen_text(pilot.app))
