"""How the chat screen opens the inspector beside its transcript, turns it with the cursor, and closes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.widgets.transcript import Transcript
from engine.errors import UsageError

if TYPE_CHECKING:
    from textual.screen import Screen
    from textual.widget import Widget

    from app.chat import Chat
    from app.screens.inspect import InspectPane
    from app.transcript.layout import Place

    _Base = Screen[None]
else:
    _Base = object


class Inspecting(_Base):
    """Mixed into the screen; the transcript's cursor is what is looked at."""

    chat: Chat
    _pane: InspectPane | None = None
    """None until it is opened first: the window is there the sooner."""
    _focused_before: Widget | None = None

    @property
    def is_inspecting(self) -> bool:
        """Whether a token is looked at."""
        return self._pane is not None and self._pane.display

    async def verb_inspect(self, _argument: str) -> None:
        """Look at a token; asked again, no longer."""
        if self.is_inspecting:
            self.action_leave_inspector()
            return
        transcript = self.query_one(Transcript)
        place = transcript.cursor or self._last_token()
        if place is None:
            raise UsageError("There is no token to look at yet.")
        exchange, token = place
        exchanges = self.chat.conversation.exchanges
        if exchange >= len(exchanges) or token >= len(exchanges[exchange].reply.tokens):
            raise UsageError("This token is no longer in the chat.")
        if not transcript.look_at(place) or transcript.cursor is None:
            raise UsageError("The whole reply is folded away: /thoughts unfolds it.")
        await self._open(transcript.cursor)

    async def _open(self, place: Place) -> None:
        from app.screens.inspect import InspectPane

        self._focused_before = self.focused
        self.query_one(Transcript).hold(on=True)
        self.add_class("-inspecting")
        if self._pane is None:
            is_live = self.chat.backend.is_live
            self._pane = InspectPane(self.chat.conversation, place, is_live=is_live, id="inspect")
            await self.query_one("#middle").mount(self._pane)
        self._pane.display = True
        self.app.clear_notifications()  # they would cover the token's name
        self.show_inspected()
        self._pane.to_top()
        self._pane.query_one("#inspect-token").focus()

    def show_inspected(self) -> None:
        """Take up what has become of the token; close where it is gone."""
        if self._pane is None or not self._pane.display:
            return
        place = self.query_one(Transcript).cursor
        if place is None or not self._pane.show(self.chat.conversation, place):
            self.action_leave_inspector()

    def on_transcript_cursor_moved(self, _message: Transcript.CursorMoved) -> None:
        self.show_inspected()

    def action_leave_inspector(self) -> None:
        """Close the inspector; its room goes back to the transcript."""
        if self._pane is None or not self._pane.display:
            return
        had_focus = self._pane.has_focus_within
        self._pane.display = False
        self.remove_class("-inspecting")
        self.query_one(Transcript).hold(on=False)
        if had_focus:
            (self._focused_before or self.query_one(Transcript)).focus()

    def action_look_beside(self, step: int) -> None:
        """Turn to the next token that can be seen, or to the one before; at the chat's ends, stay."""
        self.query_one(Transcript).action_beside(step)

    def action_look_at_end(self, end: int) -> None:
        """Turn to the reply's first token (0) or its last (1)."""
        self.query_one(Transcript).action_end_of_reply(end)

    def _last_token(self) -> Place | None:
        for index in range(len(self.chat.conversation.exchanges) - 1, -1, -1):
            count = len(self.chat.conversation.exchanges[index].reply.tokens)
            if count:
                return index, count - 1
        return None
