"""`draftscope plan`: how a RAM budget would be spent, and what rounds and prompts would cost: a forecast.

Only headers are read, so it takes seconds for a checkpoint of any size. Seconds are forecast where the
drive's speed is given; the multiplier's is then measured on the spot, on this machine.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.commands.terminal import harmless
from engine.offload.sizes import DEFAULT_RAM_SHARE, context_tokens, parse_ram, parse_speed, shown_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from engine.offload.forecast import Cost, Forecast, RoundForecast
    from engine.offload.plan import Plan


@dataclass(frozen=True, slots=True)
class PlanArguments:
    """What was asked for on the command line."""

    model: str
    ram: str | None
    context: int | None
    disk_speed: str | None
    json: bool


@dataclass(frozen=True, slots=True)
class _Report:
    """What is printed, as tables or as JSON."""

    model: str
    checkpoint_bytes: int
    shards: int
    notice: str | None
    available_bytes: int | None
    """Where the budget is a share of it."""
    plan: Plan
    forecast: Forecast


def plan(arguments: PlanArguments) -> int:
    """Print the plan and its forecast; return the exit code."""
    speed = None if arguments.disk_speed is None else parse_speed(arguments.disk_speed)
    report = _report(arguments, speed)
    if arguments.json:
        print(json.dumps(_to_json(report), allow_nan=False))
    else:
        _print(report)
    return 0


def _report(arguments: PlanArguments, disk_bytes_per_second: float | None) -> _Report:
    from engine.checkpoint.audit import audit
    from engine.checkpoint.checkpoint import open_checkpoint
    from engine.config import ModelConfig
    from engine.demo.place import DEMO, default_ram, resolve
    from engine.offload.memory import available_bytes

    available = available_bytes()
    ram = arguments.ram or default_ram(arguments.model) or f"{DEFAULT_RAM_SHARE:.0%}"
    budget = parse_ram(ram, available)
    folder = resolve(arguments.model)
    with open_checkpoint(folder) as checkpoint:
        from engine.offload.forecast import forecast
        from engine.offload.kernel_speed import measure_multiplier
        from engine.offload.plan import CPU, make_plan
        from engine.offload.units import inventory

        config = ModelConfig.from_json(checkpoint.config, folder / "config.json")
        context = context_tokens(arguments.context, config.max_position_embeddings)
        found = audit(checkpoint, config)
        stock = inventory(checkpoint, config, found)
        made = make_plan(stock, config, context, {CPU: budget})
        multiplier = None if disk_bytes_per_second is None else measure_multiplier(stock.dtype)
        return _Report(
            model=DEMO if arguments.model == DEMO else folder.resolve().name,
            checkpoint_bytes=checkpoint.bytes,
            shards=len(checkpoint.shards),
            notice=found.notice,
            available_bytes=available if ram.rstrip().endswith("%") else None,
            plan=made,
            forecast=forecast(made, stock, config, disk_bytes_per_second, multiplier),
        )


def _to_json(report: _Report) -> dict[str, object]:
    made, expected = report.plan, report.forecast
    multiplier = expected.multiplier
    return {
        "model": report.model,
        "checkpoint_bytes": report.checkpoint_bytes,
        "shards": report.shards,
        "notice": report.notice,
        "available_bytes": report.available_bytes,
        "plan": {
            "context": made.context,
            "budget_bytes": made.budget_bytes,
            "least_bytes": made.least_bytes,
            "planned_bytes": made.planned_bytes,
            "resident_bytes": made.resident_bytes,
            "cache_bytes": made.cache_bytes,
            "activation_bytes": made.activation_bytes,
            "buffer_bytes": made.buffer_bytes,
            "pinned_bytes": made.pinned_bytes,
            "pinned": [unit.name for unit in made.pinned],
            "streamed": [unit.name for unit in made.streamed],
            "embedding_bytes": made.embedding_bytes,
            "embedding_pinned": made.embedding_pinned,
            "slots": made.slots,
            "slot_bytes": made.slot_bytes,
            "expert_count": made.expert_count,
            "holds_everything": made.holds_everything,
        },
        "forecast": {
            "disk_bytes_per_second": expected.disk_bytes_per_second,
            "weights_per_second": None if multiplier is None else round(multiplier.weights_per_second),
            "rounds": [
                {"depth": one.depth, **_cost_to_json(one.cost), "breakeven_tokens": one.breakeven_tokens}
                for one in expected.rounds
            ],
            "prompts": [{"tokens": one.tokens, **_cost_to_json(one.cost)} for one in expected.prompts],
        },
    }


def _cost_to_json(cost: Cost) -> dict[str, object]:
    return {
        "bytes_read": round(cost.work.bytes_read),
        "expert_loads": cost.work.expert_loads,
        "reading_seconds": cost.reading_seconds,
        "computing_seconds": cost.computing_seconds,
        "seconds": cost.seconds,
        "bound": cost.bound,
    }


def _print(report: _Report) -> None:
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    made = report.plan
    shards = "1 file" if report.shards == 1 else f"{report.shards} shards"
    console.print(f"{harmless(report.model)}: {shown_bytes(report.checkpoint_bytes)} in {shards}")
    if report.notice is not None:
        console.print(harmless(report.notice))
    share = ""
    if report.available_bytes is not None:
        percent = made.budget_bytes / report.available_bytes
        share = f", {percent:.0%} of the {shown_bytes(report.available_bytes)} available"
    console.print(
        f"RAM budget {shown_bytes(made.budget_bytes)}{share}; context {made.context:,} tokens, which takes "
        f"at least {shown_bytes(made.least_bytes, up=True)}"
    )
    console.print()
    _table(console, ("in RAM", ""), _spent(made))
    console.print()
    console.print(_streaming(made))
    console.print()
    _print_forecast(console, report.forecast)


def _spent(made: Plan) -> list[tuple[str, ...]]:
    units = len(made.pinned) + len(made.streamed)
    lines = [
        ("norms, routers, scales", made.resident_bytes),
        ("caches", made.cache_bytes),
        ("activations", made.activation_bytes),
        ("buffers of what is streamed", made.buffer_bytes),
        (f"pinned: {len(made.pinned)} of {units} units", made.pinned_bytes),
    ]
    if made.embedding_bytes:
        lines.append(("embedding", made.embedding_bytes))
    if made.expert_count:
        slots = f"expert slots: {made.slots:,} of {made.expert_count:,} experts"
        lines.append((slots, made.slots * made.slot_bytes))
    lines.append(("together", made.planned_bytes))
    return [(name, shown_bytes(size)) for name, size in lines]


def _streaming(made: Plan) -> str:
    if made.holds_everything:
        return "Everything fits: nothing is read from disk after loading."
    parts = []
    main = [unit for unit in made.streamed if not unit.mtp]
    if main:
        parts.append(f"{shown_bytes(sum(unit.tensor_bytes for unit in main))} at every token")
    mtp = [unit for unit in made.streamed if unit.mtp]
    if mtp:
        parts.append(f"{shown_bytes(sum(unit.tensor_bytes for unit in mtp))} at every draft")
    if made.slots < made.expert_count:
        parts.append("experts that have no slot")
    if not made.embedding_pinned:
        parts.append("the embedding's rows, one a token")
    return f"Read from disk: {'; '.join(parts)}."


def _print_forecast(console: Console, expected: Forecast) -> None:
    timed = expected.disk_bytes_per_second is not None
    times = ("reading", "products", "in all", "bound by") if timed else ()
    console.print("Forecast, for a round of drafts and their verification")
    _table(
        console,
        ("depth", "read", "loads", *times, *(("pays above",) if timed else ())),
        [
            (str(one.depth), *_cost(one.cost, timed), *((_breakeven(one),) if timed else ()))
            for one in expected.rounds
        ],
    )
    console.print()
    if expected.prompts:
        console.print("Forecast, for the time to a reply's first token")
        _table(
            console,
            ("prompt", "read", "loads", *times),
            [(f"{one.tokens:,} tokens", *_cost(one.cost, timed)) for one in expected.prompts],
        )
        console.print()
    console.print(_assumptions(expected))


def _cost(cost: Cost, timed: bool) -> tuple[str, ...]:
    work = (shown_bytes(cost.work.bytes_read), f"{cost.work.expert_loads:,.0f}")
    if not timed:
        return work
    times = (cost.reading_seconds, cost.computing_seconds, cost.seconds)
    return (*work, *map(_time, times), (cost.bound or "").removeprefix("the "))


def _breakeven(one: RoundForecast) -> str:
    return f"{one.breakeven_tokens:.2f}" if one.depth and one.breakeven_tokens is not None else ""


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{seconds * 1e3:,.1f} ms"
    return f"{seconds:,.1f} s" if seconds < 100 else f"{seconds:,.0f} s"


def _assumptions(expected: Forecast) -> str:
    text = (
        "These are forecasts, not measurements: experts are taken to be used evenly, reads and products to "
        "overlap wholly. Loads are experts read from disk."
    )
    if expected.disk_bytes_per_second is None or expected.multiplier is None:
        return (
            f"{text} Seconds need the drive's speed: give --disk-speed, as `draftscope doctor MODEL` "
            f"measures it."
        )
    return (
        f"{text} The drive: {shown_bytes(expected.disk_bytes_per_second)}/s, as given. The multiplier: "
        f"{expected.multiplier.weights_per_second / 1e9:.1f} billion weights/s for one token, measured on "
        f"this machine just now. A round at depth n yields 1 to n + 1 tokens, and pays where it yields more, "
        f"on average, than the last column says."
    )


def _table(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: text to the left, figures to the right."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for place, name in enumerate(columns):
        is_text = name in ("in RAM", "bound by") or not place
        table.add_column(name, justify="left" if is_text else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)
