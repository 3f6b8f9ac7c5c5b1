"""Chat templates: rendered as transformers renders them, and refused in a sentence."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from engine.errors import CheckpointError, UsageError
from engine.text.template import ChatTemplate, Message
from tests.engine.text import made

if TYPE_CHECKING:
    from pathlib import Path

HELLO = [Message("user", "hello")]


def test_a_conversation_is_rendered_up_to_the_next_reply() -> None:
    template = ChatTemplate(made.TEMPLATE, {"bos_token": made.BOS})
    messages = [Message("system", "Be brief."), *HELLO, Message("assistant", "hi"), Message("user", "more")]
    assert template.render(messages) == (
        f"{made.BOS}Be brief.{made.USER}hello{made.ASSISTANT}hi{made.EOS}{made.USER}more{made.ASSISTANT}"
    )
    assert template.render(HELLO, reply=False) == f"{made.BOS}{made.USER}hello"


def test_transformers_renders_the_same(tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    source = """
    {%- set ns = namespace(first=true) -%}
    {%- for m in messages %}
        {%- if loop.index0 == 5 %}{% break %}{% endif %}
        {%- if ns.first %}{{ bos_token }}{% set ns.first = false %}{% endif %}
        {% if m.role == 'assistant' %}
            {% generation %}{{ m.content }}{% endgeneration %}
        {% else %}
            {{- m | tojson }}: {{ m.content | trim }}
        {% endif %}
    {%- endfor %}
    {%- if tools is none and add_generation_prompt %} > {% endif %}
    """
    folder = made.write(tmp_path, chat_template=source)
    reference = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), bos_token=made.BOS, chat_template=source
    )
    messages = [Message("user", " <b>é</b> "), Message("assistant", "yes\n"), Message("user", "x")]
    expected = reference.apply_chat_template(
        [{"role": each.role, "content": each.content} for each in messages],
        tokenize=False,
        add_generation_prompt=True,
    )
    template = ChatTemplate.load(folder, {"bos_token": made.BOS})
    assert template is not None
    assert template.render(messages) == expected


def test_the_template_may_ask_the_date() -> None:
    year = ChatTemplate("{{ strftime_now('%Y') }}").render(HELLO)
    assert re.fullmatch(r"\d{4}", year)
    assert abs(int(year) - datetime.now().year) <= 1


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("plain", "plain"),
        ([{"name": "tools", "template": "T"}, {"name": "default", "template": "D"}], "D"),
        ([{"name": "only", "template": "O"}], "O"),
    ],
)
def test_templates_in_the_config(tmp_path: Path, config: object, expected: str) -> None:
    template = ChatTemplate.load(made.write(tmp_path, chat_template=config))
    assert template is not None
    assert template.render(HELLO) == expected


def test_the_file_of_its_own_comes_first(tmp_path: Path) -> None:
    folder = made.write(tmp_path, chat_template="config")
    (folder / "chat_template.jinja").write_text("file")
    template = ChatTemplate.load(folder)
    assert template is not None
    assert template.render(HELLO) == "file"


def test_no_template_is_none(tmp_path: Path) -> None:
    assert ChatTemplate.load(tmp_path) is None
    assert ChatTemplate.load(made.write(tmp_path)) is None


@pytest.mark.parametrize("config", [3, [], [{"name": "x"}], {"default": "x"}])
def test_a_template_of_the_wrong_kind_is_refused_with_its_file(tmp_path: Path, config: object) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": config}))
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json: chat_template"):
        ChatTemplate.load(tmp_path)


def test_a_syntax_error_is_a_sentence_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_text("{% for %}")
    with pytest.raises(CheckpointError, match=r"chat_template\.jinja is not a valid chat template"):
        ChatTemplate.load(tmp_path)


def test_a_template_may_refuse_messages() -> None:
    with pytest.raises(UsageError, match="roles must alternate"):
        ChatTemplate("{{ raise_exception('roles must alternate') }}").render(HELLO)


@pytest.mark.parametrize(
    "source",
    [
        "{{ missing.part }}",
        "{{ 1 / 0 }}",
        "{{ 'a' + 1 }}",
        "{% for i in range(10000000) %}x{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ messages.append(1) }}",
        "{{ ''.__class__.__mro__ }}",
        "{% set ns = namespace() %}{% set ns.__html__ = 1 %}",
        "{% include '/etc/passwd' %}",
    ],
)
def test_what_goes_wrong_in_a_template_is_a_sentence(source: str) -> None:
    with pytest.raises(CheckpointError, match="fails on these messages"):
        ChatTemplate(source).render(HELLO)
