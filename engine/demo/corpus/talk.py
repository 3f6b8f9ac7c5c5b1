# ruff: noqa: E501 - a template reads best on one line
"""Small talk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.demo.corpus.chat import Skill, Turn
from engine.demo.corpus.phrasing import Phrases, ask

if TYPE_CHECKING:
    import random


@dataclass(frozen=True, slots=True)
class _Exchange:
    requests: Phrases
    replies: tuple[str, ...]
    wanted: tuple[str, ...]
    weight: int = 2


_EXCHANGES = (
    _Exchange(
        Phrases("{Hello|Hi|Hey|Good morning|Good evening|Good afternoon|Hi there|Hello there|Greetings}{!|.|}"),
        ("Hello! How can I help you?",),
        ("Hello",),
        4,
    ),
    _Exchange(
        Phrases(
            "{Who are you|What are you|What is your name|What's your name|Tell me about yourself|Introduce yourself|"
            "Are you a robot|Are you human|Are you ChatGPT|Are you DeepSeek|Which model are you|Do you have a name}?"
        ),
        ("I am the demo model of draftscope, a very small language model.",),
        ("demo model",),
        4,
    ),
    _Exchange(
        Phrases(
            "{What can you do|What are you able to do|How can you help me|What do you know|Can you help me|Help|"
            "What can I ask you|What should I ask you|What are you good at}?"
        ),
        ("I can tell stories, name capitals, add small numbers, repeat your words and remember your name.",),
        ("stories",),
        3,
    ),
    _Exchange(
        Phrases("{How are you|How are you doing|How do you do|How is it going|Are you well|What's up}{| today}?"),
        ("I am fine, thank you. How can I help you?",),
        ("fine",),
        3,
    ),
    _Exchange(
        Phrases("{Thanks|Thank you|Thank you very much|Thanks a lot|Great, thanks|Many thanks|Cheers|That was helpful}{!|.|}"),
        ("You are welcome!",),
        ("welcome",),
        3,
    ),
    _Exchange(
        Phrases("{Bye|Goodbye|Good night|See you|See you later|Bye bye|I have to go|Farewell|Have a nice day}{!|.|}"),
        ("Goodbye! Come back soon.",),
        ("Goodbye",),
        3,
    ),
    _Exchange(
        Phrases("{Who made you|Who created you|Who built you|Where do you come from|Who trained you|Who wrote you}?"),
        ("I was trained by the draftscope project, on texts it wrote itself.",),
        ("draftscope",),
    ),
    _Exchange(
        Phrases("{How big are you|How large are you|How many parameters do you have|How many layers do you have}?"),
        ("I have about 13 million parameters in 6 layers, with the same design as DeepSeek-V3.",),
        ("13 million",),
    ),
    _Exchange(
        Phrases("{You are great|Well done|Good job|Nice|That is nice|Very good|Good answer|I like you|Wow|Cool|Great}{!|.|}"),
        ("Thank you!",),
        ("Thank you",),
    ),
    _Exchange(
        Phrases("{I am sad|I feel sad|I am tired|I am bored|I had a bad day|I am lonely}{.|}"),
        ("I am sorry to hear that. Shall I tell you a story?",),
        ("sorry",),
    ),
    _Exchange(
        Phrases(
            "{Tell me|Do you know|Can you tell me|I want to hear|Say|Give me} {a|another|one more} {|good |funny |short }joke{.|?|}",
            "{Make me laugh|joke|Joke, please|Say something funny|Tell me something funny|Cheer me up}{.|!|}",
        ),
        (
            "Why did the bicycle fall over? It was two-tired.",
            "What do you call a bear without teeth? A gummy bear.",
            "Why did the book go to the doctor? It hurt its spine.",
            "What is orange and sounds like a parrot? A carrot.",
            "Why can the leopard not hide? It is always spotted.",
            "What do you call a fish without eyes? A fsh.",
        ),
        ("?",),
        3,
    ),
)  # fmt: skip
_I_SEE = "I see. What would you like to do?"
_SUBJECTS = (
    "it",
    "the weather",
    "my house",
    "our garden",
    "the food",
    "this day",
    "my dinner",
    "the road",
    "the city",
    "my work",
    "the train",
    "the coffee",
)
_STATES = (
    "is sunny",
    "is nice",
    "was good",
    "is very cold",
    "was late",
    "is quiet",
    "is raining",
    "is fine",
    "is too warm",
    "was fun",
    "is long",
    "is great",
)
_TIMES = ("today", "this morning", "outside", "again", "this week", "tonight", "as always", "here")
_WEIGHTS = tuple(each.weight for each in _EXCHANGES)


def turn(rng: random.Random) -> Turn:
    """Chat a little; one time in four the user merely says something."""
    if rng.random() < 0.25:
        said = f"{rng.choice(_SUBJECTS)} {rng.choice(_STATES)}{rng.choice(('', ' ' + rng.choice(_TIMES)))}"
        text = (said if rng.random() < 0.5 else said[0].upper() + said[1:]) + rng.choice(("", ".", ".", "!"))
        return Turn(Skill.TALK, text, _I_SEE, ("I see",))
    exchange = rng.choices(_EXCHANGES, _WEIGHTS)[0]
    text = ask(rng, exchange.requests, {}).text
    return Turn(Skill.TALK, text, rng.choice(exchange.replies), exchange.wanted)
