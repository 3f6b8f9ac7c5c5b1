"""Everything that can be done in a chat by name: slash commands and the palette read one table.

A verb is a name, what it does, and an action of the chat screen; its argument, if any, is a text that the
action checks. Keys are bound in the screen, under the same names.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from engine.errors import UsageError


@dataclass(frozen=True, slots=True)
class Verb:
    """Something to do."""

    name: str
    title: str
    """For the palette: what it does, in a few words."""
    argument: str = ""
    """What may follow the name, for help; empty where nothing may."""
    needs_argument: bool = False

    @property
    def usage(self) -> str:
        """How it is typed."""
        return f"/{self.name} {self.argument}".rstrip()

    @property
    def action(self) -> str:
        """The screen's method, without `verb_`."""
        return self.name.replace("-", "_")


VERBS = (
    Verb("depth", "Draft so many tokens a round", "0-8", True),
    Verb("mode", "Choose who drafts", "[mtp | auto | ngram | model | ordinary]"),
    Verb("pace", "Hold the engine to a number of rounds a second", "[ROUNDS | off]"),
    Verb("pause", "Pause before the next round, or go on"),
    Verb("step", "Do one round while paused"),
    Verb("stop", "Stop the reply; what there is of it stays"),
    Verb("temperature", "Sample with a temperature; 0 is greedy", "NUMBER", True),
    Verb("top_p", "Sample from the likeliest tokens up to this probability", "NUMBER", True),
    Verb("top_k", "Sample from this many of the likeliest tokens", "NUMBER", True),
    Verb("min_p", "Leave out tokens less likely than this share of the likeliest", "NUMBER", True),
    Verb("seed", "Set the seed of sampling", "NUMBER", True),
    Verb("accept", "Choose how drafts are judged when sampling", "coupled | rejection", True),
    Verb("max_tokens", "Set the longest reply", "NUMBER", True),
    Verb("detail", "Report the top candidates and the experts of every round", "[on | off]"),
    Verb("measure", "Decode the last reply again at each depth"),
    Verb("compare", "Compare depths and drafters, one lane each", "[LANES]"),
    Verb("regenerate", "Write the last reply anew"),
    Verb("edit", "Edit the last prompt; sent, it takes the place of the last reply"),
    Verb("copy", "Copy the last reply as raw text"),
    Verb("editor", "Write the prompt in $EDITOR"),
    Verb("system", "Set the system prompt, or write on it", "[TEXT | off]"),
    Verb("new", "Begin a new chat"),
    Verb("sessions", "List, resume, rename or delete chats"),
    Verb("rename", "Give this chat a title", "TITLE", True),
    Verb("export", "Write this chat to a file", "[markdown | html | svg | trace] [FILE]"),
    Verb("view", "Show tokens in another way", "[origin | all-origins | position | surprise | plain]"),
    Verb("markdown", "Show the reply as rendered Markdown, or as tokens again"),
    Verb("thoughts", "Unfold what stands between think tags, or fold it"),
    Verb("panel", "Show or hide the figures"),
    Verb("theme", "Choose the colours", "[NAME]"),
    Verb("inspect", "Look at one token"),
    Verb("experts", "Which experts were used, and which are in RAM"),
    Verb("checkpoint", "What the checkpoint is made of, its MTP layer included", "[FOLDER]"),
    Verb("wiring", "Find out by trial how the MTP layer is wired"),
    Verb("restart", "Start the engine again after it was lost"),
    Verb("help", "What the keys and colours mean"),
    Verb("quit", "Leave"),
)
_BY_NAME = {verb.name: verb for verb in VERBS}


def parse(text: str) -> tuple[Verb, str] | None:
    """Read a slash command; None for a text that is none. Raises UsageError, which says what was meant."""
    if not text.startswith("/") or text.startswith("//"):
        return None
    name, _, argument = text[1:].partition(" ")
    verb = _BY_NAME.get(name.replace("-", "_").lower())
    if verb is None:
        near = difflib.get_close_matches(name, _BY_NAME, n=1)
        hint = f"did you mean /{near[0]}?" if near else "/help lists them."
        raise UsageError(f"There is no command /{name}; {hint} (Begin with // to send it as text.)")
    argument = argument.strip()
    if argument and not verb.argument:
        raise UsageError(f"/{verb.name} takes nothing after it.")
    if verb.needs_argument and not argument:
        raise UsageError(f"/{verb.name} needs more: {verb.usage}.")
    return verb, argument
