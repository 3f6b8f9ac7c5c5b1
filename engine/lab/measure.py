"""The lab's run: texts, every wiring over the same places of them, and how far ahead the base can guess."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.lab.far import FREQUENT, MTP, NGRAM, Frequent, far_row, ngram_guess, right_until
from engine.lab.intervals import paired
from engine.lab.results import WiringReport, WiringRow, ranked
from engine.lab.wired import WiredLayer, read_text
from engine.lab.wiring import BASE, TRIED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engine.lab.results import FarRow
    from engine.lab.wired import ReadText
    from engine.lab.wiring import Wiring
    from engine.model.mtp import MtpModule

DEPTH = 4
FAR_DEPTH = 8
PLACES_A_TEXT = 32
"""From which chains are drafted; cross-entropy is that of every row."""


@dataclass(frozen=True, slots=True)
class _Sums:
    """A wiring over one text."""

    right: tuple[int, ...]
    """By place: drafts that are right before the first wrong one, at most DEPTH."""
    cross_entropy: float
    """Summed over `rows`."""
    rows: int


@dataclass(frozen=True, slots=True)
class Lab:
    """What a report is made with."""

    mtp: MtpModule
    check: Callable[[], None]
    """Called often; what it raises ends the run."""
    progress: Callable[[int, int, str], None]
    """Told of what is done, of how much in all, and what comes next."""

    def report(
        self,
        model: str,
        source: str,
        texts: Sequence[tuple[Sequence[int], int]],
        wirings: Sequence[Wiring] = TRIED,
    ) -> WiringReport:
        """Measure every wiring on texts, each as its ids and the number of the prompt's.

        Texts with no place to draft DEPTH tokens from are left out; at least one must have some.
        """
        steps = len(texts) + len(wirings) + 1
        read: list[ReadText] = []
        for number, (ids, first) in enumerate(texts):
            self.progress(number, steps, "reading texts")
            if len(ids) > max(first - 1, 0) + 1 + DEPTH:
                read.append(read_text(self.mtp.main, ids, first, self.check))
        found: dict[Wiring, list[_Sums]] = {}
        for number, wiring in enumerate(wirings):
            self.progress(len(texts) + number, steps, wiring.label)
            layer = WiredLayer(self.mtp, wiring, self.check)
            found[wiring] = [self._measure(layer, wiring, text) for text in read]
        self.progress(steps - 1, steps, "how far ahead")
        far, far_places = self._far(read)
        self.progress(steps, steps, "")
        rows = ranked([_row(wiring, sums, found[BASE]) for wiring, sums in found.items()])
        places = sum(len(sums.right) for sums in found[BASE])
        return WiringReport(model, source, len(read), places, rows, far, far_places)

    def _measure(self, layer: WiredLayer, wiring: Wiring, text: ReadText) -> _Sums:
        logits = layer.read(text).numpy()  # [rows run, vocab]
        begin = text.begin(wiring)
        rows = text.places(1)
        entropy = sum(_surprise(logits[row - begin], text.ids[row + 2]) for row in rows)
        right: list[int] = []
        for row in reversed(_spread(text.places(DEPTH))):
            drafts = layer.chain(row, int(logits[row - begin].argmax()), DEPTH)
            right.append(right_until(drafts, text.ids[row + 2 :]))
        return _Sums(tuple(reversed(right)), entropy, len(rows))

    def _far(self, texts: Sequence[ReadText]) -> tuple[tuple[FarRow, ...], int]:
        layer = WiredLayer(self.mtp, BASE, self.check)
        right: dict[str, list[int]] = {MTP: [], NGRAM: [], FREQUENT: []}
        for text in texts:
            places = _spread(text.places(FAR_DEPTH))
            if not places:
                continue
            logits = layer.read(text).numpy()
            frequent = Frequent([other.ids for other in texts if other is not text])
            for row in reversed(places):
                true = text.ids[row + 2 : row + 2 + FAR_DEPTH]
                known = text.ids[: row + 2]
                drafts = layer.chain(row, int(logits[row].argmax()), FAR_DEPTH)
                right[MTP].append(right_until(drafts, true))
                right[NGRAM].append(right_until(ngram_guess(known, FAR_DEPTH), true))
                right[FREQUENT].append(right_until(frequent.guess(known, FAR_DEPTH), true))
        rows = tuple(far_row(name, counts, FAR_DEPTH) for name, counts in right.items())
        return rows, len(right[MTP])


def _row(wiring: Wiring, sums: Sequence[_Sums], base: Sequence[_Sums]) -> WiringRow:
    counts = [len(each.right) for each in sums]
    total = sum(counts) or 1
    every = [right for each in sums for right in each.right]
    entropy_rows = [each.rows for each in sums]
    return WiringRow(
        wiring,
        tuple(sum(right >= j for right in every) / total for j in range(1, DEPTH + 1)),
        sum(each.cross_entropy for each in sums) / (sum(entropy_rows) or 1),
        paired(_pairs((sum(each.right) for each in sums), (sum(each.right) for each in base)), counts),
        paired(
            _pairs((each.cross_entropy for each in sums), (each.cross_entropy for each in base)), entropy_rows
        ),
    )


def _pairs(mine: Iterable[float], base: Iterable[float]) -> list[float]:
    return [one - other for one, other in zip(mine, base, strict=True)]


def _spread(places: range) -> list[int]:
    """At most PLACES_A_TEXT of them, evenly."""
    if len(places) <= PLACES_A_TEXT:
        return list(places)
    return [places[number * len(places) // PLACES_A_TEXT] for number in range(PLACES_A_TEXT)]


def _surprise(logits: np.ndarray[tuple[int], np.dtype[np.float32]], token: int) -> float:
    """Minus the log probability of a token, in nats."""
    exact = logits.astype(np.float64)
    top = exact.max()
    return float(top + np.log(np.exp(exact - top).sum()) - exact[token])
