"""How replies are decoded: what the user wants otherwise than the checkpoint's authors, sent on at once.

Depth, mode and pace hold from the next round, in the middle of a reply as well; everything else from the next
reply.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.backends.objection import objection
from engine.errors import UsageError
from engine.options import MAX_DEPTH, GenerateOptions, Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.backends.base import Backend, Loaded

LIVE = ("depth", "mode")
"""Options that hold from the next round on."""
_CYCLE = (Mode.MODEL, Mode.MTP, Mode.AUTO, Mode.NGRAM, Mode.ORDINARY)


class Tuning:
    """The wanted options, pace and pause, and the backend that follows them."""

    def __init__(
        self,
        backend: Backend,
        wanted: Mapping[str, object],
        pace: float,
        notice: Callable[[str], None],
        asked: Callable[[Mode, int], None],
        changed: Callable[[], None],
    ) -> None:
        """`asked` is told of every mode and depth that was set, `changed` of anything that was, and `notice`
        of what could not be."""
        self._backend = backend
        self._wanted = dict(wanted)
        self._notice = notice
        self._asked = asked
        self._changed = changed
        self._loaded: Loaded | None = None
        self._is_running = False
        """Whether there is an engine to pause; until then it is remembered."""
        self.pace = pace
        """Rounds a second; 0 is full speed."""
        self.paused = False

    @property
    def wanted(self) -> Mapping[str, object]:
        """The options that differ from the checkpoint's own."""
        return self._wanted

    @property
    def options(self) -> GenerateOptions:
        """How the next reply would be decoded."""
        base = self._loaded.options if self._loaded else GenerateOptions()
        return base.changed(self._wanted)

    def start(self) -> None:
        """Send what holds from the first round on."""
        live = {name: value for name, value in self._wanted.items() if name in LIVE and self._backend.is_live}
        self._backend.change({**live, "pace": self.pace})

    def loaded(self, loaded: Loaded) -> None:
        """Take the checkpoint's own options as the base; a mode it cannot run is forgotten."""
        self._loaded = loaded
        if self._objection(self._wanted.get("mode")) is not None:
            del self._wanted["mode"]
        self._is_running = True
        if self.paused:
            self._backend.pause(on=True)

    def lost(self) -> None:
        """The engine is gone, and with it the pause."""
        self._is_running = self.paused = False

    def change(self, values: Mapping[str, object]) -> bool:
        """Set options; False, and a notice, if they are refused."""
        if not self._backend.is_live:
            self._notice("This is a recording: depth and options are as it was made.")
            return False
        try:
            options = self.options.changed(values)
        except UsageError as error:
            self._notice(str(error))
            return False
        objection = self._objection(values.get("mode"))
        if objection is not None:
            self._notice(objection)
            return False
        self._wanted |= values
        self._changed()
        live = {name: values[name] for name in LIVE if name in values}
        if live:
            self._backend.change(live)
            self._asked(options.mode, options.depth)
        return True

    def set_depth(self, depth: int) -> bool:
        """Draft this many tokens a round."""
        return self.change({"depth": min(max(depth, 0), MAX_DEPTH)})

    def cycle_mode(self) -> bool:
        """Let the next drafter draft: a second model, the MTP layer, it at a depth of its own choice,
        n-grams, nobody."""
        modes = [mode for mode in _CYCLE if self._objection(mode) is None]
        at = modes.index(self.options.mode) if self.options.mode in modes else -1
        return self.change({"mode": modes[(at + 1) % len(modes)]})

    def _objection(self, mode: object) -> str | None:
        """Why what is loaded cannot run a mode; a second model is never there before it was loaded."""
        if mode is None or (self._loaded is None and mode != Mode.MODEL):
            return None
        has_mtp = self._loaded is None or self._loaded.has_mtp
        has_draft_model = self._loaded is not None and self._loaded.has_draft_model
        return Mode(str(mode)).objection(has_mtp=has_mtp, has_draft_model=has_draft_model)

    def set_pace(self, rounds_per_second: float) -> bool:
        """Hold the engine to a number of rounds a second; False, and a notice, if that is none."""
        refused = objection({"pace": rounds_per_second}, None)
        if refused is not None:
            self._notice(refused)
            return False
        self.pace = rounds_per_second
        self._changed()
        self._backend.change({"pace": rounds_per_second})
        return True

    def pause(self, *, on: bool) -> None:
        """Stand still before the next round, or go on."""
        self.paused = on
        self._changed()
        if self._is_running:
            self._backend.pause(on)

    def step(self) -> None:
        """Do one round and stand still again."""
        if not self.paused:
            self.pause(on=True)
        if self._is_running:
            self._backend.step()
