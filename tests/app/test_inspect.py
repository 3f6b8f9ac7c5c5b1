"""`draftscope inspect`: what it prints, as a tree and as JSON, and its exit codes. Checkpoints are holes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from app import cli
from engine.checkpoint.tensor import Dtype
from tests.engine.checkpoint.files import write_checkpoint
from tests.engine.checkpoint.test_audit import SMALL, small

if TYPE_CHECKING:
    from pathlib import Path

SECOND = "model-00002-of-00003.safetensors"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A checkpoint of the right headers and no contents, with an MTP layer, 2."""
    folder = tmp_path / "small-model"
    write_checkpoint(folder, small(), SMALL)
    return folder


def inspect(*arguments: object) -> int:
    return cli.main(["inspect", *map(str, arguments)])


def lines_of(text: str) -> list[str]:
    """Its lines, each with single spaces."""
    return [" ".join(line.split()) for line in text.splitlines()]


def as_json(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> dict[str, Any]:
    assert inspect(*arguments, "--json") == code
    out, err = capsys.readouterr()
    assert err == ""
    (line,) = out.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_the_demo_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect("--hash") == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = lines_of(out)
    assert lines[0].startswith("demo: ")
    assert "= a copy of model.embed_tokens.weight, byte for byte" in lines
    assert "= a copy of lm_head.weight, byte for byte" in lines
    assert "= no copy of model.norm.weight" in lines
    assert "What is wrong" not in out


def test_the_tree(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect(model) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = lines_of(out)
    assert lines[0].startswith(f"small-model: {len(small())} tensors in 3 shards, ")
    for line in (
        "tensors parameters bytes",
        "q_a_proj 2 x [136, 160] F8_E4M3 43.52K 43.52 kB",
        "experts.*.gate_proj 4 x [100, 160] F8_E4M3 64.00K 64.00 kB",
        "weight_scale_inv 12 of 2 shapes 24 96 B",
        "e_score_correction_bias 1 x [4] F32 4 16 B",
        "MTP layer 2 32 577.96K 651.74 kB",
        "eh_proj 1 x [160, 320] BF16 51.20K 102.40 kB",
        "embedding, one row 160 320 B",
        "One draft of MTP layer 2 touches in addition",
    ):
        assert line in lines, line
    text = " ".join(lines)
    assert "Embeds the token that was just decided" in text
    assert r"It hides names that match model\.layers\.61.*, but those of MTP layer 2 do not" in text
    assert "byte for byte" not in text
    assert "What is wrong" not in text
    assert max(map(len, out.splitlines())) <= 80


def test_json(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, model)
    assert found["model"] == "small-model"
    assert (found["basis"], found["layers"], found["model_type"]) == ("headers", 2, "deepseek_v3")
    assert found["shards"] == {"count": 3, "missing": 0, "damaged": 0}
    assert found["tensors"] == len(small()) == found["weights"]["tensors"] + found["scales"]["tensors"]
    assert found["bytes"] == found["weights"]["bytes"] + found["scales"]["bytes"]
    sections = [found["main"], *found["mtp"]]
    assert sum(one["weights"]["bytes"] + one["scales"]["bytes"] for one in sections) == found["bytes"]
    for section in sections:
        for part in section["parts"]:
            assert sum(group["bytes"] for group in part["groups"]) == part["weights"]["bytes"]
            assert sum(group["bytes"] for group in part["scale_groups"]) == part["scales"]["bytes"]
    (mtp,) = found["mtp"]
    assert mtp["layer"] == 2
    assert [one["name"].removeprefix("model.layers.2.").removesuffix(".weight") for one in mtp["own"]] == [
        "embed_tokens", "enorm", "hnorm", "eh_proj", "shared_head.norm", "shared_head.head",
    ]  # fmt: skip
    assert mtp["own"][3]["shape"] == [160, 320]
    assert mtp["draft"]["bytes"] == sum(part["bytes"] for part in mtp["draft"]["parts"]) > 0
    assert found["loader"]["warned_mtp_layers"] == [2]
    assert found["comparisons"] is None
    assert found["faults"] == found["notes"] == []


def test_json_with_hash(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = as_json(capsys, model, "--hash")["comparisons"][0]
    assert first["name"] == "model.layers.2.embed_tokens.weight"
    assert first["other"] == "model.embed_tokens.weight"
    assert (first["likeness"], first["bytes"], len(first["digest"])) == ("same", 64 * 160 * 2, 64)


def test_a_terminal_sees_the_comparison_go_on(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert inspect(model, "--hash") == 0
    assert "comparing 0% of 0.0 GB  model.layers.2.embed_tokens.weight" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert "comparing" not in capsys.readouterr().out


def test_an_index_alone_is_shown_and_called_so(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = as_json(capsys, model)
    for shard in model.glob("*.safetensors"):
        shard.unlink()
    found = as_json(capsys, model)
    assert found["basis"] == "index"
    assert found["bytes"] == whole["bytes"]
    assert inspect(model, "--hash") == 0
    out = capsys.readouterr().out
    assert "FROM THE INDEX ALONE" in out
    assert "Nothing was compared by value" in out
    assert "What is wrong" not in out


def test_what_is_wrong_comes_after_the_tree(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (model / SECOND).unlink()
    (model / "config.json").write_text("{")
    assert inspect(model, "--hash") == 3
    out, err = capsys.readouterr()
    assert err == ""
    lines = lines_of(out)
    assert "main model" in out
    assert "Shards: 1 missing, 0 damaged." in lines
    assert (
        f"{len(small()) // 3} of the tensors are not read: they count as tensors, and in nothing else."
        in lines
    )
    assert "One decoded token touches, at batch 1: not known" in " ".join(lines)
    assert max(map(len, out.partition("What is wrong")[0].splitlines())) <= 80
    wrong = lines[lines.index("What is wrong") :]
    assert sum(line.startswith("- ") for line in wrong) == 2
    assert "config.json" in " ".join(wrong)
    assert f"'{SECOND}'" in " ".join(wrong)
    assert len(as_json(capsys, model, code=3)["faults"]) == 2


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("tokenizer.json", "[1", "tokenizer.json is damaged"),
        ("chat_template.jinja", "{% if %}", "chat_template.jinja is not a valid chat template"),
        ("tokenizer_config.json", "[", "tokenizer_config.json is not JSON"),
        ("generation_config.json", '{"eos_token_id": "x"}', "which is no token id"),
    ],
)
def test_what_lies_beside_the_weights_is_read_too(
    model: Path, file: str, text: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (model / file).write_text(text)
    (fault,) = as_json(capsys, model, code=3)["faults"]
    assert sentence in fault
    assert inspect(model) == 3
    assert sentence in " ".join(capsys.readouterr().out.partition("What is wrong")[2].split())


def test_another_architecture_is_a_fault(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (model / "config.json").write_text(json.dumps(SMALL | {"model_type": "llama"}))
    found = as_json(capsys, model, code=3)
    (fault,) = found["faults"]
    assert fault.startswith("draftscope cannot run it: ")
    assert found["notes"] == []


def test_no_name_can_command_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "c\x1b]0;d\nx"
    tensors = small() | {"\x1b[2J\nmain model": (Dtype.F32, (4,)), "\x9b31m": (Dtype.F32, (4,))}
    write_checkpoint(folder, tensors, SMALL)
    (folder / SECOND).write_bytes(b"")
    assert inspect(folder) == 3
    out = capsys.readouterr().out
    assert out.startswith("c␛]0;d␊x: ")
    assert not any(character in out for character in "\x1b\x9b\r")
    assert sum(line.startswith("main model") for line in out.splitlines()) == 1


def test_many_unknown_names_are_cut_short(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tensors = small() | {f"odd{chr(97 + n)}": (Dtype.F32, (n,)) for n in range(26)}
    write_checkpoint(model, tensors, SMALL)
    assert inspect(model) == 0
    assert "and 6 more kinds of names; --json has all" in capsys.readouterr().out
    assert len(as_json(capsys, model)["unknown"]["groups"]) == 26


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [(["gone"], 3, "does not exist"), (["one", "two"], 2, "two"), (["--has"], 2, "--has")],
)
def test_mistakes_end_in_a_sentence(
    arguments: list[str], code: int, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        ended = inspect(*arguments)
    except SystemExit as exit_:
        ended = int(str(exit_.code))
    assert ended == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("draftscope: ")
    assert err.count("\n") == 1
    assert word in err


def test_it_needs_neither_torch_nor_numba() -> None:
    script = (
        "import sys, app.cli; code = app.cli.main(['inspect', '--hash']); "
        "print(code, [m for m in ('torch', 'numba', 'numpy', 'rich', 'textual') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"
