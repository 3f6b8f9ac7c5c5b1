"""A backend whose news a test writes by hand, and whose commands it reads."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from app.backends.base import Loaded, News
from engine.events import (
    Drafted,
    DraftedToken,
    Finished,
    FinishReason,
    Header,
    Origin,
    Prefilled,
    RejectedToken,
    Token,
    Verified,
)
from engine.options import GenerateOptions, Mode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from app.backends.base import ChatMessage
    from engine.lanes import Lane

LOADED = Loaded("fake", context=100, has_mtp=True, options=GenerateOptions(depth=2))


class FakeBackend:
    """See the module."""

    is_live = True

    def __init__(self) -> None:
        self.news: list[News] = []
        self.commands: list[tuple[str, object]] = []

    def drain(self) -> Sequence[News]:
        taken, self.news = self.news, []
        return taken

    def start(self) -> None:
        self.commands.append(("start", None))

    def generate(self, messages: Sequence[ChatMessage], options: Mapping[str, object]) -> None:
        self.commands.append(("generate", (tuple(messages), dict(options))))

    def change(self, values: Mapping[str, object]) -> None:
        self.commands.append(("change", dict(values)))

    def cancel(self) -> None:
        self.commands.append(("cancel", None))

    def pause(self, on: bool) -> None:
        self.commands.append(("pause", on))

    def step(self) -> None:
        self.commands.append(("step", None))

    def compare(
        self,
        messages: Sequence[ChatMessage],
        lanes: Sequence[Lane],
        max_tokens: int,
        repeats: int,
        options: Mapping[str, object],
    ) -> None:
        asked = tuple(messages), tuple(lanes), max_tokens, repeats, dict(options)
        self.commands.append(("compare", asked))

    def wiring(self) -> None:
        self.commands.append(("wiring",))

    def experts(self) -> None:
        self.commands.append(("experts",))

    def keep_cache(self, path: Path) -> None:
        self.commands.append(("keep_cache", path))

    def recall_cache(self, path: Path) -> None:
        self.commands.append(("recall_cache", path))

    def restart(self) -> None:
        self.commands.append(("restart", None))

    def close(self) -> None:
        self.commands.append(("close", None))

    def given(self, name: str) -> list[object]:
        """What a command was given, each time."""
        return [value for command, value in self.commands if command == name]


def header(**options: object) -> Header:
    return Header(model="fake", options=replace(LOADED.options, **options))  # type: ignore[arg-type]


def prefilled(tokens: int = 10) -> Prefilled:
    return Prefilled(tokens, 0, 0.25)


def drafted(number: int, *texts: str) -> Drafted:
    return Drafted(number, tuple(DraftedToken(50 + i, text, -0.5) for i, text in enumerate(texts)))


def verified(number: int, accepted: Sequence[str], own: str, rejected: Sequence[str] = ()) -> Verified:
    """A round: drafts that were accepted, the main model's own token, drafts that were not."""
    depth = len(accepted) + len(rejected)
    origin = Origin.CORRECTED if rejected else Origin.BONUS if accepted else Origin.ORDINARY
    tokens = [Token(i, text, Origin.ACCEPTED, i + 1, -0.1, -0.2) for i, text in enumerate(accepted)]
    tokens.append(Token(99, own, origin, 0, -0.7, None))
    lost = tuple(
        RejectedToken(70 + i, text, -2.0 if i == 0 else None, -0.4) for i, text in enumerate(rejected)
    )
    return Verified(
        number, Mode.MTP, depth, len(accepted), tuple(tokens), lost, draft_seconds=0.002, verify_seconds=0.02
    )


def finished(tokens: int, reason: FinishReason = FinishReason.STOP) -> Finished:
    return Finished(reason, tokens, 1.0)
