"""Export the demo model in the form DeepSeek-V3 is published in.

    python -m engine.demo.export STATE FOLDER [--dtype fp8|bf16]

FP8 projections with their scales, bf16 for everything else, the router's bias in float32, the MTP layer with
its own copies of embedding and head, in several shards with an index. `--dtype bf16` writes the same values,
dequantised, for programs that read no FP8.
"""

from __future__ import annotations

import argparse
import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from engine.demo.card import Measured, model_card
from engine.demo.names import to_published
from engine.demo.quantisation import dequantise, is_quantised, quantise
from engine.demo.shape import BLOCK, BOS_ID, EOS_ID, PAD_ID, read_shape
from engine.demo.state import TrainingState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

SHARDS = 4
SCALE_SUFFIX = "_scale_inv"
STORAGE_KEYS = ("torch_dtype", "quantization_config")
"""Of config.json: how weights are stored, and nothing of the model."""


class Form(StrEnum):
    """How weights are stored."""

    FP8 = "fp8"
    BF16 = "bf16"
    """The values of the FP8 form."""
    F32 = "f32"
    """As trained: for tests."""


def published(state: Mapping[str, Tensor], mtp_layer: int, form: Form) -> dict[str, Tensor]:
    """Every tensor of the checkpoint, in the type it is stored in, from the network's state."""
    weights = to_published(state)
    prefix = f"model.layers.{mtp_layer}."
    weights[f"{prefix}embed_tokens.weight"] = weights["model.embed_tokens.weight"]
    weights[f"{prefix}shared_head.head.weight"] = weights["lm_head.weight"]
    stored: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if form is Form.F32 or name.endswith("e_score_correction_bias"):
            stored[name] = weight.float().clone()
        elif is_quantised(name):
            quantised, scale = quantise(weight)
            if form is Form.FP8:
                stored[name], stored[name + SCALE_SUFFIX] = quantised, scale
            else:
                stored[name] = dequantise(quantised, scale).to(torch.bfloat16)
        else:
            stored[name] = weight.to(torch.bfloat16).clone()
    return stored


def export(
    config: Mapping[str, object],
    state: Mapping[str, Tensor],
    tokenizer: str,
    folder: Path,
    form: Form = Form.FP8,
    measured: Measured | None = None,
) -> int:
    """Write a checkpoint; returns its bytes. `tokenizer` is tokenizer.json's text."""
    folder.mkdir(parents=True, exist_ok=True)
    mtp_layer = read_shape(config).mtp_layer
    if mtp_layer is None:
        raise ValueError("the demo model has an MTP layer")
    _write_shards(folder, published({name: t.detach() for name, t in state.items()}, mtp_layer, form))
    _write_json(folder / "config.json", config_json(config, form))
    _write_json(
        folder / "generation_config.json",
        {"bos_token_id": BOS_ID, "eos_token_id": EOS_ID, "pad_token_id": PAD_ID, "do_sample": False},
    )
    (folder / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    _write_json(folder / "tokenizer_config.json", _tokenizer_json(config, tokenizer))
    (folder / "README.md").write_text(
        model_card(config, form.value, measured or Measured()), encoding="utf-8"
    )
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())


def config_json(config: Mapping[str, object], form: Form) -> dict[str, object]:
    """config.json as published with weights of this form."""
    types = {Form.F32: "float32"}
    contents = dict(config) | {"torch_dtype": types.get(form, "bfloat16")}
    if form is Form.FP8:
        contents["quantization_config"] = {
            "activation_scheme": "dynamic",
            "fmt": "e4m3",
            "quant_method": "fp8",
            "weight_block_size": [BLOCK, BLOCK],
        }
    return dict(sorted(contents.items()))


def _tokenizer_json(config: Mapping[str, object], tokenizer: str) -> dict[str, object]:
    from engine.demo.tokens import CHAT_TEMPLATE

    added = {entry["id"]: entry["content"] for entry in json.loads(tokenizer)["added_tokens"]}
    return {
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": added[BOS_ID],
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": added[EOS_ID],
        "model_max_length": config["max_position_embeddings"],
        "pad_token": added[PAD_ID],
        "tokenizer_class": "PreTrainedTokenizerFast",
    }


def _write_shards(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """About equally large shards, in the tensors' order."""
    total = sum(tensor.nbytes for tensor in tensors.values())
    shards: list[dict[str, Tensor]] = [{} for _ in range(SHARDS)]
    before = 0
    for name, tensor in tensors.items():
        shards[min(before * SHARDS // total, SHARDS - 1)][name] = tensor.contiguous()
        before += tensor.nbytes
    where: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        file = f"model-{number:05}-of-{SHARDS:06}.safetensors"
        save_file(shard, folder / file, metadata={"format": "pt"})
        (folder / file).chmod(0o644)  # safetensors leaves it to its owner alone
        where |= dict.fromkeys(shard, file)
    index = {"metadata": {"total_size": total}, "weight_map": where}
    _write_json(folder / "model.safetensors.index.json", index)


def _write_json(file: Path, contents: Mapping[str, object]) -> None:
    file.write_text(json.dumps(contents, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m engine.demo.export", description="Export a training state."
    )
    parser.add_argument("state", type=Path, help="a state.pt that training wrote")
    parser.add_argument("folder", type=Path, help="where the checkpoint goes")
    parser.add_argument("--dtype", type=Form, choices=[Form.FP8, Form.BF16], default=Form.FP8)
    options = parser.parse_args()
    saved = TrainingState.load(options.state)
    measured = Measured(
        training_minutes=(saved.warmup_seconds + saved.corpus_seconds) / 60, training_tokens=saved.tokens
    )
    size = export(saved.config, saved.network, saved.tokenizer, options.folder, options.dtype, measured)
    print(f"{options.folder}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
