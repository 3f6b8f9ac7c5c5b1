"""The conversation, token by token: it follows the tail, has a cursor on the tokens, and can be copied from.

The conversation is the one source of truth; kept here are only where its rows stand and the strips painted
last. All rows are laid out at once, which a long chat allows, but only what is on screen is painted. A frame
lays out and paints the growing reply's tail alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.cache import LRUCache
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from app.conversation import Conversation
from app.transcript.layout import Layout
from app.transcript.markdown import render_markdown
from app.transcript.paint import Painter, selected
from app.transcript.places import Places
from app.transcript.rows import GUTTER, SPARE, Look
from app.transcript.views import View, next_view

if TYPE_CHECKING:
    from textual import events
    from textual.binding import BindingType
    from textual.selection import Selection

    from app.transcript.layout import Place
    from app.transcript.turn import Turn

STRIPS_KEPT = 1024


class Transcript(ScrollView, can_focus=True):
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

    view: reactive[View] = reactive(View.ORIGIN)
    """What the colours say."""
    cursor: reactive[tuple[int, int] | None] = reactive(None)
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
        self._conversation = Conversation()
        self._rows = Layout()
        self._places = Places(self._rows)
        self._rows_width = 0
        self._strips: LRUCache[int, Strip] = LRUCache(STRIPS_KEPT)
        self._painter: Painter | None = None
        self._following = True
        self._follows_now = False
        """Whether scrolling is our own doing."""
        self._hovered: Place | None = None
        self._thoughts_shown = False

    @property
    def following(self) -> bool:
        """Whether the view moves with the tail."""
        return self._following

    @property
    def row_count(self) -> int:
        """Lines of the whole conversation."""
        return self._rows.height

    def show(self, conversation: Conversation) -> None:
        """Show a conversation, or take up what has changed anywhere in this one."""
        if conversation is not self._conversation:
            self._conversation = conversation
            self.cursor = None
            self._set_following(True)
        self._lay_out()

    def refresh_tail(self) -> None:
        """Take up what the last exchange has become."""
        if not self._rows_width:
            return
        height = self._rows.height
        turns = len(self._rows.turns)
        changed = self._rows.update()
        if len(self._rows.turns) < turns:
            self.cursor = self.validate_cursor(self.cursor)
        if changed is not None:
            self._rows_changed(changed, height)

    def follow(self) -> None:
        """Go to the end and move with it."""
        self._set_following(True)
        self._go_to_end()

    def cycle_view(self) -> View:
        """Let the colours say something else; return what."""
        self.view = next_view(self.view)
        return self.view

    def toggle_thoughts(self) -> bool:
        """Unfold all thoughts, or fold them; return whether they are shown now."""
        self._thoughts_shown = not self._thoughts_shown
        self._lay_out()
        return self._thoughts_shown

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
        height = self._rows.height
        self._rows.measure()
        self._rows_changed(0, height)
        return True

    # Laying out

    def on_resize(self) -> None:
        if self.scrollable_content_region.width != self._rows_width:
            self._lay_out()
        elif self._following:
            self._go_to_end()

    def _lay_out(self) -> None:
        width = self.scrollable_content_region.width
        if width <= 0:  # on_resize comes when there is room
            return
        top = None if self._following else self._places.first_in(*self._on_screen())
        height = self._rows.height
        rendered = {id(turn.exchange) for turn in self._rows.turns if turn.body.is_rendered}
        self._rows_width = width
        self._rows.show(self._conversation, width, folds=not self._thoughts_shown)
        for turn in self._rows.turns:
            if id(turn.exchange) in rendered and not turn.body.is_rendered:
                self._render_turn(turn)
        self._rows.measure()
        self.cursor = self.validate_cursor(self.cursor)
        self._rows_changed(0, height)
        row = self._rows.row_of(top) if top is not None else None
        if row is not None:
            self._go_to(row)

    def _rows_changed(self, first: int, old_height: int) -> None:
        for y in [y for y in self._strips.keys() if y >= first]:  # noqa: SIM118  # it is no mapping
            self._strips.discard(y)
        height = self._rows.height
        size = Size(self._rows_width, height)
        if self.virtual_size != size:
            self.virtual_size = size
        self.refresh_lines(first, max(height, old_height) - first)
        if self._following:
            self._go_to_end()

    def _finished_turn(self) -> Turn | None:
        if self.cursor is not None:
            turn = self._rows.turns[self.cursor[0]]
            return turn if turn.reply.finished is not None else None
        done = (turn for turn in reversed(self._rows.turns) if turn.reply.finished and turn.reply.tokens)
        return next(done, None)

    def _render_turn(self, turn: Turn) -> None:
        turn.body.render(
            render_markdown(
                turn.body.markdown(),
                max(1, self._rows_width - GUTTER - SPARE),
                self.app.console,
                self.get_component_rich_style(Look.CODE.component, partial=True),
                dark=self.app.current_theme.dark,
            )
        )

    # Painting

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._painter = None
        self._strips.clear()

    def render_line(self, y: int) -> Strip:
        y += self.scroll_offset.y
        painter = self._paint_with()
        if y >= self._rows.height:
            return Strip.blank(self.size.width, painter.base)
        strip = self._strips.get(y)
        if strip is None:
            exchange, _ = self._rows.locate(y)
            on_token = self.cursor[1] if self.cursor is not None and self.cursor[0] == exchange else None
            strip = painter.strip(self._rows.row(y, self.view), on_token)
            strip = strip.crop_extend(0, self.size.width, painter.base).apply_offsets(0, y)
            self._strips[y] = strip
        span = self.text_selection.get_span(y) if self.text_selection is not None else None
        if span is None:
            return strip
        length = GUTTER + len(self._rows.row(y, self.view).text)
        start, end = span
        end = length if end == -1 else min(end, length)
        style = self.screen.get_component_rich_style("screen--selection")
        return selected(strip, max(start, GUTTER), end, style)

    def _paint_with(self) -> Painter:
        if self._painter is None:
            self._painter = Painter(
                self.rich_style, lambda name: self.get_component_rich_style(name, partial=True)
            )
        return self._painter

    def watch_view(self) -> None:
        self._strips.clear()
        self.refresh()

    # Following

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if not self._follows_now:
            self._set_following(round(new_value) >= self.max_scroll_y)

    def action_follow(self) -> None:
        self.follow()

    def _set_following(self, following: bool) -> None:
        if following != self._following:
            self._following = following
            self.post_message(self.FollowingChanged(following))

    def _go_to_end(self) -> None:
        self._follows_now = True
        self.scroll_to(y=self.max_scroll_y, animate=False, force=True)
        self._follows_now = False

    def _go_to(self, row: int) -> None:
        self.scroll_to(y=row, animate=False, force=True)

    # The cursor

    def validate_cursor(self, cursor: tuple[int, int] | None) -> tuple[int, int] | None:
        """Keep the cursor on a token that can be seen."""
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

    def action_inspect(self) -> None:
        """Ask for all that is known of the token."""
        if self.cursor is not None:
            self.post_message(self.Inspect(*self.cursor))

    def action_leave_tokens(self) -> None:
        """Let go of the cursor."""
        self.cursor = None

    def _on_screen(self) -> tuple[int, int]:
        """Return the first row on screen, and how many there are."""
        return self.scroll_offset.y, self.scrollable_content_region.height

    def _last_on_screen(self) -> Place | None:
        return self._places.last_in(*self._on_screen()) or self._rows.last()

    def _bring_into_view(self, place: Place) -> None:
        row = self._rows.row_of(place)
        if row is None:
            return
        top, height = self._on_screen()
        if row < top:
            self._go_to(row)
        elif row >= top + height:
            self._go_to(row - height + 1)

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

    # Selecting

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the raw text that is selected."""
        return self._places.copied(selection), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()
