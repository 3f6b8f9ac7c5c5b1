"""Hollow checkpoints: DeepSeek-V3's every tensor by name, shape and type, with next to nothing on the disk.

`python -m tests.hollow FOLDER [--small] [--rows N]` writes shards as sparse files: 688.6 GB of them take less
than one. Real bytes are a few thousand rows of embedding and head (the MTP layer's copies are the same), all
routers, norms and scales, and eh_proj; attention and experts are holes, and FP8's zero byte is 0.0.

So every layer adds nothing, the residual stream is the token's embedding, and all the work is done in full:
which experts are used varies with the token and the layer, near uniformly, as little as a cache can like it.
Two things are unlike a real model, and whoever shows figures has to say so:

- No draft is ever accepted. A channel's half tells why a row is liked: embeddings have a mean in the first
  half, which the heads of even tokens look for; eh_proj moves it to the second, which odd ones do. Rows that
  are real are `LIKING` above the others' 0, so sampling at temperature 1 leaves them once in some 100,000
  tokens, and neither the text nor a draft settles on a cycle. The end of text, 1, is odd and never comes.
- A layer's router sees what the one before it saw: predicting its choice from there is always right.
"""

from __future__ import annotations

import argparse
import json
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from engine.checkpoint.audit import BLOCK, EMBED, HEAD, Kind, expected
from engine.checkpoint.checkpoint import INDEX, SCALE_SUFFIX
from engine.checkpoint.tensor import Dtype
from engine.config import ModelConfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Floats = np.ndarray[Any, np.dtype[np.float32]]
    Written = np.ndarray[Any, np.dtype[np.float32]] | np.ndarray[Any, np.dtype[np.uint16]]

SCALE = 1e-4
MEAN = 1.0
"""Of half of an embedding's channels, beside noise of 1."""
LIKING = 16.0
"""Logit of the tokens that a state likes, beside noise of about 0.8."""
BIAS_STD = 0.02
_SEEN_MEAN = MEAN / (1 + MEAN**2 / 2) ** 0.5  # after a norm
MARKER = "hollow.json"
_PIECE_ELEMENTS = 4 << 20
# Tensors of the MTP layer that are no part of an ordinary layer come last, as published.
_MTP_ONLY = {"embed_tokens", "enorm", "hnorm", "eh_proj", "shared_head"}

_V3: dict[str, object] = {
    "architectures": ["DeepseekV3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
    "aux_loss_alpha": 0.001, "bos_token_id": 0, "eos_token_id": 1, "ep_size": 1, "first_k_dense_replace": 3,
    "hidden_act": "silu", "hidden_size": 7168, "initializer_range": 0.02, "intermediate_size": 18432,
    "kv_lora_rank": 512, "max_position_embeddings": 163840, "model_type": "deepseek_v3",
    "moe_intermediate_size": 2048, "moe_layer_freq": 1, "n_group": 8, "n_routed_experts": 256,
    "n_shared_experts": 1, "norm_topk_prob": True, "num_attention_heads": 128, "num_experts_per_tok": 8,
    "num_hidden_layers": 61, "num_key_value_heads": 128, "num_nextn_predict_layers": 1, "pretraining_tp": 1,
    "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
    "quantization_config": {
        "activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128],
    },
    "rms_norm_eps": 1e-06,
    "rope_scaling": {
        "beta_fast": 32, "beta_slow": 1, "factor": 40, "mscale": 1.0, "mscale_all_dim": 1.0,
        "original_max_position_embeddings": 4096, "type": "yarn",
    },
    "rope_theta": 10000, "routed_scaling_factor": 2.5, "scoring_func": "sigmoid", "seq_aux": True,
    "tie_word_embeddings": False, "topk_group": 4, "topk_method": "noaux_tc", "torch_dtype": "bfloat16",
    "use_cache": True, "v_head_dim": 128, "vocab_size": 129280,
}  # fmt: skip
_SMALL: dict[str, object] = {
    **_V3, "first_k_dense_replace": 1, "hidden_size": 256, "intermediate_size": 512, "kv_lora_rank": 128,
    "moe_intermediate_size": 256, "n_group": 4, "n_routed_experts": 16, "num_attention_heads": 4,
    "num_experts_per_tok": 4, "num_hidden_layers": 4, "num_key_value_heads": 4, "q_lora_rank": 192,
    "qk_nope_head_dim": 32, "qk_rope_head_dim": 16, "topk_group": 2, "v_head_dim": 32, "vocab_size": 512,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class HollowShape:
    """What a hollow checkpoint is of."""

    config: Mapping[str, object]
    """The contents of config.json."""
    shards: int
    rows: int
    """Rows of embedding and head that are real, unless asked otherwise."""

    V3: ClassVar[HollowShape]
    SMALL: ClassVar[HollowShape]


HollowShape.V3 = HollowShape(_V3, shards=163, rows=4000)
HollowShape.SMALL = HollowShape(_SMALL, shards=3, rows=256)


@dataclass(frozen=True, slots=True)
class HollowTensor:
    """One tensor, before there is a file."""

    name: str
    dtype: Dtype
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """What it takes in a shard."""
        size = self.dtype.bytes
        for dimension in self.shape:
            size *= dimension
        return size


def plan(shape: HollowShape) -> list[list[HollowTensor]]:
    """The shards, each with its tensors in the order of their bytes; nothing is written.

    Tensors go to shards of about equal size in the model's order, so that a cut may part an expert, or a
    weight from its scale; within a shard they lie as the official writer puts them, wide types first and
    then by name, so that the three matrices of an expert touch.
    """
    tensors = sorted(_tensors(shape), key=lambda each: not _MTP_ONLY.isdisjoint(each.name.split(".")[3:]))
    total = sum(tensor.bytes for tensor in tensors)
    shards: list[list[HollowTensor]] = [[] for _ in range(shape.shards)]
    begin = 0
    for tensor in tensors:
        shards[begin * shape.shards // total].append(tensor)
        begin += tensor.bytes
    return [sorted(shard, key=lambda each: (-each.dtype.bytes, each.name)) for shard in shards]


def write(folder: Path, shape: HollowShape, rows: int | None = None, seed: int = 0) -> Path:
    """Write the checkpoint into the folder, over what is there; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = rows or shape.rows
    places: dict[str, str] = {}
    shards = plan(shape)
    for number, tensors in enumerate(shards, start=1):
        name = f"model-{number:05d}-of-{len(shards):06d}.safetensors"
        _write_shard(folder / name, tensors, rows, seed)
        places |= dict.fromkeys((tensor.name for tensor in tensors), name)
    size = sum(tensor.bytes for tensors in shards for tensor in tensors)
    generation = {"_from_model_config": True, "bos_token_id": 0, "eos_token_id": 1, "do_sample": True}
    for file, content in {
        "config.json": shape.config,
        "generation_config.json": {**generation, "temperature": 0.6, "top_p": 0.95},
        MARKER: {"rows": rows, "seed": seed},
        INDEX: {"metadata": {"total_size": size}, "weight_map": places},
    }.items():
        (folder / file).write_text(json.dumps(content, indent=2), encoding="utf-8")
    return folder


def real_rows(folder: Path) -> int:
    """How many rows of a hollow checkpoint's embedding and head are real, from 0 on."""
    return int(json.loads((folder / MARKER).read_text(encoding="utf-8"))["rows"])


def disk_use(folder: Path) -> tuple[int, int]:
    """Bytes that the folder's shards claim, and bytes that they take on the disk."""
    states = [file.stat() for file in folder.glob("*.safetensors")]
    return sum(state.st_size for state in states), sum(state.st_blocks * 512 for state in states)


def _tensors(shape: HollowShape) -> Iterator[HollowTensor]:
    config = ModelConfig.from_json(shape.config, Path("config.json"))
    for tensor in expected(config):
        if tensor.kind is Kind.WEIGHT:
            rows, columns = tensor.shape
            yield HollowTensor(tensor.name, Dtype.F8_E4M3, tensor.shape)
            grid = (-(-rows // BLOCK), -(-columns // BLOCK))
            yield HollowTensor(tensor.name + SCALE_SUFFIX, Dtype.F32, grid)
        else:
            is_bias = tensor.name.endswith("e_score_correction_bias")
            yield HollowTensor(tensor.name, Dtype.F32 if is_bias else Dtype.BF16, tensor.shape)


def _write_shard(file: Path, tensors: list[HollowTensor], rows: int, seed: int) -> None:
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor in tensors:
        offsets = [end, end := end + tensor.bytes]
        entries[tensor.name] = {
            "dtype": tensor.dtype.value,
            "shape": list(tensor.shape),
            "data_offsets": offsets,
        }
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    with file.open("wb") as stream:
        stream.write(len(header).to_bytes(8, "little") + header)
        begin = 8 + len(header)
        for tensor in tensors:
            place = begin
            for piece in _content(tensor, rows, seed):
                if stream.tell() != place:  # a seek ends the gathering of small writes
                    stream.seek(place)
                stream.write(piece.data)
                place += piece.nbytes
            begin += tensor.bytes
        stream.truncate(begin)


def _content(tensor: HollowTensor, rows: int, seed: int) -> Iterator[Written]:
    """A tensor's first bytes, piece by piece; what is left is a hole."""
    parts = tensor.name.split(".")
    if tensor.name.endswith(SCALE_SUFFIX):
        yield np.full(tensor.shape, SCALE, np.float32)
    elif parts[-1] == "e_score_correction_bias":
        yield BIAS_STD * _random(tensor.name, seed).standard_normal(tensor.shape, np.float32)
    elif len(tensor.shape) == 1:
        yield _bf16(np.ones(tensor.shape, np.float32))
    elif "embed_tokens" in parts:
        for _, noise in _noise(tensor, EMBED, rows, 2, seed):
            noise[:, : tensor.shape[1] // 2] += MEAN
            yield _bf16(noise)
    elif tensor.name == HEAD or "shared_head" in parts:
        half = tensor.shape[1] // 2
        for first, noise in _noise(tensor, HEAD, rows, 2, seed):
            noise /= tensor.shape[1] ** 0.5
            for parity in (0, 1):
                noise[(first + parity) % 2 :: 2, parity * half :][:, :half] += LIKING / (_SEEN_MEAN * half)
            yield _bf16(noise)
    elif "eh_proj" in parts:
        half = tensor.shape[0] // 2
        for first, noise in _noise(tensor, tensor.name, tensor.shape[0], 4, seed):
            noise /= tensor.shape[1] ** 0.5
            noise[max(half - first, 0) :, :half] += MEAN / (_SEEN_MEAN * half)
            yield _bf16(noise)
    elif parts[-2:] == ["gate", "weight"]:
        for _, noise in _noise(tensor, tensor.name, tensor.shape[0], 2, seed):
            yield _bf16(noise / np.float32(tensor.shape[1] ** 0.5))


def _noise(
    tensor: HollowTensor, name: str, rows: int, groups: int, seed: int
) -> Iterator[tuple[int, Floats]]:
    """The first rows of a tensor as normal noise, some at a time, with the number of the first of them.

    It has no mean over any group of columns, so that it says nothing of the mean of what it is given.
    """
    random = _random(name, seed)
    columns = tensor.shape[1]
    step = max(_PIECE_ELEMENTS // columns, 1)
    for first in range(0, min(rows, tensor.shape[0]), step):
        count = min(step, min(rows, tensor.shape[0]) - first)
        noise = random.standard_normal((count, groups, columns // groups), np.float32)
        noise -= noise.mean(axis=2, keepdims=True)
        yield first, noise.reshape(count, columns)


def _random(name: str, seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64([seed, zlib.crc32(name.encode())]))


def _bf16(values: Floats) -> Written:
    """The bits in bfloat16, rounded to nearest even."""
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true", help="a checkpoint of a few MB for tests")
    parser.add_argument("--rows", type=int, help="real rows of embedding and head")
    options = parser.parse_args()
    began = time.perf_counter()
    write(options.folder, HollowShape.SMALL if options.small else HollowShape.V3, options.rows)
    apparent, allocated = disk_use(options.folder)
    print(f"{apparent / 1e9:,.3f} GB apparent, {allocated / 1e6:,.1f} MB on the disk, ", end="")
    print(f"in {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
