"""What the scripted engine says: everyday words, and everything that is awkward on a terminal.

The text is a pure function of a key: the same at every draft depth, as with a real engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

END_ID = 1
"""The token that ends a reply; it has no text."""


@dataclass(frozen=True, slots=True)
class ScriptedToken:
    """A token of the pretend vocabulary."""

    id: int
    text: str


_SPOKEN = (
    "the sea air light water wind harbour lantern morning evening river stone bridge garden window letter "
    "is was keeps turns carries scatters gathers follows returns waits slowly often still never almost "
    "of and in over under between because while before after grey blue quiet small old bright"
)
_WORDS = tuple(_SPOKEN.split())

# Sequences of tokens that only make sense together. A token without text is half of a character: its bytes
# become text with the token that completes it.
_AWKWARD: tuple[tuple[str, ...], ...] = (
    (", naïve", " café"),
    (" cafe", "\u0301"),
    (" 東京", "の海", "。"),
    (" ", "", "🌊"),
    ("\n",),
    (" 👩\u200d🚀",),
    ("\tindented",),
    (" \x1b[31m", "red", "\x1b[0m"),
    (".\n\n",),
    (" a_very_long_identifier_that_no_line_can_break",),
    (" [bold]", "markup", "[/bold]"),
    (" **strong**",),
    (" 한국어",),
    (" \u202eback",),
    ("\r",),
)
_EVERY = 6
"""After so many words something awkward comes."""


def _vocabulary() -> dict[str, ScriptedToken]:
    texts = [f" {word}" for word in _WORDS] + [text for sequence in _AWKWARD for text in sequence]
    return {text: ScriptedToken(END_ID + 1 + index, text) for index, text in enumerate(dict.fromkeys(texts))}


_TOKENS = _vocabulary()
_WORD_TOKENS = tuple(_TOKENS[f" {word}"] for word in _WORDS)


def script(key: str, count: int) -> tuple[ScriptedToken, ...]:
    """Return a text of so many tokens, the last of which ends the reply."""
    random = Random(key)
    tokens: list[ScriptedToken] = []
    sequence = random.randrange(len(_AWKWARD))
    while len(tokens) < count - 1:
        tokens += random.choices(_WORD_TOKENS, k=_EVERY)
        tokens += [_TOKENS[text] for text in _AWKWARD[sequence]]
        sequence = (sequence + 1) % len(_AWKWARD)
    if tokens[count - 2 : count - 1] == [_TOKENS[""]]:
        tokens[count - 2] = _WORD_TOKENS[0]  # no text ends within a character
    return (*tokens[: count - 1], ScriptedToken(END_ID, ""))


def wrong(random: Random, right: ScriptedToken) -> ScriptedToken:
    """Return another word than the right one."""
    word = random.choice(_WORD_TOKENS)
    return word if word != right else _WORD_TOKENS[(word.id + 1) % len(_WORD_TOKENS)]
