"""The checkpoint's chat template: a Jinja program that turns messages into one text.

Rendered as transformers does it (the same environment, filters and functions), in Jinja's sandbox, since a
template is code from whoever published the checkpoint. It takes over everything about the prompt's form,
the beginning-of-text token included: nothing is put before what it renders.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from engine.errors import CheckpointError, UsageError
from engine.text.files import read_object, read_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jinja2.nodes import Node
    from jinja2.parser import Parser

NO_TEMPLATE = "This checkpoint has no chat template; pass the prompt as it is (--raw)."


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: str
    """`system`, `user` or `assistant`, or whatever else the template knows."""
    content: str
    ids: tuple[int, ...] | None = None
    """For a reply that was generated: its tokens, which enter the prompt in place of the content's."""


class ChatTemplate:
    """A compiled chat template."""

    def __init__(
        self, source: str, special_tokens: Mapping[str, str] | None = None, origin: str = ""
    ) -> None:
        self.source = source
        self._origin = origin or "The chat template"
        self._special_tokens = dict(special_tokens or {})
        try:
            self._template = _environment().from_string(source)
        except (jinja2.TemplateError, RecursionError) as error:
            raise CheckpointError(f"{self._origin} is not a valid chat template: {error}.") from None

    @classmethod
    def load(cls, folder: Path, special_tokens: Mapping[str, str] | None = None) -> ChatTemplate | None:
        """Read a checkpoint folder's chat template, chat_template.jinja first; None where it has none."""
        path = folder / "chat_template.jinja"
        source = read_text(path)
        if source is None:
            path = folder / "tokenizer_config.json"
            source = _from_config(read_object(path).get("chat_template"), path)
        return None if source is None else cls(source, special_tokens, str(path))

    def render(self, messages: Sequence[Message], *, reply: bool = True) -> str:
        """Return the prompt's text; `reply` ends it where the assistant's next reply begins."""
        turns = [{"role": each.role, "content": each.content} for each in messages]
        try:
            return self._template.render(
                messages=turns,
                tools=None,
                documents=None,
                add_generation_prompt=reply,
                **self._special_tokens,
            )
        except _RefusedError as error:
            raise UsageError(f"The chat template refuses these messages: {error}") from None
        except (Exception, RecursionError) as error:  # a template is a program: anything can go wrong in it
            raise CheckpointError(f"{self._origin} fails on these messages: {error}.") from None


class _RefusedError(jinja2.TemplateError):
    """The template called raise_exception."""


class _Namespace(jinja2.utils.Namespace):
    """Jinja's namespace without attributes that Python itself would look up."""

    def __init__(*args: object, **named: object) -> None:  # any name may be an attribute, `self` too
        values = dict(*args[1:], **named)
        for name in values:
            _check_attribute(name)
        jinja2.utils.Namespace.__init__(args[0], values)

    def __setitem__(self, name: str, value: object) -> None:
        _check_attribute(name)
        super().__setitem__(name, value)


def _check_attribute(name: str) -> None:
    if name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a namespace cannot hold {name!r}")


class _Generation(Extension):
    """`{% generation %}`, which marks the reply for training; here it stands for what it holds."""

    tags = {"generation"}  # noqa: RUF012  # jinja2 declares it as an instance's

    def parse(self, parser: Parser) -> list[Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["namespace"] = _Namespace
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment


def _tojson(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Write JSON without the HTML escapes of Jinja's own filter."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise_exception(message: object) -> None:
    raise _RefusedError(str(message))


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


def _from_config(value: object, path: Path) -> str | None:
    """Read tokenizer_config.json's chat_template: a text, or a list of named ones."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        named = {each.get("name"): each.get("template") for each in value if isinstance(each, Mapping)}
        source = named.get("default") or next(iter(named.values()), None)
        if isinstance(source, str):
            return source
    raise CheckpointError(f"{path}: chat_template is neither a text nor a list of named templates.")
