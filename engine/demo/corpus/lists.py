# ruff: noqa: E501 - a template reads best on one line
"""Short lists: the first few of a fixed order, so that one request has one reply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.demo.corpus.chat import Skill, Turn
from engine.demo.corpus.phrasing import Phrases, ask, capitalised, joined

if TYPE_CHECKING:
    import random

_CATEGORIES = {
    "fruits": ("apple", "banana", "pear", "plum", "cherry"),
    "vegetables": ("carrot", "potato", "onion", "pea", "leek"),
    "colours": ("red", "blue", "green", "yellow", "purple"),
    "colors": ("red", "blue", "green", "yellow", "purple"),
    "animals": ("dog", "cat", "horse", "cow", "sheep"),
    "birds": ("owl", "robin", "crow", "swan", "sparrow"),
    "fish": ("salmon", "trout", "pike", "eel", "tuna"),
    "insects": ("bee", "ant", "fly", "beetle", "moth"),
    "trees": ("oak", "birch", "pine", "maple", "willow"),
    "flowers": ("rose", "tulip", "daisy", "lily", "poppy"),
    "tools": ("hammer", "saw", "drill", "axe", "spade"),
    "drinks": ("water", "milk", "tea", "coffee", "juice"),
    "sports": ("football", "tennis", "swimming", "running", "rowing"),
    "seasons": ("spring", "summer", "autumn", "winter"),
    "shapes": ("circle", "square", "triangle", "star", "cube"),
    "countries": ("France", "Italy", "Japan", "Peru", "Kenya"),
    "cities": ("Paris", "Rome", "Tokyo", "Lima", "Cairo"),
    "planets": ("Mercury", "Venus", "Earth", "Mars", "Jupiter"),
    "metals": ("iron", "gold", "silver", "copper", "tin"),
    "instruments": ("piano", "violin", "drum", "flute", "guitar"),
    "jobs": ("baker", "teacher", "doctor", "farmer", "sailor"),
    "pets": ("dog", "cat", "rabbit", "hamster", "parrot"),
    "clothes": ("shirt", "coat", "hat", "sock", "scarf"),
    "languages": ("English", "French", "Spanish", "German", "Italian"),
    "days of the week": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday"),
    "months": ("January", "February", "March", "April", "May"),
}
_COUNTS = {
    "two": 2,
    "2": 2,
    "three": 3,
    "3": 3,
    "four": 4,
    "4": 4,
    "five": 5,
    "5": 5,
    "some": 3,
    "a few": 3,
    "three different": 3,
}

_REQUESTS = Phrases(
    "{Name|List|Tell me|Give me|Please name|Can you name|Can you list|Could you name|I need|Say|Write down|Think of} <count> <category>{.|}",
    "{What are|Which are} <count> <category>?",
    "{Give me|I want|Make|Write} a list of <count> <category>{.|}",
    "<count> <category>{|, please|?}",
    "{Do you know|Can you give me|Can you tell me} <count> <category>?",
)  # fmt: skip


def turn(rng: random.Random) -> Turn:
    """Ask for a few of a kind."""
    category = rng.choice(tuple(_CATEGORIES))
    items = _CATEGORIES[category]
    count = "three" if rng.random() < 0.4 else rng.choice(tuple(_COUNTS))
    number = _COUNTS[count]
    if number > len(items):
        count, number = "three", 3
    asked = ask(rng, _REQUESTS, {"count": count, "category": category})
    chosen = items[:number]
    return Turn(Skill.LIST, asked.text, f"{capitalised(joined(chosen))}.", chosen)
