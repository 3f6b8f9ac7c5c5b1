"""Opening a checkpoint: what is loaded, what is refused, and with which words."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine import GenerateOptions, Verified, load
from engine.checkpoint.checkpoint import open_checkpoint
from engine.errors import CheckpointError, MemoryBudgetError, UsageError
from engine.offload import home
from engine.options import Mode
from tests.engine.tiny import SPECS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.engine.tiny import TinySpec

    Tiny = Callable[[TinySpec], Path]


@pytest.fixture
def copy(tiny: Tiny, tmp_path: Path) -> Path:
    """A checkpoint of one's own to damage."""
    return shutil.copytree(tiny(SPECS["FP8"]), tmp_path / "copy")


def overwrite(folder: Path, tensor: str, content: bytes) -> None:
    """Put bytes at the beginning of a tensor's."""
    with open_checkpoint(folder) as checkpoint:
        record = checkpoint.record(tensor)
    with record.shard.open("r+b") as file:
        file.seek(record.offset)
        file.write(content)


def test_nan_bytes_are_counted_and_reported(copy: Path) -> None:
    assert load(copy, threads=1).warnings == ()
    overwrite(copy, "model.layers.0.self_attn.o_proj.weight", b"\x7f\xff\x7e\x7f\x00")
    (warning,) = load(copy, threads=1).warnings
    assert warning.startswith("3 FP8 weights")
    assert "NaN" in warning


def test_nan_bytes_in_other_types_are_just_bytes(tiny: Tiny, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny(SPECS["BF16"]), tmp_path / "copy")
    overwrite(folder, "model.layers.0.self_attn.o_proj.weight", b"\x7f\x00\x7f\x00")
    assert load(folder, threads=1).warnings == ()


@pytest.mark.parametrize(
    ("context", "advice"),
    [
        (8, "shorten it, or choose a larger context (--context 64 at the most)."),
        (64, "shorten it, since this model was made for no more."),
    ],
)
def test_a_prompt_too_long_comes_with_advice_that_can_be_followed(
    copy: Path, context: int, advice: str
) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 64}))
    with (
        load(copy, threads=1, context=context) as engine,
        pytest.raises(UsageError, match=f"{re.escape(advice)}$"),
    ):
        engine.generate([1] * context)


def test_weights_that_do_not_fit_are_refused_before_they_are_read(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def progress(done: int, total: int, file: str) -> None:
        pytest.fail("nothing may be read")

    monkeypatch.setattr(home, "available_bytes", lambda: 100_000)
    with pytest.raises(MemoryBudgetError, match=r"60\.00 kB is too small .* at least \S+ [kM]B"):
        load(copy, progress=progress)
    with pytest.raises(MemoryBudgetError, match=r"memory are needed .* and 100\.00 kB are available"):
        load(copy, ram="1GB", progress=progress)


def test_progress_grows_to_the_whole(tiny: Tiny) -> None:
    seen: list[tuple[int, int]] = []
    load(tiny(SPECS["FP8"]), threads=1, progress=lambda done, total, _: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert {total for _, total in seen} == {seen[-1][0]}


def test_the_context_is_bounded_by_what_the_model_was_made_for(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config["max_position_embeddings"] = 48
    (copy / "config.json").write_text(json.dumps(config))
    assert load(copy, threads=1).context == 48
    with pytest.raises(UsageError, match=r"context must be from 2 to 48.*not 49"):
        load(copy, context=49)
    with pytest.raises(UsageError, match="threads must be 1 or more"):
        load(copy, threads=0)


def test_prompts_that_cannot_be_run_are_refused(tiny: Tiny) -> None:
    engine = load(tiny(SPECS["FP8"]), threads=1, context=16)
    with pytest.raises(UsageError, match="prompt is empty"):
        engine.generate([])
    with pytest.raises(UsageError, match=r"Token -1 is outside the vocabulary, 0 to "):
        engine.generate([3, -1])
    with pytest.raises(UsageError, match=r"has 16 tokens and the context holds 16"):
        engine.generate([1] * 16)
    assert engine.logits([1] * 16).shape == (16, engine.config.vocab_size)
    with pytest.raises(UsageError, match=r"has 17 tokens"):
        engine.logits([1] * 17)


def test_without_an_mtp_layer_nothing_pretends_to_draft(tiny: Tiny) -> None:
    engine = load(tiny(SPECS["NO_MTP"]), threads=1, context=64)
    assert not engine.has_mtp
    with pytest.raises(CheckpointError, match="no MTP layer"):
        engine.draft([1, 2], 1)
    with pytest.raises(CheckpointError, match="no MTP layer: use mode ngram or ordinary"):
        engine.generate([1, 2], GenerateOptions(mode=Mode.MTP))
    modes = {event.mode for event in engine.generate([1, 2]) if isinstance(event, Verified) and event.round}
    assert modes == {Mode.NGRAM}


def test_two_engines_share_a_checkpoint(tiny: Tiny) -> None:
    first, second = (load(tiny(SPECS["FP8"]), threads=1, context=32) for _ in range(2))
    expected = first.logits([5, 6, 7])
    second.logits([9, 9])
    assert np.array_equal(second.logits([5, 6, 7]), expected)
    first.close()
    assert np.array_equal(second.logits([5, 6, 7]), expected)


def test_the_engine_is_usable_alone_in_ten_lines(tiny: Tiny) -> None:
    script = f"""
from engine import GenerateOptions, Verified, load
engine = load({str(tiny(SPECS["FP8"]))!r}, threads=1)
for event in engine.generate(engine.tokenizer.encode_raw("ab"), GenerateOptions(depth=2, max_tokens=8)):
    if isinstance(event, Verified):
        print(*(token.id for token in event.tokens))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert len(result.stdout.split()) == 8


def test_importing_the_surface_brings_neither_torch_nor_numba() -> None:
    script = "import sys, engine, app.cli; print([m for m in ('torch', 'numba') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
