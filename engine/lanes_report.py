"""What a comparison has measured: a row a lane, and what explains it. Pure: no clock is read here.

Rates are those of `Counters`; prefill, catching up and the first token are in none. A ratio is the speed over
that of depth 0 across the same tokens: of every run both are cut to the tokens that both have decoded, and
there is none where the texts differ. The spread is half the range of the runs' speeds over the speed of all;
that of a ratio is half the range of the repeats' own ratios, and two lanes whose ratios differ by less than
both spreads together are not told apart.

What explains a ratio, of k drafts a round: E(k) tokens a pass, T(k + 1) / T(1) the time of a pass over that
of a pass without drafts, U(k + 1) the experts that a pass uses over those that it uses without drafts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.decoding.counters import Counters
from engine.events import Verified
from engine.options import Mode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.lanes import Lane, LaneEvent


@dataclass(frozen=True, slots=True)
class LaneRow:
    """A lane's figures; None where nothing was measured."""

    mode: Mode
    depth: int | None
    """None in mode auto, which has no one depth."""
    tokens: int
    tokens_per_second: float | None
    spread: float | None
    """None with fewer than two runs."""
    ratio: float | None
    ratio_spread: float | None
    """Of the ratio itself, not a share of it; None with fewer than two repeats."""
    acceptance_by_position: tuple[float, ...]
    mean_length: float | None
    loads_per_token: float | None
    bytes_per_token: float | None
    draft_share: float | None
    """Of the rounds' time, what drafting took."""
    wait_share: float | None

    def to_json(self) -> dict[str, object]:
        """Return the row as `json.dumps` takes it."""
        return {
            "mode": str(self.mode),
            "depth": self.depth,
            "tokens": self.tokens,
            "tokens_per_second": self.tokens_per_second,
            "spread": self.spread,
            "ratio": self.ratio,
            "ratio_spread": self.ratio_spread,
            "acceptance_by_position": list(self.acceptance_by_position),
            "mean_length": self.mean_length,
            "loads_per_token": self.loads_per_token,
            "bytes_per_token": self.bytes_per_token,
            "draft_share": self.draft_share,
            "wait_share": self.wait_share,
        }


@dataclass(frozen=True, slots=True)
class Readout:
    """Why a lane is as fast as it is, against depth 0."""

    length: float | None
    """E(k)."""
    width_cost: float | None
    """T(k + 1) / T(1)."""
    union: float | None
    """U(k + 1); None where no experts were reported."""
    wait_share: float | None


@dataclass(slots=True)
class _Run:
    """One decode of one prompt."""

    rounds: list[Verified] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)

    def add_to(self, counters: Counters, tokens: int | None = None) -> int:
        """Count whole rounds, as many as fit into so many tokens or all; how many tokens those have."""
        counted = 0
        for event in self.rounds:
            if event.round == 0:
                continue
            if tokens is not None and counted + len(event.tokens) > tokens:
                break
            counters.observe(event)
            counted += len(event.tokens)
        return counted

    @property
    def tokens_per_second(self) -> float | None:
        """Of all rounds."""
        return _sum([self]).tokens_per_second


class LanesReport:
    """Takes lanes' events in their order, of one prompt after the other."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self.lanes = tuple(lanes)
        self._runs: list[dict[tuple[int, int], _Run]] = [{} for _ in self.lanes]
        """For each lane, by prompt and repeat."""

    def observe(self, prompt: int, news: LaneEvent) -> None:
        """Take an event of a lane's; others say nothing about speeds."""
        if news.lane is None or not isinstance(news.event, Verified):
            return
        run = self._runs[news.lane].setdefault((prompt, news.repeat), _Run())
        run.rounds.append(news.event)
        run.ids += [token.id for token in news.event.tokens]

    def counters(self, lane: int) -> Counters:
        """Return the sums over all of a lane's rounds."""
        return _sum(self._runs[lane].values())

    def events(self, lane: int, prompt: int, repeat: int) -> tuple[Verified, ...]:
        """Return the rounds of one run."""
        run = self._runs[lane].get((prompt, repeat))
        return () if run is None else tuple(run.rounds)

    @property
    def identical_text(self) -> bool:
        """Whether all runs of a prompt say the same, as far as each of them goes."""
        return self.first_difference() is None

    def first_difference(self) -> tuple[tuple[int, int, int], tuple[int, int, int]] | None:
        """Return two runs whose texts differ, each as its lane, prompt and repeat, if there are any."""
        longest: dict[int, tuple[tuple[int, int, int], list[int]]] = {}
        for lane, runs in enumerate(self._runs):
            for (prompt, repeat), run in runs.items():
                place = (lane, prompt, repeat)
                other, ids = longest.setdefault(prompt, (place, run.ids))
                shared = min(len(ids), len(run.ids))
                if ids[:shared] != run.ids[:shared]:
                    return other, place
                if len(run.ids) > len(ids):
                    longest[prompt] = (place, run.ids)
        return None

    @property
    def baseline(self) -> int | None:
        """The lane without drafts, if there is one."""
        return next((number for number, lane in enumerate(self.lanes) if lane.is_baseline), None)

    @property
    def best(self) -> int | None:
        """The lane with the highest ratio, the baseline among them; None before anything can be compared."""
        ratios = {number: ratio for number in range(len(self.lanes)) if (ratio := self.ratio(number))}
        return max(ratios, key=lambda number: ratios[number], default=None) if len(ratios) > 1 else None

    @property
    def best_is_clear(self) -> bool:
        """Whether no other lane comes as near to the best one as their ratios scatter."""
        best = self.best
        lanes = range(len(self.lanes))
        return best is not None and all(each == best or not self.are_alike(each, best) for each in lanes)

    def are_alike(self, lane: int, other: int) -> bool:
        """Whether two lanes' ratios differ by no more than they scatter."""
        ratio, other_ratio = self.ratio(lane), self.ratio(other)
        if ratio is None or other_ratio is None:
            return False
        return abs(ratio - other_ratio) <= (self.ratio_spread(lane) or 0) + (self.ratio_spread(other) or 0)

    def ratio(self, lane: int) -> float | None:
        """Return the lane's speed over that of depth 0, over the same tokens."""
        return _ratio(*self.against_baseline(lane))

    def ratio_spread(self, lane: int) -> float | None:
        """Return by how much the repeats' own ratios scatter about the middle of their range."""
        repeats = {repeat for _, repeat in self._runs[lane]}
        ratios = [found for each in repeats if (found := _ratio(*self.against_baseline(lane, each)))]
        return (max(ratios) - min(ratios)) / 2 if len(ratios) > 1 else None

    def differs(self, lane: int) -> bool:
        """Whether a run of the lane says anything else than that of depth 0."""
        pairs = ((run.ids, other.ids) for run, other in self._pairs(lane))
        return any(not all(map(int.__eq__, mine, base)) for mine, base in pairs)

    def against_baseline(self, lane: int, repeat: int | None = None) -> tuple[Counters, Counters]:
        """Return the lane's sums and those of depth 0 over the same tokens; none where their texts differ.

        Of one repeat, or of all.
        """
        mine, base = Counters(), Counters()
        for run, other in self._pairs(lane, repeat):
            shared = min(len(run.ids), len(other.ids))
            if run.ids[:shared] != other.ids[:shared]:
                return Counters(), Counters()
            # Depth 0 has a token a round, so it can be cut wherever a round of the lane ends.
            decoded = run.add_to(mine, len(other.ids) - 1)
            other.add_to(base, decoded)
        return mine, base

    def row(self, lane: int) -> LaneRow:
        """Return the lane's figures."""
        which, counters = self.lanes[lane], self.counters(lane)
        rounds = [event for run in self._runs[lane].values() for event in run.rounds if event.round]
        drafting = sum(event.draft_seconds for event in rounds)
        return LaneRow(
            mode=which.mode,
            depth=None if which.mode is Mode.AUTO else which.depth,
            tokens=counters.tokens,
            tokens_per_second=counters.tokens_per_second,
            spread=self._spread(lane),
            ratio=self.ratio(lane),
            ratio_spread=self.ratio_spread(lane),
            acceptance_by_position=counters.acceptance_by_position,
            mean_length=counters.mean_length,
            loads_per_token=counters.loads_per_token,
            bytes_per_token=counters.bytes_per_token,
            draft_share=drafting / counters.seconds if counters.seconds else None,
            wait_share=counters.wait_share,
        )

    def readout(self, lane: int) -> Readout:
        """Return what explains the lane's ratio, from the runs that depth 0 has as well."""
        mine = [event for run, _ in self._pairs(lane) for event in run.rounds if event.round]
        base = [event for _, other in self._pairs(lane) for event in other.rounds if event.round]
        counters = self.counters(lane)
        return Readout(
            counters.mean_length,
            _quotient(_mean_pass_seconds(mine), _mean_pass_seconds(base)),
            _quotient(_mean_experts(mine), _mean_experts(base)),
            counters.wait_share,
        )

    def to_json(self, *, interleaved: bool) -> dict[str, object]:
        """Return everything as `json.dumps` takes it."""
        return {
            "interleaved": interleaved,
            "identical_text": self.identical_text,
            "lanes": [self.row(lane).to_json() for lane in range(len(self.lanes))],
        }

    def _pairs(self, lane: int, repeat: int | None = None) -> list[tuple[_Run, _Run]]:
        """A lane's runs, each with that of depth 0 beside it."""
        baseline = self.baseline
        others = {} if baseline is None else self._runs[baseline]
        return [
            (run, others[place])
            for place, run in self._runs[lane].items()
            if place in others and repeat in (None, place[1])
        ]

    def _spread(self, lane: int) -> float | None:
        speeds = [speed for run in self._runs[lane].values() if (speed := run.tokens_per_second) is not None]
        whole = self.counters(lane).tokens_per_second
        return (max(speeds) - min(speeds)) / 2 / whole if len(speeds) > 1 and whole else None


def _sum(runs: Iterable[_Run]) -> Counters:
    counters = Counters()
    for run in runs:
        run.add_to(counters)
    return counters


def _ratio(mine: Counters, base: Counters) -> float | None:
    speed, other = mine.tokens_per_second, base.tokens_per_second
    return speed / other if speed and other and mine.tokens == base.tokens else None


def _quotient(amount: float | None, other: float | None) -> float | None:
    return amount / other if amount is not None and other else None


def _mean_pass_seconds(rounds: Sequence[Verified]) -> float | None:
    return sum(event.verify_seconds for event in rounds) / len(rounds) if rounds else None


def _mean_experts(rounds: Sequence[Verified]) -> float | None:
    counts = [sum(map(len, event.detail.experts)) for event in rounds if event.detail is not None]
    return sum(counts) / len(counts) if counts else None
