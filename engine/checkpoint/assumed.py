"""The tensors that an index names, as they must be by config.json, where not one shard is there to say.

Assumed are: shapes that the config implies; FP8 where the index names a scale; float32 for scales and for the
router's bias, as published; else the config's own torch_dtype. The index's total_size is the check on it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.checkpoint.audit import BLOCK, expected
from engine.checkpoint.checkpoint import CONFIG, SCALE_SUFFIX
from engine.checkpoint.tensor import Dtype, TensorRecord
from engine.config import ModelConfig
from engine.errors import CheckpointError

if TYPE_CHECKING:
    from engine.checkpoint.manifest import Manifest
    from engine.checkpoint.outline import Outline

_DTYPES = {"bfloat16": Dtype.BF16, "float16": Dtype.F16, "float32": Dtype.F32}
_BIAS = ".e_score_correction_bias"


def assumed_records(manifest: Manifest, outline: Outline) -> dict[str, TensorRecord]:
    """Records of all tensors of which shape and type follow from the config; positions are all 0."""
    shapes = _shapes(manifest, outline)
    named = manifest.config.get("torch_dtype", manifest.config.get("dtype"))
    plain = _DTYPES.get(named) if isinstance(named, str) else None
    records = {}
    for name, shard in manifest.unread.items():
        weight = name.removesuffix(SCALE_SUFFIX)
        shape = shapes.get(weight)
        if shape is None:
            continue
        dtype: Dtype | None
        if weight != name:
            shape, dtype = tuple(-(-side // BLOCK) for side in shape), Dtype.F32
        elif name + SCALE_SUFFIX in manifest.unread:
            dtype = Dtype.F8_E4M3
        else:
            dtype = Dtype.F32 if name.endswith(_BIAS) else plain
        if dtype is not None:
            records[name] = TensorRecord(name, shard, dtype, shape, 0, math.prod(shape) * dtype.bytes)
    return records


def _shapes(manifest: Manifest, outline: Outline) -> dict[str, tuple[int, ...]]:
    """Shapes by name; none where the config is of a model that is not known."""
    first = outline.layers
    is_chain = len(outline.mtp_layers) > 1
    # Only chains of MTP modules are refused for their number: each is like the first.
    raw = {**manifest.config, "num_nextn_predict_layers": 1} if is_chain else manifest.config
    if is_chain:
        raw = {key: value for key, value in raw.items() if key != "num_mtp_layers"}
    try:
        config = ModelConfig.from_json(raw, manifest.path / CONFIG)
    except CheckpointError:
        return {}
    shapes = {tensor.name: tensor.shape for tensor in expected(config)}
    if first is not None:
        prefix = f"model.layers.{first}."
        of_first = {name.removeprefix(prefix): shapes[name] for name in shapes if name.startswith(prefix)}
        for layer in outline.mtp_layers - {first}:
            shapes |= {f"model.layers.{layer}.{role}": shape for role, shape in of_first.items()}
    return shapes
