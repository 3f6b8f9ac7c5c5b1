"""The same prompt in several lanes, live: which depth, or which drafter, is fastest on this machine.

It shows the chat's comparison and starts another one; figures are drawn at most four times a second, and only
those that have changed. Letters act once the lanes have the focus, which they get when a comparison starts.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from app.chat_state import Status
from app.chat_trials import COMPARED_REPEATS, COMPARED_TOKENS
from app.commands.compare_table import document, outcome, outside_rates
from app.commands.terminal import harmless
from app.exports import write_new
from app.key_hints import key_line, key_of
from app.lanes_text import DEFAULT, lanes_text, read_lanes
from app.standstill import standstill
from app.widgets.bars import percentage
from app.widgets.key_line import KeyLine
from app.widgets.lane import LaneBlock, LaneView
from engine.errors import UsageError

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from app.chat import Chat
    from app.lanes_run import LanesRun

LOOK_EVERY_SECONDS = 0.25
SHORT_LINES = 32
"""A terminal of fewer lines does without blank ones."""

_BEFORE = (
    f"Every lane decodes a reply of at most {COMPARED_TOKENS} tokens, {COMPARED_REPEATS} times, with the "
    "same seed. Lanes are depths from 0 to 8, or a mode with its depth: ngram 2, mtp 3, auto."
)


class LaneList(VerticalScroll):
    """The lanes, with the letters that act while they have the focus."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "screen.write_markdown", "write the table as Markdown", id="compare.markdown"),
        Binding("j", "screen.write_json", "write the table as JSON", id="compare.json"),
    ]


class CompareScreen(ModalScreen[None]):
    """See the module."""

    CSS_PATH = "compare.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "stop, then back", id="compare.leave"),
        Binding("f3", "leave", "stop, then back", id="compare.toggle", priority=True),
        Binding("enter", "start", "start", id="compare.start"),
        Binding("f1", "help", "help", id="compare.help", priority=True),
    ]

    def __init__(self, chat: Chat, lanes: str = "") -> None:
        """`lanes` are those to begin with, as they are typed."""
        super().__init__()
        self._chat = chat
        self._asked_lanes = lanes
        self._run: LanesRun | None = None
        self._shown: tuple[LanesRun | None, int] | None = None
        self._is_stopping = False
        self._blocks: list[LaneBlock] = []

    def compose(self) -> ComposeResult:
        run, drafter = self._chat.comparison, self._chat.drafter
        prompt = self._chat.last_prompt if run is None else run.prompt
        lanes = self._asked_lanes or (DEFAULT if run is None else lanes_text(run.lanes, drafter))
        with Vertical(id="compare-box"):
            yield Static(id="compare-title")
            with Horizontal(classes="compare-field"):
                yield Label("prompt")
                yield Input(
                    prompt,
                    "what every lane is to answer",
                    id="compare-prompt",
                    compact=True,
                    select_on_focus=False,
                )
            with Horizontal(classes="compare-field"):
                yield Label("lanes")
                yield Input(lanes, DEFAULT, id="compare-lanes", compact=True, select_on_focus=False)
            yield Static(id="compare-how")
            yield (blocks := LaneList())
            yield Static(id="compare-end")
            start = key_line(self, ("compare.start", "start"), "tab field")
            write = key_line(blocks, ("compare.markdown", "Markdown"), ("compare.json", "JSON"))
            line = key_line(self, start, write, ("compare.leave", "stop, back"))
            yield KeyLine(line, id="compare-keys")

    def on_mount(self) -> None:
        prompt, lanes = self._field("prompt"), self._field("lanes")
        if self._chat.comparison is not None:
            self._list.focus()
        else:
            (lanes if prompt.value else prompt).focus()
        self._show()
        self.set_interval(LOOK_EVERY_SECONDS, self._show)

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.height < SHORT_LINES, "-short")

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        self.action_start()

    def action_start(self) -> None:
        """Compare what the fields say."""
        try:
            lanes = read_lanes(self._field("lanes").value, self._chat.drafter)
        except UsageError as error:
            self.notify(str(error), severity="warning", markup=False)
            self._field("lanes").focus()
            return
        if self._chat.compare(self._field("prompt").value, lanes):
            self._is_stopping = False
            self._list.focus()
            self._show()

    def action_leave(self) -> None:
        """Stop a comparison under way; asked again, or where there is none, close."""
        if self._chat.status is Status.COMPARING and not self._is_stopping:
            self._is_stopping = True
            self._chat.stop()
            self._show()
        else:
            self.dismiss(None)

    def action_write_markdown(self) -> None:
        """Write what is on the screen as Markdown."""
        run = self._measured()
        if run is not None:
            planned = [] if run.planned is None else [run.planned]
            prepared = [] if run.prepared is None else [run.prepared]
            complete = run.finished is not None and run.finished.complete
            text = document(run.report, run.options, planned, prepared, complete=complete)
            self._write(run, text, ".md")

    def action_write_json(self) -> None:
        """Write the figures as `draftscope compare --json` does."""
        run = self._measured()
        if run is not None:
            interleaved = run.planned is not None and run.planned.interleaved
            data = run.report.to_json(interleaved=interleaved)
            self._write(run, json.dumps(data, indent=2, allow_nan=False), ".json")

    def action_help(self) -> None:
        """Say what the keys do."""
        from app.screens.help import HelpScreen

        self.app.push_screen(HelpScreen("compare"))

    @property
    def _list(self) -> LaneList:
        return self.query_one(LaneList)

    def _field(self, name: str) -> Input:
        return self.query_one(f"#compare-{name}", Input)

    def _measured(self) -> LanesRun | None:
        """The comparison to write, if there is one that has come to its end."""
        run = self._chat.comparison
        if run is not None and run.is_over and any(map(run.tokens_decoded, range(len(run.lanes)))):
            return run
        start = f"{key_of(self, 'compare.start')} starts it."
        wait = "it is still going on." if self._chat.status is Status.COMPARING else start
        self.notify(f"There is no comparison to write yet: {wait}", severity="warning", markup=False)
        return None

    def _write(self, run: LanesRun, text: str, suffix: str) -> None:
        self.app.copy_to_clipboard(text)
        try:
            path = write_new(f"{text}\n", f"compare {run.prompt}", suffix)
        except UsageError as error:
            self.notify(f"It was sent to the terminal's clipboard alone. {error}", markup=False)
        else:
            self.notify(f"Written to {harmless(str(path))}, and to the terminal's clipboard.", markup=False)

    def _show(self) -> None:
        """Draw what has changed."""
        run = self._chat.comparison
        due = run, -1 if run is None else run.version
        if due == self._shown:
            return
        self._shown = due
        if run is not self._run:
            self._run = run
            self._blocks = [] if run is None else [LaneBlock() for _ in run.lanes]
            self._list.remove_children()
            self._list.mount_all(self._blocks)
        if run is not None:
            for lane, block in enumerate(self._blocks):
                block.view = LaneView.of(run, lane)
        self.query_one("#compare-title", Static).update(title(run))
        self.query_one("#compare-how", Static).update(Content(_BEFORE if run is None else how(run)))
        self.query_one("#compare-end", Static).update(Content("" if run is None else end(run)))


def title(run: LanesRun | None) -> Content:
    """Return the heading, with how much of a comparison is done."""
    done = ""
    if run is not None and not run.is_over:
        done = f"   run {run.repeat + 1} of {run.repeats}, {percentage(run.share_done)}"
    return Content.assemble(("Compare", "bold"), (done, "$text-muted"))


def how(run: LanesRun) -> str:
    """Return how it is measured, and what is in no lane's speed."""
    if run.planned is None:
        return "" if run.is_over else "Waiting for the engine."
    said = [run.planned.why]
    if run.prefilling is not None:
        said.append(f"Reading the prompt: layer {run.prefilling.layer} of {run.prefilling.layers}.")
    elif run.waiting is not None:
        said.append(f"{standstill(run.waiting).capitalize()}: {run.waiting.seconds:.0f} s.")
    elif run.prepared is not None:
        said.append(outside_rates([run.prepared]))
    return harmless(" ".join(said))


def end(run: LanesRun) -> str:
    """Return what a comparison has come to, a sentence a line; empty while it goes on."""
    if run.finished is None:
        return ""
    said = [] if run.finished.message is None else [run.finished.message]
    if run.is_comparable:
        said += outcome(run.report, run.options, complete=run.finished.complete)
    elif not said and not run.finished.complete:
        said.append("It was stopped before two lanes had said anything.")
    return harmless("\n".join(said))
