"""One sentence, with its numbers, on what decides whether a depth pays on this machine.

A round at depth k yields E tokens (the mean length) and takes C times as long as one at depth 0, drafting
included; drafting pays where E exceeds C. Where it does not, the sentence names what grew more than E did:
the experts that a round reads from disk or uses (the union over its tokens, and the drafts' own), or its time
as such. Only what a measurement has counted is used, and what is missing is said; where a ratio scatters too
much for a verdict, no cause is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.figures import Setting
from engine.options import Acceptance, Mode

if TYPE_CHECKING:
    from app.figures import Comparison, Figures
    from engine.decoding.counters import Counters
    from engine.options import GenerateOptions

MUCH_WAITING = 0.25
"""Of a round's time: from here on the disk is named before the processor."""
POOR_ACCEPTANCE = 0.2


def why(figures: Figures, options: GenerateOptions, measure_key: str = "b") -> str:
    """Return the sentence for the depth and mode in use; `measure_key` begins a measurement, if one does."""
    mode, depth = Setting.of(options.mode, options.depth)
    if options.mode is Mode.AUTO:  # which drafts with the MTP layer, at a depth of its own
        if figures.auto_depth is None:
            return "Mode auto chooses by what it measures while it decodes: ask something."
        mode, depth = Setting.of(Mode.MTP, figures.auto_depth)
    if depth == 0:
        return _without_drafts(figures, options.mode)
    found = figures.comparison(mode, depth)
    if found is not None:
        return verdict(found)
    if not figures.chat.rounds:
        return "Nothing is measured yet: ask something first."
    is_partial = any(row.ratio is not None for row in figures.rows(mode, depth))
    what = f"Depth {depth} is not measured" if is_partial else "Not measured"
    how = f"press {measure_key} in the transcript" if measure_key else "type /measure"
    return f"{what} yet: {how} to decode the last reply again at each depth."


def verdict(found: Comparison) -> str:
    """Return what a comparison says; its verb follows the measured ratio alone."""
    depth, ratio = found.depth, found.ratio
    if not found.is_same_text:
        return _texts_differ(found)
    if ratio is None:
        return f"Depth {depth} has not decoded enough yet to be compared with depth 0."
    if found.is_within_spread:
        return (
            f"Depth {depth} is as fast as depth 0, as far as its runs can tell: "
            f"{ratio:.2f} ± {found.spread:.2f} times the speed."
        )
    is_even = f"{ratio:.2f}" == "1.00"
    verb = "breaks even" if is_even else "pays" if ratio > 1 else "is slower"
    return f"Depth {depth} {verb}: {_reason(found, is_even=is_even, is_faster=ratio > 1)}."


def _reason(found: Comparison, *, is_even: bool, is_faster: bool) -> str:
    length = found.lane.mean_length
    cost = _times(found.lane.seconds, found.lane.rounds, found.base.seconds, found.base.rounds)
    assert length is not None
    assert cost is not None
    if not found.lane.drafted:
        return f"nothing was drafted in {found.lane.tokens} tokens"
    yields = f"{length:.2f} tokens a round{_acceptance(found.options)}"
    if not is_even and not is_faster:
        acceptance = found.lane.acceptance or 0.0
        if acceptance < POOR_ACCEPTANCE:
            return f"{yields}, since only {acceptance:.0%} of its drafts are accepted".replace("%", " %")
        grown = _grown(found.lane, found.base, least=length)
        if grown:
            return f"{yields}, but a round {grown}"
    # Rounded, or with a last round that was cut short, the two may seem to say the opposite: then speeds do.
    seems_faster = round(length, 2) > round(cost, 2)
    if is_even or (seems_faster is is_faster and round(length, 2) != round(cost, 2)):
        return f"{yields}, {'but ' if not is_faster and not is_even else ''}a round costs {cost:.2f}"
    mine, other = found.lane.tokens_per_second, found.base.tokens_per_second
    return f"{mine:.2f} tokens/s, against {other:.2f} at depth 0"


def _grown(lane: Counters, base: Counters, least: float) -> str:
    """Return what of a round has grown by more than its tokens, if the experts have."""
    loads = _times(_read(lane), lane.rounds, _read(base), base.rounds)
    waiting = lane.wait_share or 0.0
    if loads is not None and loads > least and waiting >= MUCH_WAITING:
        return f"loads {loads:.1f} times the experts"
    uses = _times(lane.expert_uses, lane.rounds, base.expert_uses, base.rounds)
    if uses is not None and uses > least:
        return f"uses {uses:.1f} times the experts"
    return ""


def _read(counters: Counters) -> int:
    return counters.expert_loads + counters.prefetch_used


def _without_drafts(figures: Figures, mode: Mode) -> str:
    ratios = [(row.ratio, row.depth) for row in figures.rows(mode, 0) if row.ratio is not None and row.depth]
    if not ratios:
        return "Nothing is drafted at depth 0: it is what other depths are measured against."
    ratio, depth = max(ratios)
    if ratio <= 1:
        return f"Depth 0 is the fastest measured: the next, depth {depth}, has {ratio:.2f} times its speed."
    return f"Depth {depth} was faster: {ratio:.2f} times the speed of depth 0, over the same tokens."


def _texts_differ(found: Comparison) -> str:
    if _is_rejection(found.options):
        return "No ratio: under rejection sampling each depth writes its own text (/accept coupled)."
    return f"No ratio: depth {found.depth} wrote another text than depth 0, which should not happen."


def _acceptance(options: GenerateOptions | None) -> str:
    if options is None or options.temperature == 0:
        return ""
    return f" under {options.accept} acceptance"


def _is_rejection(options: GenerateOptions | None) -> bool:
    return options is not None and options.temperature > 0 and options.accept is Acceptance.REJECTION


def _times(amount: float, rounds: int, base_amount: float, base_rounds: int) -> float | None:
    """Return how many times the base's amount a round the first one is; None where the base has none."""
    if not rounds or not base_rounds or not base_amount:
        return None
    return (amount / rounds) / (base_amount / base_rounds)
