"""A scrolling view of a conversation's rows that follows the tail until one scrolls up.

All rows are laid out at once, which a long chat allows, but only what is on screen is painted, and strips
once painted are kept until their rows change.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from textual.cache import LRUCache
from textual.geometry import Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from app.conversation import Conversation
from app.transcript.layout import Layout
from app.transcript.paint import Painter, selected
from app.transcript.places import Places
from app.transcript.rows import GUTTER, SPARE, Look
from app.transcript.views import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.selection import Selection

    from app.conversation import Reply
    from app.transcript.layout import Place
    from app.transcript.turn import Turn

STRIPS_KEPT = 1024
RENDERED_AT_ONCE = 50
"""Replies at the most, the newest, that are rendered as Markdown when a chat is opened: some 4 ms each."""


class RowsView(ScrollView):
    """The rows, their painting and their place on the screen; tokens mean nothing here yet."""

    GROWS_EVERY_SECONDS = 0.0
    """At the most: a new row moves all others, and Textual lays the screen out anew. Within a row the tail is
    taken up with every call, so that text which is slow enough to be read is as lively as it was."""

    view: reactive[View] = reactive(View.ORIGIN, init=False)
    """What the colours say."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._conversation = Conversation()
        self._rows = Layout()
        self._places = Places(self._rows)
        self._rows_width = 0
        self._room = Size(0, 0)
        """What there was when it was last looked at."""
        self._strips: LRUCache[int, Strip] = LRUCache(STRIPS_KEPT)
        self._painter: Painter | None = None
        self._following = True
        self._scrolls_itself = False
        self._folds = True
        self.renders_finished = False
        """Whether a reply is shown as Markdown as soon as it is finished."""
        self._finished: dict[int, Reply] = {}
        """The replies, by id, that were finished when they were looked at last: each is rendered once."""
        self._may_grow_at = 0.0
        self._is_due = False
        """Whether a timer will take up the tail."""

    @property
    def following(self) -> bool:
        """Whether the view moves with the tail."""
        return self._following

    @property
    def row_count(self) -> int:
        """Lines of the whole conversation."""
        return self._rows.height

    def follow(self) -> None:
        """Go to the end and move with it."""
        self._set_following(True)
        self._go_to_end()

    def refresh_tail(self) -> None:
        """Take up what the last exchange has become."""
        if not self._rows_width or self._is_due:
            return
        now = time.monotonic()
        if now < self._may_grow_at:
            self._is_due = True
            self.set_timer(self._may_grow_at - now, self._take_up_later)
            return
        height = self._rows.height
        changed = self._rows.update()
        if self._render_finished(self._rows.turns[-1:]):
            self._rows.measure()
            changed = 0
        if changed is not None:
            self._rows_changed(changed, height)
        if self._rows.height > height:
            self._may_grow_at = now + self.GROWS_EVERY_SECONDS

    def _take_up_later(self) -> None:
        self._is_due = False
        self.refresh_tail()

    # Laying out

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._render_again())
        self.screen.screen_layout_refresh_signal.subscribe(self, lambda _screen: self._laid_out())

    def _laid_out(self) -> None:
        """Textual sends no Resize where something was scrolled in the moment that the room changed."""
        if self.scrollable_content_region.size != self._room:
            self.call_later(self.on_resize)

    def on_resize(self) -> None:
        self._room = self.scrollable_content_region.size
        if self.scrollable_content_region.width != self._rows_width:
            self._lay_out()
        elif self._following:
            self._go_to_end()
        else:
            self._stay()

    def _stay(self) -> None:
        """Keep in view what has to be, after the room has changed."""

    def _lay_out(self) -> None:
        """Lay out what is new, or all of it where the width or the folding is new."""
        width = self.scrollable_content_region.width
        if width <= 0:  # on_resize comes when there is room
            return
        top = None if self._following else self._places.first_in(*self._on_screen())
        height = self._rows.height
        rendered = {id(turn.exchange) for turn in self._rows.turns if turn.body.is_rendered}
        self._rows_width = width
        self._rows.show(self._conversation, width, folds=self._folds)
        for turn in self._rows.turns:
            if id(turn.exchange) in rendered and not turn.body.is_rendered:
                self._render_turn(turn)
        self._render_finished(self._rows.turns)
        replies = (turn.reply for turn in self._rows.turns)
        self._finished = {id(reply): reply for reply in replies if id(reply) in self._finished}
        self._rows.measure()
        self._rows_changed(0, height)
        row = self._rows.row_of(top) if top is not None else None
        if row is not None:
            self._go_to(row)

    def _rows_changed(self, first: int, old_height: int) -> None:
        """Paint rows anew from the first on, and follow."""
        for y in [y for y in self._strips.keys() if y >= first]:  # noqa: SIM118  # it is no mapping
            self._strips.discard(y)
        height = self._rows.height
        size = Size(self._rows_width, height)
        if self.virtual_size != size:
            self.virtual_size = size
        self.refresh_lines(first, max(height, old_height) - first)
        if self._following:
            self._go_to_end()

    def _render_turn(self, turn: Turn) -> None:
        """Show a reply as Markdown."""
        from app.transcript.markdown import render_markdown  # its parser takes its time to import

        turn.body.render(
            render_markdown(
                turn.body.markdown(),
                max(1, self._rows_width - GUTTER - SPARE),
                self.app.console,
                self.get_component_rich_style(Look.CODE.component, partial=True),
                dark=self.app.current_theme.dark,
            )
        )

    def _render_finished(self, turns: Sequence[Turn]) -> bool:
        """Show those that have finished as Markdown, where that is wanted; returns whether there were any."""
        if not self.renders_finished:
            return False
        new = [turn for turn in turns if turn.reply.finished and id(turn.reply) not in self._finished]
        self._finished |= {id(turn.reply): turn.reply for turn in new}
        new = [turn for turn in new if turn.reply.tokens and not self._stays_plain(turn)][-RENDERED_AT_ONCE:]
        for turn in new:
            self._render_turn(turn)
        return bool(new)

    def _stays_plain(self, _turn: Turn) -> bool:
        """Whether a reply is not to be shown as Markdown when it finishes."""
        return False

    def _render_again(self) -> None:
        """Give replies that are shown as Markdown the colours of another theme."""
        rendered = [turn for turn in self._rows.turns if turn.body.is_rendered]
        for turn in rendered:
            self._render_turn(turn)
        if rendered:
            height = self._rows.height
            self._rows.measure()
            self._rows_changed(0, height)

    # Painting

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._painter = None
        self._strips.clear()

    def watch_view(self) -> None:
        self._strips.clear()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        y += self.scroll_offset.y
        if self._painter is None:
            self._painter = Painter(
                self.rich_style, lambda name: self.get_component_rich_style(name, partial=True)
            )
        base = self._painter.base
        if y >= self._rows.height:
            return Strip.blank(self.size.width, base)
        strip = self._strips.get(y)
        if strip is None:
            strip = self._painter.strip(self._rows.row(y, self.view), self._token_on(y))
            strip = strip.crop_extend(0, self.size.width, base).apply_offsets(0, y)
            self._strips[y] = strip
        span = self.text_selection.get_span(y) if self.text_selection is not None else None
        if span is None:
            return strip
        length = GUTTER + len(self._rows.row(y, self.view).text)
        start, end = span
        end = length if end == -1 else min(end, length)
        style = self.screen.get_component_rich_style("screen--selection")
        return selected(strip, max(start, GUTTER), end, style)

    def _token_on(self, _y: int) -> int | None:
        """Return the token of the row's reply that the cursor is on."""
        return None

    # Following

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if not self._scrolls_itself:
            self._set_following(round(new_value) >= self.max_scroll_y)

    def _set_following(self, following: bool) -> None:
        if following != self._following:
            self._following = following
            self._following_changed()

    def _following_changed(self) -> None:
        """Tell others."""

    def _go_to_end(self) -> None:
        self._scrolls_itself = True
        self.scroll_to(y=self.max_scroll_y, animate=False, force=True)
        self._scrolls_itself = False

    def _go_to(self, row: int) -> None:
        self.scroll_to(y=row, animate=False, force=True)

    def _on_screen(self) -> tuple[int, int]:
        """Return the first row on screen, and how many there are."""
        return self.scroll_offset.y, self.scrollable_content_region.height

    def _bring_into_view(self, place: Place) -> None:
        row = self._rows.row_of(place)
        if row is None:
            return
        top, height = self._on_screen()
        if row < top:
            self._go_to(row)
        elif row >= top + height:
            self._go_to(row - height + 1)

    # Selecting

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the raw text that is selected."""
        return self._places.copied(selection), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()
