"""A checkpoint's anatomy: DeepSeek-V3's own figures, and models that are like it and not the same."""

from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3ForCausalLM

from engine.checkpoint import copies
from engine.checkpoint.anatomy import Anatomy, dissect
from engine.checkpoint.checkpoint import CONFIG, INDEX
from engine.checkpoint.copies import Likeness
from engine.checkpoint.leftover import HIDING_PATTERNS
from engine.checkpoint.manifest import Basis
from engine.checkpoint.outline import MTP_MARKS
from engine.checkpoint.place import MTP_PURPOSES, PartKind
from engine.checkpoint.tensor import Dtype
from engine.errors import CheckpointError
from tests.engine.checkpoint.files import (
    MemorySource,
    Tensors,
    entry,
    file_bytes,
    write_checkpoint,
    write_json,
)
from tests.engine.checkpoint.test_audit import ATTENTION, SMALL, small
from tests.engine.test_config import MOONLIGHT, V3
from tests.hollow import HollowShape, plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.checkpoint.part import Section

FOLDER = Path("/nowhere/DeepSeek-V3")
ROUTED = "mlp.experts.*.{}_proj.weight"


class HeadersOnly:
    """A ByteSource of shards that claim their whole length and hold their headers alone."""

    def __init__(self, files: Mapping[Path, bytes], lengths: Mapping[Path, int]) -> None:
        self._files = files
        self._lengths = lengths

    def exists(self, file: Path) -> bool:
        return file in self._files

    def size(self, file: Path) -> int:
        return self._lengths.get(file, len(self._files[file]))

    def read_into(self, file: Path, offset: int, buffer: memoryview) -> None:
        data = self._files[file][offset : offset + len(buffer)]
        assert len(data) == len(buffer), "a tensor's bytes were read"
        buffer[:] = data

    def close(self) -> None: ...


@pytest.fixture(scope="module")
def v3_files() -> tuple[dict[Path, bytes], dict[Path, int]]:
    """DeepSeek-V3's 163 headers, its index and config."""
    files: dict[Path, bytes] = {FOLDER / CONFIG: json.dumps(V3).encode()}
    lengths: dict[Path, int] = {}
    places: dict[str, str] = {}
    for number, tensors in enumerate(plan(HollowShape.V3), start=1):
        name = f"model-{number:05d}-of-000163.safetensors"
        header, end = {}, 0
        for tensor in tensors:
            header[tensor.name] = entry(end, end + tensor.bytes, tensor.shape, tensor.dtype.value)
            end += tensor.bytes
            places[tensor.name] = name
        files[FOLDER / name] = file_bytes(header)
        lengths[FOLDER / name] = len(files[FOLDER / name]) + end
    index = {"metadata": {"total_size": 688_574_839_360}, "weight_map": places}
    files[FOLDER / INDEX] = json.dumps(index).encode()
    return files, lengths


@pytest.fixture(scope="module")
def v3(v3_files: tuple[dict[Path, bytes], dict[Path, int]]) -> Anatomy:
    return dissect(FOLDER, source=HeadersOnly(*v3_files))


def small_anatomy(folder: Path, tensors: Tensors, *, by_value: bool = False, **changes: object) -> Anatomy:
    write_checkpoint(folder, tensors, SMALL | changes)
    return dissect(folder, by_value=by_value)


def sizes(section: Section) -> dict[PartKind, int]:
    """Bytes with their scales, by part."""
    return {part.kind: part.weights_total.bytes + part.scales_total.bytes for part in section.parts}


def test_v3_adds_up_to_the_published_figures(v3: Anatomy) -> None:
    weights, scales = v3.weights_total, v3.scales_total
    assert v3.shards == 163
    assert weights.tensors + scales.tensors == 91_991
    assert weights.bytes + scales.bytes == 688_574_839_360
    assert weights.elements == 684_489_845_504
    assert weights.elements + scales.elements == 684_531_386_000
    assert scales.bytes == 166_161_984
    assert v3.faults == v3.notes == ()
    assert not v3.unknown.groups


def test_v3_in_parts(v3: Anatomy) -> None:
    # Bytes from facts that were checked against two dumps of the headers; layer 61 is in some of them.
    main, (mtp,) = sizes(v3.main), (sizes(layer.section) for layer in v3.mtp)
    expert = 44_050_944
    assert main[PartKind.ROUTED] == 58 * 256 * expert
    assert mtp[PartKind.ROUTED] == 256 * expert == 11_277_041_664
    assert f"{(main[PartKind.ATTENTION] + mtp[PartKind.ATTENTION]) / 1e9:.2f}" == "11.60"
    assert f"{(main[PartKind.SHARED] + mtp[PartKind.SHARED]) / 1e9:.2f}" == "2.60"
    assert f"{main[PartKind.DENSE] / 1e9:.2f}" == "1.19"
    assert f"{(main[PartKind.ROUTER] + mtp[PartKind.ROUTER]) / 1e6:.1f}" == "216.6"
    assert main[PartKind.EMBEDDING] == main[PartKind.HEAD] == 2 * 129_280 * 7168
    assert f"{sum(main.values()) / 1e9 - main[PartKind.ROUTED] / 1e9:.2f}" == "19.08"
    assert f"{sum(mtp.values()) / 1e9:.2f}" == "15.42"
    routed = v3.main.part(PartKind.ROUTED)
    assert routed is not None
    assert [(group.tensors, group.shape, group.dtype, group.role) for group in routed.groups] == [
        (14_848, (2048, 7168), Dtype.F8_E4M3, ROUTED.format("gate")),
        (14_848, (2048, 7168), Dtype.F8_E4M3, ROUTED.format("up")),
        (14_848, (7168, 2048), Dtype.F8_E4M3, ROUTED.format("down")),
    ]
    assert {(group.tensors, group.shape) for group in routed.scales} == {
        (14_848, (16, 56)),
        (14_848, (56, 16)),
    }


def test_v3s_layer_61(v3: Anatomy) -> None:
    (layer,) = v3.mtp
    assert layer.layer == 61
    own = [(tensor.name.removeprefix("model.layers.61."), tensor.shape) for tensor in layer.tensors]
    assert own == [
        ("embed_tokens.weight", (129_280, 7168)),
        ("enorm.weight", (7168,)),
        ("hnorm.weight", (7168,)),
        ("eh_proj.weight", (7168, 14_336)),
        ("shared_head.norm.weight", (7168,)),
        ("shared_head.head.weight", (129_280, 7168)),
    ]
    assert {tensor.dtype for tensor in layer.tensors} == {Dtype.BF16}
    others = {group.role: group.tensors for part in layer.section.parts for group in part.groups}
    for role in MTP_PURPOSES:
        assert others.pop(role) == 1
    assert {f"{name}.weight" for name in ATTENTION} < others.keys()
    assert [others[ROUTED.format(side)] for side in ("gate", "up", "down")] == [256] * 3
    assert others["mlp.gate.e_score_correction_bias"] == 1


def test_what_a_loader_leaves_of_v3(v3: Anatomy) -> None:
    found = v3.leftover
    assert (found.placed.tensors, found.silenced.tensors, found.warned.tensors) == (90_427, 1_564, 0)
    assert found.placed.bytes + found.silenced.bytes == 688_574_839_360
    assert found.hidden_mtp_layers == (61,)
    assert found.warned_mtp_layers == ()


def test_what_a_token_and_a_draft_touch_of_v3(v3: Anatomy) -> None:
    token = {part.kind: part for part in v3.token.parts}
    assert token[PartKind.ROUTED].bytes == 58 * 8 * 44_050_944
    assert token[PartKind.EMBEDDING].parameters == 7168
    main = sizes(v3.main)
    whole = {PartKind.ROUTED, PartKind.EMBEDDING}
    assert v3.token.bytes == 58 * 8 * 44_050_944 + 2 * 7168 + sum(
        size for kind, size in main.items() if kind not in whole
    )
    draft = {part.kind: part for part in v3.mtp[0].draft.parts}
    assert draft[PartKind.ROUTED].bytes == 8 * 44_050_944
    # A row of the embedding, three norms, eh_proj and the head.
    assert draft[PartKind.MTP].parameters == 7168 + 3 * 7168 + 2 * 7168**2 + 129_280 * 7168


def test_v3_from_its_index_alone(v3: Anatomy, v3_files: tuple[dict[Path, bytes], dict[Path, int]]) -> None:
    files = {file: data for file, data in v3_files[0].items() if file.suffix == ".json"}
    found = dissect(FOLDER, source=HeadersOnly(files, {}))
    assert found.basis is Basis.INDEX
    assert found.faults == ()
    assert (found.weights_total, found.scales_total) == (v3.weights_total, v3.scales_total)
    assert found.main.parts == v3.main.parts
    assert found.token == v3.token
    assert any("688,574,839,360 bytes; the index's total_size agrees" in note for note in found.notes)


def test_an_index_whose_config_tells_no_type_shows_names(tmp_path: Path) -> None:
    config = {key: value for key, value in SMALL.items() if key != "torch_dtype"}
    write_checkpoint(tmp_path, small(), config)
    for shard in tmp_path.glob("*.safetensors"):
        shard.unlink()
    found = dissect(tmp_path)
    assert found.faults == ()
    assert found.weights_total.tensors + found.scales_total.tensors == len(small())
    assert found.main.part(PartKind.EMBEDDING).weights_total.unread == 1  # type: ignore[union-attr]
    assert found.main.part(PartKind.ROUTED).weights_total.unread == 0  # type: ignore[union-attr]
    assert found.token.unknown_because is not None


def test_an_index_that_lacks_a_tensor_is_at_fault(tmp_path: Path) -> None:
    tensors = small()
    del tensors["model.layers.1.mlp.experts.2.up_proj.weight"]
    write_checkpoint(tmp_path, tensors, SMALL)
    for shard in tmp_path.glob("*.safetensors"):
        shard.unlink()
    (fault,) = dissect(tmp_path).faults
    assert "'model.layers.1.mlp.experts.2.up_proj.weight'" in fault


def test_the_hiding_pattern_is_transformers() -> None:
    assert DeepseekV3ForCausalLM._keys_to_ignore_on_load_unexpected == [HIDING_PATTERNS[0]]


@pytest.mark.parametrize(("layers", "is_hidden"), [(2, False), (61, True), (62, False)])
def test_the_mtp_layer_of_another_depth_is_not_hidden(tmp_path: Path, layers: int, is_hidden: bool) -> None:
    tensors = {
        name.replace("model.layers.2.", f"model.layers.{layers}."): one for name, one in small().items()
    }
    found = small_anatomy(tmp_path, tensors, num_hidden_layers=layers)
    assert found.leftover.hidden_mtp_layers == ((layers,) if is_hidden else ())
    assert found.leftover.warned_mtp_layers == (() if is_hidden else (layers,))
    (mtp,) = found.mtp
    total = mtp.section.weights_total + mtp.section.scales_total
    assert (found.leftover.silenced if is_hidden else found.leftover.warned) == total


def test_without_an_mtp_layer(tmp_path: Path) -> None:
    tensors = {name: one for name, one in small().items() if not name.startswith("model.layers.2.")}
    found = small_anatomy(tmp_path, tensors, num_nextn_predict_layers=0)
    assert found.mtp == found.faults == found.notes == ()
    assert found.leftover.placed.tensors == len(tensors)


def test_an_mtp_layer_that_is_declared_and_not_saved_is_a_note(tmp_path: Path) -> None:
    tensors = {name: one for name, one in small().items() if not name.startswith("model.layers.2.")}
    found = small_anatomy(tmp_path, tensors)
    assert found.mtp == found.faults == ()
    assert any("without its MTP layer (2)" in note for note in found.notes)


def test_an_mtp_layer_that_is_not_declared_is_found(tmp_path: Path) -> None:
    found = small_anatomy(tmp_path, small(), num_nextn_predict_layers=0)
    assert [layer.layer for layer in found.mtp] == [2]
    assert any("declares 0 MTP layers" in note for note in found.notes)


def test_a_declared_mtp_layer_is_one_whatever_is_left_of_it(tmp_path: Path) -> None:
    tensors = {name: one for name, one in small().items() if not name.endswith(MTP_MARKS)}
    found = small_anatomy(tmp_path, tensors)
    assert [layer.layer for layer in found.mtp] == [2]
    assert not found.unknown.groups
    (fault,) = found.faults
    assert "incomplete: 3 of" in fault


def test_several_mtp_layers(tmp_path: Path) -> None:
    tensors = small()
    second = {
        name.replace("model.layers.2.", "model.layers.3."): one
        for name, one in tensors.items()
        if name.startswith("model.layers.2.") and not name.endswith(("embed_tokens.weight", "head.weight"))
    }
    found = small_anatomy(tmp_path, tensors | second, num_nextn_predict_layers=2)
    first, other = found.mtp
    assert (first.layer, other.layer) == (2, 3)
    assert [tensor.is_saved for tensor in other.tensors] == [False, True, True, True, True, False]
    # Where there is no copy the main embedding and head are read in its place.
    assert (first.draft.parameters, first.draft.bytes) == (other.draft.parameters, other.draft.bytes)
    (fault,) = found.faults
    assert fault.startswith("draftscope cannot run it: ")
    for shard in tmp_path.glob("*.safetensors"):
        shard.unlink()
    assert dissect(tmp_path).mtp == found.mtp


def test_a_model_in_bf16_without_query_rank(tmp_path: Path) -> None:
    changes: dict[str, object] = {"q_lora_rank": None, "quantization_config": None}
    tensors: Tensors = {
        name: (Dtype.F32 if name.endswith("bias") else Dtype.BF16, shape)
        for name, (_, shape) in small().items()
        if "self_attn.q_" not in name and not name.endswith("_scale_inv")
    }
    for layer in range(3):
        tensors[f"model.layers.{layer}.self_attn.q_proj.weight"] = (Dtype.BF16, (2 * 88, 160))
    found = small_anatomy(tmp_path / "right", tensors, **changes)
    assert found.faults == found.notes == ()
    assert found.scales_total.tensors == 0
    attention = found.main.part(PartKind.ATTENTION)
    assert attention is not None
    assert {group.role for group in attention.groups if ".q" in group.role} == {"self_attn.q_proj.weight"}
    # The other kind of queries has no place in such a model.
    stray: Tensors = {"model.layers.0.self_attn.q_a_proj.weight": (Dtype.BF16, (4, 4))}
    found = small_anatomy(tmp_path / "stray", tensors | stray, **changes)
    assert [group.role for group in found.unknown.groups] == ["model.layers.*.self_attn.q_a_proj.weight"]
    assert found.leftover.warned.tensors > 0


def test_scales_that_no_one_announced_are_left_over(tmp_path: Path) -> None:
    tensors = {name: one for name, one in small().items() if not name.startswith("model.layers.2.")}
    found = small_anatomy(tmp_path, tensors, quantization_config=None, num_nextn_predict_layers=0)
    assert found.leftover.warned == found.scales_total


UNKNOWN = [
    "model.layers.0.self_attn.rotary_emb.inv_freq",
    "model.layers.0.mlp.gate.weight",  # layer 0 is dense
    "model.layers.1.mlp.up_proj.weight",  # and layer 1 is not
    "model.layers.1.mlp.experts.4.up_proj.weight",  # there are 4
    "model.layers.1.mlp.experts.04.up_proj.weight",
    "model.layers.1.mlp.experts.*.up_proj.weight",
    "model.layers.1.enorm.weight",
    "model.layers.7.self_attn.o_proj.weight",
    "model.layers.٢.enorm.weight",
    "model.norm.weight_scale",
    "nothing.weight_scale_inv",
    "\x1b[31m",
]


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_name_without_a_place_is_unknown(tmp_path: Path, name: str) -> None:
    found = small_anatomy(tmp_path, small() | {name: (Dtype.F32, (4,))})
    (group,) = found.unknown.groups
    assert (group.tensors, group.shape) == (1, (4,))
    assert found.weights_total.tensors + found.scales_total.tensors == len(small()) + 1
    assert found.faults == ()
    silenced = found.leftover.silenced.tensors
    assert silenced == (1 if "rotary_emb" in name else 0)


def test_another_model_is_shown_as_unknown(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, {f"h.{n}.attn.weight": (Dtype.F16, (4, 4)) for n in range(12)}, {"n": 1})
    found = dissect(tmp_path)
    (group,) = found.unknown.groups
    assert (group.role, group.tensors) == ("h.*.attn.weight", 12)
    assert found.token.unknown_because is not None
    (fault,) = found.faults
    assert "model_type" in fault


def test_moonlights_shape_from_names_alone() -> None:
    """Its index and config, and nothing else: 27 layers of which the first is dense, no MTP, bf16."""
    names = ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"]
    for layer in range(27):
        names += [f"model.layers.{layer}.self_attn.{part}.weight" for part in ("q_proj", "o_proj")]
    index = {"weight_map": dict.fromkeys(names, "model-00001-of-00001.safetensors")}
    folder = Path("/nowhere")
    files = {folder / CONFIG: json.dumps(MOONLIGHT).encode(), folder / INDEX: json.dumps(index).encode()}
    found = dissect(folder, source=MemorySource(files))  # type: ignore[arg-type]
    attention = found.main.part(PartKind.ATTENTION)
    assert attention is not None
    assert attention.weights_total.elements == 27 * (16 * 192 * 2048 + 2048 * 16 * 128)
    assert {group.dtype for group in attention.groups} == {Dtype.BF16}
    assert found.mtp == ()


def test_without_a_config_the_names_tell_the_mtp_layer(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, small(), SMALL)
    (tmp_path / "config.json").unlink()
    found = dissect(tmp_path)
    assert [layer.layer for layer in found.mtp] == [2]
    assert not found.unknown.groups
    assert found.token.unknown_because == "config.json does not say num_experts_per_tok"
    (fault,) = found.faults
    assert "config.json is missing" in fault


def test_the_engines_own_audit_is_heard(tmp_path: Path) -> None:
    found = small_anatomy(tmp_path, small() | {"model.norm.weight": (Dtype.BF16, (3, 5))})
    (fault,) = found.faults
    assert "[3, 5]" in fault
    assert "[160]" in fault


def test_a_broken_part_is_not_in_the_sums(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, small(), SMALL)
    (gone, *_) = sorted(tmp_path.glob("*.safetensors"))
    gone.unlink()
    found = dissect(tmp_path)
    total = found.weights_total + found.scales_total
    assert total.tensors == len(small())
    assert total.unread == math.ceil(len(small()) / 3)
    assert found.missing_shards == 1
    assert found.token.unknown_because is not None
    assert len(found.faults) == 1


def fill(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write tensors' bytes into their shards."""
    for shard in folder.glob("*.safetensors"):
        data = bytearray(shard.read_bytes())
        length = int.from_bytes(data[:8], "little")
        for name, one in json.loads(data[8 : 8 + length]).items():
            begin, end = one["data_offsets"]
            if name in contents:
                assert len(contents[name]) == end - begin
                data[8 + length + begin : 8 + length + end] = contents[name]
        shard.write_bytes(data)


@pytest.mark.parametrize("piece_bytes", [1000, 1 << 20])
def test_copies_are_found_by_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece_bytes: int) -> None:
    monkeypatch.setattr(copies, "_PIECE_BYTES", piece_bytes)
    write_checkpoint(tmp_path, small(), SMALL)
    size = 64 * 160 * 2
    embedding, head = bytes(range(256)) * (size // 256), bytes(reversed(range(256))) * (size // 256)
    almost = head[:-1] + b"\xff"
    fill(
        tmp_path,
        {
            "model.embed_tokens.weight": embedding, "model.layers.2.embed_tokens.weight": embedding,
            "lm_head.weight": head, "model.layers.2.shared_head.head.weight": almost,
            "model.layers.2.shared_head.norm.weight": b"\x01" * 320,
        },
    )  # fmt: skip
    seen: list[tuple[int, int]] = []
    found = dissect(tmp_path, by_value=True, progress=lambda done, total, name: seen.append((done, total)))
    assert found.comparisons is not None
    assert {(one.name, one.other): one.likeness for one in found.comparisons} == {
        ("model.layers.2.embed_tokens.weight", "model.embed_tokens.weight"): Likeness.SAME,
        ("model.layers.2.shared_head.head.weight", "lm_head.weight"): Likeness.DIFFERENT,
        ("model.layers.2.shared_head.norm.weight", "model.norm.weight"): Likeness.DIFFERENT,
        ("lm_head.weight", "model.embed_tokens.weight"): Likeness.DIFFERENT,
    }
    assert seen[0] == (0, 4 * size + 2 * 320)
    assert seen[-1] == (4 * size + 2 * 320,) * 2
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert dissect(tmp_path).comparisons is None


def test_what_has_another_shape_is_no_copy_and_not_read(tmp_path: Path) -> None:
    tensors = small() | {
        "model.layers.2.embed_tokens.weight": (Dtype.F32, (64, 160)),
        "model.layers.2.shared_head.norm.weight": (Dtype.BF16, (159,)),
    }
    found = small_anatomy(tmp_path, tensors, by_value=True)
    assert found.comparisons is not None
    likeness = {one.name: one.likeness for one in found.comparisons}
    assert likeness["model.layers.2.embed_tokens.weight"] is Likeness.UNLIKE
    assert likeness["model.layers.2.shared_head.norm.weight"] is Likeness.UNLIKE
    assert (
        likeness["model.layers.2.shared_head.head.weight"] is Likeness.SAME
    )  # all zeros, and so is the head


def test_a_tied_head_is_the_embedding(tmp_path: Path) -> None:
    tensors = small()
    del tensors["lm_head.weight"]
    found = small_anatomy(tmp_path, tensors, by_value=True, tie_word_embeddings=True)
    assert found.faults == ()
    assert found.comparisons is not None
    assert ("model.layers.2.shared_head.head.weight", "model.embed_tokens.weight") in {
        (one.name, one.other) for one in found.comparisons
    }
    touched = {part.kind: part.parameters for part in found.token.parts}
    assert touched[PartKind.EMBEDDING] == 160
    assert touched[PartKind.HEAD] == 64 * 160


def test_what_is_cut_is_not_compared(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, small(), SMALL)
    index = json.loads((tmp_path / INDEX).read_text())["weight_map"]
    shard = tmp_path / index["lm_head.weight"]
    data = shard.read_bytes()
    shard.write_bytes(data[: 8 + int.from_bytes(data[:8], "little") + 5])
    found = dissect(tmp_path, by_value=True)
    assert len(found.faults) == 1
    assert found.comparisons is not None
    assert all("lm_head.weight" not in (one.name, one.other) for one in found.comparisons)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        dissect(tmp_path / "gone")
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="not a folder"):
        dissect(tmp_path / "file")


def test_a_total_size_that_is_not_the_headers_is_noted(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, small(), SMALL)
    index = json.loads((tmp_path / INDEX).read_text())
    write_json(tmp_path / INDEX, index | {"metadata": {"total_size": 12}})
    (note,) = dissect(tmp_path).notes
    assert "12 bytes" in note


def test_it_cannot_be_changed(v3: Anatomy) -> None:
    with pytest.raises(FrozenInstanceError):
        v3.faults = ()  # type: ignore[misc]
    assert not hasattr(v3.main, "__dict__")


NAMES = sorted(small()) + UNKNOWN


@settings(max_examples=50)
@given(
    st.dictionaries(st.sampled_from(NAMES), st.lists(st.integers(0, 9), max_size=3), min_size=1),
    st.fixed_dictionaries(
        {},
        optional={
            key: st.one_of(st.none(), st.integers(-1, 4), st.just("x"))
            for key in (
                "num_hidden_layers", "num_nextn_predict_layers", "first_k_dense_replace", "n_routed_experts",
                "q_lora_rank", "num_experts_per_tok", "quantization_config", "moe_layer_freq",
            )
        },
    ),
)  # fmt: skip
def test_every_tensor_is_counted_once_whatever_the_config(
    shapes: dict[str, list[int]], config: dict[str, object]
) -> None:
    header: dict[str, object] = {}
    end = 0
    for name, shape in shapes.items():
        header[name] = entry(end, end := end + math.prod(shape), shape)
    folder = Path("/nowhere")
    files = {
        folder / CONFIG: json.dumps(config).encode(),
        folder / "model.safetensors": file_bytes(header, bytes(end)),
    }
    source = MemorySource(files)
    found = dissect(folder, source=source, by_value=True)  # type: ignore[arg-type]
    assert source.closed
    total = found.weights_total + found.scales_total
    assert (total.tensors, total.bytes, total.unread) == (len(shapes), end, 0)
    leftover = found.leftover
    assert leftover.placed + leftover.silenced + leftover.warned == total
    for touched in (found.token, *(layer.draft for layer in found.mtp)):
        assert 0 <= touched.bytes <= 2 * total.bytes
