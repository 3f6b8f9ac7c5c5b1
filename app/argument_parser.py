"""A parser of command lines that ends every mistake in one sentence, about the word that is mistaken.

argparse names all that it was left with, a prompt in order among it, and writes choices as Python does.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from app.commands.terminal import fail
from engine.errors import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class CommandParser(argparse.ArgumentParser):
    """See the module. A command's own parser refuses what it does not know, so that its own help is named."""

    def error(self, message: str) -> NoReturn:
        sys.exit(fail(f"{message}; see {self.prog} --help.", 2))

    def parse_known_args(  # type: ignore[override]  # the overloads say no more than this
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse; nothing is ever left over, whatever the name says."""
        given = sys.argv[1:] if args is None else args
        if self._subparsers is not None and given and self._is_unknown(given[0]):
            self.error(f"give a command before {shown(given[0])}, such as chat")
        namespace, left = super().parse_known_args(given, namespace)
        unknown = next(filter(self._is_unknown, left), None)
        if unknown is not None:
            name = unknown.partition("=")[0]
            self.error(f"there is no option {shown(name)}{_meant(name, self._option_string_actions)}")
        if left:
            self.error(f"{shown(left[0])} is one argument too many: put a text of several words in quotes")
        return namespace, left

    def _is_unknown(self, text: str) -> bool:
        """Whether this is an option's name, and of no option that there is."""
        name = text.partition("=")[0]
        return bool(name.strip("-")) and name.startswith("-") and name not in self._option_string_actions

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            names = [str(each) for each in action.choices]
            raise argparse.ArgumentError(
                action, f"{shown(value)} is not one of {', '.join(names)}{_meant(str(value), names)}"
            )


def _meant(text: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # nobody waits for it whose words are in order

    near = get_close_matches(text, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""
