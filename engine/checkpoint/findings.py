"""What is wrong with a checkpoint, and what is worth knowing of it and no fault."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from engine.checkpoint.audit import audit
from engine.checkpoint.checkpoint import CONFIG, INDEX, Checkpoint
from engine.checkpoint.manifest import Basis
from engine.config import ModelConfig
from engine.errors import CheckpointError, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.checkpoint.manifest import Manifest
    from engine.checkpoint.outline import Outline
    from engine.checkpoint.part import Section
    from engine.checkpoint.source import ByteSource
    from engine.checkpoint.tensor import TensorRecord


@dataclass(frozen=True, slots=True)
class Findings:
    """Sentences for the user."""

    faults: tuple[str, ...]
    notes: tuple[str, ...]


def find(
    manifest: Manifest,
    outline: Outline,
    records: Mapping[str, TensorRecord],
    source: ByteSource,
    sections: Sequence[Section],
) -> Findings:
    """Say what is wrong, and what is notable; `records` may be assumed ones where there are no others.

    Where all could be read the engine's own audit is asked, so that what it would refuse is found here.
    """
    faults, notes = list(manifest.faults), _notes(manifest, outline, records)
    if not faults:
        try:
            config = ModelConfig.from_json(manifest.config, manifest.path / CONFIG)
        except CheckpointError as error:
            return Findings((f"draftscope cannot run it: {error}",), tuple(notes))
        # Of an index alone the types may be unknown; what has no record would then be called missing.
        if not any(one.weights_total.unread + one.scales_total.unread for one in sections):
            checkpoint = Checkpoint(
                path=manifest.path,
                records=MappingProxyType(dict(records)),
                config=MappingProxyType(dict(manifest.config)),
                source=source,
                shards=manifest.shards,
                bytes=sum(record.bytes for record in records.values()),
                unindexed=manifest.unindexed,
            )
            try:
                notice = audit(checkpoint, config).notice
            except CheckpointError as error:
                faults.append(str(error))
            else:
                notes += [] if notice is None else [notice]
    return Findings(tuple(faults), tuple(notes))


def _notes(manifest: Manifest, outline: Outline, records: Mapping[str, TensorRecord]) -> list[str]:
    notes = []
    size = sum(record.bytes for record in records.values())
    if manifest.basis is Basis.INDEX:
        notes.append(
            "Not one shard is here: the names are the index's, shapes and types follow from config.json, and "
            "nothing was read of the tensors themselves."
        )
        if manifest.total_size is not None and size and len(records) == len(manifest.unread):
            verdict = "agrees" if size == manifest.total_size else f"says {manifest.total_size:,}"
            notes.append(f"By config.json the tensors have {size:,} bytes; the index's total_size {verdict}.")
    elif manifest.total_size not in (None, size) and not manifest.faults:
        notes.append(
            f"{INDEX} says that the tensors have {manifest.total_size:,} bytes; their headers say {size:,}."
        )
    if manifest.unindexed:
        first = next(iter(manifest.unindexed))
        notes.append(
            f"The shards hold {len(manifest.unindexed):,} tensors that {INDEX} does not name, the first is "
            f"{shown(first)}: they are no part of the checkpoint."
        )
    declared, found = outline.declared_mtp_layers, outline.mtp_layers
    if outline.layers is not None and declared is not None and len(found) > declared:
        notes.append(
            f"config.json declares {declared} MTP layers, but the names of {len(found)} are there "
            f"({', '.join(map(str, sorted(found)[:8]))})."
        )
    return notes
