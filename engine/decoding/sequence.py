"""The text so far, and which of its tokens the caches hold.

Rows are only ever written behind what counts, and counted afterwards. So a pass that is cancelled, a draft
that is rejected and a text that is edited all need nothing but a smaller number.

Main rows: the first `main_rows` tokens have their latents in every layer's cache and their state, after the
final norm, in `hidden`. MTP rows: row i of the MTP layer's cache combines state i with token i + 1, so there
are never more of them than main rows. The MTP layer is fed lazily: rows that ordinary rounds did not need
are made up for when it is used again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.config import ModelConfig


class SequenceState:
    """Tokens, caches and how much of them is valid. Allocates for `context` tokens at once."""

    def __init__(
        self, config: ModelConfig, context: int, has_mtp: bool, second: ModelConfig | None = None
    ) -> None:
        """`second` is the config of a second model that drafts, if there is one."""
        width = config.kv_lora_rank + config.qk_rope_head_dim
        self.context = context
        self.tokens: list[int] = []
        self.caches = tuple(torch.zeros(context, width) for _ in range(config.num_hidden_layers))
        self.mtp_cache = torch.zeros(context, width) if has_mtp else None
        self.hidden = torch.zeros(context, config.hidden_size)
        self.main_rows = 0
        self.mtp_rows = 0
        self.fresh_rows = 0
        """Main rows before the last pass: MTP rows missing from before it are a catch-up."""
        self.second = None if second is None else SequenceState(second, context, has_mtp=False)
        """What a second model holds of the text, and of its own drafts."""

    @staticmethod
    def bytes_for(config: ModelConfig, context: int, has_mtp: bool, second: ModelConfig | None = None) -> int:
        """What the caches and states of a context occupy."""
        width = config.kv_lora_rank + config.qk_rope_head_dim
        layers = config.num_hidden_layers + has_mtp
        own = 4 * context * (layers * width + config.hidden_size)
        return own + (0 if second is None else SequenceState.bytes_for(second, context, has_mtp=False))

    def take(self, other: SequenceState) -> None:
        """Copy the text of another state of the same model, and all of its rows that count."""
        self.tokens = list(other.tokens)
        self.main_rows, self.mtp_rows, self.fresh_rows = other.main_rows, other.mtp_rows, other.fresh_rows
        for mine, theirs in zip(self.caches, other.caches, strict=True):
            mine[: self.main_rows] = theirs[: self.main_rows]
        self.hidden[: self.main_rows] = other.hidden[: self.main_rows]
        if self.mtp_cache is not None and other.mtp_cache is not None:
            self.mtp_cache[: self.mtp_rows] = other.mtp_cache[: self.mtp_rows]
        if self.second is not None and other.second is not None:
            self.second.take(other.second)

    def begin(self, prompt: Sequence[int]) -> int:
        """Make the prompt the text, keep what the caches share with it, and return how many tokens that is.

        Of the longest common prefix, the last token is run again: so the MTP rows, each of which has seen the
        token after its own, are right as well, and there is always a token left to take logits from.
        """
        common = 0
        for old, new in zip(self.tokens[: self.main_rows], prompt, strict=False):
            if old != new:
                break
            common += 1
        kept = max(common - 1, 0)
        self.tokens = list(prompt)
        self.main_rows = kept
        self.mtp_rows = min(self.mtp_rows, kept)
        self.fresh_rows = kept
        return kept

    def prefilled(self) -> None:
        """The whole text was run. To the MTP layer all but its last row is something to catch up with."""
        self.main_rows = len(self.tokens)
        self.fresh_rows = self.main_rows - 1

    def keep(self, rows: int) -> None:
        """A pass over main rows `main_rows...` was completed, and the first `rows` of them count."""
        self.fresh_rows = self.main_rows
        self.main_rows += rows
