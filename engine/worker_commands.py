"""Reading the worker's commands: one JSON object a line, each value checked before anything is done."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import UsageError
from engine.lanes_json import read_lane
from engine.surface import LoadSettings
from engine.text.prompt import Prompt
from engine.text.template import Message

if TYPE_CHECKING:
    from engine.lanes import Lane

COMMANDS: dict[str, tuple[str, ...]] = {
    "load": ("path", "ram", "context", "threads", "disk_limit", "readers", "direct", "draft_model"),
    "generate": ("messages", "prompt", "ids", "options", "fit"),
    "compare": ("messages", "prompt", "ids", "options", "fit", "lanes", "repeats", "max_tokens"),
    "keep_cache": ("path",),
    "recall_cache": ("path",),
    "experts": (),
    "wiring": ("text",),
    "set": (),  # any option, and pace
    "cancel": (),
    "pause": ("on",),
    "step": (),
    "quit": (),
}
"""Each command with the keys it may have."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command whose name is known, with its values as they came."""

    name: str
    values: dict[str, object]

    @classmethod
    def parse(cls, line: bytes) -> Command:
        """Read a line; UsageError says what is wrong with it."""
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"A command must be one line of JSON: {error}.") from None
        if not isinstance(data, dict):
            raise UsageError("A command must be a JSON object.")
        name = data.pop("command", None)
        if not isinstance(name, str) or name not in COMMANDS:
            raise UsageError(f"There is no command {name!r}{_nearest(name, list(COMMANDS))}")
        return cls(name, data)

    def check_keys(self) -> None:
        """Refuse a key that the command does not have; apart, so that the refusal can name the command."""
        known = COMMANDS[self.name]
        for key in self.values:
            if self.name != "set" and key not in known:
                raise UsageError(f"{self.name} has no key {key!r}{_nearest(key, list(known))}")

    def prompt(self) -> Prompt:
        """Return what to reply to: exactly one of messages, prompt and ids."""
        given = [key for key in ("messages", "prompt", "ids") if self.values.get(key) is not None]
        if len(given) != 1:
            raise UsageError(f"{self.name} needs one of messages, prompt and ids.")
        value = self.values[given[0]]
        if given[0] == "ids":
            return Prompt(ids=_integers("ids", value))
        if given[0] == "prompt":
            return Prompt(text=_text("prompt", value))
        if not isinstance(value, list) or not value:
            raise UsageError("messages must be a list with at least one message.")
        return Prompt(messages=tuple(map(_message, value)))

    def options(self) -> dict[str, object]:
        """Return the options given for this reply alone."""
        value = self.values.get("options")
        if value is None:
            return {}
        if isinstance(value, dict):
            return value
        raise UsageError(f"options must be an object, not {value!r}.")

    def lanes(self) -> tuple[Lane, ...]:
        """Return the lanes to compare, in order."""
        value = self.values.get("lanes")
        if not isinstance(value, list) or not value:
            raise UsageError("lanes must be a list with at least one lane.")
        return tuple(map(read_lane, value))

    def text(self, key: str) -> str | None:
        value = self.values.get(key)
        return None if value is None else _text(key, value)

    def file(self) -> str:
        """Return the path of a file, which has to be given."""
        path = self.text("path")
        if path:
            return path
        raise UsageError(f"{self.name} needs the path of a file.")

    def count(self, key: str) -> int | None:
        """Return a whole number of at least 1."""
        value = self.values.get(key)
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
            return value
        raise UsageError(f"{key} must be a whole number of at least 1, not {value!r}.")

    def flag(self, key: str) -> bool | None:
        value = self.values.get(key)
        if value is None or isinstance(value, bool):
            return value
        raise UsageError(f"{key} must be true or false, not {value!r}.")

    def load_settings(self) -> LoadSettings:
        """Return how to load; what amounts and speeds say is checked by whoever loads."""
        return LoadSettings(
            ram=self.text("ram"),
            context=self.count("context"),
            threads=self.count("threads"),
            disk_limit=self.text("disk_limit"),
            readers=self.count("readers"),
            direct=self.flag("direct"),
            draft_model=self.text("draft_model"),
        )


def _nearest(name: object, known: list[str]) -> str:
    near = difflib.get_close_matches(str(name), known, n=1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; known are {', '.join(known)}." if known else "."


def _text(key: str, value: object) -> str:
    if isinstance(value, str):
        return value
    raise UsageError(f"{key} must be a text, not {value!r}.")


def _integers(key: str, value: object) -> tuple[int, ...]:
    if isinstance(value, list):
        integers = tuple(
            each for each in value if isinstance(each, int) and not isinstance(each, bool) and each >= 0
        )
        if len(integers) == len(value):
            return integers
    raise UsageError(f"{key} must be a list of whole numbers, 0 or more.")


def _message(value: object) -> Message:
    if not isinstance(value, dict) or not {"role", "content"} <= set(value) <= {"role", "content", "ids"}:
        raise UsageError("Each message must be an object with role and content, and ids for a reply.")
    ids = value.get("ids")
    return Message(
        _text("role", value["role"]),
        _text("content", value["content"]),
        None if ids is None else _integers("ids", ids),
    )
