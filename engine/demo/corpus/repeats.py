# ruff: noqa: E501 - a template reads best on one line
"""Repeating: the reply is the text, letter for letter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.demo.corpus import capitals, sums
from engine.demo.corpus.chat import Skill, Turn
from engine.demo.corpus.phrasing import Phrases, ask, capitalised, with_article
from engine.demo.corpus.words import ANIMALS, NAMES, THING_QUALITIES, THINGS, WORDS, made_up

if TYPE_CHECKING:
    import random

_REQUESTS = Phrases(
    "{Repeat|Please repeat|Can you repeat|Could you repeat|Now repeat|I want you to repeat|Just repeat} {|after me|this|"
    "the following|these words|this text|exactly|this sentence|what I say}: <text>",
    "{Repeat|repeat} after me{,| -|.} <text>",
    "{Repeat|Please repeat|Say|Echo}: <text>",
    '{Repeat|Please repeat|Say|Echo|Can you say|Write|Repeat after me:|Please say:|Repeat the words|Print}{|:} "<text>"{|.| please| for me}',
    "{Say|say|Please say|Now say|Just say|Say the words|Repeat|Echo|Please echo|Please write|Print|Type|Write} <text>",
    "{Can you|Could you|Would you|Will you} {say|repeat|echo|write} <text>{|?}",
    "{Say|Echo|Write|Print|Type|Write down|Copy|Output|Read back}{ this| the following| exactly this|}: <text>",
    "{echo|copy|repeat after me|say after me|say this|repeat this|repeat back|your turn, say}: <text>",
    "{Copy|Echo|Repeat} {this|the following} {text|line|phrase|word for word|exactly}: <text>",
    '"<text>" - {repeat|say} {that|this}{|.| please}',
    "{Answer|Reply|Respond} {|only |just }with{:|} <text>",
    "Say '<text>'{|.}",
    "{I say|When I say it, you repeat}: <text>{|. Now you.}",
)
_CLEARLY = Phrases(
    '{Repeat|Please repeat|Say|Echo|Copy|Repeat after me|Repeat the text|Say exactly}{:|} "<text>"{|.}',
    "{Repeat after me|Please repeat|Repeat|Echo|Say this|Copy this text|Repeat this}: <text>",
)
_SENTENCES = Phrases(
    "the <quality> <animal> {sat|slept|jumped|danced|sang} {on|under|near|behind|beside} the <thing>",
    "{I|We|They} {like|love|want|need|saw|lost|found} {a_thing|the <quality> <thing>}",
    "<name> {and <other> |}{went|ran|walked|drove} to the {market|sea|school|old <thing>|station}",
    "{my|your|our} <thing> is <quality> and {my|your} <thing2> is {small|heavy|new|gone}",
    "{please|never|always|do not} {open|close|bring|touch|paint} the <quality> <thing>",
    "{it is|it was} {a sunny day|very late|time to go|raining again|a <quality> <thing>}",
    "{where|when|why|how} {is|was} the <thing>",
    "{what is|what's} the {name|price|colour} of the <animal>",
    "<name> {has|had} <number> <thing>s",
    "{good morning|good night|hello|thank you|well done|happy birthday}{|,} <name>",
    "hello {world|there|everyone|my friend}",
)


def turn(rng: random.Random) -> Turn:
    """Ask for a text of one to eight words to be repeated."""
    if rng.random() < 0.04:  # a request that is to be repeated, not answered
        text = rng.choice((capitals, sums)).turn(rng).user
        return Turn(Skill.REPEAT, ask(rng, _CLEARLY, {"text": text}, lower=0.0).text, text, (text,))
    text = _text(rng)
    asked = ask(rng, _REQUESTS, {"text": text}, lower=0.0)
    return Turn(Skill.REPEAT, asked.text, text, (text,))


def _text(rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.3:
        return _sentence(rng)
    count = rng.choice((1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 6, 7, 8))
    if draw < 0.45:  # made-up words only
        text = " ".join(made_up(rng) for _ in range(min(count, 5)))
    else:
        text = " ".join(_word(rng) for _ in range(count))
    style = rng.random()
    if style < 0.08:
        return text.upper()
    if style < 0.2:
        return capitalised(text)
    if style < 0.25:
        return text.replace(" ", ", ")
    return text


def _word(rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.5:
        return rng.choice(WORDS)
    if draw < 0.7:
        return made_up(rng)
    if draw < 0.78:
        return rng.choice(NAMES)
    if draw < 0.92:
        return rng.choice(ANIMALS if draw < 0.85 else THINGS)
    if draw < 0.97:
        return str(rng.randrange(10 ** rng.randint(1, 4)))
    return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(2, 5)))


def _sentence(rng: random.Random) -> str:
    sentence = _SENTENCES.pick(rng)
    values = {
        "a_thing": with_article(rng.choice(THINGS)),
        "<quality>": rng.choice(THING_QUALITIES),
        "<animal>": rng.choice(ANIMALS),
        "<thing>": rng.choice(THINGS),
        "<thing2>": rng.choice(THINGS),
        "<name>": rng.choice(NAMES),
        "<other>": rng.choice(NAMES),
        "<number>": str(rng.randrange(2, 100)),
    }
    for slot, value in values.items():
        sentence = sentence.replace(slot, value)
    if rng.random() < 0.4:
        sentence = capitalised(sentence)
        if rng.random() < 0.6:
            sentence += "!" if rng.random() < 0.15 else "."
    return sentence
