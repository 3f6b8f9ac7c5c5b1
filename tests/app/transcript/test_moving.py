"""Following the tail, the token cursor by keys and mouse, and copying."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.events import MouseScrollDown, MouseScrollUp
from textual.geometry import Offset
from textual.selection import SELECT_ALL, Selection

from app.conversation import Conversation, Exchange

from .made import TranscriptApp, begun, chat, drafted, feed, growing, token, verified, wait_until

if TYPE_CHECKING:
    from textual.pilot import Pilot

NARROW = (34, 10)


def long_chat(lines: int = 100) -> Conversation:
    conversation = growing()
    feed(conversation.exchanges[0].reply, *(f"line {number}\n" for number in range(lines)))
    return conversation


async def grow(app: TranscriptApp, pilot: Pilot[None], text: str) -> None:
    assert app.conversation.last is not None
    await app.take(pilot, verified(len(app.conversation.last.reply.rounds), token(text)))


async def test_the_view_follows_the_tail() -> None:
    app = TranscriptApp(long_chat())
    async with app.run_test(size=NARROW) as pilot:
        assert app.shown[-1] == "line 99"
        await grow(app, pilot, "and more\n")
        assert app.shown[-1] == "and more"
        assert app.transcript.following


async def test_scrolling_up_stops_following_and_end_follows_again() -> None:
    app = TranscriptApp(long_chat())
    async with app.run_test(size=NARROW) as pilot:
        await pilot.press("up")
        assert not app.transcript.following
        assert app.shown[-1] == "line 98"
        await grow(app, pilot, "and more\n")
        assert app.shown[-1] == "line 98"
        await pilot.press("end")
        assert app.transcript.following
        assert app.shown[-1] == "and more"
        assert app.followed == [False, True]


async def test_page_up_stops_following() -> None:
    app = TranscriptApp(long_chat())
    async with app.run_test(size=NARROW) as pilot:
        await pilot.press("pageup")
        await wait_until(pilot, lambda: app.transcript.scroll_offset.y == app.transcript.max_scroll_y - 10)
        assert not app.transcript.following


async def test_the_wheel_stops_following_and_reaching_the_end_follows_again() -> None:
    app = TranscriptApp(long_chat())
    async with app.run_test(size=NARROW) as pilot:
        await pilot._post_mouse_events([MouseScrollUp], app.transcript, button=0)
        assert not app.transcript.following
        while not app.transcript.following:
            await pilot._post_mouse_events([MouseScrollDown], app.transcript, button=0)
        assert app.shown[-1] == "line 99"


async def test_another_conversation_is_followed() -> None:
    app = TranscriptApp(long_chat())
    async with app.run_test(size=NARROW) as pilot:
        await pilot.press("up")
        app.transcript.show(long_chat(50))
        await pilot.pause()
        assert app.transcript.following
        assert app.shown[-1] == "line 49"


async def test_what_was_on_top_stays_on_top_at_another_width() -> None:
    conversation = chat(("why?", " ".join(f"word{number}" for number in range(300))))
    app = TranscriptApp(conversation)
    async with app.run_test(size=(60, 10)) as pilot:
        app.transcript.cursor = (0, 100)
        await pilot.pause()
        await wait_until(pilot, lambda: not app.transcript.following)
        app.transcript.scroll_to(y=20, animate=False)
        first = app.shown[0].split()[0]
        await pilot.resize_terminal(30, 10)
        await wait_until(pilot, lambda: app.transcript.row_count > 80)
        await pilot.pause()
        assert first in app.shown[0].split()


async def test_the_first_arrow_puts_the_cursor_on_the_last_token_on_screen() -> None:
    app = TranscriptApp(long_chat())
    async with app.run_test(size=NARROW) as pilot:
        await pilot.press("up", "left")
        assert app.transcript.cursor == (0, 98)


async def test_left_and_right_go_by_tokens_and_over_replies() -> None:
    app = TranscriptApp(chat(("one", "a b c"), ("two", "d e")))
    async with app.run_test(size=(34, 20)) as pilot:
        places = []
        for _ in range(6):
            await pilot.press("left")
            places.append(app.transcript.cursor)
        assert places == [(1, 1), (1, 0), (0, 2), (0, 1), (0, 0), (0, 0)]
        await pilot.press("right", "right", "right")
        assert app.transcript.cursor == (1, 0)
        assert app.moved == [(1, 1), (1, 0), (0, 2), (0, 1), (0, 0), (0, 1), (0, 2), (1, 0)]


async def test_the_cursor_can_be_seen() -> None:
    app = TranscriptApp(chat(("one", "a b c")))
    async with app.run_test(size=(34, 20)) as pilot:
        assert not app.style_of("b").reverse
        await pilot.press("left", "left")
        assert app.style_of("b").reverse
        assert not app.style_of("c").reverse
        await pilot.press("right")
        assert not app.style_of("b").reverse
        assert app.style_of("c").reverse


async def test_a_token_without_text_shows_the_cursor_too() -> None:
    conversation = growing()
    feed(conversation.exchanges[0].reply, "a", "", "b")
    app = TranscriptApp(conversation)
    async with app.run_test(size=(34, 20)):
        app.transcript.cursor = (0, 1)
        (segment,) = [each for each in app.segments() if each.style is not None and each.style.reverse]
        assert segment.text == " "


async def test_up_and_down_go_by_lines_and_bring_the_cursor_into_view() -> None:
    app = TranscriptApp(long_chat())
    async with app.run_test(size=NARROW) as pilot:
        await pilot.press("left", "up", "up")
        assert app.transcript.cursor == (0, 97)
        await pilot.press("down")
        assert app.transcript.cursor == (0, 98)
        assert app.transcript.following
        await pilot.press(*["up"] * 20)
        assert app.transcript.cursor == (0, 78)
        assert app.shown[0] == "line 78"
        assert not app.transcript.following


async def test_up_keeps_to_the_column() -> None:
    app = TranscriptApp(chat(("one", "aaa bbb ccc ddd eee fff ggg hhh iii")))
    async with app.run_test(size=(22, 20)) as pilot:
        assert app.shown[4:7] == ["aaa bbb ccc ddd", "eee fff ggg hhh", "iii"]
        app.transcript.cursor = (0, 6)
        await pilot.press("up")
        assert app.transcript.cursor == (0, 2)
        await pilot.press("down", "down")
        assert app.transcript.cursor == (0, 8)


async def test_the_ends_of_a_reply() -> None:
    app = TranscriptApp(chat(("one", "a b c"), ("two", "d e f")))
    async with app.run_test(size=(34, 20)) as pilot:
        await pilot.press("ctrl+home")
        assert app.transcript.cursor == (1, 0)
        app.transcript.cursor = (0, 1)
        await pilot.press("ctrl+end")
        assert app.transcript.cursor == (0, 2)


async def test_enter_asks_for_the_token_and_escape_lets_go_of_it() -> None:
    app = TranscriptApp(chat(("one", "a b c")))
    async with app.run_test(size=(34, 20)) as pilot:
        await pilot.press("enter")
        assert app.inspected == []
        await pilot.press("left", "left", "enter")
        assert app.inspected == [(0, 1)]
        await pilot.press("escape")
        assert app.transcript.cursor is None
        assert not app.escaped
        await pilot.press("escape")
        assert app.escaped, "without a cursor escape is for others"


async def test_a_cursor_where_no_token_is_goes_to_the_nearest() -> None:
    app = TranscriptApp(chat(("one", "a b c")))
    async with app.run_test(size=(34, 20)):
        app.transcript.cursor = (0, 99)
        assert app.transcript.cursor == (0, 2)
        app.transcript.cursor = (7, 0)
        assert app.transcript.cursor is None


async def test_without_tokens_there_is_no_cursor() -> None:
    app = TranscriptApp(Conversation(exchanges=[Exchange("why?")]))
    async with app.run_test(size=(34, 20)) as pilot:
        await pilot.press("left", "right", "up", "down", "ctrl+home", "ctrl+end", "enter")
        assert app.transcript.cursor is None


async def test_an_empty_conversation_can_be_shown() -> None:
    app = TranscriptApp()
    async with app.run_test(size=(34, 20)) as pilot:
        await pilot.press("left", "up", "end")
        app.transcript.refresh_tail()
        assert not any(app.shown)
        assert not app.transcript.toggle_markdown()


async def test_the_cursor_stays_while_drafts_come_and_go() -> None:
    app = TranscriptApp(growing())
    async with app.run_test(size=(34, 20)) as pilot:
        await app.take(pilot, verified(0, token("one")), verified(1, token(" two")))
        await pilot.press("left")
        await app.take(pilot, drafted(2, " three"))
        await app.take(pilot, verified(2, token(" four"), rejected=(" three",)))
        assert app.transcript.cursor == (0, 1)
        assert app.style_of("two").reverse
        await pilot.press("right")
        assert app.transcript.cursor == (0, 2), "over the rejected draft"
        assert app.style_of("four").reverse


async def test_a_click_puts_the_cursor_on_the_token() -> None:
    app = TranscriptApp(chat(("one", "alpha beta gamma")))
    async with app.run_test(size=(34, 20)) as pilot:
        await pilot.click(app.transcript, offset=(11, 4))
        assert app.transcript.cursor == (0, 1)
        await pilot.click(app.transcript, offset=(3, 1))
        assert app.transcript.cursor == (0, 1), "the user's words are no tokens"


async def test_two_clicks_ask_for_the_token() -> None:
    app = TranscriptApp(chat(("one", "alpha beta gamma")))
    async with app.run_test(size=(34, 20)) as pilot:
        await pilot.click(app.transcript, offset=(11, 4), times=2)
        assert app.inspected == [(0, 1)]
        assert app.screen.get_selected_text() is None


async def test_hovering_says_which_token() -> None:
    app = TranscriptApp(chat(("one", "alpha beta gamma")))
    async with app.run_test(size=(34, 20)) as pilot:
        for x, y in ((4, 4), (5, 4), (10, 4), (20, 10)):
            await pilot.hover(app.transcript, offset=(x, y))
        assert app.hovered == [(0, 0), (0, 1), None]


async def test_dragging_selects_raw_text_over_wrapped_lines() -> None:
    app = TranscriptApp(chat(("one", "alpha beta gamma delta epsilon")))
    async with app.run_test(size=(22, 20)) as pilot:
        assert app.shown[4:6] == ["alpha beta gamma", "delta epsilon"]
        await pilot.mouse_down(app.transcript, offset=(9, 4))
        await pilot.hover(app.transcript, offset=(7, 5))
        await pilot.mouse_up(app.transcript, offset=(7, 5))
        assert app.screen.get_selected_text() == "beta gamma delta"
        assert app.transcript.cursor is None, "the end of a selection is no click"


async def test_a_selection_can_be_seen() -> None:
    app = TranscriptApp(chat(("one", "alpha beta")))
    async with app.run_test(size=(34, 20)):
        app.screen.selections = {app.transcript: Selection(Offset(5, 4), Offset(9, 4))}
        chosen = app.screen.get_component_rich_style("screen--selection").bgcolor
        line = app.transcript.render_line(4)
        assert "".join(each.text for each in line if each.style and each.style.bgcolor == chosen) == "pha "


async def test_all_of_it_is_copied_as_it_was_written() -> None:
    conversation = growing("do\tthis \x1b[1m")
    feed(conversation.exchanges[0].reply, "def f():\n", "\treturn", " '\x1b'", "\n\n", "end")
    app = TranscriptApp(conversation)
    async with app.run_test(size=(34, 20)):
        found = app.transcript.get_selection(SELECT_ALL)
        assert found == ("You\ndo\tthis \x1b[1m\n\ndemo\ndef f():\n\treturn '\x1b'\n\nend", "\n")


async def test_part_of_a_tab_is_copied_as_spaces() -> None:
    conversation = growing()
    feed(conversation.exchanges[0].reply, "a\tb")
    app = TranscriptApp(conversation)
    async with app.run_test(size=(34, 20)):
        found = app.transcript.get_selection(Selection(Offset(5, 4), Offset(8, 4)))
        assert found == ("  b", "\n")


async def test_a_reply_without_a_header_can_be_shown() -> None:
    conversation = Conversation(exchanges=[Exchange("why?")])
    app = TranscriptApp(conversation)
    async with app.run_test(size=(34, 20)) as pilot:
        assert app.shown[3] == "model"
        await app.take(pilot, *begun("a-model"))
        assert app.shown[3] == "a-model"
