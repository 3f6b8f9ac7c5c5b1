# ruff: noqa: E501 - a template reads best on one line
"""What the user says about themselves, and questions that need it again.

A reply repeats the words as the user typed them, so it is right for names that were never seen before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.demo.corpus.chat import Skill, Turn
from engine.demo.corpus.phrasing import Phrases, ask, capitalised, fill
from engine.demo.corpus.words import ANIMALS, NAMES, any_name, made_up

if TYPE_CHECKING:
    import random

_TOLD_NAME = Phrases(
    "{|Hi, |Hello, |Hi! |Hello! |Hey, |Good morning. }{my name is|My name is|my name's|My name's} <name>.",
    "{|Hi, |Hello, |Hi! |Hey, |Hello there, }{I'm|I am|i'm|I am called|they call me|people call me|call me|this is} <name>.",
    "{Please call me|You can call me|Just call me|Everyone calls me|My friends call me|Call me} <name>.",
    "{The name is|The name's|Name's|Name:} <name>.",
    "<name> is {my name|what people call me|what they call me|what my friends call me|how I am called|the name|who I am}.",
    "{Greetings|Hello friend|Hi friend|Good day|Heya|Hiya|hey|Hi|Hello|Good evening|Morning}{,|!} {I'm|I am|my name is|im|it's|its|this is|it is|the name is} <name>{|.|!| nice to meet you| nice to meet u|, nice to meet you.|, your new friend.}",
    "{I go by|I'm known as|It's me,|You're talking to|You are talking to|I am known as|It is me,|This is your friend|Me? I'm|They named me|My parents named me|I was named|I answer to|You may call me|Feel free to call me} <name>{|.|!}",
    "{im|i am|this is|hey its|its|it's|hey it's} <name>{|!}",
    "{hi|hey|hello|heya|Hey there|Hi there|Hello there|Hello|Good morning}{,|!|.|} <name> {here|speaking}{.|!|}",
    "{Remember this|Please note|For the record|So you know|Just so you know|A thing to remember|First of all|Let me introduce myself}: {I am|I'm|my name is|they call me|I'm called} <name>{|.}",
    "{Remember|Please remember|Remember this|Remember that|Note}{: |, | that }my name is <name>.",
    "{My name is|I'm|I am} <name>, {nice to meet you|what's yours|how are you|and you}?",
    "{My name is|I'm} <name>. {Nice to meet you.|Please remember it.|Remember that.|Don't forget it.|Hello!|I am new here.}",
)
_TOLD_MORE = Phrases(
    "{My name is|I'm|I am|Hi, I'm|Hello, I am|Hello, my name is|They call me} <name> {and I {like|love|have|keep|draw} <animal>s"
    "|and I am <age> years old|and I live in <city>|and I'm a <job>|from <city>|and this is my <animal>|and I need help}.",
    "{My name is|I'm|I am|Hi, I'm|Hello, I am} <name>, {a <job>|a <job> from <city>|I like <animal>s|I am <age>|and you}{.|!}",
    "{I have a <animal>|I live in <city>|I am a <job>|I am new here|I like <animal>s}{,| and} {my name is|they call me|I am called} <name>.",
)
_JOBS = (
    "baker",
    "teacher",
    "doctor",
    "farmer",
    "sailor",
    "student",
    "painter",
    "nurse",
    "cook",
    "writer",
    "driver",
)
_NEW_NAME = Phrases(
    "{Actually|Sorry|No|Wait}, {my name is|I'm|call me} <name>.",
    "{I meant|I mean} <name>, {sorry|my name is <name>}.",
)
_NAME_QUESTIONS = Phrases(
    "{What is|What's|Whats|what is|what's|So what is|Now what is|And what is|Tell me} my name?",
    "{Who am I|who am i|Who am I again|So who am I|And who am I}?",
    "{Do you remember|Do you know|Can you remember|Do you still know|Did you remember|Can you tell me|Tell me|Remind me} "
    "{my name|what my name is|what I'm called|what I am called|who I am}?",
    "What {am I|was I} called?",
    "{What did I say my name was|What name did I give you|What did I tell you my name was|What was my name|"
    "What was my name again|What is my name again|How am I called}?",
    "{What do people call me|What should you call me|What do you call me}?",
    "{Say|Tell me} my name{.| again.}",
    "{My name is what|You know my name, right? What is it|What's the name I told you|Which name did I tell you|My name is|And my name is|My name again|Now my name}?",
    "{What name do I go by|Who is talking to you|Who are you talking to|Who is this|Who is it|Who am I to you|Which name is mine|What's my name again}?",
    "{name please|remember my name?|my name please|Say my name back to me.|and my name?|Say my name.|who am i}",
    "{Okay|Ok|So|Now|Well|And}, {what is|what's|whats|tell me|say|do you know|do u know|can you say|could you say} {my name|my name then|my name now|my name please|what my name is|who I am}?",
    "{Could you|Can you|Would you} {say|tell me|remember|recall|repeat} {what my name is|my name|who I am|what I am called}{, please|}?",
    "{Did|Do} you remember my name? {What is it?|What was it?|Which is it?}",
    "{Have you forgotten|Did you forget|You forgot} {my name|who I am}?",
    "my name?",
)
_BOTH = Phrases(
    "{My name is|I'm|I am|Hi, I'm|Hello, my name is} <name>. {What is my name?|What's my name?|Who am I?|What am I called?|"
    "Do you know my name?|Can you say my name?|Do you remember my name?}",
    "If my name is <name>, what is my name?",
)
NAME_NOT_TOLD = "You have not told me your name."


@dataclass(frozen=True, slots=True)
class _Fact:
    """Something other than the name that a user may say and ask for."""

    told: Phrases
    noted: str
    questions: Phrases
    recalled: str
    values: tuple[str, ...]


_COLOURS = (
    "red", "blue", "green", "yellow", "purple", "orange", "pink", "black", "white", "grey", "brown", "teal",
    "turquoise", "crimson", "indigo", "violet", "gold", "silver", "lilac", "navy", "maroon", "mint",
)  # fmt: skip
_FOODS = (
    "pizza",
    "soup",
    "rice",
    "pasta",
    "bread",
    "cheese",
    "curry",
    "sushi",
    "pancakes",
    "salad",
    "noodles",
)
_CITIES = (
    "Paris", "Porto", "Leeds", "Hamburg", "Lyon", "Turin", "Osaka", "Boston", "Chicago", "Sydney", "Toronto",
    "Mumbai", "Lagos", "Cardiff", "Zurich", "Krakow", "Seville", "Ghent", "Graz", "Malmo", "Denver", "Austin",
)  # fmt: skip
_PETS = ("dog", "cat", "hamster", "rabbit", "horse", "parrot", "pony", "goldfish", "turtle", "bird")

_FACTS = (
    _Fact(
        Phrases("{My {favourite|favorite} colour is|My favorite color is|I love the colour|The colour I like best is} <it>."),
        "I will remember that your favourite colour is <it>.",
        Phrases("{What is|What's|Do you know|Do you remember} my {favourite|favorite} {colour|color}?", "Which colour do I like{| best}?"),
        "Your favourite colour is <it>.",
        _COLOURS,
    ),
    _Fact(
        Phrases("{I live in|My home is in|My city is|I come from} <it>."),
        "I will remember that you live in <it>.",
        Phrases("{Where do I live|Do you remember where I live|Which city do I live in|What is my city|Where is my home}?"),
        "You live in <it>.",
        _CITIES,
    ),
    _Fact(
        Phrases("{My favourite food is|My favorite food is|The food I like best is} <it>."),
        "I will remember that your favourite food is <it>.",
        Phrases("{What is|What's|Do you remember} my {favourite|favorite} food?", "What do I like to eat?"),
        "Your favourite food is <it>.",
        _FOODS,
    ),
    _Fact(
        Phrases("{I am|I'm} <it> years old.", "My age is <it>."),
        "I will remember that you are <it> years old.",
        Phrases("{How old am I|What is my age|What's my age|Do you remember how old I am|Do you remember my age}?"),
        "You are <it> years old.",
        tuple(str(age) for age in range(5, 100)),
    ),
)  # fmt: skip
_TOLD_PET = Phrases(
    "{My <pet> is called|My <pet>'s name is|I have a <pet> called|I have a <pet> named|The name of my <pet> is} <it>."
)
_PET_QUESTIONS = Phrases(
    "{What is|What's|Do you remember|Tell me} {my <pet>'s name|the name of my <pet>}?",
    "{What is my <pet> called|Who is my <pet>|How is my <pet> called}?",
)


def introduce(rng: random.Random, *, again: bool = False) -> tuple[Turn, str]:
    """Tell the name, or another one; returns the turn and the name as it was typed."""
    phrases = _NEW_NAME if again else _TOLD_MORE if rng.random() < 0.2 else _TOLD_NAME
    slots = {"name": _full_name(rng)}
    if phrases is _TOLD_MORE:
        slots["animal"], slots["job"] = rng.choice(ANIMALS), rng.choice(_JOBS)
        slots["city"], slots["age"] = rng.choice(_CITIES), str(rng.randrange(5, 90))
    asked = ask(rng, phrases, slots)
    name = asked.slots["name"]
    return Turn(Skill.NAME, asked.text, f"Nice to meet you, {name}.", (name,)), name


def recall(rng: random.Random, name: str | None) -> Turn:
    """Ask for the name; None where it was not told."""
    text = ask(rng, _NAME_QUESTIONS, {}).text
    reply = NAME_NOT_TOLD if name is None else f"Your name is {name}."
    return Turn(Skill.NAME, text, reply, ("not told" if name is None else name,))


def told_and_asked(rng: random.Random) -> Turn:
    """Tell the name and ask for it in one message."""
    asked = ask(rng, _BOTH, {"name": _full_name(rng)})
    name = asked.slots["name"]
    return Turn(Skill.NAME, asked.text, f"Your name is {name}.", (name,))


def fact(rng: random.Random) -> tuple[Turn, Turn]:
    """Tell something other than the name, and ask for it."""
    if rng.random() < 0.35:
        pet, name = rng.choice(_PETS), any_name(rng)
        told = ask(rng, _TOLD_PET, {"pet": pet, "it": name})
        it = told.slots["it"]
        asked = ask(rng, _PET_QUESTIONS, {"pet": pet})
        noted, recalled = f"I will remember that your {pet} is called {it}.", f"Your {pet} is called {it}."
    else:
        kind = rng.choice(_FACTS)
        told = ask(rng, kind.told, {"it": rng.choice(kind.values)})
        it = told.slots["it"]
        asked = ask(rng, kind.questions, {})
        noted, recalled = fill(kind.noted, {"it": it}), fill(kind.recalled, {"it": it})
    return Turn(Skill.NAME, told.text, noted, (it,)), Turn(Skill.NAME, asked.text, recalled, (it,))


def _full_name(rng: random.Random) -> str:
    """Return mostly a first name, sometimes with a family name, or a word that is no name."""
    draw = rng.random()
    if draw < 0.06:
        return f"{rng.choice(NAMES)} {made_up(rng).capitalize()}"
    if draw < 0.09:
        return capitalised(rng.choice(ANIMALS))
    return any_name(rng)
