"""A second, smaller checkpoint that drafts for the first, and its share of the RAM budget.

It is run several times a round, so it comes into RAM whole if the rest is enough for the first model to work
at all; else it has what is left beside the first one's least.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.checkpoint.audit import audit
from engine.checkpoint.checkpoint import open_checkpoint
from engine.config import ModelConfig
from engine.errors import MemoryBudgetError, UsageError, shown
from engine.offload.assemble import assemble
from engine.offload.home import Home
from engine.offload.plan import CPU, make_plan
from engine.offload.sizes import shown_bytes
from engine.offload.units import inventory
from engine.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from engine.checkpoint.audit import Audit
    from engine.checkpoint.checkpoint import Checkpoint
    from engine.kernels.base import Kernels
    from engine.model.transformer import Transformer
    from engine.offload.home import Settings
    from engine.offload.resident import Progress

_UNBOUNDED = 1 << 60


@dataclass(frozen=True, slots=True)
class SecondModel:
    """A model that drafts in mode model."""

    folder: Path
    model: Transformer
    home: Home


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """A checkpoint whose headers were read and found complete."""

    checkpoint: Checkpoint
    config: ModelConfig
    audit: Audit

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a folder. Raises CheckpointError."""
        checkpoint = open_checkpoint(folder)
        try:
            config = ModelConfig.from_json(checkpoint.config, folder / "config.json")
            return cls(checkpoint, config, audit(checkpoint, config))
        except BaseException:
            checkpoint.close()
            raise

    def demand(self, context: int) -> tuple[int, int]:
        """The least budget that works, and one that holds everything."""
        found = inventory(self.checkpoint, self.config, self.audit)
        plan = make_plan(found, self.config, context, {CPU: _UNBOUNDED})
        return plan.least_bytes, plan.planned_bytes


@dataclass(frozen=True, slots=True)
class SecondCheckpoint:
    """A draft model's checkpoint that fits the first one's, not read yet."""

    folder: Path
    opened: OpenedModel
    tokenizer: Tokenizer | None

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a folder; its MTP layer, if it has one, is left alone. Raises CheckpointError."""
        opened = OpenedModel.open(folder)
        try:
            tokenizer = Tokenizer.load(folder) if (folder / "tokenizer.json").exists() else None
        except BaseException:
            opened.checkpoint.close()
            raise
        alone = replace(opened.audit, has_mtp=False, mtp_embed_tokens=None, mtp_head=None)
        return cls(folder, replace(opened, audit=alone), tokenizer)

    def check_fits(self, first: OpenedModel, tokenizer: Tokenizer | None, context: int) -> None:
        """Raise UsageError where the two cannot work together, and say why."""
        check_vocabularies(
            tokenizer, self.tokenizer, (first.config.vocab_size, self.opened.config.vocab_size)
        )
        most = self.opened.config.max_position_embeddings
        if most < context:
            raise UsageError(
                f"The draft model {shown(self.folder)} was made for {most:,} tokens and the context is "
                f"{context:,}: choose --context {most} or less."
            )

    def share(self, first: OpenedModel, context: int, ram_bytes: int) -> int:
        """Return its share of a budget. Raises MemoryBudgetError where both do not fit."""
        least_first, _ = first.demand(context)
        least, whole = self.opened.demand(context)
        room = ram_bytes - least_first
        if room < least:
            together, each = least_first + least, (least_first, least)
            raise MemoryBudgetError(
                f"A RAM budget of {shown_bytes(ram_bytes)} is too small for both models with a context of "
                f"{context:,} tokens: together they take at least {shown_bytes(together, up=True)} "
                f"({' and '.join(shown_bytes(size, up=True) for size in each)}). Give a larger budget or a "
                f"smaller context."
            )
        return min(room, whole)

    def read(
        self, kernels: Kernels, context: int, settings: Settings, progress: Progress | None, first: Home
    ) -> SecondModel:
        """Read what is to stay in RAM; `first` is the home of the model that it drafts for."""
        opened = self.opened
        home = Home(
            opened.checkpoint, opened.config, opened.audit, kernels, context, settings, progress, first
        )
        model, _ = assemble(opened.config, False, home.weights, kernels, context)
        return SecondModel(self.folder, model, home)


def check_vocabularies(main: Tokenizer | None, second: Tokenizer | None, sizes: tuple[int, int]) -> None:
    """Raise UsageError, with the reason, unless token ids mean the same to both models.

    `sizes` are the models' own, which are often padded beyond the tokenizer's. Without two tokenizers only
    they can be compared.
    """
    if sizes[0] != sizes[1]:
        raise UsageError(
            f"The draft model has a vocabulary of {sizes[1]:,} tokens and the model one of {sizes[0]:,}: "
            f"choose a draft model of the same tokenizer."
        )
    if main is None or second is None:
        return
    mine, theirs = main.vocabulary(), second.vocabulary()
    different = next((text for text in sorted({*mine, *theirs}) if mine.get(text) != theirs.get(text)), None)
    if different is not None:
        raise UsageError(
            f"The draft model's tokenizer is another one: the token {different!r} is "
            f"{_known(mine, different)} to the model and {_known(theirs, different)} to the draft model. "
            f"Choose a draft model of the same tokenizer."
        )


def _known(vocabulary: dict[str, int], text: str) -> str:
    return f"id {vocabulary[text]}" if text in vocabulary else "unknown"
