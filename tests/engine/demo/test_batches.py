"""What each token of a batch is to predict, by brute force."""

from __future__ import annotations

import torch

from engine.demo.batches import Documents, pack, padded
from engine.demo.shape import PAD_ID
from engine.demo.warmup import is_formed, repeats
from tests.engine.demo.made import made_documents


def test_targets_weights_and_groups() -> None:
    source = Documents(made_documents())
    documents = source.take(700)
    assert source.taken == len(documents)
    batch = pack(documents, user_weight=0.25)
    lengths = [length for count, length in batch.groups for _ in range(count)]
    assert lengths == sorted(padded(len(d.ids)) for d in documents)
    assert sum(lengths) == len(batch.ids) >= 700
    assert len({length for _, length in batch.groups}) == len(batch.groups)
    assert batch.tokens == sum(len(d.ids) for d in documents)
    left = {tuple(d.ids.tolist()): d for d in documents}
    first = 0
    for length in lengths:
        row = batch.ids[first : first + length].tolist()
        match = next(ids for ids in left if tuple(row[: len(ids)]) == ids and padded(len(ids)) == length)
        weights = [max(0.25, float(w)) for w in left.pop(match).weights]
        for place in range(length):
            at = first + place
            assert batch.positions[at] == place
            assert batch.ids[at] == (match[place] if place < len(match) else PAD_ID)
            for ahead, ids, weight in (
                (1, batch.next_ids, batch.next_weights),
                (2, batch.later_ids, batch.later_weights),
            ):
                inside = place + ahead < len(match)
                assert weight[at] == (weights[place + ahead] if inside else 0)
                if inside:
                    assert ids[at] == match[place + ahead]
        first += length
    assert not left


def test_only_the_assistant_counts_by_default() -> None:
    batch = pack(Documents(made_documents()).take(300))
    assert set(batch.next_weights.tolist()) == {0.0, 1.0}


def test_resuming_takes_the_next_document() -> None:
    whole = Documents(made_documents())
    whole.take(500)
    rest = made_documents()
    for _ in range(whole.taken):
        next(rest)
    again = Documents(rest, whole.taken)
    a, b = pack(whole.take(300)), pack(again.take(300))
    assert torch.equal(a.ids, b.ids)
    assert whole.taken == again.taken


def test_repeats() -> None:
    batch, length = repeats(50, 400, torch.Generator().manual_seed(0))
    (rows, whole), ids = batch.groups[0], batch.ids
    assert whole == 3 * length
    assert len(ids) == rows * whole <= 400
    for at in range(len(ids)):
        place = at % whole
        assert batch.positions[at] == place
        assert batch.next_weights[at] == (length <= place < whole - 1)
        assert batch.later_weights[at] == (length <= place < whole - 2)
        if batch.next_weights[at]:
            assert batch.next_ids[at] == ids[at + 1] == ids[at + 1 - length]
        if batch.later_weights[at]:
            assert batch.later_ids[at] == ids[at + 2]
    assert is_formed(100, 10, 0.98)
    assert not is_formed(100, 4, 0.98)
