"""Exports: nothing is overwritten, nothing said is obeyed, and the figures are the engine's."""

from __future__ import annotations

import re
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.conversation import Conversation, Exchange
from app.exports import Kind, export
from app.exports.html import html
from app.exports.markdown import markdown
from app.exports.svg import svg
from app.exports.trace import trace
from app.session_file import read_session
from app.themes import shipped_themes
from engine.errors import UsageError
from engine.events import FinishReason, Header, Origin, Token, Verified
from engine.options import GenerateOptions, Mode
from tests.app.exports.made import EVIL, chat

FIGURES = (
    "prompt 10 tokens in 0.50 s · reply 5 tokens in 1.50 s · 4.0 tokens/s · "
    "drafts accepted 67% (by position 1: 100%, 2: 0%) · 2.00 tokens a round"
)
DARK = next(theme for theme in shipped_themes() if theme.name == "draftscope-dark")


class Page(HTMLParser):
    """The spans of a page with their class, title and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.spans: list[tuple[str, str, str]] = []
        self.words = ""
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._inside = tag == "span"
        if tag == "span":
            given = dict(attrs)
            self.spans.append((given.get("class") or "", given.get("title") or "", ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        self.words += data
        if self._inside:
            name, title, text = self.spans[-1]
            self.spans[-1] = name, title, text + data


@pytest.mark.parametrize("kind", Kind)
def test_no_file_is_overwritten(tmp_path: Path, kind: Kind) -> None:
    path = tmp_path / f"chat{kind.suffix}"
    path.write_text("mine")
    assert export(chat(), kind, path) == tmp_path / f"chat-2{kind.suffix}"
    assert export(chat(), kind, path) == tmp_path / f"chat-3{kind.suffix}"
    assert path.read_text() == "mine"


def test_in_a_folder_the_file_is_named_for_the_title(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert export(chat(""), Kind.HTML, tmp_path).name == "why.html"
    assert export(chat(""), Kind.HTML, tmp_path, title="../The Sky!").name == "the-sky.html"
    monkeypatch.chdir(tmp_path)
    assert export(chat(""), Kind.SVG) == tmp_path / "why.svg"
    assert export(chat("../" * 9), Kind.HTML, tmp_path, title="../..").name == "chat.html"


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to export"):
        export(Conversation(), Kind.HTML, tmp_path)
    with pytest.raises(UsageError, match="cannot be written"):
        export(chat(), Kind.HTML, tmp_path / "none" / "x.html")


def test_markdown_has_roles_texts_and_figures() -> None:
    text = markdown(chat(""), "why\n?")
    assert text == (
        f"# why ?\n\n## System\n\nBe brief.\n\n## You\n\nwhy ?\n\n## demo\n\nThe sea é\nend\n\n*{FIGURES}*\n"
    )


def test_a_fence_that_the_reply_left_open_is_closed() -> None:
    text = markdown(chat("\n```python\nx = 1\n"), "t")
    assert text.split("## demo")[1].count("```") == 2
    whole = markdown(chat("\n```python\nx = 1\n```\n"), "t")
    assert whole.split("## demo")[1].count("```") == 2


def test_a_reply_that_goes_on_is_exported_as_far_as_it_is() -> None:
    conversation = chat()
    conversation.exchanges[0].reply.finished = None
    assert "still being written" in markdown(conversation, "t")
    conversation.exchanges.append(Exchange("and?"))
    assert markdown(conversation, "t").endswith("## You\n\nand?\n")
    assert "and?" in html(conversation, "t")
    assert "and?" in svg(conversation, "t").replace("&#160;", " ")


def test_html_tells_of_every_token() -> None:
    page = Page(html(chat(), EVIL, DARK))
    tokens = [span for span in page.spans if span[1]]
    assert [name for name, _, _ in tokens] == ["ordinary", "accepted", "corrected", "accepted", "bonus"]
    assert tokens[1][1] == (
        "accepted · drafted 1 ahead · logprob -0.25 · drafter's -0.12 · round 1, mtp at depth 2"
    )
    assert "in place of ' is'" in tokens[2][1]
    assert tokens[2][2].startswith('<script>alert("x")</script>␛[31m')
    assert FIGURES in page.words
    legend = [name for name, title, _ in page.spans if not title]
    assert legend == ["accepted", "ordinary", "bonus", "corrected"]


def test_html_has_the_themes_colours_and_needs_nothing_else() -> None:
    text = html(chat(), "t", DARK)
    assert DARK.variables["tok-accepted"].upper() in text
    assert "http" not in text
    assert Page(text).tags.isdisjoint({"script", "img", "link"})
    for theme in shipped_themes():
        assert html(chat(), "t", theme).count("<span") == text.count("<span")


def test_svg_has_the_themes_colours_and_needs_nothing_else() -> None:
    text = svg(chat(""), "t", DARK)
    ElementTree.fromstring(text)
    for name in ("tok-accepted", "tok-corrected", "tok-bonus"):
        assert DARK.variables[name] in text.lower()
    assert "underline" in text
    assert "font-face" not in text
    assert not re.search(r"""(url\(|href=)["']?http""", text)
    assert "The" in text


texts = st.text(max_size=12) | st.sampled_from([EVIL, "\ud800", "\ufffe", "\x00\r\x85\u2028", "]]>", "--"])


@settings(max_examples=40, deadline=None)
@given(texts)
def test_nothing_said_is_obeyed(evil: str) -> None:
    conversation = chat(evil)
    for text in (markdown(conversation, evil), html(conversation, evil), svg(conversation, evil)):
        text.encode()
        assert not any(ord(letter) < 32 and letter not in "\n\t" for letter in text)
        assert not any(0x7F <= ord(letter) < 0xA0 for letter in text)
    ElementTree.fromstring(svg(conversation, evil))
    page = Page(html(conversation, evil))
    assert page.tags <= {"html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "span"}


def numbered(number: int) -> Token:
    return Token(number, str(number), Origin.ORDINARY, 0, None, None)


@given(texts, st.lists(st.integers(0, 3), max_size=5), st.integers(1, 4))
def test_a_trace_is_read_as_the_chat(evil: str, counts: list[int], depth: int) -> None:
    conversation = chat(evil)
    conversation.exchanges[0].trimmed_turns = depth
    conversation.exchanges.append(Exchange(evil))
    reply = conversation.exchanges[1].reply
    reply.take(Header("demo", GenerateOptions(depth=0)))
    for number, count in enumerate(counts):
        reply.take(Verified(number, Mode.MTP, 0, 0, tuple(map(numbered, range(count))), ()))
        if reply.tokens:
            reply.ask(Mode.MTP, depth + number)
    with tempfile.TemporaryDirectory() as folder:
        path = export(conversation, Kind.TRACE, Path(folder), title="A chat")
        info, read = read_session(path)
    assert (info.title, info.model) == ("A chat", "demo")
    last = read.exchanges[1].reply.finished
    assert last is not None
    assert last.reason is FinishReason.CANCELLED
    read.exchanges[1].reply.finished = None
    assert read == conversation
    assert trace(read, "x").splitlines()[1:] == trace(conversation, "x").splitlines()[1:]
