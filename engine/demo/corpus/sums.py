# ruff: noqa: E501 - a template reads best on one line
"""Sums and differences of one-digit numbers, in digits and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.demo.corpus.chat import Skill, Turn
from engine.demo.corpus.phrasing import Phrases, ask

if TYPE_CHECKING:
    import random

NUMBER_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
)  # fmt: skip

_THINGS = (
    "apples", "books", "coins", "pens", "cats", "cookies", "balls", "eggs", "stones", "flowers", "cards", "toys",
    "pears", "sweets", "oranges", "marbles", "birds", "sheep", "stamps", "cakes", "friends", "euros", "dollars",
)  # fmt: skip
_PEOPLE = ("Tom", "Anna", "Mia", "Sam", "Ben", "Lily", "Max", "Nora", "Sara", "Leo", "Peter", "Jane")

_IN_DIGITS = Phrases(
    "{What is|What's|whats|Calculate|Compute|Solve|How much is|Can you do|Work out|Tell me} <a>{ + |+| +}<b>?",
    "<a>{+| + | +|+ }<b>",
    "<a>{+| + }<b>{=| =|=?| = ?|?}",
    "{Sum|Math|Maths|Quick|Question}: <a> + <b>",
    "{What does|What would} <a> + <b> {equal|give|make}?",
    "<a> + <b> is{| what}?",
    "{I need|Give me|Tell me} the {result|answer|sum} of <a> + <b>{.|}",
)
_SPOKEN = Phrases(
    "{What is|What's|whats|How much is|Calculate|Compute|Work out|Tell me|Can you tell me|Do you know|Can you work out} "
    "<a> plus <b>?",
    "<a> plus <b>{|?| is| equals| is what?| equals?}",
    "{Add|add|Please add|Can you add|Could you add|Add up} <a> and <b>{.|}",
    "{Add|Please add} <a> to <b>{.|}",
    "{What is|What's|Give me|Tell me|Calculate|Find} the sum of <a> and <b>?",
    "{|The }sum of <a> and <b>{|?}",
    "{How much|What} {is|are|do you get from|makes} <a> and <b>{| together}?",
    "{What do|What would} <a> and <b> {make|give|add up to|sum to}?",
    "{What do you get|What is it|What happens} {if you add|when you add} <a> and <b>?",
    "{What number is|Which number is|What is} <b> more than <a>?",
)
_TOLD = Phrases(
    "If I have <a> <things> and {get|buy|find|am given} <b> more, how many {do I have|<things> do I have}{| now| in all}?",
    "I have <a> <things> and {get|find|buy} <b> more. How many {do I have|<things> is that}{| now| in total}?",
    "<person> has <a> <things> and {gets|finds|buys} <b> more. How many {<things> |}does <person> have{| now}?",
    "There are <a> <things> {here|on the table|in a box} and <b> {more |}{come|are added}. How many {are there|is that}?",
    "<person> has <a> <things> and I have <b>. How many {do we have|are there} {together|in all|in total}?",
    "<a> <things> and <b> <things>, how many {is that|in all|together|<things> is that}?",
    "How many <things> are <a> <things> and <b> <things>?",
)
_MINUS_DIGITS = Phrases(
    "{What is|What's|Calculate|How much is|Work out|Solve} <a>{ - |-}<b>?",
    "<a>{-| - }<b>{|=| =|?| = ?}",
)
_MINUS_SPOKEN = Phrases(
    "{What is|What's|How much is|Calculate|Tell me|Work out} <a> {minus|take away|less} <b>?",
    "<a> {minus|take away} <b>{|?}",
    "{Subtract|Take|Please subtract|Take away} <b> from <a>{.|}",
    "{What is|What's} {the difference {between|of} <a> and <b>|<b> less than <a>}?",
)
_MINUS_TOLD = Phrases(
    "If I have <a> <things> and {lose|eat|sell|give away} <b>, how many {do I have left|are left}?",
    "I {have|had} <a> <things> and {lost|gave away|sold} <b>. How many {are left|do I have now|do I have left}?",
    "<person> has <a> <things> and {loses|sells|gives away} <b>. How many are left?",
)


def turn(rng: random.Random) -> Turn:
    """Ask for a sum or, one time in six, a difference."""
    a, b = rng.randrange(10), rng.randrange(10)
    draw = rng.random()
    if rng.random() < 0.17:
        a, b = max(a, b), min(a, b)
        phrases = _MINUS_DIGITS if draw < 0.45 or a < b + 1 else _MINUS_SPOKEN if draw < 0.85 else _MINUS_TOLD
        text = _typed(rng, phrases, a, b)
        return Turn(Skill.SUM, text, f"{a} - {b} = {a - b}.", (str(a - b),))
    phrases = _IN_DIGITS if draw < 0.35 else _SPOKEN if draw < 0.78 else _TOLD
    text = _typed(rng, phrases, a, b)
    return Turn(Skill.SUM, text, f"{a} + {b} = {a + b}.", (str(a + b),))


def _typed(rng: random.Random, phrases: Phrases, a: int, b: int) -> str:
    in_words = phrases not in (_IN_DIGITS, _MINUS_DIGITS) and rng.random() < 0.5
    first, second = (NUMBER_WORDS[a], NUMBER_WORDS[b]) if in_words else (str(a), str(b))
    things = rng.choice(_THINGS)
    slots = {"a": first, "b": second, "things": things, "person": rng.choice(_PEOPLE)}
    text = ask(rng, phrases, slots).text
    if 1 in (a, b) and things != "sheep":
        one = NUMBER_WORDS[1] if in_words else "1"
        text = text.replace(f" {one} {things}", f" {one} {things[:-1]}")
    return text
