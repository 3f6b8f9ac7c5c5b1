"""What the engine's tests share: checkpoints, references, the published model; each made once."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

import pytest
import torch

from tests.engine.tiny import SPECS, TinySpec, build, dequantised, open_reference, read_config, sample_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor
    from transformers import DeepseekV3ForCausalLM

    from tests.engine.reference64 import Reference

MTP_SPECS = [name for name, spec in SPECS.items() if spec.num_nextn]


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[TinySpec], Path]:
    """The folder of a spec's checkpoint; no test may write into it."""
    return cache(lambda spec: build(tmp_path_factory.mktemp("tiny"), spec))


@pytest.fixture(scope="session")
def reference(tiny: Callable[[TinySpec], Path]) -> Callable[[TinySpec], Reference]:
    """The float64 reference of a spec's checkpoint."""
    return cache(lambda spec: open_reference(tiny(spec)))


@pytest.fixture(scope="session")
def published(tiny: Callable[[TinySpec], Path]) -> Callable[[TinySpec], DeepseekV3ForCausalLM]:
    """transformers' model of a spec's checkpoint, with the weights dequantised, in float64."""
    return cache(lambda spec: _published_model(tiny(spec)))


@pytest.fixture(scope="session")
def published_logits(published: Callable[[TinySpec], DeepseekV3ForCausalLM]) -> Callable[[TinySpec], Tensor]:
    """The logits of transformers' model on a spec's `sample_ids`.  # [n, vocab]"""

    @cache
    def logits(spec: TinySpec) -> Tensor:
        with torch.inference_mode():
            result: Tensor = published(spec)(torch.tensor([sample_ids(spec)])).logits[0]
        return result

    return logits


@pytest.fixture(params=SPECS)
def spec(request: pytest.FixtureRequest) -> TinySpec:
    """Every named spec in turn."""
    return SPECS[request.param]


@pytest.fixture(params=MTP_SPECS)
def mtp_spec(request: pytest.FixtureRequest) -> TinySpec:
    """Every named spec with an MTP module in turn."""
    return SPECS[request.param]


def _published_model(checkpoint: Path) -> DeepseekV3ForCausalLM:
    from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

    contents = read_config(checkpoint)
    contents.pop("quantization_config", None)
    config = DeepseekV3Config.from_dict(contents)
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"
    model = DeepseekV3ForCausalLM(config).double().eval()
    past_the_end = f"model.layers.{config.num_hidden_layers}."
    weights = {
        name: tensor for name, tensor in dequantised(checkpoint).items() if not name.startswith(past_the_end)
    }
    if config.tie_word_embeddings:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    model.load_state_dict(fuse_experts(weights))
    return model


def fuse_experts(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published names to those of transformers' modules, which hold a layer's experts in two tensors."""
    fused = {name: tensor for name, tensor in weights.items() if ".mlp.experts." not in name}
    for prefix in {name.split(".mlp.experts.")[0] for name in weights} - set(weights):
        experts = f"{prefix}.mlp.experts"
        count = sum(
            bool(re.fullmatch(rf"{re.escape(experts)}\.\d+\.up_proj\.weight", name)) for name in weights
        )
        gate, up, down = (
            torch.stack([weights[f"{experts}.{expert}.{part}_proj.weight"] for expert in range(count)])
            for part in ("gate", "up", "down")
        )
        fused[f"{experts}.gate_up_proj"] = torch.cat([gate, up], dim=1)
        fused[f"{experts}.down_proj"] = down
    return fused
