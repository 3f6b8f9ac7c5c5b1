"""A checkpoint taken apart without its weights: parts, MTP layers, what loaders leave over, what is wrong.

    read_manifest -> Outline -> place, for every name -> Tally -> Anatomy

Made for any checkpoint under DeepSeek-V3's names, whole or not, with no MTP layer or with several; names that
are not understood are kept under `unknown`. All of it is plain frozen data, for a terminal, JSON or a screen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.checkpoint.assumed import assumed_records
from engine.checkpoint.copies import Comparison, compare_copies
from engine.checkpoint.findings import find
from engine.checkpoint.folder import check_folder
from engine.checkpoint.manifest import Basis, Manifest, read_manifest
from engine.checkpoint.outline import Outline
from engine.checkpoint.place import MTP_PURPOSES, PartKind, place
from engine.checkpoint.source import ByteSource, FileSource
from engine.checkpoint.tally import Tally
from engine.checkpoint.touched import Touched, touched
from engine.errors import CheckpointError
from engine.text.faults import text_faults

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.checkpoint.copies import Progress
    from engine.checkpoint.leftover import Leftover
    from engine.checkpoint.part import Part, Section, Total
    from engine.checkpoint.tensor import Dtype, TensorRecord


@dataclass(frozen=True, slots=True)
class MtpTensor:
    """One of the tensors that an MTP layer has beyond an ordinary layer."""

    name: str
    purpose: str
    is_saved: bool
    dtype: Dtype | None
    shape: tuple[int, ...] | None
    bytes: int | None


@dataclass(frozen=True, slots=True)
class MtpLayer:
    """One MTP layer."""

    section: Section
    tensors: tuple[MtpTensor, ...]
    """In the order of their use."""
    draft: Touched

    @property
    def layer(self) -> int:
        """Its number among `model.layers`."""
        return self.section.layer or 0


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A checkpoint, taken apart."""

    path: Path
    basis: Basis
    outline: Outline
    shards: int
    missing_shards: int
    damaged_shards: int
    main: Section
    mtp: tuple[MtpLayer, ...]
    unknown: Part
    leftover: Leftover
    token: Touched
    comparisons: tuple[Comparison, ...] | None
    """None where they were not asked for."""
    total_size: int | None
    """What the index claims."""
    faults: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def weights_total(self) -> Total:
        """All tensors but the scales."""
        return sum((one.section.weights_total for one in self.mtp), self.main.weights_total) + (
            self.unknown.weights_total
        )

    @property
    def scales_total(self) -> Total:
        """All scales of FP8's blocks."""
        return sum((one.section.scales_total for one in self.mtp), self.main.scales_total) + (
            self.unknown.scales_total
        )


def dissect(
    path: Path,
    *,
    by_value: bool = False,
    progress: Progress = lambda done, total, name: None,
    source: ByteSource | None = None,
) -> Anatomy:
    """Take a checkpoint's folder apart; `by_value` reads what may be copies, and tells `progress` of it.

    Raises CheckpointError only where there is nothing to show; all other faults are in the result.
    """
    is_local = source is None
    if source is None:
        check_folder(path)
        source = FileSource()
    try:
        return _dissect(read_manifest(path, source), source, is_local, by_value, progress)
    finally:
        source.close()


def _dissect(
    manifest: Manifest, source: ByteSource, is_local: bool, by_value: bool, progress: Progress
) -> Anatomy:
    names = dict.fromkeys((*manifest.records, *manifest.unread))
    outline = Outline.read(manifest.config, names)
    is_index_alone = manifest.basis is Basis.INDEX
    records = assumed_records(manifest, outline) if is_index_alone else manifest.records
    tally = Tally(outline)
    for name in names:
        tally.add(name, place(name, outline, names), records.get(name))
    main = tally.section(None)
    sections = {layer: tally.section(layer) for layer in sorted(outline.mtp_layers)}
    per_token = outline.num_experts_per_tok
    findings = find(manifest, outline, records, source, (main, *sections.values()))
    faults, notes = list(findings.faults), list(findings.notes)
    if is_local and manifest.config:  # which they need, and whose own faults are known
        faults += text_faults(manifest.path)
    comparisons = None
    if by_value and is_index_alone:
        notes.append("Nothing was compared by value: that needs the shards.")
    elif by_value:
        try:
            whole = {name: record for name, record in records.items() if name not in manifest.cut}
            comparisons = compare_copies(source, whole, outline.mtp_layers, progress)
        except CheckpointError as error:
            faults.append(str(error))
    return Anatomy(
        path=manifest.path,
        basis=manifest.basis,
        outline=outline,
        shards=len(manifest.shards),
        missing_shards=len(manifest.missing),
        damaged_shards=len(manifest.damaged),
        main=main,
        mtp=tuple(
            MtpLayer(
                section,
                tuple(_mtp_tensor(layer, role, names, records) for role in MTP_PURPOSES),
                touched(section, main, tally.experts([layer]), per_token),
            )
            for layer, section in sections.items()
            if section.parts
        ),
        unknown=tally.part(None, PartKind.UNKNOWN),
        leftover=tally.leftover.result(),
        token=touched(main, main, tally.experts(tally.routed.keys() - sections.keys()), per_token),
        comparisons=comparisons,
        total_size=manifest.total_size,
        faults=tuple(faults),
        notes=tuple(notes),
    )


def _mtp_tensor(
    layer: int, role: str, names: Mapping[str, None], records: Mapping[str, TensorRecord]
) -> MtpTensor:
    name = f"model.layers.{layer}.{role}"
    record = records.get(name)
    purpose = MTP_PURPOSES[role]
    if record is None:
        return MtpTensor(name, purpose, name in names, None, None, None)
    return MtpTensor(name, purpose, True, record.dtype, record.shape, record.bytes)
