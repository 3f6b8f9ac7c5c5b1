"""The user's keys, checked: an id that there is, a key that can be pressed, and none that is bound twice.

Textual takes any keymap: it passes over what it does not know, and of two bindings that share a key one goes
in silence. So what can't be meant is left out here, and every sentence says what to write instead.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from textual._keyboard_protocol import FUNCTIONAL_KEYS  # neither list has a public name
from textual.keys import KEY_NAME_REPLACEMENTS, Keys, _character_to_key, key_to_character

from engine.errors import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from textual.binding import Binding, BindingsMap


class Scope(NamedTuple):
    """Widgets whose keys act together, from the focused one outwards."""

    classes: tuple[str, ...]
    """By module and name: what no key of the user's is for need not be imported."""
    begins: tuple[str, ...]
    """What the ids of their bindings begin with."""
    has_field: bool = False
    """Whether letters are typed there."""


SCOPES = (
    Scope(("widgets.prompt:Prompt", "screens.chat:ChatScreen"), ("prompt", "chat"), has_field=True),
    Scope(("screens.chat:ChatTranscript", "screens.chat:ChatScreen"), ("transcript", "chat")),
    Scope(("screens.compare:LaneList", "screens.compare:CompareScreen"), ("compare",), has_field=True),
    Scope(("screens.sessions:SessionsScreen",), ("sessions",)),
    Scope(("screens.inspect:InspectPane", "screens.chat:ChatScreen"), ("inspect",)),
    Scope(("screens.experts:ExpertsScreen",), ("experts",)),
    Scope(("screens.wiring:WiringScreen",), ("wiring",)),
    Scope(("screens.checkpoint:CheckpointScreen",), ("checkpoint",)),
    Scope(("screens.help:HelpScreen",), ("help",)),
)

_MODIFIERS = frozenset(("alt", "ctrl", "hyper", "meta", "shift", "super"))
_NAMES = frozenset(
    name
    for name in (
        *(key.value.rpartition("+")[2] for key in Keys if key is not Keys.Return),
        *FUNCTIONAL_KEYS.values(),
        *KEY_NAME_REPLACEMENTS.values(),
    )
    if len(name) > 1 and name.replace("_", "").isalnum()
)
"""Of keys that are more than a letter or a sign."""
_SUCH_AS = "one such as f9 or ctrl+l"


@dataclass(frozen=True, slots=True)
class CheckedKeys:
    """What can be used of the user's keys, and what is to be said of them."""

    keys: Mapping[str, str]
    objections: tuple[str, ...]


class _Bound(NamedTuple):
    """A key that is bound to something."""

    key: str
    name: str
    action: str
    priority: bool
    level: int
    """How many widgets around the focused one: without priority the nearest acts."""
    is_rebound: bool


def checked_keys(keys: Mapping[str, str], of_app: BindingsMap) -> CheckedKeys:
    """Return the keys that can be used; `of_app` are those that act whatever is on the screen."""
    usable: dict[str, str] = {}
    said: list[str] = []
    for ident, text in keys.items():
        wrong = _objection(ident, text)
        if wrong is None:
            usable[ident] = ",".join(filter(None, map(spelled, text.split(","))))
        else:
            said.append(f"keys: {wrong}")
    begins = {_beginning(ident) for ident in usable}
    for scope in SCOPES:
        if begins.intersection(scope.begins):
            said += (f"keys: {each}" for each in _clashes(list(_bound(scope, usable, of_app))))
    return CheckedKeys(usable, tuple(dict.fromkeys(said)))


def spelled(text: str) -> str | None:
    """Return a key as Textual names it when it is pressed; None where there is none of that name."""
    text = text.strip()
    if text == "+" or text.endswith("++"):
        text = f"{text[:-1]}plus"
    *before, key = text.split("+")
    modifiers = sorted({each.lower() for each in before})
    if not key or not _MODIFIERS.issuperset(modifiers):
        return None
    if modifiers == ["shift"] and len(key) == 1 and key.isalpha():
        return key.upper()  # a terminal sends the letter alone
    if len(key) > 1 or modifiers:
        key = key.lower()
    if key not in _NAMES:
        character = key_to_character(key)
        if character is None or not character.isprintable():
            return None
        key = _character_to_key(character)
    return "+".join([*modifiers, key])


def _objection(ident: str, text: str) -> str | None:
    """Return what is wrong with a line of the keys, if anything is."""
    scopes = [scope for scope in SCOPES if _beginning(ident) in scope.begins]
    found = [(scope, each) for scope in scopes for _, each in _bindings(scope) if each.id == ident]
    if not found:
        known = sorted({each.id for scope in SCOPES for _, each in _bindings(scope) if each.id})
        near = difflib.get_close_matches(ident, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}."
        return f"there is nothing called {shown(ident)}; {hint}"
    for key in text.split(","):
        name = spelled(key)
        if name is None or (name != key.strip() and len(key.strip()) > 1):
            near_key = name or _nearest_key(key)
            hint = f"did you mean {near_key}?" if near_key else f"write {_SUCH_AS}."
            return f"{ident} can't be {shown(key.strip())}, which is no key; {hint}"
        if any(_is_typed(name) and scope.has_field and _goes_first(each) for scope, each in found):
            return f"{ident} can't be {name}, which is typed into the prompt: write {_SUCH_AS}."
    return None


def _nearest_key(text: str) -> str | None:
    before, plus, key = text.strip().lower().rpartition("+")
    near = difflib.get_close_matches(key, sorted(_NAMES), n=1)
    return spelled(f"{before}{plus}{near[0]}") if near else None


def _is_typed(key: str) -> bool:
    character = key_to_character(key)
    return character is not None and character.isprintable()


def _goes_first(binding: Binding) -> bool:
    """Whether a key of this binding would act before the field has it, or is the field's own."""
    return binding.priority or (binding.id or "").startswith("prompt.")


def _beginning(ident: str) -> str:
    return ident.partition(".")[0]


@cache
def _bindings(scope: Scope) -> tuple[tuple[int, Binding], ...]:
    """Return the bindings that have an id, each with how far out it is."""
    found = []
    for level, where in enumerate(scope.classes):
        module, _, name = where.partition(":")
        merged: BindingsMap = getattr(import_module(f"app.{module}"), name)._merged_bindings
        found += [(level, binding) for _, binding in merged if binding.id]
    return tuple(found)


def _bound(scope: Scope, keys: Mapping[str, str], of_app: BindingsMap) -> Iterator[_Bound]:
    """Yield every key of a scope as it is bound with the user's keys."""
    ours: dict[str, set[str]] = {}
    for _, binding in _bindings(scope):
        ours.setdefault(binding.id or "", set()).add(binding.key)
    for level, each in _bindings(scope):
        ident = each.id or ""
        theirs = keys[ident].split(",") if ident in keys else [each.key]
        is_rebound = ident in keys and set(theirs) != ours[ident]
        for key in theirs:
            yield _Bound(key, ident, each.action, each.priority, level, is_rebound)
    for key, each in of_app:
        if each.description:
            name = f"the app's {each.description.lower()}"
            yield _Bound(key, name, each.action, each.priority, len(scope.classes), False)


def _clashes(bound: list[_Bound]) -> Iterator[str]:
    """Yield a sentence for each key on which something no longer acts since a key was rebound."""
    by_key: dict[str, list[_Bound]] = {}
    for each in bound:
        by_key.setdefault(each.key, []).append(each)
    for key, sharing in by_key.items():
        first = min(sharing, key=_order)
        for other in dict.fromkeys(sharing):
            is_new = first.is_rebound or other.is_rebound
            if is_new and _what(other.action) != _what(first.action):
                yield f"{first.name} takes {key} from {other.name}: give {other.name} a key of its own."


def _order(bound: _Bound) -> tuple[bool, int, bool]:
    """Return what comes first of those that share a key: with priority the outermost acts."""
    level = -bound.level if bound.priority else bound.level
    return not bound.priority, level, not bound.is_rebound


def _what(action: str) -> str:
    return action.removeprefix("screen.").removeprefix("app.")
