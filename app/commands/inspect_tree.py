"""A checkpoint's anatomy as lines of plain text, at most 80 columns wide but for long names."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from app.commands.terminal import harmless
from engine.checkpoint.copies import Likeness
from engine.checkpoint.leftover import HIDING_PATTERNS
from engine.checkpoint.manifest import Basis
from engine.checkpoint.part import Total
from engine.checkpoint.place import PartKind
from engine.errors import shown
from engine.offload.sizes import shown_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.checkpoint.anatomy import Anatomy, MtpLayer, MtpTensor
    from engine.checkpoint.copies import Comparison
    from engine.checkpoint.part import Group, Part, Section
    from engine.checkpoint.tensor import Dtype
    from engine.checkpoint.touched import Touched

_WIDTH = 80
_LABEL_WIDTH = 28
_LEFT_WIDTH = 59
_UNKNOWN_ROWS = 20
_PREFIXES = ("self_attn.", "mlp.gate.", "mlp.", "model.")
_ROWS = {PartKind.EMBEDDING: ", one row", PartKind.MTP: ", of its embedding a row"}
_LIKENESSES = {
    Likeness.SAME: "a copy of {other}, byte for byte",
    Likeness.DIFFERENT: "no copy of {other}",
    Likeness.UNLIKE: "no copy of {other}, which has another shape or type",
}


def tree_lines(model: str, anatomy: Anatomy) -> Iterator[str]:
    """Yield the lines, of which none can command a terminal or look like two."""
    return (harmless(line).replace("\n", "␊") for line in _lines(model, anatomy))


def _lines(model: str, anatomy: Anatomy) -> Iterator[str]:
    yield from _head(model, anatomy)
    yield _row("", "       tensors", "parameters", "bytes")
    yield from _section("main model", anatomy.main)
    for part in anatomy.main.parts:
        yield from _part(part)
    for layer in anatomy.mtp:
        yield from _mtp_layer(layer, anatomy.comparisons or ())
    if not anatomy.mtp:
        yield "no MTP layer"
    if anatomy.unknown.groups or anatomy.unknown.scales:
        yield from _unknown(anatomy.unknown)
    for one in anatomy.comparisons or ():
        if not any(one.name == tensor.name for layer in anatomy.mtp for tensor in layer.tensors):
            yield f"{one.name} is {_LIKENESSES[one.likeness].format(other=one.other)}"
    yield ""
    yield from _wrapped(_loader(anatomy))
    yield ""
    yield from _touched("One decoded token touches, at batch 1", anatomy.token)
    for layer in anatomy.mtp:
        yield from _touched(f"One draft of MTP layer {layer.layer} touches in addition", layer.draft)
    yield from _sentences("Notes", anatomy.notes)
    yield from _sentences("What is wrong", anatomy.faults)


def _head(model: str, anatomy: Anatomy) -> Iterator[str]:
    whole = anatomy.weights_total + anatomy.scales_total
    shards = "1 file" if anatomy.shards == 1 else f"{anatomy.shards:,} shards"
    size = f"{shown_bytes(whole.bytes)} ({whole.bytes:,} bytes)"
    if anatomy.basis is Basis.INDEX:
        yield f"{model}: {whole.tensors:,} tensors, named for {shards} not here"
        yield "FROM THE INDEX ALONE: sizes are not read, but what config.json implies."
        if whole.unread < whole.tensors:
            yield f"By config.json {size}"
        if anatomy.total_size is not None:
            yield f"By the index   {shown_bytes(anatomy.total_size)} ({anatomy.total_size:,} bytes)"
    else:
        yield f"{model}: {whole.tensors:,} tensors in {shards}, {size}"
        if anatomy.missing_shards or anatomy.damaged_shards:
            yield f"Shards: {anatomy.missing_shards:,} missing, {anatomy.damaged_shards:,} damaged."
    if whole.unread:
        yield f"{whole.unread:,} of the tensors are not read: they count as tensors, and in nothing else."


def _section(name: str, section: Section) -> Iterator[str]:
    weights, scales = section.weights_total, section.scales_total
    yield _row(name, f"{weights.tensors:>6,}", *_sizes(weights))
    if scales.tensors:
        yield _row("  and their scales", f"{scales.tensors:>6,}", *_sizes(scales))


def _part(part: Part) -> Iterator[str]:
    yield _part_head(part)
    for group in part.groups:
        yield _row(f"    {_short(group.role)}", _what(group), *_sizes(group.total))
    yield from _scales(part)


def _part_head(part: Part) -> str:
    total = part.weights_total
    return _row(f"  {part.kind.value}", f"{total.tensors:>6,}", *_sizes(total))


def _scales(part: Part) -> Iterator[str]:
    if part.scales:
        total = part.scales_total
        alike = {(group.dtype, group.shape) for group in part.scales}
        what = f"{total.tensors:>6,} of {len(alike)} shapes"
        if len(alike) == 1:
            what = _stored(total.tensors, *alike.pop())
        yield _row("    weight_scale_inv", what, *_sizes(total))


def _mtp_layer(layer: MtpLayer, comparisons: Sequence[Comparison]) -> Iterator[str]:
    yield from _section(f"MTP layer {layer.layer}", layer.section)
    for part in layer.section.parts:
        if part.kind is PartKind.MTP:
            yield _part_head(part)
            yield from _scales(part)
        else:
            yield from _part(part)
    for tensor in layer.tensors:
        yield from _mtp_tensor(tensor, layer.layer, comparisons)


def _mtp_tensor(tensor: MtpTensor, layer: int, comparisons: Sequence[Comparison]) -> Iterator[str]:
    label = f"    {tensor.name.removeprefix(f'model.layers.{layer}.').removesuffix('.weight')}"
    if not tensor.is_saved:
        yield _row(label, "not saved", "", "")
    elif tensor.dtype is None or tensor.shape is None or tensor.bytes is None:
        yield _row(label, _stored(1, None, None), "", "")
    else:
        size = Total(1, tensor.bytes // tensor.dtype.bytes, tensor.bytes)
        yield _row(label, _stored(1, tensor.dtype, tensor.shape), *_sizes(size))
    yield from _wrapped(tensor.purpose, "      ")
    for one in comparisons:
        if one.name == tensor.name:
            yield f"      = {_LIKENESSES[one.likeness].format(other=one.other)}"


def _unknown(part: Part) -> Iterator[str]:
    yield _row("unknown", f"{part.weights_total.tensors:>6,}", *_sizes(part.weights_total))
    groups = (*part.groups, *part.scales)
    for group in groups[:_UNKNOWN_ROWS]:
        yield f"  {_what(group)}  {shown(group.role)[1:-1]}"
    if len(groups) > _UNKNOWN_ROWS:
        yield f"  and {len(groups) - _UNKNOWN_ROWS:,} more kinds of names; --json has all"


def _loader(anatomy: Anatomy) -> str:
    found = anatomy.leftover
    silent, loud = found.silenced.tensors, found.warned.tensors
    text = f"transformers' DeepseekV3ForCausalLM places {found.placed.tensors:,} of these tensors"
    if not silent and not loud:
        return f"{text}, and leaves none over."
    text += f" and leaves {silent + loud:,} over: {silent:,} silently, {loud:,} with a warning."
    hides = f"It hides names that match {HIDING_PATTERNS[0]}"
    for layer in found.hidden_mtp_layers:
        text += f" {hides}, and so MTP layer {layer} vanishes without a word."
    for layer in found.warned_mtp_layers:
        text += f" {hides}, but those of MTP layer {layer} do not, and are warned of."
    return text


def _touched(title: str, touched: Touched) -> Iterator[str]:
    if touched.unknown_because is not None:
        yield from _wrapped(f"{title}: not known ({touched.unknown_because})", "  ", first="")
        return
    yield _row(title, "", "", "")
    for part in touched.parts:
        label = f"  {part.kind.value}{_ROWS.get(part.kind, '')}"
        yield _row(label, "", _amount(part.parameters), shown_bytes(part.bytes))
    yield _row("  together", "", _amount(touched.parameters), shown_bytes(touched.bytes))


def _sentences(title: str, sentences: Sequence[str]) -> Iterator[str]:
    if sentences:
        yield ""
        yield title
    for sentence in sentences:
        yield from _wrapped(sentence, "  ", first="- ")


def _wrapped(text: str, indent: str = "", first: str | None = None) -> list[str]:
    return textwrap.wrap(
        harmless(text),
        _WIDTH,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _row(label: str, what: str, parameters: str, size: str) -> str:
    left = f"{label:<{_LABEL_WIDTH}} {what}"
    return f"{left:<{_LEFT_WIDTH}}{parameters:>10} {size:>10}".rstrip()


def _what(group: Group) -> str:
    return _stored(group.tensors, group.dtype, group.shape)


def _stored(tensors: int, dtype: Dtype | None, shape: tuple[int, ...] | None) -> str:
    if dtype is None or shape is None:
        return f"{tensors:>6,} not read"
    return f"{tensors:>6,} x {shown(shape)} {dtype.value}"


def _sizes(total: Total) -> tuple[str, str]:
    if total.tensors and total.unread == total.tensors:
        return "", ""
    return _amount(total.elements), shown_bytes(total.bytes)


def _amount(count: int) -> str:
    """Return a number of parameters in millions or billions, rounded down as bytes are."""
    for unit, size in (("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if count >= size:
            hundredths = count * 100 // size
            return f"{hundredths // 100:,}.{hundredths % 100:02}{unit}"
    return f"{count}"


def _short(role: str) -> str:
    role = role.removesuffix(".weight")
    for prefix in _PREFIXES:
        role = role.removeprefix(prefix)
    return role
