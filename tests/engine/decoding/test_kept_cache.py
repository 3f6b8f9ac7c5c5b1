"""A text kept in a file and recalled by another engine: it goes on to the bit, or the file is refused."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import load
from engine.checkpoint.checkpoint import open_checkpoint
from engine.checkpoint.fingerprint import fingerprint
from engine.decoding import kept_cache
from engine.decoding.build import build_identity
from engine.errors import UsageError
from engine.kernels.reference import TorchKernels
from engine.model.steps import finish
from tests.engine.decoding.conftest import CONTEXT, MODELS
from tests.engine.decoding.replies import BASE, reply, watched
from tests.engine.tiny import SPECS, build

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine import Engine
    from engine.decoding.sequence import SequenceState
    from engine.events import Event
    from tests.engine.tiny import TinySpec

SOME = settings(deadline=None, max_examples=10, derandomize=True, database=None)


@pytest.fixture(scope="session")
def other_of(fresh: Callable[..., Engine]) -> Callable[[str], Engine]:
    """A second engine of a model, with another context and number of threads, whatever it did before."""
    engines: dict[str, Engine] = {}

    def opened(model: str) -> Engine:
        if model not in engines:
            engines[model] = fresh(model, context=CONTEXT // 2, threads=2)
        return engines[model]

    return opened


@pytest.fixture(scope="session")
def kept(
    engine_of: Callable[[str], Engine], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[int]]:
    """A kept cache of the FP8 model, partly fed to its MTP layer, and the text it was kept of."""
    engine, file = engine_of("fp8"), tmp_path_factory.mktemp("kept") / "chat.cache"
    engine.logits([1])
    text = [*BASE, *reply(engine, BASE, depth=2, max_tokens=9).ids]
    text += reply(engine, text, mode="ordinary", max_tokens=9).ids
    engine.keep_cache(file)
    return file, text


def state_of(engine: Engine) -> SequenceState:
    return engine._decoder.state


def snapshot(state: SequenceState) -> list[object]:
    """All that counts of a state."""
    rows = [cache[: state.main_rows].clone() for cache in state.caches]
    assert state.mtp_cache is not None
    rows += [state.mtp_cache[: state.mtp_rows].clone(), state.hidden[: state.main_rows].clone()]
    numbers = [list(state.tokens), state.main_rows, state.mtp_rows, state.fresh_rows]
    return [*numbers, *(row.numpy().tobytes() for row in rows)]


@pytest.mark.parametrize("name", MODELS)
@SOME
@given(
    turns=st.lists(
        st.tuples(st.sampled_from(["mtp", "ngram", "ordinary"]), st.integers(0, 5), st.integers(1, 12)),
        min_size=1,
        max_size=3,
    ),
    events=st.integers(2, 12),
    back=st.integers(0, 20),
    tail=st.lists(st.integers(5, 47), min_size=1, max_size=3),
    sampling=st.sampled_from([{}, {"temperature": 0.8, "seed": 5}]),
)
def test_a_recalled_text_goes_on_as_if_it_had_never_been_left(
    name: str,
    turns: list[tuple[str, int, int]],
    events: int,
    back: int,
    tail: list[int],
    sampling: dict[str, float],
    engine_of: Callable[[str], Engine],
    other_of: Callable[[str], Engine],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    engine, other, text = engine_of(name), other_of(name), list(BASE)
    engine.logits([1])
    for mode, depth, count in turns:
        text += reply(engine, text, mode=mode, depth=depth, max_tokens=count).ids
    left = events

    def between(_event: Event) -> bool:  # the last one may be given up anywhere
        nonlocal left
        left -= 1
        return left > 0

    text += watched(engine, text, between, depth=3, max_tokens=6).ids
    file = tmp_path_factory.mktemp("kept") / "chat.cache"
    written = engine.keep_cache(file)
    assert written.bytes == file.stat().st_size
    reply(other, [9, 8, 7], max_tokens=5)
    assert written.tokens == state_of(engine).main_rows
    assert other.recall_cache(file) == written.tokens

    prompt = [*text[: max(1, len(text) - back)], *tail]
    expected = reply(engine, prompt, depth=4, max_tokens=10, detail=True, **sampling)
    found = reply(other, prompt, depth=4, max_tokens=10, detail=True, **sampling)
    assert found.bits == expected.bits
    assert found.text == expected.text
    assert found.prefilled.reused_tokens == expected.prefilled.reused_tokens
    assert [event.detail for event in found.verified] == [event.detail for event in expected.verified]

    other.logits([1])  # and as a text that is read anew
    anew = reply(other, prompt, depth=4, max_tokens=10, detail=True, **sampling)
    assert anew.prefilled.reused_tokens == 0
    assert anew.bits == found.bits


def test_recalled_rows_and_logits_are_those_of_a_fresh_prefill(
    fresh: Callable[..., Engine], kept: tuple[Path, list[int]]
) -> None:
    file, text = kept
    recalled, anew = fresh("fp8"), fresh("fp8")
    tokens = recalled.recall_cache(file)
    for engine in (recalled, anew):
        reply(engine, [*text[:tokens], 31, 32], depth=3, max_tokens=4)
    mine, theirs = state_of(recalled), state_of(anew)
    rows = mine.main_rows
    assert mine.tokens == theirs.tokens
    assert (mine.main_rows, mine.mtp_rows) == (theirs.main_rows, theirs.mtp_rows)
    for cache, other in zip(mine.caches, theirs.caches, strict=True):
        assert torch.equal(cache[:rows], other[:rows])
    assert mine.mtp_cache is not None
    assert theirs.mtp_cache is not None
    assert torch.equal(mine.mtp_cache[: mine.mtp_rows], theirs.mtp_cache[: mine.mtp_rows])
    logits = [
        finish(each._decoder.model.logits(state_of(each).hidden[tokens:rows])) for each in (recalled, anew)
    ]
    assert torch.equal(*logits)


def test_only_rows_that_count_are_written(engine: Engine, tmp_path: Path) -> None:
    engine.logits([1])
    reply(engine, BASE, mode="ordinary", max_tokens=8)
    state, config = state_of(engine), engine.config
    kept = engine.keep_cache(tmp_path / "a.cache")
    rows = len(BASE) + 7  # the last token was not run
    assert kept.tokens == rows
    width = config.kv_lora_rank + config.qk_rope_head_dim
    expected = 4 * rows * (1 + config.num_hidden_layers * width + config.hidden_size)
    assert expected < kept.bytes < expected + 1000
    reply(engine, BASE, depth=2, max_tokens=8)
    assert state.mtp_rows
    assert engine.keep_cache(tmp_path / "b.cache").bytes < kept.bytes, "states the MTP layer was fed with"
    assert [each.name for each in sorted(tmp_path.iterdir())] == ["a.cache", "b.cache"]
    assert (tmp_path / "a.cache").stat().st_mode & 0o777 == 0o600


def test_without_an_mtp_layer_no_states_are_kept(tiny: Callable[[TinySpec], Path], tmp_path: Path) -> None:
    engines = [load(tiny(SPECS["NO_MTP"]), context=64, threads=1) for _ in range(2)]
    text = [*BASE, *reply(engines[0], BASE, mode="ngram", max_tokens=6).ids]
    kept = engines[0].keep_cache(tmp_path / "chat.cache")
    assert engines[1].recall_cache(tmp_path / "chat.cache") == kept.tokens
    found = reply(engines[1], [*text, 31], mode="ngram", max_tokens=6)
    assert found.prefilled.reused_tokens == kept.tokens - 1
    assert found.bits == reply(engines[0], [*text, 31], mode="ngram", max_tokens=6).bits


def test_an_empty_cache_is_not_kept(fresh: Callable[..., Engine], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no text yet"):
        fresh("f32").keep_cache(tmp_path / "chat.cache")
    assert not list(tmp_path.iterdir())


def refused(engine: Engine, file: Path, sentence: str) -> None:
    """Assert that a file is refused with a sentence that names it, and that nothing changes."""
    before = snapshot(state_of(engine))
    with pytest.raises(UsageError, match=sentence) as refusal:
        engine.recall_cache(file)
    assert str(file)[:40] in str(refusal.value)
    assert snapshot(state_of(engine)) == before


@settings(SOME, max_examples=60)
@given(place=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255), data=st.data())
def test_a_file_damaged_anywhere_is_refused(
    place: float,
    bits: int,
    data: st.DataObject,
    kept: tuple[Path, list[int]],
    engine_of: Callable[[str], Engine],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    content = bytearray(kept[0].read_bytes())
    near = data.draw(st.booleans(), "within the header")
    at = int(place * (500 if near else len(content)))
    content[at] ^= bits
    file = tmp_path_factory.mktemp("damaged") / "chat.cache"
    file.write_bytes(content)
    engine = engine_of("fp8")
    if not state_of(engine).main_rows:
        reply(engine, BASE, max_tokens=4)
    refused(engine, file, r": the prompt has to be read again\.$")


@SOME
@given(share=st.floats(0, 1, exclude_max=True), added=st.booleans())
def test_a_file_of_another_length_is_refused(
    share: float,
    added: bool,
    kept: tuple[Path, list[int]],
    engine_of: Callable[[str], Engine],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    content = kept[0].read_bytes()
    file = tmp_path_factory.mktemp("torn") / "chat.cache"
    file.write_bytes(content + b"\0" if added else content[: int(share * len(content))])
    refused(engine_of("fp8"), file, "is damaged: the prompt has to be read again")


def test_a_text_longer_than_the_context_is_refused(
    fresh: Callable[..., Engine], kept: tuple[Path, list[int]]
) -> None:
    tokens = fresh("fp8").recall_cache(kept[0])
    assert fresh("fp8", context=tokens).recall_cache(kept[0]) == tokens
    small = fresh("fp8", context=tokens - 1)
    reply(small, BASE, max_tokens=4)
    refused(
        small, kept[0], f"has {tokens} tokens and the context holds {tokens - 1}: choose a larger context"
    )


def rewritten(file: Path, target: Path, **values: object) -> Path:
    """A copy whose header says something else, with a checksum that is right."""
    data = file.read_bytes()
    length = int.from_bytes(data[16:20], "little")
    header = json.dumps(json.loads(data[20 : 20 + length]) | values).encode()
    body = data[:16] + len(header).to_bytes(4, "little") + header + data[20 + length : -32]
    target.write_bytes(body + kept_cache.hashlib.blake2b(body, digest_size=32).digest())
    return target


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"format": 2}, "was kept by another version of draftscope: the prompt"),
        ({"checkpoint": "0" * 64}, "was kept with another checkpoint: the prompt"),
        ({"build": "0" * 64}, "another version of draftscope, or on another processor: the prompt"),
        ({"dtype": "float16"}, "is damaged"),
        ({"layers": 10**9}, "is damaged"),
        ({"hidden": 0}, "is damaged"),
        ({"tokens": 0, "mtp_rows": 0}, "is damaged"),
        ({"tokens": 10**15}, "context holds"),
        ({"tokens": "9"}, "is damaged"),
        ({"tokens": True}, "is damaged"),
        ({"mtp_rows": -1}, "is damaged"),
        ({"mtp_rows": 10**6}, "is damaged"),
        ({"more": 1}, "is damaged"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(
    values: dict[str, object],
    sentence: str,
    kept: tuple[Path, list[int]],
    engine_of: Callable[[str], Engine],
    tmp_path: Path,
) -> None:
    same = rewritten(kept[0], tmp_path / "same.cache")
    engine = engine_of("fp8")
    engine.recall_cache(same)
    refused(engine, rewritten(kept[0], tmp_path / "chat.cache", **values), sentence)


def test_what_is_no_cache_at_all_is_refused(engine_of: Callable[[str], Engine], tmp_path: Path) -> None:
    engine = engine_of("fp8")
    refused(engine, tmp_path / "missing.cache", "There is no kept cache")
    refused(engine, tmp_path, "cannot be read|is not a kept cache")
    (tmp_path / "text.cache").write_text("these are not rows of any cache at all")
    refused(engine, tmp_path / "text.cache", "is not a kept cache")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        refused(engine, tmp_path / "pipe", "is not a kept cache")
    for name in ("a\0b", "\udfff"):
        with pytest.raises(UsageError, match="is not the name of a file"):
            engine.recall_cache(name)
        with pytest.raises(UsageError, match="is not the name of a file"):
            engine.keep_cache(name)


def test_a_file_that_cannot_be_written_leaves_the_old_one(
    engine_of: Callable[[str], Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, file = engine_of("fp8"), tmp_path / "chat.cache"
    reply(engine, BASE, max_tokens=4)
    engine.keep_cache(file)
    before = file.read_bytes()
    reply(engine, BASE, max_tokens=9)

    def full(_self: Path, _target: Path) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(UsageError, match=r"cannot be kept in .* \(No space left on device\): make room"):
            engine.keep_cache(file)
    assert [each.name for each in tmp_path.iterdir()] == ["chat.cache"]
    assert file.read_bytes() == before
    with pytest.raises(UsageError, match=r"No such file or directory.*check its folder"):
        engine.keep_cache(tmp_path / "nowhere" / "chat.cache")


def test_a_file_that_changes_while_it_is_read_leaves_no_text(
    fresh: Callable[..., Engine],
    kept: tuple[Path, list[int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, file = fresh("fp8"), tmp_path / "chat.cache"
    content = bytearray(kept[0].read_bytes())
    file.write_bytes(content)
    verify = kept_cache._verify

    def verify_and_damage(opened: object, size: int) -> None:
        verify(opened, size)  # type: ignore[arg-type]
        content[-1000] ^= 1
        file.write_bytes(content)

    monkeypatch.setattr(kept_cache, "_verify", verify_and_damage)
    with pytest.raises(UsageError, match="is damaged"):
        engine.recall_cache(file)
    assert reply(engine, kept[1], max_tokens=2).prefilled.reused_tokens == 0


def test_a_checkpoint_is_known_again_wherever_it_lies(
    tiny: Callable[[TinySpec], Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny(MODELS["fp8"]), tmp_path / "copy")

    def identity(path: Path) -> str:
        with open_checkpoint(path) as checkpoint:
            return fingerprint(checkpoint)

    first = identity(folder)
    assert first == identity(tiny(MODELS["fp8"]))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "rope_theta": 20000}))
    assert identity(folder) != first
    (folder / "config.json").write_text(json.dumps(config))
    assert identity(folder) == first
    with open_checkpoint(folder) as checkpoint:
        record = checkpoint.record("model.layers.1.self_attn.o_proj.weight")
    with record.shard.open("r+b") as file:
        file.seek(record.offset + record.bytes // 2)
        (byte,) = file.read(1)
        file.seek(record.offset + record.bytes // 2)
        file.write(bytes([byte ^ 1]))
    assert identity(folder) != first, "the same headers over other weights"


def test_another_training_s_rows_are_refused(
    kept: tuple[Path, list[int]], tmp_path: Path, tiny: Callable[[TinySpec], Path]
) -> None:
    spec = replace(MODELS["fp8"], seed=MODELS["fp8"].seed + 1)
    other = load(build(tmp_path / "other", spec), context=CONTEXT, threads=1)
    reply(other, BASE, max_tokens=3)
    refused(other, kept[0], "was kept with another checkpoint")


def test_other_kernels_are_another_build(engine_of: Callable[[str], Engine]) -> None:
    kernels = engine_of("fp8")._decoder.model.kernels
    assert build_identity(kernels) == build_identity(kernels)
    assert build_identity(kernels) != build_identity(TorchKernels())
