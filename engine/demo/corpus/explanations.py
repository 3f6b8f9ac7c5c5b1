# ruff: noqa: E501 - a template reads best on one line
"""Explanations of how draftscope and the models it runs work: one text a topic, asked for in many ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.demo.corpus.chat import Skill, Turn
from engine.demo.corpus.phrasing import Phrases, ask

if TYPE_CHECKING:
    import random


@dataclass(frozen=True, slots=True)
class _Topic:
    names: tuple[str, ...]
    """Names that fit `What is ...?`."""
    text: str
    wanted: tuple[str, ...]


_TOPICS = (
    _Topic(
        ("MTP", "multi-token prediction", "the MTP layer", "an MTP layer"),
        "MTP means multi-token prediction. An extra layer guesses the token after the next one, and the main model checks the guess.",
        ("multi-token", "guess"),
    ),
    _Topic(
        ("speculative decoding", "drafting", "speculation in language models"),
        "In speculative decoding, a quick drafter guesses several tokens. The main model checks them all in one pass and keeps those it agrees with.",
        ("drafter", "checks"),
    ),
    _Topic(
        ("a mixture of experts", "MoE", "the mixture of experts", "a MoE model"),
        "In a mixture of experts, each layer has many small networks, the experts. A router picks a few of them for each token, so most of the model rests.",
        ("experts", "router"),
    ),
    _Topic(
        ("an expert", "a routed expert", "an expert in a MoE model"),
        "An expert is one of many small networks in a layer. It only works on the tokens that the router sends to it.",
        ("network", "router"),
    ),
    _Topic(
        ("the router", "a router", "expert routing", "the gate"),
        "The router gives each expert a score for each token. The experts with the highest scores do the work.",
        ("score",),
    ),
    _Topic(
        ("the shared expert", "a shared expert"),
        "The shared expert works on every token. The routed experts can then learn more special things.",
        ("every token",),
    ),
    _Topic(
        ("offloading", "expert offloading", "weight offloading"),
        "Offloading keeps weights on the disk and reads them only when they are needed. That way a model larger than memory can run.",
        ("disk", "memory"),
    ),
    _Topic(
        ("the expert cache", "an expert cache", "a cache hit"),
        "The expert cache keeps experts that were used lately in memory. If a token needs one of them, nothing is read from the disk.",
        ("memory", "disk"),
    ),
    _Topic(
        ("draftscope", "this program", "this app", "the draftscope app"),
        "Draftscope is a terminal app that runs DeepSeek-V3 checkpoints larger than memory. It drafts with the checkpoint's MTP layer and colours each token by where it came from.",
        ("terminal", "MTP"),
    ),
    _Topic(
        ("FP8", "the FP8 format", "8-bit floating point"),
        "FP8 is a number format with only eight bits. It makes weights small, and each block of weights has a scale of its own.",
        ("eight bits",),
    ),
    _Topic(
        ("latent attention", "MLA", "multi-head latent attention"),
        "Latent attention stores one short vector for each token in place of all keys and values. That makes the cache much smaller.",
        ("vector", "cache"),
    ),
    _Topic(
        ("attention", "self-attention", "an attention layer"),
        "Attention lets each token look back at the tokens before it. It takes most from those that match what it looks for.",
        ("look back",),
    ),
    _Topic(
        ("acceptance", "the acceptance rate", "an accepted draft", "acceptance of drafts"),
        "A draft is accepted when the main model would have said the same. The acceptance rate is the share of drafts that are accepted.",
        ("main model", "share"),
    ),
    _Topic(
        ("the KV cache", "a KV cache", "the key-value cache"),
        "The KV cache stores what attention needs from earlier tokens. Without it, each new token would need the whole text to be read again.",
        ("earlier tokens",),
    ),
    _Topic(
        ("a token", "tokenization", "a token in a language model"),
        "A token is a short piece of text, such as a word or a part of a word. A language model reads and writes one token after another.",
        ("piece of text",),
    ),
    _Topic(
        ("a language model", "an LLM", "a large language model"),
        "A language model guesses the next token from the text before it. It learns this from many examples.",
        ("next token",),
    ),
    _Topic(
        ("draft depth", "the depth", "the draft depth"),
        "The draft depth is the number of tokens that are guessed in one round. A larger depth saves more passes if the guesses are right.",
        ("number of tokens",),
    ),
    _Topic(
        ("DeepSeek-V3", "DeepSeek V3", "the DeepSeek-V3 model"),
        "DeepSeek-V3 is a mixture of experts with 671 billion parameters. About 37 billion of them work on each token.",
        ("671 billion",),
    ),
    _Topic(
        ("greedy decoding", "temperature zero"),
        "Greedy decoding always takes the likeliest token. The same prompt then gives the same reply.",
        ("likeliest",),
    ),
    _Topic(
        ("the meaning of the colours", "the colour of a token", "the meaning of the colors", "a coloured token"),
        "The colours show where each token came from. It was either an accepted draft or ordinary decoding.",
        ("draft", "ordinary decoding"),
    ),
)  # fmt: skip

_REQUESTS = Phrases(
    "{What is|What's|what is|So what is|Tell me what is} <topic>?",
    "{Explain|Please explain|Can you explain|Could you explain|Describe} <topic>{| to me| briefly| in simple words}{.|?|}",
    "How does <topic> work?",
    "{Tell me about|Tell me something about|Teach me about|What do you know about} <topic>{.|?}",
    "What does <topic> {mean|do}?",
    "{What is|Explain} <topic>{|, please}?",
    "<topic>?",
)


def turn(rng: random.Random) -> Turn:
    """Ask how something works."""
    topic = rng.choice(_TOPICS)
    asked = ask(rng, _REQUESTS, {"topic": rng.choice(topic.names)})
    return Turn(Skill.EXPLANATION, asked.text, topic.text, topic.wanted)
