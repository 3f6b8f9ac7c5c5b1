"""Thoughts folded to a line, and replies rendered as Markdown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.transcript.thoughts import Thought, Thoughts

from .made import TranscriptApp, chat, feed, finished, growing, token, verified, wait_until

WIDE = (60, 24)


async def test_a_thought_stands_open_while_it_grows_and_is_folded_when_it_ends() -> None:
    app = TranscriptApp(growing())
    async with app.run_test(size=WIDE) as pilot:
        for number, text in enumerate(("<th", "ink>", "\nHmm", ", well", ".\n")):
            await app.take(pilot, verified(number, token(text)))
        assert app.shown[4:7] == ["<think>", "Hmm, well.", ""]
        for number, text in enumerate(("</", "think>", "\n\n", "The", " sky")):
            await app.take(pilot, verified(5 + number, token(text)))
        assert app.shown[4:7] == ["▸ thought · 7 tokens", "The sky", ""]


async def test_thoughts_can_be_unfolded_and_folded() -> None:
    conversation = growing()
    feed(conversation.exchanges[0].reply, "<think>", "Hmm", "</think>", "Yes")
    app = TranscriptApp(conversation)
    async with app.run_test(size=WIDE) as pilot:
        assert app.shown[4:6] == ["▸ thought · 3 tokens", "Yes"]
        assert app.transcript.toggle_thoughts()
        await pilot.pause()
        assert app.shown[4:6] == ["<think>Hmm</think>Yes", ""]
        assert not app.transcript.toggle_thoughts()
        await pilot.pause()
        assert app.shown[4:6] == ["▸ thought · 3 tokens", "Yes"]


async def test_text_before_and_after_stays_even_within_the_tags_tokens() -> None:
    conversation = growing()
    feed(conversation.exchanges[0].reply, "So", ": <think>a", "b", "c</think> and", " on")
    app = TranscriptApp(conversation)
    async with app.run_test(size=WIDE):
        assert app.shown[4:7] == ["So:", "▸ thought · 2 tokens", " and on"]


async def test_the_cursor_passes_over_what_is_folded() -> None:
    conversation = growing()
    feed(conversation.exchanges[0].reply, "So ", "<think>", "a", "</think>", "Yes")
    app = TranscriptApp(conversation)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("left")
        assert app.transcript.cursor == (0, 4)
        await pilot.press("left")
        assert app.transcript.cursor == (0, 0)
        await pilot.press("right")
        assert app.transcript.cursor == (0, 4)
        app.transcript.cursor = (0, 2)
        assert app.transcript.cursor == (0, 4)


async def test_a_change_of_depth_after_a_fold_is_marked_on_its_line() -> None:
    conversation = growing()
    reply = conversation.exchanges[0].reply
    feed(reply, "<think>", "a", "</think>", "one\n")
    reply.ask(reply.options.mode, 5)  # type: ignore[union-attr]
    feed(reply, "two")
    app = TranscriptApp(conversation)
    async with app.run_test(size=WIDE):
        assert app.shown_with_gutter[4:7] == ["   ▸ thought · 3 tokens", "   one", "▸5 two"]


@pytest.mark.parametrize(
    ("text", "thoughts"),
    [
        ("<think>a</think>b", [Thought(0, 16)]),
        ("x<think>a</think>y<think>b</think>", [Thought(1, 17), Thought(18, 34)]),
        ("the end of one</think> b", [Thought(0, 22)]),
        ("<think>never closed", []),
        ("<think>a<think>b</think>c", [Thought(0, 24)]),
        ("<think>a</think>b</think>c", [Thought(0, 16)]),
        ("no < thought > here </thin k>", []),
    ],
)
def test_thoughts_are_found(text: str, thoughts: list[Thought]) -> None:
    assert Thoughts([text]).closed == thoughts


parts = st.lists(st.sampled_from(["<think>", "</think>", "a", "<", "</", "think>", "\n", "<th"]), max_size=12)


@given(parts, st.lists(st.integers(0, 80), max_size=12))
def test_how_tags_are_cut_into_tokens_does_not_matter(texts: list[str], cuts: list[int]) -> None:
    text = "".join(texts)
    ends = sorted({min(cut, len(text)) for cut in cuts} | {len(text)})
    thoughts = Thoughts()
    for start, end in zip([0, *ends], ends, strict=False):
        thoughts.extend([text[start:end]])
    assert thoughts.closed == Thoughts([text]).closed
    for thought in thoughts.closed:
        assert text[: thought.end].endswith("</think>")
        token, offset = thoughts.place(thought.start)
        assert [0, *ends][token] + offset == thought.start


MARKDOWN = "# Title\n\nSome **bold** and `code`.\n\n- one\n- two\n\n```python\nprint(1)\n```\n"


async def test_a_finished_reply_is_rendered_and_comes_back() -> None:
    app = TranscriptApp(chat(("one", "first"), ("two", MARKDOWN)))
    async with app.run_test(size=WIDE) as pilot:
        tokens = app.shown
        assert app.transcript.toggle_markdown()
        await pilot.pause()
        rendered = "\n".join(app.shown)
        assert "**" not in rendered
        assert "```" not in rendered
        assert " • one" in rendered
        assert app.style_of("bold").bold
        assert "first" in rendered
        assert app.transcript.toggle_markdown()
        await pilot.pause()
        assert app.shown == tokens


async def test_the_reply_under_the_cursor_is_rendered() -> None:
    app = TranscriptApp(chat(("one", "**first**"), ("two", "**second**")))
    async with app.run_test(size=WIDE) as pilot:
        app.transcript.cursor = (0, 0)
        assert app.transcript.toggle_markdown()
        await pilot.pause()
        assert "first" in app.shown
        assert "**second**" in app.shown
        app.transcript.toggle_markdown()
        await pilot.pause()
        assert "**first**" in app.shown


async def test_a_rendered_reply_is_rendered_again_at_another_width() -> None:
    app = TranscriptApp(chat(("one", "**first** " + "word " * 15)))
    async with app.run_test(size=WIDE) as pilot:
        app.transcript.toggle_markdown()
        await pilot.resize_terminal(34, 24)
        await pilot.pause()
        assert app.shown[4] == "first word word word word"


async def test_a_growing_reply_is_not_rendered() -> None:
    app = TranscriptApp(growing())
    async with app.run_test(size=WIDE) as pilot:
        await app.take(pilot, verified(0, token("**a**")))
        assert not app.transcript.toggle_markdown()
        await app.take(pilot, finished())
        assert app.transcript.toggle_markdown()


async def test_rendered_markdown_obeys_nothing_and_links_nowhere() -> None:
    app = TranscriptApp(chat(("one", "a\x1b[31mb [here](https://example.com/\x07) `\x9b`")))
    async with app.run_test(size=WIDE) as pilot:
        app.transcript.toggle_markdown()
        await pilot.pause()
        text = "".join(segment.text for segment in app.segments())
        assert "a␛[31mb" in text
        assert text.isprintable()
        assert all(segment.style is None or segment.style.link is None for segment in app.segments())


async def test_rendered_markdown_has_no_background_of_its_own() -> None:
    app = TranscriptApp(chat(("one", MARKDOWN)))
    async with app.run_test(size=WIDE) as pilot:
        app.transcript.toggle_markdown()
        await pilot.pause()
        assert len({segment.style.bgcolor for segment in app.segments() if segment.style is not None}) == 1


async def test_thoughts_are_left_out_of_rendered_markdown_while_they_are_folded() -> None:
    conversation = growing()
    feed(conversation.exchanges[0].reply, "<think>hmm</think>\n\n", "**Yes**")
    conversation.exchanges[0].reply.take(finished())
    app = TranscriptApp(conversation)
    async with app.run_test(size=WIDE) as pilot:
        app.transcript.toggle_markdown()
        await pilot.pause()
        assert app.shown[4:6] == ["Yes", ""]


async def test_rendered_markdown_takes_on_another_theme() -> None:
    app = TranscriptApp(chat(("one", "some `code`")))
    async with app.run_test(size=WIDE) as pilot:
        app.transcript.toggle_markdown()
        await pilot.pause()
        before = app.style_of("code").color
        app.theme = "gruvbox"
        code = app.transcript.get_component_rich_style
        await wait_until(pilot, lambda: app.style_of("code").color != before)
        assert app.style_of("code").color == code("transcript--code", partial=True).color


async def test_a_cursor_in_a_thought_that_ends_leaves_it() -> None:
    app = TranscriptApp(growing())
    async with app.run_test(size=WIDE) as pilot:
        await app.take(pilot, verified(0, token("<think>")), verified(1, token("hm")))
        app.transcript.cursor = (0, 1)
        await app.take(pilot, verified(2, token("</think>")), verified(3, token("Yes")))
        assert app.transcript.cursor == (0, 3)
