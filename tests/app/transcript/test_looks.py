"""What tokens look like in each view: a colour of the theme, and a second channel for those who see none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual.color import Color

from app.token_colours import TokenKind, token_defaults
from app.transcript.rows import Look
from app.transcript.views import View, look_of, next_view

from .made import TranscriptApp, accepted, bonus, corrected, drafted, growing, token, verified

if TYPE_CHECKING:
    from rich.style import Style

WIDE = (60, 20)


def coloured() -> TranscriptApp:
    """An app with a reply that has a token of every kind."""
    conversation = growing()
    reply = conversation.exchanges[0].reply
    reply.take(verified(0, token("plain")))
    reply.take(verified(1, accepted(" near"), accepted(" far", 2), bonus(" extra")))
    reply.take(verified(2, accepted(" farther", 7), corrected(" instead")))
    reply.take(drafted(3, " perhaps"))
    return TranscriptApp(conversation)


def colour_of(style: Style) -> str:
    assert style.color is not None
    return Color.from_rich_color(style.color).hex.lower()


def channels(style: Style) -> set[str]:
    names = ("bold", "italic", "underline", "strike", "dim", "reverse")
    return {name for name in names if getattr(style, name)}


def theme_colour(app: TranscriptApp, name: str) -> str:
    return Color.parse(token_defaults(app.current_theme)[f"tok-{name}"]).hex.lower()


async def test_by_origin_what_the_main_model_wrote_itself_looks_alike() -> None:
    app = coloured()
    async with app.run_test(size=WIDE):
        for text, name, second in (
            ("plain", "ordinary", set()),
            ("near", "accepted", {"underline"}),
            ("far", "accepted", {"underline"}),
            ("extra", "ordinary", set()),
            ("instead", "corrected", {"bold", "italic"}),
            ("perhaps", "ghost", {"dim", "italic"}),
        ):
            assert colour_of(app.style_of(text)) == theme_colour(app, name), text
            assert channels(app.style_of(text)) == second, text


async def test_all_origins_tells_the_bonus_apart() -> None:
    app = coloured()
    async with app.run_test(size=WIDE):
        app.transcript.view = View.ALL_ORIGINS
        assert colour_of(app.style_of("extra")) == theme_colour(app, "bonus")
        assert channels(app.style_of("extra")) == {"bold"}
        assert channels(app.style_of("plain")) == set()


async def test_by_position_the_colour_says_how_far_ahead_a_token_was_drafted() -> None:
    app = coloured()
    async with app.run_test(size=WIDE):
        app.transcript.view = View.POSITION
        for text, name in (("near", "position-1"), ("far", "position-2"), ("farther", "position-4")):
            assert colour_of(app.style_of(text)) == theme_colour(app, name)
            assert channels(app.style_of(text)) == {"underline"}
        assert colour_of(app.style_of("instead")) == theme_colour(app, "ordinary")
        assert channels(app.style_of("instead")) == set()


async def test_surprise_is_a_heat_of_the_logprob() -> None:
    conversation = growing()
    logprobs = (-0.01, -0.4, -1.2, -2.5, -9.0, None)
    tokens = (token(f" w{number}", logprob=logprob) for number, logprob in enumerate(logprobs))
    conversation.exchanges[0].reply.take(verified(0, *tokens))
    app = TranscriptApp(conversation)
    async with app.run_test(size=WIDE):
        app.transcript.view = View.SURPRISE
        for step in range(5):
            assert colour_of(app.style_of(f"w{step}")) == theme_colour(app, f"surprise-{step}")
        assert channels(app.style_of("w3")) == {"bold"}
        assert channels(app.style_of("w4")) == {"bold", "reverse"}
        assert colour_of(app.style_of("w5")) == theme_colour(app, "ordinary")


async def test_plain_shows_no_origin() -> None:
    app = coloured()
    async with app.run_test(size=WIDE):
        app.transcript.view = View.PLAIN
        for text in ("plain", "near", "far", "extra", "instead"):
            assert colour_of(app.style_of(text)) == theme_colour(app, "ordinary")
            assert channels(app.style_of(text)) == set()


async def test_one_segment_is_one_token() -> None:
    app = coloured()
    async with app.run_test(size=WIDE):
        texts = [segment.text for segment in app.transcript.render_line(4)]
        assert texts[1:7] == ["plain", " near", " far", " extra", " farther", " instead"]


async def test_the_view_changes_in_a_circle() -> None:
    app = coloured()
    async with app.run_test(size=WIDE):
        seen = [app.transcript.view, *(app.transcript.cycle_view() for _ in View)]
        assert seen == [*View, View.ORIGIN]
        assert channels(app.style_of("near")) == {"underline"}


async def test_another_theme_has_other_colours() -> None:
    app = coloured()
    async with app.run_test(size=WIDE) as pilot:
        app.theme = "textual-light"
        await pilot.pause()
        assert colour_of(app.style_of("near")) == theme_colour(app, "accepted")


async def test_the_second_channel_is_there_where_colours_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = coloured()
    async with app.run_test(size=WIDE):
        assert app.no_color
        assert channels(app.style_of("near")) == {"underline"}
        assert channels(app.style_of("instead")) == {"bold", "italic"}
        assert channels(app.style_of("perhaps")) == {"dim", "italic"}


async def test_a_label_is_dim_and_bold() -> None:
    app = coloured()
    async with app.run_test(size=WIDE):
        assert channels(app.style_of("You")) == {"bold", "dim"}
        assert channels(app.style_of("demo")) == {"bold", "dim"}


def test_every_kind_of_token_has_a_look_of_its_own() -> None:
    assert {Look(kind) for kind in TokenKind} <= set(Look)
    looks = {look_of(each, View.ALL_ORIGINS) for each in (token(""), accepted(""), bonus(""), corrected(""))}
    assert len(looks) == 4


@pytest.mark.parametrize(("logprob", "look"), [(float("-inf"), Look.SURPRISE_4), (0.0, Look.SURPRISE_0)])
def test_the_ends_of_surprise(logprob: float, look: Look) -> None:
    assert look_of(token("", logprob=logprob), View.SURPRISE) is look


def test_a_position_beyond_the_deepest_looks_like_the_deepest() -> None:
    assert look_of(accepted("", 99), View.POSITION) is Look.POSITION_8
    assert look_of(accepted("", 0), View.POSITION) is Look.POSITION_1


def test_there_are_five_views() -> None:
    assert next_view(View.PLAIN) is View.ORIGIN
