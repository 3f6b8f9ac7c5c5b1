"""Where events come from: one protocol for the local engine, a trace, a script and, later, servers.

News comes in on whatever thread a backend has and is fetched by the screen, thirty times a second, with
`drain`: the engine never waits for the screen, and the screen never for the engine. Commands return at once;
what becomes of them is news.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from engine.events import Event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from engine.experts import ExpertUse
    from engine.lab.results import WiringReport
    from engine.lanes import Lane, LanesNews
    from engine.options import GenerateOptions


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a chat, as a backend is given it."""

    role: str
    """`system`, `user` or `assistant`."""
    content: str
    ids: tuple[int, ...] | None = None
    """For a reply that was generated: its tokens, so that its cache is found again."""

    def to_json(self) -> dict[str, object]:
        """Return it as JSON has it, without the halves of letters that a terminal may paste."""
        content = self.content.encode("utf-8", "replace").decode()
        return {"role": self.role, "content": content, **({"ids": list(self.ids)} if self.ids else {})}


@dataclass(frozen=True, slots=True)
class Loading:
    """Weights are being read."""

    what: str
    """The file being read."""
    done_bytes: int
    total_bytes: int
    """0 while it is not known."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Replies can be asked for."""

    model: str
    context: int
    """Tokens that prompt and reply may have together."""
    has_mtp: bool
    options: GenerateOptions
    """What a reply is decoded with unless it is asked for otherwise."""
    weights_bytes: int = 0
    """Of the checkpoint on disk; 0 where a backend cannot know."""
    warnings: tuple[str, ...] = ()
    """Sentences about the checkpoint or the machine."""
    has_draft_model: bool = False
    """Whether a second model drafts in mode model."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What the engine's process uses now; comes about once a second."""

    used_bytes: int
    budget_bytes: int


@dataclass(frozen=True, slots=True)
class Trimmed:
    """The chat no longer fitted the context: its oldest turns were left out of this prompt."""

    turns: int


@dataclass(frozen=True, slots=True)
class ComparisonNews:
    """What a comparison of lanes says; its last is LanesFinished, whatever happens."""

    news: LanesNews


@dataclass(frozen=True, slots=True)
class CacheKept:
    """A chat's cache is on disk."""

    bytes: int


@dataclass(frozen=True, slots=True)
class CacheRecalled:
    """A chat's cache is back: a prompt that begins with its text need not be read from the start."""

    tokens: int


@dataclass(frozen=True, slots=True)
class ExpertsSeen:
    """Which experts the engine has used, and which it holds, at the moment it was asked."""

    use: ExpertUse


@dataclass(frozen=True, slots=True)
class WiringProgress:
    """The wiring lab is at work."""

    done: int
    total: int
    what: str


@dataclass(frozen=True, slots=True)
class WiringFound:
    """The wiring lab is done."""

    report: WiringReport | None
    """None where it was cancelled."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A command could not be carried out; nothing else has changed."""

    command: str | None
    message: str
    """One sentence for the user."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The engine is gone; `restart` brings another one."""

    message: str
    """One sentence for the user: what happened, and what to do."""


@dataclass(frozen=True, slots=True)
class Said:
    """The user's words in a recording: a new exchange begins."""

    text: str


News: TypeAlias = (
    Event
    | Said
    | Loading
    | Loaded
    | Memory
    | Trimmed
    | ComparisonNews
    | CacheKept
    | CacheRecalled
    | ExpertsSeen
    | WiringProgress
    | WiringFound
    | Refused
    | Lost
)


class Backend(Protocol):
    """A source of replies. All methods are called from the screen's thread and return at once."""

    @property
    def is_live(self) -> bool:
        """Whether replies can be asked for; a trace only plays what it holds."""

    def start(self) -> None:
        """Begin to load; Loading and then Loaded or Lost follow."""

    def drain(self) -> Sequence[News]:
        """Return what has happened since the last call, in order."""

    def generate(self, messages: Sequence[ChatMessage], options: Mapping[str, object]) -> None:
        """Ask for a reply: Header … Finished follow. `options` are those of GenerateOptions that differ."""

    def change(self, values: Mapping[str, object]) -> None:
        """Set `depth`, `mode`, `pace` (from the next round on) or any other option (from the next reply)."""

    def cancel(self) -> None:
        """End the reply or comparison under way; what there is of it stays."""

    def pause(self, on: bool) -> None:
        """Stand still before the next round, or go on."""

    def step(self) -> None:
        """Do one round while paused."""

    def compare(
        self,
        messages: Sequence[ChatMessage],
        lanes: Sequence[Lane],
        max_tokens: int,
        repeats: int,
        options: Mapping[str, object],
    ) -> None:
        """Decode a reply to the messages in every lane, to compare them: ComparisonNews, the last of which is
        LanesFinished, also where it is refused or the engine is lost. `options` are as for `generate`."""

    def keep_cache(self, path: Path) -> None:
        """Write the last prompt's and reply's cache to a file: CacheKept or Refused follows, or Lost."""

    def recall_cache(self, path: Path) -> None:
        """Use what was kept for the replies to come: CacheRecalled or a harmless Refused follows."""

    def experts(self) -> None:
        """Ask which experts were used: ExpertsSeen follows soon, in mid-reply as well, or Refused."""

    def wiring(self) -> None:
        """Find out how the MTP layer is wired: WiringProgress, then WiringFound, or Refused."""

    def restart(self) -> None:
        """Bring the engine back after Lost; Loading and Loaded follow."""

    def close(self) -> None:
        """End everything, the engine's process included."""
