"""The engine on this machine, in a child process: `python -m engine.worker`.

It may die at any time, of memory above all, without taking the chat along: then what was asked for is closed
with an error, Lost says what is known, and `restart` brings another engine with the same settings.

Every `generate` is answered by one Finished and every `compare` by one LanesFinished, also where they are
refused, so that whoever waits for a reply never waits in vain.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from dataclasses import asdict
from typing import TYPE_CHECKING

from app.backends.base import ComparisonNews, Loaded, Lost, Refused
from app.backends.child import Child
from app.backends.objection import objection
from app.backends.worker_news import Hello, read_line
from app.commands.terminal import harmless
from engine.events import SCHEMA_VERSION, Finished, FinishReason, Header, Verified
from engine.lanes import LanesFinished
from engine.lanes_json import lane_to_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from app.backends.base import ChatMessage, News
    from app.backends.child import Ending
    from app.backends.worker_news import WorkerNews
    from engine.lanes import Lane
    from engine.surface import LoadSettings

# Without -P, a folder called engine where the user happens to be would be run in place of ours.
_COMMAND = (sys.executable, "-P", "-m", "engine.worker")
_NOT_RUNNING = "The engine is not running: restart it first."
_RESTART = "your next prompt starts it again."


class LocalBackend:
    """See the module."""

    def __init__(self, path: str, settings: LoadSettings, *, command: Sequence[str] | None = None) -> None:
        """`path` is a checkpoint's folder, or "demo"; `command` runs another worker, for tests."""
        self._path = path
        self._load_settings = settings
        self._command = tuple(command or _COMMAND)
        self._news: deque[News] = deque()
        self._lock = threading.Lock()
        """Over everything below, which the child's threads use as well."""
        self._child: Child | None = None
        self._greeted = False
        self._loaded: Loaded | None = None
        self._settings: dict[str, object] = {}
        """Everything set by `change`, for the next child."""
        self._replies = 0
        """Asked for and not finished."""
        self._comparisons = 0
        self._tokens, self._seconds = 0, 0.0
        """Of the reply under way."""

    @property
    def is_live(self) -> bool:
        """Replies can be asked for."""
        return True

    @property
    def pid(self) -> int | None:
        """The engine's process; None where there is none."""
        child = self._child
        return None if child is None else child.pid

    def start(self) -> None:
        """Begin to load; Loading and then Loaded or Lost follow."""
        with self._lock:
            if self._child is not None:
                return
            self._greeted, self._loaded = False, None
            try:
                self._child = Child(self._command, self._hear, self._ended)
            except OSError as error:
                reason = harmless(error.strerror or str(error))
                self._news.append(
                    Lost(f"The engine could not be started ({reason}): install draftscope again.")
                )
                return
            if self._settings:
                self._child.send({"command": "set", **self._settings})
            chosen = {name: value for name, value in asdict(self._load_settings).items() if value is not None}
            self._child.send({"command": "load", "path": self._path, **chosen})

    def drain(self) -> Sequence[News]:
        """Return what has happened since the last call, in order."""
        return [self._news.popleft() for _ in range(len(self._news))]

    def generate(self, messages: Sequence[ChatMessage], options: Mapping[str, object]) -> None:
        """Ask for a reply; turns that the context cannot hold are left out, and Trimmed says so."""
        with self._lock:
            if self._child is None:
                self._news.append(Finished(FinishReason.ERROR, 0, 0.0, _NOT_RUNNING))
                return
            self._replies += 1
            self._child.send(
                {
                    "command": "generate",
                    "messages": [each.to_json() for each in messages],
                    "options": dict(options),
                    "fit": True,
                }
            )

    def change(self, values: Mapping[str, object]) -> None:
        """Set `depth`, `mode`, `pace` (from the next round on) or any other option (from the next reply)."""
        with self._lock:
            refused = objection(values, self._loaded)
            if refused is not None:
                self._news.append(Refused("set", refused))
                return
            self._settings |= values
            if self._child is not None:
                self._child.send({"command": "set", **values})

    def cancel(self) -> None:
        """End the reply or comparison under way; what there is of it stays."""
        self._tell({"command": "cancel"})

    def pause(self, on: bool) -> None:
        """Stand still before the next round, or go on."""
        self._tell({"command": "pause", "on": on})

    def step(self) -> None:
        """Do one round while paused."""
        self._tell({"command": "step"})

    def compare(
        self,
        messages: Sequence[ChatMessage],
        lanes: Sequence[Lane],
        max_tokens: int,
        repeats: int,
        options: Mapping[str, object],
    ) -> None:
        """Decode a reply to the messages in every lane: ComparisonNews, LanesFinished the last of it."""
        with self._lock:
            if self._child is None:
                self._news.append(ComparisonNews(LanesFinished(False, _NOT_RUNNING)))
                return
            self._comparisons += 1
            asked = {"lanes": [lane_to_json(lane) for lane in lanes], "repeats": repeats}
            told = {
                "messages": [each.to_json() for each in messages],
                "options": dict(options),
                "max_tokens": max_tokens,
            }
            self._child.send({"command": "compare", **asked, **told, "fit": True})

    def keep_cache(self, path: Path) -> None:
        """Write the last prompt's and reply's cache to a file."""
        self._tell({"command": "keep_cache", "path": str(path)})

    def recall_cache(self, path: Path) -> None:
        """Use what was kept for the replies to come."""
        self._tell({"command": "recall_cache", "path": str(path)})

    def wiring(self) -> None:
        """Find out how the MTP layer is wired."""
        self._tell({"command": "wiring"})

    def experts(self) -> None:
        """Ask which experts were used."""
        self._tell({"command": "experts"})

    def restart(self) -> None:
        """Bring an engine in place of the one there was, with all that was set since the first."""
        with self._lock:
            self._let_go(message := "The engine was restarted.")
            self._end_comparisons(message)
        self.start()

    def close(self) -> None:
        """End everything; takes a second at most, and no process is left."""
        with self._lock:
            child, self._child = self._child, None
        if child is not None:
            child.close()

    # What the screen asks, under the lock

    def _tell(self, command: Mapping[str, object]) -> None:
        """Send what has no place, and does no harm, while there is no engine."""
        with self._lock:
            name = str(command["command"])
            if self._child is not None and (self._loaded is not None or name == "cancel"):
                self._child.send(command)
            elif name != "cancel":
                loading = "The model is still loading: wait until it is ready."
                self._news.append(Refused(name, _NOT_RUNNING if self._child is None else loading))

    # What the child's threads tell

    def _hear(self, child: Child, data: bytes) -> None:
        with self._lock:
            if child is not self._child:
                return
            try:
                news = read_line(data)
            except ValueError as error:
                if self._greeted:  # before that, whatever Python itself may print
                    reason = harmless(str(error)).removesuffix(".")
                    self._lose(f"The engine wrote a line that cannot be read ({reason})", _RESTART)
                return
            self._take(news)

    def _take(self, news: WorkerNews) -> None:
        match news:
            case Hello():
                self._greeted = True
                if news.schema != SCHEMA_VERSION:
                    self._lose(
                        f"The engine speaks schema {news.schema} and this app schema {SCHEMA_VERSION}",
                        "install draftscope again, so that both are of one version.",
                    )
                return
            case Refused():
                self._refused(news)
                return
            case Loaded():
                self._loaded = news
            case Header():
                self._tokens, self._seconds = 0, 0.0
            case Verified():
                self._tokens += len(news.tokens)
                self._seconds += news.draft_seconds + news.verify_seconds
            case Finished():
                self._replies = max(self._replies - 1, 0)
            case ComparisonNews(LanesFinished()):
                self._comparisons = max(self._comparisons - 1, 0)
        self._news.append(news)

    def _refused(self, news: Refused) -> None:
        if news.command == "load" and self._loaded is None:
            self._lose(news.message)
        elif news.command == "generate" and self._replies:
            self._replies -= 1
            self._news.append(Finished(FinishReason.ERROR, 0, 0.0, news.message))
        else:
            self._news.append(news)
            if news.command == "load":  # loaded, but for the mode, which this checkpoint has not
                self._settings.pop("mode", None)

    def _ended(self, child: Child, ending: Ending) -> None:
        with self._lock:
            if child is self._child:
                self._lose(f"The engine {ending.sentence}", f"{_advice(ending)}{_RESTART}")

    def _lose(self, what: str, advice: str = "") -> None:
        message = f"{what}." if advice else what
        self._let_go(message)
        self._news.append(Lost(f"{what}: {advice}" if advice else what))
        self._end_comparisons(message)

    def _let_go(self, message: str) -> None:
        """End the child, and close what was asked of it."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
        for number in range(self._replies):
            tokens, seconds = (0, 0.0) if number else (self._tokens, self._seconds)
            self._news.append(Finished(FinishReason.ERROR, tokens, seconds, message))
        self._replies = self._tokens = 0

    def _end_comparisons(self, message: str) -> None:
        """Close them, after Lost: who hears of their end before it would go on with the engine."""
        closed = ComparisonNews(LanesFinished(complete=False, message=message))
        self._news += [closed] * self._comparisons
        self._comparisons = 0


def _advice(ending: Ending) -> str:
    return "give it less with --ram or --context; " if ending.was_killed else ""
