"""What a transcript says: the text, the drafts that stand for a moment, the marks and the notes."""

from __future__ import annotations

import pytest

from app.conversation import Conversation, Exchange, Reply
from engine.events import FinishReason, Header, Phase, Prefilling, Waiting
from engine.options import GenerateOptions, Mode

from .made import (
    TranscriptApp,
    accepted,
    begun,
    chat,
    corrected,
    drafted,
    feed,
    finished,
    growing,
    token,
    verified,
    wait_until,
)

WIDE = (60, 24)


async def test_a_conversation_is_shown_turn_by_turn() -> None:
    app = TranscriptApp(
        chat(("why is the sky blue?", "Sunlight is made of colours."), ("and red?", "Later."))
    )
    async with app.run_test(size=WIDE):
        assert app.shown[:11] == [
            "You",
            "why is the sky blue?",
            "",
            "demo  first token 0.41 s",
            "Sunlight is made of colours.",
            "",
            "You",
            "and red?",
            "",
            "demo  first token 0.41 s",
            "Later.",
        ]


async def test_ghosts_stand_after_the_text_and_are_accepted_in_place() -> None:
    app = TranscriptApp(growing())
    async with app.run_test(size=WIDE) as pilot:
        await app.take(pilot, verified(0, token("The")), drafted(1, " sky", " is"))
        assert app.shown[4] == "The sky is"
        assert app.style_of("sky").italic
        assert app.style_of("sky").dim
        await app.take(pilot, verified(1, accepted(" sky"), accepted(" is", 2), token(" blue")))
        assert app.shown[4] == "The sky is blue"
        assert not app.style_of("sky").italic
        assert app.style_of("sky").underline


async def test_rejected_drafts_are_struck_before_what_replaced_them_until_the_next_round() -> None:
    app = TranscriptApp(growing())
    async with app.run_test(size=WIDE) as pilot:
        await app.take(pilot, verified(0, token("The")), drafted(1, " sky", " was", " red"))
        await app.take(pilot, verified(1, accepted(" sky"), corrected(" is"), rejected=(" was", " red")))
        assert app.shown[4] == "The sky was red is"
        assert app.style_of("was").strike
        assert not app.style_of("sky").strike
        assert not app.style_of("is").strike
        await app.take(pilot, drafted(2, " blue"))
        assert app.shown[4] == "The sky is blue"


async def test_a_finished_reply_has_no_drafts_in_it() -> None:
    app = TranscriptApp(growing())
    async with app.run_test(size=WIDE) as pilot:
        await app.take(pilot, verified(0, token("The")), drafted(1, " a"))
        await app.take(pilot, verified(1, corrected(" sky"), rejected=(" a",)), finished())
        assert app.shown[4] == "The sky"


async def test_what_comes_while_nothing_was_laid_out_between_is_shown() -> None:
    app = TranscriptApp(growing())
    async with app.run_test(size=WIDE) as pilot:
        events = [verified(0, token("a")), drafted(1, " x")]
        for number in range(1, 30):
            events += [
                verified(number, corrected(f" {number}"), rejected=(" x",)),
                drafted(number + 1, " x"),
            ]
        await app.take(pilot, *events)
        assert " ".join(app.shown[4:6]) == " ".join(["a", *map(str, range(1, 30)), "x"])


async def test_a_change_of_depth_is_marked_in_the_gutter_of_its_line() -> None:
    conversation = growing()
    reply = conversation.exchanges[0].reply
    app = TranscriptApp(conversation)
    async with app.run_test(size=WIDE) as pilot:
        feed(reply, "one\n", "two\n")
        reply.ask(Mode.MTP, 3)
        feed(reply, "three\n")
        reply.ask(Mode.NGRAM, 4)
        feed(reply, "four\n")
        reply.ask(Mode.ORDINARY, 4)
        feed(reply, "five\n", "six")
        await app.take(pilot)
        assert app.shown_with_gutter[4:10] == ["   one", "   two", "▸3 three", "▹4 four", "▸0 five", "   six"]


async def test_a_change_shows_at_once_where_the_next_token_will_be() -> None:
    conversation = growing()
    app = TranscriptApp(conversation)
    async with app.run_test(size=WIDE) as pilot:
        await app.take(pilot, verified(0, token("one")))
        conversation.exchanges[0].reply.ask(Mode.MTP, 5)
        await app.take(pilot)
        assert app.shown_with_gutter[4] == "▸5 one"


async def test_long_waits_speak() -> None:
    conversation = Conversation(exchanges=[Exchange("why?")])
    app = TranscriptApp(conversation)
    async with app.run_test(size=WIDE) as pilot:
        await app.take(pilot, Header("demo", GenerateOptions()), Prefilling(12, 61, 57, 8_123_456_789, 21.0))
        assert app.shown[4] == "reading the prompt · layer 12 of 61 · 8.1 GB read"
        await app.take(pilot, begun()[1], verified(0, token("The")), Waiting(1, 3, 61, 3.2))
        assert app.shown[4:6] == ["The", "waiting for the disk · 3 s"]
        assert app.shown[3] == "demo  first token 0.41 s"
        await app.take(pilot, Waiting(1, 0, 1, 2.1, Phase.CATCHING_UP))
        assert app.shown[4:6] == ["The", "waiting for the disk while catching up · 2 s"]
        await app.take(pilot, Waiting(1, 0, 1, 1.2, Phase.DRAFTING))
        assert app.shown[4:6] == ["The", "waiting for the disk while drafting · 1 s"]
        await app.take(pilot, drafted(1, " sky"))
        assert app.shown[4:6] == ["The sky", ""]


@pytest.mark.parametrize(
    ("reason", "message", "said"),
    [
        (FinishReason.STOP, None, ""),
        (FinishReason.CANCELLED, None, "stopped"),
        (FinishReason.ERROR, "The shard \x1b[2J is truncated.", "The shard ␛[2J is truncated."),
        (FinishReason.ERROR, None, "The reply ended in an error."),
        (FinishReason.LENGTH, None, "ended at the longest reply allowed; /max_tokens sets it"),
        (FinishReason.CONTEXT, None, "ended here: the context is full"),
    ],
)
async def test_how_a_reply_ended_is_said(reason: FinishReason, message: str | None, said: str) -> None:
    app = TranscriptApp(growing())
    async with app.run_test(size=WIDE) as pilot:
        await app.take(pilot, verified(0, token("The")), finished(reason, message))
        assert app.shown[4:6] == ["The", said]


async def test_an_error_looks_like_one() -> None:
    app = TranscriptApp(growing())
    async with app.run_test(size=WIDE) as pilot:
        await app.take(pilot, finished(FinishReason.ERROR, "Lost."))
        assert app.style_of("Lost.").bold
        assert (
            app.style_of("Lost.").color
            == app.transcript.get_component_rich_style("transcript--error", partial=True).color
        )


async def test_turns_that_were_left_out_are_said() -> None:
    conversation = chat(("one", "1"), ("two", "2"))
    conversation.exchanges[1].trimmed_turns = 3
    app = TranscriptApp(conversation)
    async with app.run_test(size=WIDE):
        assert app.shown[6:10] == ["3 oldest turns left out: the context is full", "", "You", "two"]


async def test_what_a_terminal_obeys_is_shown_and_not_sent() -> None:
    conversation = chat(("show \x1b[31m", "red\x1b[31m\x07 \x9b1m"))
    conversation.exchanges[0].reply.model = "mo\x1bdel"
    app = TranscriptApp(conversation)
    async with app.run_test(size=WIDE):
        assert app.shown[1] == "show ␛[31m"
        assert app.shown[3].startswith("mo␛del")
        assert app.shown[4] == "red␛[31m␇ \ufffd1m"


async def test_a_recording_without_its_prompt_begins_with_the_model() -> None:
    conversation = chat(("", "Hello."))
    app = TranscriptApp(conversation)
    async with app.run_test(size=WIDE):
        assert app.shown[:2] == ["demo  first token 0.41 s", "Hello."]


async def test_another_width_wraps_anew() -> None:
    app = TranscriptApp(chat(("a b", "one two three four five six seven eight")))
    async with app.run_test(size=(60, 20)) as pilot:
        assert app.shown[4] == "one two three four five six seven eight"
        await pilot.resize_terminal(30, 20)
        await pilot.pause()
        assert app.shown[4:6] == ["one two three four five", "six seven eight"]


async def test_exchanges_come_and_go() -> None:
    conversation = chat(("one", "1"))
    app = TranscriptApp(conversation)
    async with app.run_test(size=WIDE) as pilot:
        conversation.exchanges += chat(("two", "2")).exchanges
        app.transcript.show(conversation)
        await pilot.pause()
        assert "two" in app.shown
        app.transcript.cursor = (1, 0)
        del conversation.exchanges[1]
        app.transcript.refresh_tail()
        await pilot.pause()
        assert "two" not in app.shown
        assert app.transcript.cursor is None
        conversation.exchanges[0].reply = Reply()
        app.transcript.show(conversation)
        await pilot.pause()
        assert "1" not in app.shown


async def test_a_long_conversation_is_all_laid_out() -> None:
    conversation = growing()
    reply = conversation.exchanges[0].reply
    reply.take(verified(0, *(token(f"{number}\n") for number in range(50_000))))
    app = TranscriptApp(conversation)
    async with app.run_test(size=WIDE) as pilot:
        assert app.transcript.row_count == 50_004
        assert app.shown[-1] == "49999"
        await pilot.press("home")
        await wait_until(pilot, lambda: app.transcript.scroll_offset.y == 0)
        assert app.shown[4] == "0"


async def test_a_frame_lays_out_and_paints_the_tail_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = growing()
    feed(conversation.exchanges[0].reply, *(f"{number}\n" for number in range(1000)), "end")
    app = TranscriptApp(conversation)
    async with app.run_test(size=WIDE) as pilot:
        refreshed: list[tuple[int, int]] = []
        refresh_lines = app.transcript.refresh_lines
        monkeypatch.setattr(
            app.transcript,
            "refresh_lines",
            lambda first, count=1: (refreshed.append((first, count)), refresh_lines(first, count)),
        )
        await app.take(pilot, drafted(1001, " and", " more"))
        ((first, count),) = refreshed
        assert first >= app.transcript.row_count - 4
        assert first + count == app.transcript.row_count
        refreshed.clear()
        await app.take(pilot)
        assert not refreshed, "nothing has changed"


def rendered(app: TranscriptApp) -> list[bool]:
    return [turn.body.is_rendered for turn in app.transcript._rows.turns]


async def test_where_it_is_wanted_a_reply_is_rendered_once_as_soon_as_it_is_finished() -> None:
    app = TranscriptApp(growing())
    async with app.run_test(size=WIDE) as pilot:
        app.transcript.renders_finished = True
        await app.take(pilot, verified(0, token("*one*"), token(" word")))
        assert rendered(app) == [False]
        await app.take(pilot, finished())
        assert rendered(app) == [True]
        assert "one word" in app.shown
        app.transcript.toggle_markdown()
        assert "*one* word" in app.shown
        await app.take(pilot)
        await pilot.resize_terminal(WIDE[0] - 10, WIDE[1])
        await pilot.pause()
        assert rendered(app) == [False], "as the user has it"


async def test_replies_of_a_chat_that_is_opened_are_rendered_up_to_a_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.transcript.rows_view.RENDERED_AT_ONCE", 2)
    app = TranscriptApp()
    async with app.run_test(size=WIDE) as pilot:
        app.transcript.renders_finished = True
        app.transcript.show(chat(("a", "one"), ("b", "two"), ("c", "three")))
        assert rendered(app) == [False, True, True]
        await pilot.resize_terminal(WIDE[0] - 10, WIDE[1])
        await pilot.pause()
        assert rendered(app) == [False, True, True]
