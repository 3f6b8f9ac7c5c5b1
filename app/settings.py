"""The user's settings: one frozen dataclass, checked once, with where each value comes from.

A flag of the command line goes before an environment variable (DRAFTSCOPE_ and the key in capitals), that
before the settings file, and the file before the defaults below. None leaves a choice to the checkpoint or
the machine. What is wrong is said with the file or variable, the key, and what may stand there.
"""

from __future__ import annotations

import os
from dataclasses import MISSING, Field, dataclass, field, fields
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from app import settings_file
from app.locations import settings_file as default_file
from app.setting_rules import ShowPanel, View, checked, from_text, key_checked, nearest
from engine.errors import UsageError, shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from app.setting_rules import Animations
    from engine.options import Acceptance, Mode

PREFIX = "DRAFTSCOPE_"


class Source(StrEnum):
    """Where a setting comes from."""

    FLAG = "command line"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user wants otherwise, and what holds elsewhere."""

    theme: str = "draftscope-dark"
    """The colours' name: a shipped theme, one of the user's own, or one of Textual's."""
    view: View = View.ORIGIN
    """What the colours of the tokens say."""
    pace: float | None = None
    """Rounds a second, 0 is full speed; None is 12 for the demo and full speed for all else."""
    depth: int | None = None
    """Tokens drafted a round, 0 to 8; None is the checkpoint's default."""
    mode: Mode | None = None
    """Who drafts: mtp, auto, ngram, model or ordinary; None is the checkpoint's default."""
    accept: Acceptance | None = None
    """How drafts are judged when sampling: coupled or rejection; None is the checkpoint's default."""
    temperature: float | None = None
    """0 is greedy; None is the checkpoint's default, as for the four that follow."""
    top_p: float | None = None
    """Keep the likeliest tokens that together reach this probability."""
    top_k: int | None = None
    """Keep this many of the likeliest tokens; 0 keeps all."""
    min_p: float | None = None
    """Keep tokens at least this fraction as likely as the likeliest."""
    seed: int | None = None
    """One seed, one text."""
    max_tokens: int = 512
    """A reply's most tokens."""
    system: str = ""
    """The system prompt of a new chat."""
    ram: str | None = None
    """Memory for weights and all else, such as "12GB" or "50%"; None is 60 % of what is available."""
    context: int | None = None
    """Tokens of prompt and reply together; None is 4096, or what the checkpoint was made for."""
    threads: int | None = None
    """Threads of the kernels; None is all usable cores."""
    disk_limit: str | None = None
    """Be as slow as a drive of this speed, such as "200MB/s"; None is the drive's own."""
    readers: int | None = None
    """Threads that read from disk; None is measured."""
    direct: bool | None = None
    """Read past the page cache; None is measured."""
    draft_model: str | None = None
    """The folder of a second checkpoint of the same tokenizer, which drafts in mode model."""
    keep_cache: bool = False
    """Keep a chat's cache on disk when it is left, so that resuming need not read its prompt again."""
    markdown: bool = False
    """Show a finished reply as rendered Markdown at once."""
    show_panel: ShowPanel = ShowPanel.AUTO
    """The figures beside the chat; auto shows them where the terminal is wide enough."""
    first_run_help: bool = True
    """Explain the colours and keys once, at the first start."""
    animations: Animations | None = None
    """How much may move: none, basic or full; None is what TEXTUAL_ANIMATIONS says."""
    keys: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Keys by the id of what they do, in a table [keys]: "chat.less" = "f9"."""

    @classmethod
    def load(
        cls,
        flags: Mapping[str, object] | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        file: Path | None = None,
    ) -> Settings:
        """Return the settings in effect; UsageError says what is wrong. Flags of None are not given."""
        return Effective.load(flags, environment=environment, file=file).settings


@dataclass(frozen=True, slots=True)
class Effective:
    """The settings in effect, and for each where it comes from."""

    settings: Settings
    sources: Mapping[str, Source]
    file: Path

    @classmethod
    def load(
        cls,
        flags: Mapping[str, object] | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        file: Path | None = None,
    ) -> Effective:
        """Read flags, environment and file, the first of them that has a key."""
        file = file or default_file()
        environment = os.environ if environment is None else environment
        values: dict[str, object] = {}
        sources = dict.fromkeys(DEFAULTS, Source.DEFAULT)
        for key, value in settings_file.read(file).items():
            values[key] = checked(key, value, str(shown(file)))
            sources[key] = Source.FILE
        for key in SCALARS:
            text = environment.get(PREFIX + key.upper())
            if text:  # one that is set to nothing counts as not set
                values[key] = checked(key, from_text(key, text), PREFIX + key.upper())
                sources[key] = Source.ENVIRONMENT
        for key, value in (flags or {}).items():
            if value is not None:
                values[key] = checked(key, value, "The command line")
                sources[key] = Source.FLAG
        return cls(Settings(**values), MappingProxyType(sources), file)  # type: ignore[arg-type]  # all checked


def remember(values: Mapping[str, object], file: Path | None = None) -> None:
    """Write settings into the user's file and leave the rest of it as it is; None takes a key out.

    `keys` holds the keys to change alone. UsageError says why a value, or the file, is refused.
    """
    file = file or default_file()
    changes: dict[tuple[str, ...], settings_file.Value | None] = {}
    for key, value in values.items():
        if key == "keys" and isinstance(value, dict):
            changes |= {("keys", ident): key_checked(ident, each) for ident, each in value.items()}
        elif key not in SCALARS:
            raise UsageError(f"There is no setting {shown(key)}{nearest(key)}")
        elif value is None:
            changes[key,] = None
        else:
            kept = checked(key, value, "The new value")
            assert isinstance(kept, (str, int, float))
            changes[key,] = str(kept) if isinstance(kept, StrEnum) else kept
    settings_file.change(file, changes)


def _default(each: Field[object]) -> object:
    return {} if each.default is MISSING else each.default


DEFAULTS: Mapping[str, object] = MappingProxyType({each.name: _default(each) for each in fields(Settings)})
"""Every key of the file with its default."""

SCALARS: tuple[str, ...] = tuple(key for key in DEFAULTS if key != "keys")
"""The keys that the environment may set as well."""
