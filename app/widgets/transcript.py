"""The conversation, token by token: it follows the tail, has a cursor on the tokens, and can be copied from.

The conversation is the one source of truth; kept here are only where its rows stand and the strips painted
last. A frame lays out and paints the growing reply's tail alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.message import Message
from textual.reactive import reactive

from app.transcript.rows import GUTTER, Look
from app.transcript.rows_view import RowsView
from app.transcript.views import View, next_view

if TYPE_CHECKING:
    from textual import events
    from textual.binding import BindingType

    from app.conversation import Conversation, Reply
    from app.transcript.layout import Place
    from app.transcript.turn import Turn


class Transcript(RowsView, can_focus=True):
    """Shows a conversation; the screen says when it has changed."""

    ALLOW_SELECT = True
    DEFAULT_CSS = Path(__file__).with_suffix(".tcss").read_text(encoding="utf-8")
    COMPONENT_CLASSES: ClassVar[set[str]] = {look.component for look in Look}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "beside(-1)", "token before", id="transcript.left", show=False),
        Binding("right", "beside(1)", "token after", id="transcript.right", show=False),
        Binding("up", "line(-1)", "line above", id="transcript.up", show=False),
        Binding("down", "line(1)", "line below", id="transcript.down", show=False),
        Binding("ctrl+home", "end_of_reply(0)", "first token", id="transcript.first", show=False),
        Binding("ctrl+end", "end_of_reply(1)", "last token", id="transcript.last", show=False),
        Binding("end", "follow", "follow", id="transcript.follow", show=False),
        Binding("enter", "inspect", "inspect", id="transcript.inspect", show=False),
        Binding("escape", "leave_tokens", "no cursor", id="transcript.leave", show=False),
    ]

    cursor: reactive[tuple[int, int] | None] = reactive(None, init=False)
    """An exchange, and a token of its reply."""

    @dataclass
    class CursorMoved(Message):
        """The cursor is on another token, or on none."""

        place: tuple[int, int] | None

    @dataclass
    class Hovered(Message):
        """The mouse is over another token, or over none."""

        place: tuple[int, int] | None

    @dataclass
    class Inspect(Message):
        """The user wants to know about a token."""

        exchange_index: int
        token_index: int

    @dataclass
    class FollowingChanged(Message):
        """The view follows the tail now, or no longer does."""

        following: bool

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._hovered: Place | None = None
        self._holds = False
        """Whether the view stays with the cursor, wherever the tail goes."""
        self._followed = False
        """Whether it followed before."""
        self._newest: Reply | None = None
        """The reply that was the newest when the cursor could last be let go of."""

    def show(self, conversation: Conversation) -> None:
        """Show a conversation, or take up what has changed anywhere in this one."""
        if conversation is not self._conversation:
            self._conversation = conversation
            self.cursor = None
            self._set_following(True)
        self._lay_out()

    def refresh_tail(self) -> None:
        """Take up what the last exchange has become."""
        super().refresh_tail()
        self._let_go_of_old()
        self.cursor = self.validate_cursor(self.cursor)  # what it is on may have been folded, or be gone

    def cycle_view(self) -> View:
        """Let the colours say something else; return what."""
        self.view = next_view(self.view)
        return self.view

    def toggle_thoughts(self) -> bool:
        """Unfold all thoughts, or fold them; return whether they are shown now."""
        self._folds = not self._folds
        self._lay_out()
        return not self._folds

    def toggle_markdown(self) -> bool:
        """Show the finished reply under the cursor, or the last one, as Markdown, or as tokens again.

        Returns whether there was one.
        """
        turn = self._finished_turn()
        if turn is None:
            return False
        if turn.body.is_rendered:
            turn.body.render(None)
        else:
            self._render_turn(turn)
        self._measure_anew()
        return True

    def look_at(self, place: Place) -> bool:
        """Put the cursor on a token, or one near it that can be seen; returns whether there is one.

        A reply that is shown as Markdown shows its tokens again.
        """
        self._lay_out()  # a tail that waits to be taken up, as well
        if place[0] < len(self._rows.turns) and self._rows.turns[place[0]].body.is_rendered:
            self._rows.turns[place[0]].body.render(None)
            self._measure_anew()
        self.cursor = place
        if self.cursor is not None:
            self._bring_into_view(self.cursor)
        return self.cursor is not None

    def hold(self, *, on: bool) -> None:
        """Let the view stay with the cursor, wherever the tail goes and however much room there is; or not.

        Let go of, it follows the tail again if it did before and is still near it.
        """
        if on == self._holds:
            return
        if on:
            self._followed, self._holds = self._following, True
            self._set_following(False)
            return
        self._holds = False
        row = None if self.cursor is None else self._rows.row_of(self.cursor)
        if self._followed and (row is None or row >= self._rows.height - self._on_screen()[1]):
            self.follow()
        else:
            self._following_changed()
        self._let_go_of_old()

    def follow(self) -> None:
        """Go to the end and move with it; while the view is held, go to the last token."""
        if self._holds:
            self.cursor = self._rows.last() or self.cursor
        else:
            super().follow()

    def _measure_anew(self) -> None:
        height = self._rows.height
        self._rows.measure()
        self._rows_changed(0, height)

    def _finished_turn(self) -> Turn | None:
        if self.cursor is not None:
            turn = self._rows.turns[self.cursor[0]]
            return turn if turn.reply.finished is not None else None
        done = (turn for turn in reversed(self._rows.turns) if turn.reply.finished and turn.reply.tokens)
        return next(done, None)

    def _lay_out(self) -> None:
        super()._lay_out()
        self._let_go_of_old()
        self.cursor = self.validate_cursor(self.cursor)
        self._stay()

    def _let_go_of_old(self) -> None:
        """Let go of a cursor on an older reply, once there is a new one and nothing is held."""
        newest = self._rows.turns[-1].reply if self._rows.turns else None
        if self._holds or newest is self._newest:
            return
        self._newest = newest
        if self.cursor is not None and self.cursor[0] < len(self._rows.turns) - 1:
            self.cursor = None

    def _stays_plain(self, turn: Turn) -> bool:
        """Whether this is the reply whose tokens are looked at."""
        place = self.cursor if self._holds else None
        return place is not None and place[0] < len(self._rows.turns) and self._rows.turns[place[0]] is turn

    def _stay(self) -> None:
        if self._holds and self.cursor is not None:
            self._bring_into_view(self.cursor)

    def _set_following(self, following: bool) -> None:
        super()._set_following(following and not self._holds)

    def _following_changed(self) -> None:
        if not self._holds:  # else it is for a while, and nobody has scrolled
            self.post_message(self.FollowingChanged(self.following))

    # The cursor

    def validate_cursor(self, cursor: tuple[int, int] | None) -> tuple[int, int] | None:
        """Keep the cursor on a token that can be seen, or in a reply that is shown as Markdown."""
        if cursor is None or not 0 <= cursor[0] < len(self._rows.turns):
            return None
        if self._rows.turns[cursor[0]].body.is_rendered:
            return cursor
        return self._rows.nearest(cursor)

    def watch_cursor(self, before: tuple[int, int] | None, now: tuple[int, int] | None) -> None:
        for place in (before, now):
            for y in self._places.rows_of(place) if place is not None else ():
                self._strips.discard(y)
                self.refresh_lines(y)
        if now is not None:
            self._bring_into_view(now)
        self.post_message(self.CursorMoved(now))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave escape and enter to others while there is no cursor."""
        if action in ("leave_tokens", "inspect"):
            return self.cursor is not None
        return super().check_action(action, parameters)

    def action_beside(self, step: int) -> None:
        """Go to the token before or after."""
        if self.cursor is None:
            self.cursor = self._last_on_screen()
        else:
            self.cursor = self._rows.beside(self.cursor, step) or self.cursor

    def action_line(self, step: int) -> None:
        """Go a line up or down; without a cursor, scroll."""
        if self.cursor is None:
            self.scroll_relative(y=step, animate=False)
        else:
            self.cursor = self._places.line_further(self.cursor, step) or self.cursor

    def action_end_of_reply(self, end: int) -> None:
        """Go to the first (0) or last (1) token of the reply."""
        place = self.cursor or self._last_on_screen()
        ends = self._rows.ends_of(place[0]) if place is not None else None
        if ends is not None:
            self.cursor = ends[end]

    def action_follow(self) -> None:
        """Go to the end and move with it."""
        self.follow()

    def action_inspect(self) -> None:
        """Ask for all that is known of the token."""
        if self.cursor is not None:
            self.post_message(self.Inspect(*self.cursor))

    def action_leave_tokens(self) -> None:
        """Let go of the cursor."""
        self.cursor = None

    def _token_on(self, y: int) -> int | None:
        on_this = self.cursor is not None and self.cursor[0] == self._rows.locate(y)[0]
        return self.cursor[1] if on_this and self.cursor is not None else None

    def _last_on_screen(self) -> Place | None:
        return self._places.last_in(*self._on_screen()) or self._rows.last()

    # The mouse

    def on_click(self, event: events.Click) -> None:
        place = self._place_under(event)
        if place is None or self.text_selection is not None:  # the end of a selection is no click on a token
            return
        self.cursor = place
        if event.chain > 1:
            event.prevent_default()  # which would select the whole chat
            self.post_message(self.Inspect(*place))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self._hover(self._place_under(event))

    def on_leave(self) -> None:
        self._hover(None)

    def _hover(self, place: Place | None) -> None:
        if place != self._hovered:
            self._hovered = place
            self.post_message(self.Hovered(place))

    def _place_under(self, event: events.MouseEvent) -> Place | None:
        offset = event.get_content_offset(self)
        if offset is None:
            return None
        return self._places.hit(offset.y + self.scroll_offset.y, offset.x - GUTTER)
