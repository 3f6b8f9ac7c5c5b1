"""The network against the engine, and the exported files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors import safe_open

from engine import load
from engine.demo.export import Form, export
from engine.demo.names import from_published, to_published
from engine.demo.quantisation import dequantise, is_quantised, quantise
from engine.demo.shape import demo_json
from tests.engine.demo.made import made_tokenizer, small_json, small_network
from tests.engine.tiny import dequantised

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from engine.demo.network import Network

IDS = [0, 3, 17, 250, 99, 17, 250, 4, 60, 61, 17, 250, 99, 5, 6, 7, 100, 101, 102, 200, 201, 202]


def network_logits(network: Network, ids: list[int]) -> Tensor:
    with torch.inference_mode():
        positions = torch.arange(len(ids))
        return network.logits(network.hidden(torch.tensor(ids), positions, ((1, len(ids)),)))


def network_drafts(network: Network, ids: list[int], depth: int) -> tuple[list[int], Tensor]:
    """Teacher-forced: the whole MTP chain is run anew for every depth."""
    with torch.inference_mode():
        positions, groups = torch.arange(len(ids)), ((1, len(ids)),)
        hidden = network.hidden(torch.tensor(ids), positions, groups)
        text = [*ids, int(network.logits(hidden)[-1].argmax())]
        drafts, rows = [], []
        for _ in range(depth):
            count = len(hidden)
            groups = ((1, count),)
            out = network.draft_hidden(torch.tensor(text[1:]), hidden, torch.arange(count), groups)
            rows.append(network.logits(out)[-1])
            drafts.append(int(rows[-1].argmax()))
            text.append(drafts[-1])
            hidden = torch.cat((hidden, out[-1:]))
    return drafts, torch.stack(rows)


def largest_difference(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def test_engine_computes_what_was_trained(tmp_path: Path) -> None:
    network = small_network().eval()
    export(small_json(), network.state_dict(), made_tokenizer(), tmp_path, Form.F32)
    with load(tmp_path, threads=1) as engine:
        assert largest_difference(torch.from_numpy(engine.logits(IDS)), network_logits(network, IDS)) < 1e-4
        drafts, rows = engine.draft(IDS, 3)
        ours, wanted = network_drafts(network, IDS, 3)
    assert drafts == ours
    assert largest_difference(torch.from_numpy(rows), wanted) < 1e-4


def test_reloads_what_it_exported(tmp_path: Path) -> None:
    network, other = small_network(), small_network(seed=1)
    export(small_json(), network.state_dict(), made_tokenizer(), tmp_path, Form.F32)
    other.load_state_dict(from_published(dequantised(tmp_path), other.state_dict()))
    assert torch.equal(network_logits(network, IDS), network_logits(other, IDS))


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> dict[Form, Path]:
    """One network in both forms."""
    folder = tmp_path_factory.mktemp("forms")
    state = small_network(seed=3).state_dict()
    for form in (Form.FP8, Form.BF16):
        export(small_json(), state, made_tokenizer(), folder / form.value, form)
    return {form: folder / form.value for form in (Form.FP8, Form.BF16)}


def test_forms_hold_the_same_values(forms: dict[Form, Path]) -> None:
    fp8, bf16 = dequantised(forms[Form.FP8]), dequantised(forms[Form.BF16])
    assert fp8.keys() == bf16.keys()
    assert all(torch.equal(fp8[name], bf16[name]) for name in fp8)


def test_engine_reads_the_values_of_fp8(forms: dict[Form, Path]) -> None:
    values = dequantised(forms[Form.FP8])
    network = small_network(seed=4).eval()
    network.load_state_dict(from_published(values, network.state_dict()))
    with load(forms[Form.FP8], threads=1) as engine:
        found = torch.from_numpy(engine.logits(IDS))
    assert largest_difference(found, network_logits(network, IDS)) < 1e-4


def test_transformers_agrees(forms: dict[Form, Path]) -> None:
    from transformers import AutoTokenizer, DeepseekV3ForCausalLM

    model = DeepseekV3ForCausalLM.from_pretrained(forms[Form.BF16], dtype=torch.float32).eval()
    with torch.inference_mode():
        theirs = model(torch.tensor([IDS])).logits[0]
    with load(forms[Form.BF16], threads=1) as engine:
        found = torch.from_numpy(engine.logits(IDS))
        assert engine.tokenizer is not None
        text = "the small network"
        tokenizer = AutoTokenizer.from_pretrained(forms[Form.BF16])
        assert tokenizer.encode(text, add_special_tokens=False) == engine.tokenizer.encode(text)
    assert largest_difference(found, theirs) < 1e-3


def test_files(forms: dict[Form, Path]) -> None:
    folder = forms[Form.FP8]
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    shards = sorted(set(index["weight_map"].values()))
    assert len(shards) >= 3
    assert shards[0] == f"model-00001-of-{len(shards):06}.safetensors"
    size, types = 0, {}
    for shard in shards:
        with safe_open(folder / shard, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118
                tensor = tensors.get_tensor(name)
                assert index["weight_map"][name] == shard
                size += tensor.nbytes
                types[name] = tensor.dtype
    assert size == index["metadata"]["total_size"]
    for name, dtype in types.items():
        if name.endswith(("_scale_inv", "e_score_correction_bias")):
            assert dtype == torch.float32
        elif is_quantised(name):
            assert dtype == torch.float8_e4m3fn
            assert name + "_scale_inv" in types
        else:
            assert dtype == torch.bfloat16
    for name in ("enorm", "hnorm", "eh_proj", "embed_tokens", "shared_head.norm", "shared_head.head"):
        assert types[f"model.layers.3.{name}.weight"] == torch.bfloat16
    assert json.loads((folder / "config.json").read_text())["quantization_config"]["fmt"] == "e4m3"
    assert "quantization_config" not in json.loads((forms[Form.BF16] / "config.json").read_text())


def test_scale_of_every_block() -> None:
    torch.manual_seed(0)
    weight = torch.randn(200, 300)
    weight[128:, 256:] *= 100
    weight[:128, :128] = 0
    stored, factors = quantise(weight)
    assert factors.shape == (2, 3)
    for i, rows in enumerate(weight.split(128)):
        for j, block in enumerate(rows.split(128, dim=1)):
            if (i, j) != (0, 0):
                assert 1 <= factors[i, j] * 448 / block.abs().max() <= 1.125 + 1e-6
    values = dequantise(stored, factors)
    assert torch.equal(values, values.bfloat16().float())
    assert ((values - weight).norm() / weight.norm()).item() < 0.03


def test_names_go_both_ways() -> None:
    state = small_network().state_dict()
    published = to_published(state)
    assert "model.layers.1.mlp.experts.15.up_proj.weight" in published
    back = from_published(published, state)
    assert all(torch.equal(back[name], state[name]) for name in state)


def test_demo_fits(tmp_path: Path) -> None:
    from engine.demo.network import Network
    from engine.demo.shape import read_shape

    network = Network(read_shape(demo_json()))
    assert export(demo_json(), network.state_dict(), made_tokenizer(), tmp_path) < 20e6
