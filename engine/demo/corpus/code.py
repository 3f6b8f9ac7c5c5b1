"""Short Python functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.demo.corpus.chat import Skill, Turn
from engine.demo.corpus.phrasing import Phrases, ask

if TYPE_CHECKING:
    import random

_FUNCTIONS = (
    ("adds two numbers", "def add(a, b):\n    return a + b"),
    ("subtracts two numbers", "def subtract(a, b):\n    return a - b"),
    ("multiplies two numbers", "def multiply(a, b):\n    return a * b"),
    ("squares a number", "def square(x):\n    return x * x"),
    ("doubles a number", "def double(x):\n    return 2 * x"),
    ("reverses a string", "def reverse(text):\n    return text[::-1]"),
    ("checks if a number is even", "def is_even(n):\n    return n % 2 == 0"),
    ("checks if a number is odd", "def is_odd(n):\n    return n % 2 == 1"),
    ("finds the largest number in a list", "def largest(numbers):\n    return max(numbers)"),
    ("finds the smallest number in a list", "def smallest(numbers):\n    return min(numbers)"),
    ("sums a list of numbers", "def total(numbers):\n    return sum(numbers)"),
    ("computes the average of a list", "def average(numbers):\n    return sum(numbers) / len(numbers)"),
    ("counts the words in a text", "def count_words(text):\n    return len(text.split())"),
    ("says hello", 'def hello(name):\n    return "Hello, " + name + "!"'),
    ("checks if a word is a palindrome", "def is_palindrome(word):\n    return word == word[::-1]"),
    (
        "computes the factorial of a number",
        "def factorial(n):\n    if n <= 1:\n        return 1\n    return n * factorial(n - 1)",
    ),
    (
        "computes the Fibonacci numbers",
        "def fibonacci(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a",
    ),
)

_REQUESTS = Phrases(
    "{Write|Give me|Show me|Please write|Can you write|Could you write|I need|Make|Code} "
    "{a {Python |}function|Python code|code|a small function} that <does>{.|}",
    "{Python|python}{| function| code} that <does>{|, please}",
    "How do I write {a {Python |}function|code} that <does>?",
)


def turn(rng: random.Random) -> Turn:
    """Ask for a function."""
    does, source = rng.choice(_FUNCTIONS)
    asked = ask(rng, _REQUESTS, {"does": does})
    return Turn(Skill.CODE, asked.text, f"```python\n{source}\n```", (source,))
