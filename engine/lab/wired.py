"""The MTP layer run in any of the ways of `Wiring`, over a whole text at once and in chains from its places.

Row i has seen token i + 1 and predicts token i + 2. All rows of a text are one pass, each attending to those
before it. A chain from row i appends provisional rows, made from its own drafts; chains are run from the last
place to the first, so that the rows a chain overwrites are those that nobody needs any more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from engine.kernels.base import Rotary
from engine.lab.wiring import EndNorm, Order, Position, Prompt, Recursion, State, Token
from engine.model.steps import finish
from engine.options import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from engine.lab.wiring import Wiring
    from engine.model.block import Block
    from engine.model.mtp import MtpModule
    from engine.model.transformer import Transformer


@dataclass(frozen=True, slots=True)
class ReadText:
    """A text that the main model has read."""

    ids: tuple[int, ...]
    first: int
    """Of the prompt's tokens there are so many; 0 where there is no prompt."""
    before: Tensor
    """[tokens, hidden], before the final norm."""
    after: Tensor
    """[tokens, hidden], after it."""

    def begin(self, wiring: Wiring) -> int:
        """The first row that the layer runs."""
        return max(self.first - 1, 0) if wiring.prompt is Prompt.LEFT_OUT else 0

    def places(self, depth: int) -> range:
        """The rows from which so many drafts can be judged: those after the prompt's last token but one."""
        return range(max(self.first - 1, 0), len(self.ids) - 1 - depth)


def read_text(model: Transformer, ids: Sequence[int], first: int, check: Callable[[], None]) -> ReadText:
    """Run the main model over a text, with caches of its own."""
    config = model.config
    width = config.kv_lora_rank + config.qk_rope_head_dim
    x = finish(model.embed(ids), check)
    for layer in model.layers:
        cache = torch.zeros(len(ids), width)
        for _ in layer.run(x, cache, 0, None):
            check()
        check()
    after = model.kernels.rms_norm(x, model.norm, config.rms_norm_eps)
    return ReadText(tuple(ids), first, x, after)


class WiredLayer:
    """One wiring of a checkpoint's layer, over one text at a time."""

    def __init__(self, mtp: MtpModule, wiring: Wiring, check: Callable[[], None]) -> None:
        self._mtp, self._wiring, self._check = mtp, wiring, check
        self._block = _shifted(mtp.block) if wiring.position is Position.NEXT else mtp.block
        self._text: ReadText | None = None
        self._begin = 0
        self._cache = torch.zeros(0)
        self._ended = torch.zeros(0)
        self._raw = torch.zeros(0)

    def read(self, text: ReadText) -> Tensor:
        """Run all rows of a text, 0 to tokens - 2; returns logits [rows run, vocab], of the token two ahead.

        The first row run is `text.begin(wiring)`.
        """
        config = self._mtp.main.config
        self._text, self._begin = text, text.begin(self._wiring)
        rows = range(self._begin, len(text.ids) - 1)
        width = config.kv_lora_rank + config.qk_rope_head_dim
        self._cache = torch.zeros(len(text.ids) + MAX_DEPTH, width)  # a chain may go on past the text
        states = text.after if self._wiring.state is State.AFTER else text.before
        next_ids = self._wiring.token is Token.NEXT
        tokens = [text.ids[row + next_ids] for row in rows]
        self._ended, self._raw = self._run(tokens, states[rows.start : rows.stop], 0)
        return finish(self._mtp.logits(self._ended), self._check)

    def chain(self, row: int, first_draft: int, depth: int) -> list[int]:
        """The drafts from a row, the first of them given; call for rows in descending order."""
        assert self._text is not None
        place = row - self._begin
        from_raw = self._wiring.recursion is Recursion.RAW
        state = (self._raw if from_raw else self._ended)[place : place + 1]
        known = self._text.ids[row + 1]
        drafts = [first_draft]
        while len(drafts) < depth:
            current = drafts[-2] if len(drafts) > 1 else known
            token = drafts[-1] if self._wiring.token is Token.NEXT else current
            ended, raw = self._run([token], state, place + len(drafts))
            state = raw if from_raw else ended
            drafts.append(int(finish(self._mtp.logits(ended), self._check)[0].argmax()))
        return drafts

    def _run(self, tokens: Sequence[int], states: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """States after the end norm, and before it, each [rows, hidden]."""
        mtp, kernels, eps = self._mtp, self._mtp.main.kernels, self._mtp.main.config.rms_norm_eps
        embedded = kernels.rms_norm(finish(mtp.main.embed(tokens), self._check), mtp.enorm, eps)
        hidden = kernels.rms_norm(states.contiguous(), mtp.hnorm, eps)
        halves = (embedded, hidden) if self._wiring.order is Order.EMBEDDING else (hidden, embedded)
        for _ in mtp.eh_proj_supply.arrive():
            self._check()
        x = kernels.multiply(mtp.eh_proj, torch.cat(halves, dim=-1))
        mtp.eh_proj_supply.leave()
        for _ in self._block.run(x, self._cache, start, None):
            self._check()
        self._check()
        if self._wiring.end_norm is EndNorm.NONE:
            return x, x
        norm = mtp.shared_head_norm if self._wiring.end_norm is EndNorm.SHARED_HEAD else mtp.main.norm
        return kernels.rms_norm(x, norm, eps), x


def _shifted(block: Block) -> Block:
    """The block with every row one position later."""
    rotary = block.self_attn.rotary
    later = Rotary(rotary.cosine[1:], rotary.sine[1:])
    return replace(block, self_attn=replace(block.self_attn, rotary=later))
