"""What a comparison says when it is over: a Markdown table, the winner, and one sentence on what decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.figures import Comparison
from app.why import verdict
from engine.offload.sizes import shown_bytes
from engine.options import Acceptance, Mode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.lanes import LanesPlanned, LanesPrepared
    from engine.lanes_report import LanesReport
    from engine.options import GenerateOptions

NONE = "–"

_COLUMNS = (
    "lane",
    "tokens/s",
    "±",
    "ratio",
    "tokens",
    "accepted by position",
    "E: tokens a pass",
    "T: time of a pass",
    "U: experts a pass",
    "loads a token",
    "read a token",
    "drafting",
    "waiting",
)
_LEGEND = (
    "E is what a pass yields, T its time and U the experts it uses, both over those of a pass at depth 0; "
    "drafting pays where E exceeds the cost of a round, which is T and the drafting before it."
)


def table(report: LanesReport) -> str:
    """Return the lanes' figures as a Markdown table."""
    rows = [_COLUMNS, ("---", *("---:" for _ in _COLUMNS[1:])), *map(tuple, _cells(report))]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def document(
    report: LanesReport,
    options: GenerateOptions,
    planned: Sequence[LanesPlanned],
    prepared: Sequence[LanesPrepared],
    *,
    complete: bool,
) -> str:
    """Return all of it as Markdown: the table, what follows from it, and how it was measured."""
    lines = outcome(report, options, complete=complete)
    if report.best is not None:
        lines.insert(0, _LEGEND)
    if prepared:
        lines.append(outside_rates(prepared))
    lines += dict.fromkeys(each.why for each in planned)
    return "\n\n".join([table(report), *lines])


def is_promised(options: GenerateOptions) -> bool:
    """Whether every lane must write the same text."""
    return options.temperature == 0 or options.accept is Acceptance.COUPLED


def same_text(report: LanesReport, options: GenerateOptions) -> str:
    """Return whether the lanes' texts are the same, in a word or two."""
    if report.identical_text:
        return "yes"
    return "no" if is_promised(options) else "not promised"


def outside_rates(prepared: Sequence[LanesPrepared]) -> str:
    """Return what was done once for all lanes, and counts in no lane's speed."""
    prefill = sum(each.prefill_seconds for each in prepared)
    catchup = sum(each.catchup_seconds for each in prepared)
    return (
        f"Outside the rates: reading the prompt {prefill:.2f} s, feeding it to the MTP layer "
        f"{catchup:.2f} s, once for all lanes."
    )


def outcome(report: LanesReport, options: GenerateOptions, *, complete: bool) -> list[str]:
    """Return what follows from the figures; of a comparison that was broken off, nothing does."""
    texts = same_text(report, options)
    if not complete:
        return [
            "It was stopped: the figures are of what was decoded until then, and conclude nothing.",
            f"Identical text, as far as the lanes went: {texts}.",
        ]
    return [f"Identical text: {texts}.", *verdicts(report, options)]


def verdicts(report: LanesReport, options: GenerateOptions) -> list[str]:
    """Return the winner, and what decides for it and against the slowest."""
    best, baseline = report.best, report.baseline
    if baseline is None:
        return ["No ratio: depth 0 is not among the depths."]
    if best is None:
        return ["No ratio: depth 0 and another lane have not both decoded the same tokens."]
    said = [_winner(report, best)]
    drafting = [lane for lane in range(len(report.lanes)) if lane != baseline and report.ratio(lane)]
    fastest = max(drafting, key=lambda lane: report.ratio(lane) or 0.0)
    slowest = min(drafting, key=lambda lane: report.ratio(lane) or 0.0)
    said.append(why(report, fastest, options))
    if slowest != fastest and (report.ratio(slowest) or 1.0) < 1:
        said.append(why(report, slowest, options))
    return said


def why(report: LanesReport, lane: int, options: GenerateOptions) -> str:
    """Return one sentence on what decides whether a lane is faster than depth 0."""
    which = report.lanes[lane]
    mine, base = report.against_baseline(lane)
    spread = report.ratio_spread(lane)
    found = Comparison(which.depth, mine, base, bool(mine.tokens), which.options(options), spread)
    sentence = verdict(found)
    if which.mode is Mode.MTP:
        return sentence
    return sentence.replace(f"Depth {which.depth}", which.label.capitalize(), 1)


def _winner(report: LanesReport, best: int) -> str:
    if not report.best_is_clear:
        alike = [
            best,
            *(lane for lane in range(len(report.lanes)) if lane != best and report.are_alike(lane, best)),
        ]
        names = [f"{report.lanes[lane].label} ({_ratio(report, lane)})" for lane in alike]
        return (
            f"No lane is clearly the fastest: {', '.join(names)} differ by no more than their runs scatter."
        )
    if best == report.baseline:
        return "Fastest: depth 0; no lane that drafts reaches its speed."
    return f"Fastest: {report.lanes[best].label}, {report.ratio(best):.2f} times the speed of depth 0."


def _cells(report: LanesReport) -> list[Sequence[str]]:
    cells: list[Sequence[str]] = []
    for lane, which in enumerate(report.lanes):
        row, readout = report.row(lane), report.readout(lane)
        accepted = " ".join(f"{share:.0%}".replace("%", " %") for share in row.acceptance_by_position)
        read = NONE if not row.bytes_per_token else shown_bytes(row.bytes_per_token)
        cells.append(
            (
                which.label,
                _number(row.tokens_per_second, 1),
                _share(row.spread),
                _ratio(report, lane),
                str(row.tokens),
                accepted or NONE,
                _number(readout.length, 2),
                _number(readout.width_cost, 2),
                _number(readout.union, 2),
                _number(row.loads_per_token, 1),
                read,
                _share(row.draft_share),
                _share(row.wait_share),
            )
        )
    return cells


def _ratio(report: LanesReport, lane: int) -> str:
    """A ratio and by how much it scatters; that of depth 0 to itself is 1 whatever happens."""
    ratio, spread = report.ratio(lane), report.ratio_spread(lane)
    if spread is None or lane == report.baseline:
        return _number(ratio, 2)
    return f"{_number(ratio, 2)} ± {spread:.2f}"


def _number(value: float | None, digits: int) -> str:
    return NONE if value is None else f"{value:.{digits}f}"


def _share(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.0f} %"
