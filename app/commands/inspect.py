"""`draftscope inspect`: a checkpoint taken apart from its headers alone, as a tree or as one JSON object.

The object's keys, where every total is {"tensors", "elements", "bytes", "unread"} and a part is {"kind",
"weights", "scales", "groups", "scale_groups"}, with groups of {"role", "dtype", "shape", "tensors", "bytes"}:

    model, basis ("headers" or "index"), model_type, layers, shards {count, missing, damaged}
    tensors, bytes, weights, scales, total_size       of the whole: with scales; apart; as the index claims
    main      {weights, scales, parts}
    mtp       [{layer, weights, scales, parts, own: [{name, purpose, is_saved, dtype, shape, bytes}], draft}]
    unknown   a part
    loader    {placed, silenced, warned, patterns, hidden_mtp_layers, warned_mtp_layers}
    token     {parameters, bytes, parts: [{kind, parameters, bytes}], unknown_because}; a draft likewise
    comparisons  null without --hash, else [{name, other, likeness, bytes, digest}]
    faults, notes  sentences

Exit codes: 0 · 3 where there are faults, after all the rest was printed.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from app.commands.terminal import StatusLine
from engine.errors import CheckpointError

if TYPE_CHECKING:
    from engine.checkpoint.anatomy import Anatomy, MtpLayer
    from engine.checkpoint.part import Group, Part, Section
    from engine.checkpoint.touched import Touched


@dataclass(frozen=True, slots=True)
class InspectArguments:
    """What was asked for on the command line."""

    model: str
    by_value: bool
    json: bool


def inspect(arguments: InspectArguments) -> int:
    """Print what a checkpoint is made of; return the exit code."""
    from engine.checkpoint.anatomy import dissect
    from engine.demo.place import DEMO, resolve

    folder = resolve(arguments.model)
    status = StatusLine(sys.stderr)

    def show(done: int, total: int, name: str) -> None:
        status.show(f"comparing {done / max(total, 1):.0%} of {total / 1e9:,.1f} GB  {name}")

    try:
        anatomy = dissect(folder, by_value=arguments.by_value, progress=show)
    finally:
        status.clear()
    model = DEMO if arguments.model == DEMO else folder.resolve().name
    if arguments.json:
        print(json.dumps(_to_json(model, anatomy), allow_nan=False))
    else:
        from app.commands.inspect_tree import tree_lines

        print("\n".join(tree_lines(model, anatomy)))
    return CheckpointError.exit_code if anatomy.faults else 0


def _to_json(model: str, anatomy: Anatomy) -> dict[str, object]:
    from engine.checkpoint.leftover import HIDING_PATTERNS

    weights, scales = anatomy.weights_total, anatomy.scales_total
    return {
        "model": model,
        "basis": anatomy.basis.value,
        "model_type": anatomy.outline.model_type,
        "layers": anatomy.outline.layers,
        "shards": {
            "count": anatomy.shards,
            "missing": anatomy.missing_shards,
            "damaged": anatomy.damaged_shards,
        },
        "tensors": weights.tensors + scales.tensors,
        "bytes": weights.bytes + scales.bytes,
        "weights": asdict(weights),
        "scales": asdict(scales),
        "total_size": anatomy.total_size,
        "main": _section(anatomy.main),
        "mtp": [_mtp_layer(layer) for layer in anatomy.mtp],
        "unknown": _part(anatomy.unknown),
        "loader": {**asdict(anatomy.leftover), "patterns": HIDING_PATTERNS},
        "token": _touched(anatomy.token),
        "comparisons": None
        if anatomy.comparisons is None
        else [{**asdict(one), "likeness": one.likeness.value} for one in anatomy.comparisons],
        "faults": anatomy.faults,
        "notes": anatomy.notes,
    }


def _section(section: Section) -> dict[str, object]:
    return {
        "weights": asdict(section.weights_total),
        "scales": asdict(section.scales_total),
        "parts": [_part(part) for part in section.parts],
    }


def _mtp_layer(layer: MtpLayer) -> dict[str, object]:
    own = [
        {**asdict(tensor), "dtype": None if tensor.dtype is None else tensor.dtype.value}
        for tensor in layer.tensors
    ]
    draft = _touched(layer.draft)
    return {"layer": layer.layer, **_section(layer.section), "own": own, "draft": draft}


def _part(part: Part) -> dict[str, object]:
    return {
        "kind": part.kind.value,
        "weights": asdict(part.weights_total),
        "scales": asdict(part.scales_total),
        "groups": [_group(group) for group in part.groups],
        "scale_groups": [_group(group) for group in part.scales],
    }


def _group(group: Group) -> dict[str, object]:
    return {
        "role": group.role,
        "dtype": None if group.dtype is None else group.dtype.value,
        "shape": group.shape,
        "tensors": group.tensors,
        "bytes": None if group.dtype is None else group.total.bytes,
    }


def _touched(touched: Touched) -> dict[str, object]:
    is_known = touched.unknown_because is None
    return {
        "parameters": touched.parameters if is_known else None,
        "bytes": touched.bytes if is_known else None,
        "parts": [
            {"kind": part.kind.value, "parameters": part.parameters, "bytes": part.bytes}
            for part in touched.parts
        ],
        "unknown_because": touched.unknown_because,
    }
