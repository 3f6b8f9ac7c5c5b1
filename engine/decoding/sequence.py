"""The text so far, and which of its tokens the caches hold.

Rows are only ever written behind what counts, and counted afterwards. So a pass that is cancelled, a draft
that is rejected and a text that is edited all need nothing but a smaller number.

Main rows: the first `main_rows` tokens have their latents in every layer's cache. MTP rows: row i of the MTP
layer's cache combines the state of token i, after the final norm, with token i + 1, so there are never more
of them than main rows. The MTP layer is fed lazily: rows that ordinary rounds did not need are made up for
when it is used again. So with it the states of all main rows are kept. Without it nobody needs more of them
than logits are taken from, and only the last pass's are there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.options import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from engine.config import ModelConfig

_VERIFIED = MAX_DEPTH + 1
"""Tokens of the widest verification, all of whose states are needed."""


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
        self.hidden = torch.zeros(context if has_mtp else 0, config.hidden_size)  # [states kept, hidden]
        self._hidden_start = 0
        """The token whose state is the first that is kept."""
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
        states = context if has_mtp else min(context, _VERIFIED)
        own = 4 * (context * layers * width + states * config.hidden_size)
        return own + (0 if second is None else SequenceState.bytes_for(second, context, has_mtp=False))

    def take(self, other: SequenceState) -> None:
        """Copy the text of another state of the same model, and all of its rows that count."""
        self.tokens = list(other.tokens)
        self.main_rows, self.mtp_rows, self.fresh_rows = other.main_rows, other.mtp_rows, other.fresh_rows
        for mine, theirs in zip(self.caches, other.caches, strict=True):
            mine[: self.main_rows] = theirs[: self.main_rows]
        if self.mtp_cache is not None and other.mtp_cache is not None:
            self.hidden[: self.main_rows] = other.hidden[: self.main_rows]
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

    def states_to_fill(self, tokens: int, last: int | None = None) -> Tensor:
        """Where a pass over so many tokens behind the main rows puts its last states: [states, hidden].

        At least those of the `last` tokens, or of all. States of an earlier pass may be gone then.
        """
        end = self.main_rows + tokens
        if self.mtp_cache is not None:
            return self.hidden[self.main_rows : end]
        count = tokens if last is None else min(last, tokens)
        self.hidden = torch.empty(count, self.hidden.shape[1])
        self._hidden_start = end - count
        return self.hidden

    def states(self, first: int, count: int) -> Tensor:
        """The states of so many tokens of the last pass, [count, hidden]; ValueError for one not kept."""
        begin = first - self._hidden_start
        if begin < 0 or begin + count > len(self.hidden):
            message = f"the states of tokens {first} to {first + count - 1} are not kept"
            raise ValueError(message)
        return self.hidden[begin : begin + count]

    def prefilled(self) -> None:
        """The whole text was run. To the MTP layer all but its last row is something to catch up with."""
        self.main_rows = len(self.tokens)
        self.fresh_rows = self.main_rows - 1

    def keep(self, rows: int) -> None:
        """A pass over main rows `main_rows...` was completed, and the first `rows` of them count."""
        self.fresh_rows = self.main_rows
        self.main_rows += rows
