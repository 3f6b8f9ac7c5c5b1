"""What the lab reads: the model's own greedy continuations of general prompts, or a text of the user's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

PROMPTS = (
    "Tell me a story about an otter called Wilma.",
    "Write a short story about a hedgehog named Bruno who finds a lantern.",
    "What is the capital of Norway?",
    "Why is the sky blue?",
    "What is a volcano?",
    "Explain what a language model is.",
    "Write a few lines of Python that add two numbers.",
    "Give me a list of fruits.",
    "I'd like a story about a penguin and a red kite.",
    "How does drafting with a second model work?",
    "Tell me a tale of a goat named Ada who loses her drum.",
    "What can you do?",
    "Story about a whale, please.",
    "What is a mixture of experts?",
    "A story about Ben the badger and a golden key.",
    "Name some animals that live in the sea.",
)
"""In the words of everyday, with nothing that a checkpoint would have to know."""

REPLY_TOKENS = 48
BLOCK_TOKENS = 96
"""Of a given text: what stands together, and is resampled as one; fewer where the context holds fewer."""
LEAST_TOKENS = 12
MOST_BLOCKS = 24


def counted(number: int, what: str) -> str:
    """Return a number of things, one of them without an s."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def blocks(ids: Sequence[int], context: int) -> list[tuple[int, ...]]:
    """Cut a text into blocks, evenly spread over it where there are more than are read.

    No block is longer than the context: there are no positions beyond it. Raises UsageError for a text, or a
    context, that is too short.
    """
    if context < LEAST_TOKENS:
        raise UsageError(
            f"The context holds {context} tokens, and the lab needs at least {LEAST_TOKENS}: "
            "choose a larger context."
        )
    size = min(BLOCK_TOKENS, context)
    cut = [tuple(ids[first : first + size]) for first in range(0, len(ids), size)]
    if len(cut) > 1 and len(cut[-1]) < LEAST_TOKENS:
        cut.pop()
    if not cut or len(cut[0]) < LEAST_TOKENS:
        raise UsageError(
            f"The text has {counted(len(ids), 'token')}, and the lab needs at least {LEAST_TOKENS}."
        )
    if len(cut) <= MOST_BLOCKS:
        return cut
    return [cut[number * len(cut) // MOST_BLOCKS] for number in range(MOST_BLOCKS)]
