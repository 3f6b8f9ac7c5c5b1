"""Documents behind one another in one row of tokens, with what each token is to predict.

A document is padded to a multiple of 16; a batch is sorted by that length, so that documents of one length
share one attention call. Nothing is shuffled: the source decides the order, and a count of the documents
taken is all that resuming needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from engine.demo.shape import PAD_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from torch import Tensor

    from engine.demo.corpus.chat import Chat
    from engine.demo.network import Groups

PADDED_TO = 16
LONGEST = 512
"""Tokens that a document is cut to."""


class Document(Protocol):
    """A chat's ids and weights: `engine.demo.tokens.Encoded`."""

    @property
    def ids(self) -> np.ndarray[Any, np.dtype[np.uint16]]:
        """[tokens]"""

    @property
    def weights(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """[tokens]: 1 for what the assistant says, its end included."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's tokens; all tensors [tokens]. A weight is of the token predicted, 0 where there is none."""

    ids: Tensor
    next_ids: Tensor
    later_ids: Tensor
    """The token after the next one: what the MTP layer predicts."""
    positions: Tensor
    next_weights: Tensor
    later_weights: Tensor
    groups: Groups
    tokens: int
    """Without padding."""


def padded(tokens: int) -> int:
    """The length a document takes in a batch."""
    return -(-tokens // PADDED_TO) * PADDED_TO


def pack(documents: Iterable[Document], user_weight: float = 0.0) -> Batch:
    """Lay documents out, shortest first. Tokens not the assistant's weigh `user_weight` as targets."""
    ordered = sorted(documents, key=lambda document: padded(len(document.ids)))
    total = sum(padded(len(document.ids)) for document in ordered)
    ids, next_ids, later_ids = (np.full(total, PAD_ID, np.int64) for _ in range(3))
    positions = np.zeros(total, np.int64)
    next_weights, later_weights = np.zeros(total, np.float32), np.zeros(total, np.float32)
    groups: list[tuple[int, int]] = []
    first = 0
    for document in ordered:
        tokens = len(document.ids)
        length = padded(tokens)
        weights = np.maximum(document.weights.astype(np.float32), user_weight)
        ids[first : first + tokens] = document.ids
        next_ids[first : first + tokens - 1] = document.ids[1:]
        later_ids[first : first + tokens - 2] = document.ids[2:]
        next_weights[first : first + tokens - 1] = weights[1:]
        later_weights[first : first + tokens - 2] = weights[2:]
        positions[first : first + length] = np.arange(length)
        if groups and groups[-1][1] == length:
            groups[-1] = groups[-1][0] + 1, length
        else:
            groups.append((1, length))
        first += length
    return Batch(
        ids=torch.from_numpy(ids),
        next_ids=torch.from_numpy(next_ids),
        later_ids=torch.from_numpy(later_ids),
        positions=torch.from_numpy(positions),
        next_weights=torch.from_numpy(next_weights),
        later_weights=torch.from_numpy(later_weights),
        groups=tuple(groups),
        tokens=sum(len(document.ids) for document in ordered),
    )


@dataclass(frozen=True, slots=True)
class _Cut:
    ids: np.ndarray[Any, np.dtype[np.uint16]]
    weights: np.ndarray[Any, np.dtype[np.uint8]]


class Documents:
    """An endless source of documents, and how many were taken from it."""

    def __init__(self, source: Iterator[Document], taken: int = 0) -> None:
        """`source` already stands behind the first `taken` documents."""
        self._source = source
        self.taken = taken

    def take(self, tokens: int) -> Sequence[Document]:
        """Documents until they fill `tokens` or more, padding included; at least one."""
        documents: list[Document] = []
        total = 0
        while total < tokens:
            document = next(self._source)
            self.taken += 1
            if len(document.ids) < 3:
                continue
            documents.append(_Cut(document.ids[:LONGEST], document.weights[:LONGEST]))
            total += padded(len(documents[-1].ids))
        return documents


def encoded(chats: Iterable[Chat], encode: Callable[[Chat], Document], skip: int = 0) -> Iterator[Document]:
    """Encode chats as they are asked for, the first `skip` of them not at all."""
    return (encode(chat) for chat in islice(chats, skip, None))
