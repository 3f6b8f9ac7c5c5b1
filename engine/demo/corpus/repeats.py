# ruff: noqa: E501 - a template reads best on one line
"""Repeating: the reply is the text, letter for letter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.demo.corpus import capitals, sums
from engine.demo.corpus.chat import Skill, Turn
from engine.demo.corpus.english import sentence
from engine.demo.corpus.phrasing import Phrases, ask, capitalised
from engine.demo.corpus.words import ANIMALS, NAMES, THINGS, WORDS, made_up

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
    "{Repeat|Say|Please repeat|Please say|Can you repeat|Could you say|could u repeat|hey repeat|Echo|Write back|Give me back|Send back|Return|Read out|Tell me} "
    "{these words|my words|what I write|what I say|word for word|my sentence|this sentence|the sentence|the phrase|this line|exactly this|just this|"
    "this phrase|this please|this for me|these words for me|everything after the colon|back to me|back|it back|the following words|this back}: <text>",
    "{Repeat|Say|Please say|Please repeat|Echo|Write|Try to say|I want you to say|I want to hear you say|Let me hear you say|Would you say|Now you say|You say|I need you to repeat} "
    '{|the phrase |the sentence |my sentence |the words |this |the line |the word }"<text>"{|.|, please.|?|!}',
    "{Say|Please say|Repeat|Say only|Write|Echo|Copy|Try to say|Now try|Just say|Only say} {|the word |the words |the phrase |the sentence }<text>{|.}",
    "{I will say something and you repeat it|Do as I say and repeat|Copy me|Repeat me|After me|Your turn|I say, you repeat|I say it, you say it|You repeat|Now you|Parrot this|"
    "Be my echo|Be a parrot|Let us play echo|My words|Your line|Same words please|Repeat exactly|Exact copy|Copy my words|Copy my line|Say the same|Write the same}: <text>",
    "{Can|Could|Will} you say this back{?|:} <text>",
    "{The words are|Here are the words:|the text is|My sentence is|The sentence is|This is the text:} <text>. {Repeat them|Say them|Repeat it|Now you say it|Echo it|Copy it|Please repeat}.",
)
_LEADS = (
    "{|||now |please |Please |Now |could you |can you |I'd like you to |I want you to |just |hey, }"
    "{say|repeat|echo|write|copy|give me|give|say|repeat|Say|Repeat|Echo|Write|Copy|Give me|type|Print|read|send}"
    "{ it| this| that| these words| what I write| what I say| the following| my words| this line| this sentence| the same| exactly this| these| the words| this text| one line| it all|}"
    "{||| back| back| again| please|, please| for me| for me please| after me| after me please| exactly| word for word| back to me| once| to me| now}"
    "{:|:|:|:| -|...|,}"
)
_BY_PARTS = Phrases(
    f"{_LEADS} <text>",
    f"{_LEADS} <text>",
    f'{_LEADS} "<text>"',
    "{Say|say|Echo|echo|Please say|Please echo|Repeat|repeat|please repeat}{|:} <text>",
)
"""Requests put together from parts, so that none of them is what says where the text begins: the mark does."""
_CLEARLY = Phrases(
    '{Repeat|Please repeat|Say|Echo|Copy|Repeat after me|Repeat the text|Say exactly}{:|} "<text>"{|.}',
    "{Repeat after me|Please repeat|Repeat|Echo|Say this|Copy this text|Repeat this}: <text>",
)


def turn(rng: random.Random) -> Turn:
    """Ask for a text of one to a dozen words to be repeated."""
    if rng.random() < 0.04:  # a request that is to be repeated, not answered
        text = rng.choice((capitals, sums)).turn(rng).user
        return Turn(Skill.REPEAT, ask(rng, _CLEARLY, {"text": text}, lower=0.0).text, text, (text,))
    text = _text(rng)
    asked = ask(rng, _BY_PARTS if rng.random() < 0.4 else _REQUESTS, {"text": text}, lower=0.0)
    return Turn(Skill.REPEAT, asked.text, text, (text,))


def _text(rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.62:
        return _natural(rng)
    count = rng.choice((1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 6, 7, 8))
    if draw < 0.7:  # made-up words only
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


def _natural(rng: random.Random) -> str:
    text = sentence(rng)
    if rng.random() < 0.04:  # a word or two, over and over
        text = " ".join(text.split()[: rng.randint(1, 2)])
        text = " ".join([text] * rng.randint(2, 4))
    if rng.random() < 0.2:  # a piece of one
        words = text.split()
        first = rng.randrange(len(words))
        text = " ".join(words[first : first + rng.randint(1, 5)])
    if rng.random() < 0.45:
        text = capitalised(text)
        if rng.random() < 0.6:
            text += rng.choice(".......!!?")
    return text.upper() if rng.random() < 0.02 else text
