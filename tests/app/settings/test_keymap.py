"""The user's keys: what can be meant is used, and of everything else is said what to write instead."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest
from textual.app import App
from textual.binding import BindingsMap
from textual.dom import DOMNode

import app.screens
import app.widgets
from app.keymap import SCOPES, checked_keys, spelled


def said(**keys: str) -> list[str]:
    """What is said of keys; _ stands for the dot of their ids."""
    found = checked_keys({ident.replace("_", ".", 1): key for ident, key in keys.items()}, App()._bindings)
    return [sentence.removeprefix("keys: ") for sentence in found.objections]


def test_keys_that_can_be_meant_are_used_as_textual_names_them() -> None:
    keys = {"chat.less": "f9", "transcript.less": "[", "chat.new": "ctrl+k, alt+n", "inspect.before": "h"}
    found = checked_keys(keys, App()._bindings)
    assert not found.objections
    assert found.keys == {**keys, "transcript.less": "left_square_bracket", "chat.new": "ctrl+k,alt+n"}


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("f9", "f9"),
        ("Ctrl+L", "ctrl+l"),
        ("shift+ctrl+up", "ctrl+shift+up"),
        ("L", "L"),
        ("shift+l", "L"),
        ("[", "left_square_bracket"),
        ("ctrl+[", "ctrl+left_square_bracket"),
        ("+", "plus"),
        ("ctrl++", "ctrl+plus"),
        ("solidus", "slash"),
        ("é", "é"),
        ("f99", None),
        ("ctrl+", None),
        ("control+l", None),
        ("", None),
    ],
)
def test_how_a_key_is_spelled(written: str, name: str | None) -> None:
    assert spelled(written) == name


def test_an_id_that_is_not_there_names_its_neighbour() -> None:
    assert said(chat_les="f9") == ["there is nothing called 'chat.les'; did you mean chat.less?"]
    (sentence,) = said(zzz="f9")
    assert "chat.less" in sentence
    assert "wiring.svg" in sentence
    assert not checked_keys({"chat.les": "f9"}, App()._bindings).keys


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("f99", "did you mean f9?"),
        ("Ctrl+L", "did you mean ctrl+l?"),
        ("ctrl+pgup", "did you mean ctrl+pageup?"),
        ("shift+ctrl+up", "did you mean ctrl+shift+up?"),
        ("hocus", "write one such as f9 or ctrl+l."),
        ("f9,", "write one such as f9 or ctrl+l."),
    ],
)
def test_a_key_that_nobody_can_press_leaves_the_old_one(key: str, hint: str) -> None:
    found = checked_keys({"chat.less": key}, App()._bindings)
    assert not found.keys
    (sentence,) = found.objections
    assert sentence.startswith("keys: chat.less can't be ")
    assert sentence.endswith(hint)


def test_letters_are_typed_into_a_field() -> None:
    typed = "which is typed into the prompt: write one such as f9 or ctrl+l."
    assert said(chat_less="l") == [f"chat.less can't be l, {typed}"]
    assert said(prompt_send="space") == [f"prompt.send can't be space, {typed}"]
    assert not said(transcript_less="l"), "the transcript has none"
    assert not said(chat_new="N"), "it acts in the transcript, and goes into the prompt else"


def test_two_on_one_key() -> None:
    assert said(chat_less="f6") == [
        "chat.less takes f6 from chat.inspect: give chat.inspect a key of its own."
    ]
    assert said(chat_less="f9", chat_more="f9") == [
        "chat.less takes f9 from chat.more: give chat.more a key of its own."
    ]
    assert said(transcript_step="f6") == [
        "chat.inspect takes f6 from transcript.step: give transcript.step a key of its own."
    ]
    assert said(chat_new="e") == ["transcript.edit takes e from chat.new: give chat.new a key of its own."], (
        "in the transcript"
    )
    assert said(chat_new="ctrl+p") == [
        "the app's palette takes ctrl+p from chat.new: give chat.new a key of its own."
    ]
    assert said(compare_json="m") == [
        "compare.json takes m from compare.markdown: give compare.markdown a key of its own."
    ]


def test_keys_that_change_places_or_mean_the_same_do_not_clash() -> None:
    assert not said(chat_less="f8", chat_more="f7")
    assert not said(chat_less="f6", chat_inspect="f9")
    assert not said(chat_quit="ctrl+q")
    assert not said(help_leave="f1")
    assert not said(sessions_delete="x"), "x is that of another screen"


def test_every_id_is_known() -> None:
    for package in (app.screens, app.widgets):
        for found in pkgutil.iter_modules(package.__path__):
            module = import_module(f"{package.__name__}.{found.name}")
            for each in vars(module).values():
                merged = getattr(each, "_merged_bindings", None)
                if not isinstance(each, type) or not issubclass(each, DOMNode) or merged is None:
                    continue
                idents = {binding.id for _, binding in merged if binding.id}
                objections = checked_keys(dict.fromkeys(idents, "f35"), BindingsMap()).objections
                assert not any("nothing called" in sentence for sentence in objections), each


def test_nothing_is_imported_for_keys_of_the_chat(monkeypatch: pytest.MonkeyPatch) -> None:
    import app.keymap

    imported: list[str] = []

    def noted(name: str) -> object:
        imported.append(name)
        return import_module(name)

    monkeypatch.setattr(app.keymap, "import_module", noted)
    app.keymap._bindings.cache_clear()
    said(chat_less="f9", transcript_less="ctrl+l", prompt_editor="f10")
    assert set(imported) == {"app.screens.chat", "app.widgets.prompt"}
    assert {name for scope in SCOPES for name in scope.begins} >= {"compare", "sessions", "help"}
