"""The chat screen: transcript, figures, prompt. It shows a `Chat` and passes on what the user wants of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual.containers import Horizontal
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static

from app.chat import Status
from app.commands.terminal import harmless
from app.key_hints import key_of
from app.screens.chat_notes import notice_of, panel_note
from app.screens.chat_verbs import ChatVerbs
from app.screens.keys import EVERYWHERE, IN_TRANSCRIPT
from app.setting_rules import ShowPanel
from app.transcript.atoms import visible
from app.verbs import parse
from app.why import why
from app.widgets.header import Header, HeaderState
from app.widgets.legend import Legend
from app.widgets.panel import SidePanel
from app.widgets.prompt import Prompt
from app.widgets.transcript import Transcript
from app.widgets.trouble import Trouble
from app.widgets.welcome import Welcome
from engine.errors import UsageError

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from app.chat import Changed, Chat
    from app.screens.shell import Shell

FRAMES_PER_SECOND = 30
PANEL_EVERY = 8
"""Frames: figures that change four times a second can be read."""
NOTICE_SECONDS = 8.0


class ChatTranscript(Transcript):
    """The transcript with the keys it has in a chat."""

    BINDINGS: ClassVar[list[BindingType]] = IN_TRANSCRIPT
    GROWS_EVERY_SECONDS = 0.2

    def action_leave_tokens(self) -> None:
        """Escape stops a reply before it lets go of the cursor."""
        self.call_later(self.run_action, "screen.escape")


class ChatScreen(ChatVerbs, Screen[None]):
    """The chat."""

    CSS_PATH = "chat.tcss"
    BINDINGS: ClassVar[list[BindingType]] = EVERYWHERE
    HORIZONTAL_BREAKPOINTS = [(0, "-slim"), (76, "-narrow"), (100, "-wide")]  # noqa: RUF012  # typed by Textual

    def __init__(self, chat: Chat, shell: Shell) -> None:
        super().__init__()
        self.chat = chat
        self.shell = shell
        self._frame = 0
        self._header_is_due = False
        self._measure_key = ""
        self.before_edit = ""

    def compose(self) -> ComposeResult:
        yield Header()
        with Horizontal(id="middle"):
            yield ChatTranscript(id="transcript")
            yield SidePanel(id="panel")
        yield Legend(id="legend")
        yield Welcome(id="welcome")
        yield Trouble(id="trouble")
        yield Static(id="waiting")
        yield Prompt(id="prompt")
        yield Footer(compact=True)

    def on_mount(self) -> None:
        settings = self.shell.settings
        self.transcript.view = self.query_one(Legend).view = settings.view
        self.query_one(SidePanel).set_class(settings.show_panel is ShowPanel.NEVER, "-hidden")
        self.query_one(SidePanel).set_class(settings.show_panel is ShowPanel.ALWAYS, "-shown")
        self.query_one(Welcome).display = settings.first_run_help and not self._has_first_reply()
        self._measure_key = key_of(self.transcript, "transcript.measure")
        self.transcript.renders_finished = settings.markdown
        self.transcript.show(self.chat.conversation)
        self.prompt.remember([exchange.user for exchange in self.chat.conversation.exchanges])
        self.prompt.focus()
        self.set_interval(1 / FRAMES_PER_SECOND, self._frame_due)
        self._show_state()

    def on_prompt_sent(self, message: Prompt.Sent) -> None:
        try:
            found = parse(message.text)
        except UsageError as error:
            self.notify(str(error), severity="warning", markup=False)
            self.prompt.put(message.text)
            return
        if found is not None:
            verb, argument = found
            self.call_later(self.action_verb, verb.action, argument)
            return
        if self.chat.say(message.text.removeprefix("/") if message.text.startswith("//") else message.text):
            self.transcript.follow()
        else:
            self.prompt.put(message.text)
        self._pump()

    def on_prompt_edit_outside(self, _message: Prompt.EditOutside) -> None:
        self.call_later(self.action_verb, "editor")

    def on_transcript_inspect(self, message: Transcript.Inspect) -> None:
        self.transcript.cursor = message.exchange_index, message.token_index
        if not self.is_inspecting:
            self.call_later(self.action_verb, "inspect")

    def on_transcript_following_changed(self, message: Transcript.FollowingChanged) -> None:
        follow = key_of(self.transcript, "transcript.follow")
        self.query_one(Legend).note = "" if message.following or not follow else f"{follow} follows again"

    def action_less(self) -> None:
        """Draft one token fewer."""
        self._depth_by(-1)

    def action_more(self) -> None:
        """Draft one token more."""
        self._depth_by(1)

    def action_escape(self) -> None:
        """Stop what is under way; else let go of the token cursor, and come back to the prompt."""
        if self.chat.stop():
            return
        if self.chat.stop_editing():
            self.prompt.put(self.before_edit)
            self.notify("The last prompt and its reply stay as they are.")
            return
        if self.is_inspecting:
            self.action_leave_inspector()
        elif self.transcript.cursor is not None:
            self.transcript.cursor = None
        else:
            self.prompt.focus()

    def action_other_pane(self) -> None:
        """Go from the prompt to the transcript, or back."""
        self.set_focus(self.transcript if self.prompt.has_focus else self.prompt)

    def action_prompt(self) -> None:
        """Go to the prompt."""
        self.prompt.focus()

    def action_command(self) -> None:
        """Go to the prompt and begin a command there."""
        if not self.prompt.text.startswith("/"):
            self.prompt.put("/")
        self.set_focus(self.prompt)  # at once: the next letter may be here already

    def action_page(self, pages: int) -> None:
        """Scroll the transcript, from the prompt as well."""
        (self.transcript.scroll_page_up if pages < 0 else self.transcript.scroll_page_down)(animate=False)

    def begin_command(self, name: str) -> None:
        """Put the beginning of a command into the prompt, for the user to finish."""
        self.prompt.put(f"/{name} ")
        self.prompt.focus()

    def show_conversation(self) -> None:
        """Show another conversation than before."""
        self.transcript.show(self.chat.conversation)
        self.prompt.remember([exchange.user for exchange in self.chat.conversation.exchanges])
        self._show_state()

    def _depth_by(self, step: int) -> None:
        if self.chat.tuning.set_depth(self.chat.tuning.options.depth + step):
            self.shell.remember({"depth": self.chat.tuning.options.depth})

    def _frame_due(self) -> None:
        self._frame += 1
        self._header_is_due |= self._pump().state
        if self._header_is_due:
            self._show_header(counts=self._frame % PANEL_EVERY == 0)
        if self._frame % PANEL_EVERY == 0:
            self._show_panel()
            self.show_inspected()

    def _pump(self) -> Changed:
        was_measuring = self.chat.measurement is not None
        changed = self.chat.pump()
        if was_measuring and self.chat.measurement is None:
            self._measured()
        if changed.whole:
            self.transcript.show(self.chat.conversation)
        elif changed.tail:
            self.transcript.refresh_tail()
        is_lost = self.chat.status is Status.LOST
        for notice in (*changed.notices, *self.shell.take_notices()):
            if notice == self.chat.trouble and (self.is_active or self._ended_comparison_says(notice)):
                continue  # it stands above the prompt, or on the page
            self.notify(
                harmless(notice),
                severity="error" if is_lost else "information",
                markup=False,
                timeout=NOTICE_SECONDS,
            )
        if changed.given_back is not None:
            self.prompt.put(changed.given_back)
        if changed.state and self._has_first_reply():
            self._dismiss_welcome()
        if changed.state:
            trouble = self.query_one(Trouble)
            trouble.reason, trouble.is_loading = self.chat.trouble, not is_lost
            self._show_waiting()
        return changed

    def _show_waiting(self) -> None:
        """Show the prompt that waits: it is nowhere else yet."""
        text, line = self.chat.waiting_prompt, self.query_one("#waiting", Static)
        line.display = text is not None
        if text is not None:
            key = key_of(self, "chat.stop")
            back = f"{key} gives it back" if key else "/stop gives it back"
            line.update(Content.assemble("Waits: ", (visible(" ".join(text.split())), "bold"), f"   {back}"))

    def _ended_comparison_says(self, text: str) -> bool:
        finished = self.chat.comparison.finished if self.chat.comparison is not None else None
        return finished is not None and finished.message == text

    def _dismiss_welcome(self) -> None:
        """Take the welcome away, for good once it was read."""
        welcome = self.query_one(Welcome)
        if welcome.display:
            welcome.dismiss()
            self.shell.remember({"first_run_help": False})

    def _has_first_reply(self) -> bool:
        return any(exchange.reply.finished is not None for exchange in self.chat.conversation.exchanges)

    def _show_state(self) -> None:
        self.query_one(Header).state = self._header_state()
        self._show_panel()

    def _show_header(self, *, counts: bool) -> None:
        """Show the header's state; of one that only counts on, only if `counts`."""
        header, state = self.query_one(Header), self._header_state()
        before = header.state
        is_counting = state == replace(before, context_used=state.context_used, memory=state.memory)
        if counts or not is_counting:
            header.state, self._header_is_due = state, False

    def _show_panel(self) -> None:
        self.query_one(SidePanel).update_from(
            self.chat.figures,
            self.chat.tuning.options,
            self.shell.settings.disk_limit,
            self._measure_key,
            self.chat.tuning.pace,
            panel_note(self.chat),
        )

    def _measured(self) -> None:
        """A measurement is over: say what came of it where the panel does not."""
        if not self.query_one(SidePanel).display and self.chat.status is Status.READY:
            sentence = why(self.chat.figures, self.chat.tuning.options, self._measure_key)
            key = key_of(self, "chat.panel")
            self.notify(f"{sentence} {f'{key} shows' if key else '/panel shows'} the table.", markup=False)

    def _header_state(self) -> HeaderState:
        chat = self.chat
        loaded = chat.loaded
        return HeaderState(
            model=loaded.model if loaded else self.shell.model_name,
            form="DeepSeek-V3 format" if chat.backend.is_live else "",
            weights_bytes=loaded.weights_bytes if loaded else 0,
            options=chat.tuning.options,
            pace=chat.tuning.pace,
            paused=chat.tuning.paused,
            replay=not chat.backend.is_live,
            memory=chat.memory,
            context_used=chat.context_used,
            context=loaded.context if loaded else 0,
            loading=chat.loading if chat.status is Status.LOADING else None,
            notice=notice_of(chat),
        )
