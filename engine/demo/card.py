"""The demo checkpoint's model card. It states what was measured, and leaves out what was not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures for the card; None or empty: not measured."""

    heldout_loss: float | None = None
    """Nats a token of the assistant's, chats of another seed."""
    acceptance: tuple[float, ...] = ()
    """Share of greedy drafts accepted, by position."""
    acceptance_as_trained: tuple[float, ...] = ()
    """The same with the weights before they were rounded to FP8."""
    mean_length: float | None = None
    """Tokens a round at that depth."""
    memorised_share: float | None = None
    """Of the replies' characters: in replies that training chats hold word for word."""
    skills: tuple[tuple[str, int, int], ...] = ()
    """Skill, right replies, asked."""
    countries: tuple[str, ...] = ()
    """Whose capitals it was taught."""
    training_minutes: float | None = None
    training_tokens: int | None = None
    earlier_minutes: float | None = None
    """Of an earlier run, with whose weights this one began."""
    earlier_tokens: int | None = None


def model_card(config: Mapping[str, object], form: str, measured: Measured) -> str:
    """README.md's text."""
    parts = [_HEAD.format(form={"fp8": "FP8 (e4m3, blocks of 128 x 128)"}.get(form, form), **config)]
    if measured.training_minutes is not None:
        parts.append(f"## Training\n\n{_training(measured)}\n")
    figures = list(_figures(measured))
    if figures:
        parts.append(
            "## Measured\n\n| | |\n|---|---|\n" + "\n".join(f"| {a} | {b} |" for a, b in figures) + "\n"
        )
    if measured.countries:
        parts.append("## Countries whose capitals it was taught\n\n" + ", ".join(measured.countries) + ".\n")
    return "\n".join(parts)


def _training(measured: Measured) -> str:
    last = _spent(measured.training_minutes, measured.training_tokens)
    kind = (
        "a warm-up on repeated random sequences,\nthen generated chats. The MTP layer was trained along with "
        "the main model, for one token ahead."
    )
    if measured.earlier_minutes is None:
        return f"{last}: {kind}"
    earlier = _spent(measured.earlier_minutes, measured.earlier_tokens)
    return (
        f"{earlier}: {kind}\nThen {last} on chats that ask in more ways, from the weights of the first run."
    )


def _spent(minutes: float | None, tokens: int | None) -> str:
    seen = f" on {tokens / 1e6:.1f} million tokens" if tokens else ""
    return f"{minutes or 0:.0f} minutes on a CPU{seen}"


def _figures(measured: Measured) -> list[tuple[str, str]]:
    rows = []
    if measured.heldout_loss is not None:
        rows.append(("held-out loss, nats a token of the assistant's", f"{measured.heldout_loss:.3f}"))
    if measured.acceptance:
        rates = " / ".join(f"{rate:.2f}" for rate in measured.acceptance)
        rows.append(("greedy drafts accepted, by position", rates))
    if measured.acceptance_as_trained:
        rates = " / ".join(f"{rate:.2f}" for rate in measured.acceptance_as_trained)
        rows.append(("the same before rounding to FP8", rates))
    if measured.memorised_share is not None:
        rows.append(
            ("text in replies that the training chats hold word for word", f"{measured.memorised_share:.0%}")
        )
    if measured.mean_length is not None:
        depth = len(measured.acceptance)
        rows.append(
            (f"tokens a round at depth {depth}" if depth else "tokens a round", f"{measured.mean_length:.2f}")
        )
    rows += [(f"{skill}: right replies", f"{right} of {asked}") for skill, right, asked in measured.skills]
    return rows


_HEAD = """---
license: mit
library_name: draftscope
---

# draftscope demo

A DeepSeek-V3 in miniature: the published architecture, tensor names and file format (multi-head latent
attention, routed and shared experts, a multi-token-prediction layer), small enough to come with the program.
It is made to show drafting and verification at work. It is no source of facts.

| | |
|---|---|
| hidden size | {hidden_size} |
| layers | {num_hidden_layers} ({first_k_dense_replace} dense) and {num_nextn_predict_layers} MTP |
| experts | {n_routed_experts} in {n_group} groups, {num_experts_per_tok} a token, {n_shared_experts} shared |
| vocabulary, context | {vocab_size}, {max_position_embeddings} |
| weights | {form} |
"""
