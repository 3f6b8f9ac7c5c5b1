"""What each verb of `app.verbs` does on the chat screen.

Every method is `verb_NAME(argument)`; slash commands, keys and the palette all come through `action_verb`.
Screens that are seldom opened are imported when they are: the window is there the sooner.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from app.chat_prompts import RECORDING
from app.locations import user_path
from app.screens.inspecting import Inspecting
from app.setting_rules import View
from app.widgets.legend import Legend
from app.widgets.panel import SidePanel
from app.widgets.prompt import Prompt
from app.widgets.transcript import Transcript
from engine.errors import DraftscopeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from app.screens.shell import Shell

DEMO_PACE = 12.0
"""Rounds a second that `p` comes back to."""


class ChatVerbs(Inspecting):
    """The verbs; mixed into the screen."""

    shell: Shell

    @property
    def transcript(self) -> Transcript:
        """The transcript."""
        return self.query_one(Transcript)

    @property
    def prompt(self) -> Prompt:
        """Where the user writes."""
        return self.query_one(Prompt)

    async def action_verb(self, name: str, argument: str = "") -> None:
        """Do a verb by name; what the user got wrong becomes a notice."""
        try:
            done: Awaitable[None] | None = getattr(self, f"verb_{name}")(argument)
            if inspect.isawaitable(done):
                await done
        except DraftscopeError as error:
            self.notify(str(error), severity="warning", markup=False)

    def verb_depth(self, argument: str) -> None:
        if self.chat.tuning.change({"depth": _whole(argument, "depth")}):
            self.shell.remember({"depth": self.chat.tuning.options.depth})

    def verb_mode(self, argument: str) -> None:
        tuning = self.chat.tuning
        if tuning.change({"mode": argument}) if argument else tuning.cycle_mode():
            self.shell.remember({"mode": str(tuning.options.mode)})

    def verb_pace(self, argument: str) -> None:
        if not argument:
            pace = 0.0 if self.chat.tuning.pace else DEMO_PACE
        else:
            pace = 0.0 if argument == "off" else _number(argument, "pace")
        if self.chat.tuning.set_pace(pace):
            self.shell.remember({"pace": pace})

    def verb_pause(self, _argument: str) -> None:
        paused = not self.chat.tuning.paused
        self.chat.tuning.pause(on=paused)
        if paused:
            self.transcript.focus()

    def verb_step(self, _argument: str) -> None:
        self.chat.tuning.step()

    def verb_stop(self, _argument: str) -> None:
        if not self.chat.stop():
            self.notify("Nothing is under way.")

    def verb_temperature(self, argument: str) -> None:
        self._sampling("temperature", _number(argument, "temperature"))

    def verb_top_p(self, argument: str) -> None:
        self._sampling("top_p", _number(argument, "top_p"))

    def verb_top_k(self, argument: str) -> None:
        self._sampling("top_k", _whole(argument, "top_k"))

    def verb_min_p(self, argument: str) -> None:
        self._sampling("min_p", _number(argument, "min_p"))

    def verb_seed(self, argument: str) -> None:
        self._sampling("seed", _whole(argument, "seed"))

    def verb_accept(self, argument: str) -> None:
        self._sampling("accept", argument)

    def verb_max_tokens(self, argument: str) -> None:
        self._sampling("max_tokens", _whole(argument, "max_tokens"))

    def verb_detail(self, argument: str) -> None:
        on = _switch(argument, now=self.chat.tuning.options.detail)
        self.chat.tuning.change({"detail": on})
        self.notify(f"Candidates and experts are {'reported' if on else 'left out'} from the next reply on.")

    def verb_measure(self, _argument: str) -> None:
        self.chat.measure()

    def verb_compare(self, argument: str) -> None:
        from app.lanes_text import read_lanes
        from app.screens.compare import CompareScreen

        if not self.chat.backend.is_live:
            raise UsageError("A recording can be watched, but nothing compared: start draftscope to chat.")
        if argument:
            read_lanes(argument, self.chat.drafter)
        self.app.push_screen(CompareScreen(self.chat, argument))

    def verb_regenerate(self, _argument: str) -> None:
        self.chat.regenerate()

    def verb_edit(self, _argument: str) -> None:
        text = self.chat.edit()
        if text is not None:
            self.before_edit = self.prompt.text
            self.prompt.put(text)
            self.prompt.focus()

    def verb_copy(self, _argument: str) -> None:
        last = self.chat.conversation.last
        if last is None or not last.reply.tokens:
            raise UsageError("There is no reply to copy yet.")
        self.app.copy_to_clipboard(last.reply.text.encode("utf-8", "replace").decode())
        self.notify("The reply was sent to the terminal's clipboard. (/export writes a file.)")

    def verb_editor(self, _argument: str) -> None:
        from app.editor import edited

        self.prompt.put(edited(self.prompt.text, self.app.suspend))
        self.prompt.focus()

    def verb_system(self, argument: str) -> None:
        if argument:
            self.chat.set_system("" if argument == "off" else argument)
        else:
            self.prompt.put(f"/system {self.chat.conversation.system}")
            self.prompt.focus()

    def verb_new(self, _argument: str) -> None:
        self._need_live()
        self.shell.new_session()
        self.prompt.focus()

    def verb_sessions(self, _argument: str) -> None:
        from app.screens.sessions import SessionsScreen

        self._need_live()
        self.app.push_screen(SessionsScreen(self.shell.kept), self.shell.resume)

    def verb_rename(self, argument: str) -> None:
        self.shell.rename_session(argument)

    def verb_export(self, argument: str) -> None:
        from app.exports import Kind

        kind, _, name = argument.partition(" ")
        if kind and kind not in set(Kind):
            raise UsageError(f"A chat is exported as {', '.join(Kind)}, not as {kind}.")
        file = user_path(name.strip()) if name.strip() else None
        written = self.shell.export(Kind(kind or Kind.MARKDOWN), file)
        self.notify(f"Written to {written}.", markup=False)

    def verb_view(self, argument: str) -> None:
        if not argument:
            self.transcript.cycle_view()
        elif argument.replace("_", "-") in set(View):
            self.transcript.view = View(argument.replace("_", "-"))
        else:
            raise UsageError(f"Tokens are shown by {', '.join(View)}, not by {argument}.")
        self.query_one(Legend).view = self.transcript.view
        self.shell.remember({"view": str(self.transcript.view)})

    def verb_markdown(self, _argument: str) -> None:
        self.action_leave_inspector()  # its token would no longer be there
        self.transcript.toggle_markdown()

    def verb_thoughts(self, _argument: str) -> None:
        self.transcript.toggle_thoughts()

    def verb_panel(self, _argument: str) -> None:
        panel = self.query_one(SidePanel)
        self.action_leave_inspector()  # it stands in the panel's place
        panel.set_class(panel.display, "-hidden")
        panel.set_class(not panel.display, "-shown")

    def verb_theme(self, argument: str) -> None:
        if not argument:
            self.app.search_themes()
        elif argument in self.app.available_themes:
            self.app.theme = argument
        else:
            raise UsageError(f"There is no theme {argument}; /theme alone lists them.")

    def verb_experts(self, _argument: str) -> None:
        from app.screens.experts import ExpertsScreen

        if not self.chat.backend.is_live:
            raise UsageError("A recording has no experts: they are those of a loaded checkpoint.")
        self.app.push_screen(ExpertsScreen(self.chat))

    def verb_checkpoint(self, argument: str) -> None:
        from app.screens.checkpoint import CheckpointScreen

        model = argument or self.shell.checkpoint
        if model is None:
            raise UsageError("There is no checkpoint behind this chat; /checkpoint FOLDER shows another one.")
        self.app.push_screen(CheckpointScreen(model))

    def verb_wiring(self, _argument: str) -> None:
        from app.screens.wiring import WiringScreen

        if not self.chat.backend.is_live:
            raise UsageError("A recording has no MTP layer to run: load a checkpoint.")
        if self.chat.wiring is not None or self.chat.find_wiring():
            self.app.push_screen(WiringScreen(self.chat))

    def verb_restart(self, _argument: str) -> None:
        self.chat.restart()

    def verb_help(self, _argument: str) -> None:
        from app.screens.help import HelpScreen

        panes = (("transcript", self.transcript), ("prompt", self.prompt))
        topic = next((name for name, pane in panes if pane.has_focus), "")  # none for the inspector
        self.app.push_screen(HelpScreen(topic))

    async def verb_quit(self, _argument: str) -> None:
        await self.app.action_quit()

    def _need_live(self) -> None:
        if not self.chat.backend.is_live:
            raise UsageError(RECORDING)

    def _sampling(self, name: str, value: object) -> None:
        if self.chat.tuning.change({name: value}):
            self.shell.remember({name: value})
            self.notify(f"{name} {value}, from the next reply on.", markup=False)


def _whole(text: str, name: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{name} must be a whole number, not {text!r}.") from None


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{name} must be a number, not {text!r}.") from None


def _switch(text: str, *, now: bool) -> bool:
    if text in ("", "on", "off"):
        return not now if not text else text == "on"
    raise UsageError(f"Say on or off, not {text!r}.")
