"""generation_config.json: what the authors recommend, and which tokens end a reply."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from engine.errors import CheckpointError, UsageError
from engine.options import GenerateOptions, Mode
from engine.text.generation import GenerationDefaults

if TYPE_CHECKING:
    from pathlib import Path


def _write(folder: Path, name: str = "generation_config.json", **data: object) -> Path:
    (folder / name).write_text(json.dumps(data))
    return folder


def test_without_the_file_decoding_is_greedy(tmp_path: Path) -> None:
    assert GenerationDefaults.load(tmp_path) == GenerationDefaults()
    assert GenerationDefaults().options() == GenerateOptions()


def test_sampling_is_taken_as_recommended(tmp_path: Path) -> None:
    _write(tmp_path, do_sample=True, temperature=0.6, top_p=0.95, top_k=40, eos_token_id=1)
    defaults = GenerationDefaults.load(tmp_path)
    assert defaults == GenerationDefaults(0.6, 0.95, 40, 0.0, (1,))
    assert defaults.options({"top_p": 0.5, "mode": "ngram"}) == GenerateOptions(
        temperature=0.6, top_p=0.5, top_k=40, mode=Mode.NGRAM
    )


def test_sampling_not_asked_for_is_greedy(tmp_path: Path) -> None:
    assert GenerationDefaults.load(_write(tmp_path, temperature=0.6, top_p=0.95)).temperature == 0
    assert GenerationDefaults.load(_write(tmp_path, do_sample=False, temperature=0.6)).temperature == 0


def test_sampling_without_a_temperature_is_at_one(tmp_path: Path) -> None:
    defaults = GenerationDefaults.load(_write(tmp_path, do_sample=True, top_p=None))
    assert defaults == GenerationDefaults(temperature=1.0)


def test_several_tokens_may_end_a_reply(tmp_path: Path) -> None:
    _write(tmp_path, eos_token_id=[7, 9, 7])
    assert GenerationDefaults.load(tmp_path).eos_ids == (7, 9)


def test_the_end_token_is_looked_for_in_the_config(tmp_path: Path) -> None:
    _write(tmp_path, "config.json", eos_token_id=5)
    assert GenerationDefaults.load(tmp_path).eos_ids == (5,)
    assert GenerationDefaults.load(_write(tmp_path, eos_token_id=3)).eos_ids == (3,)


@pytest.mark.parametrize(
    "data",
    [
        {"do_sample": True, "temperature": "hot"},
        {"do_sample": True, "top_p": 2},
        {"do_sample": True, "top_k": 1.5},
        {"eos_token_id": "</s>"},
        {"eos_token_id": [True]},
        {"eos_token_id": -1},
    ],
)
def test_wrong_values_are_refused_with_file_and_key(tmp_path: Path, data: dict[str, object]) -> None:
    with pytest.raises(CheckpointError, match=rf"generation_config\.json: {list(data)[-1]}"):
        GenerationDefaults.load(_write(tmp_path, **data))


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "generation_config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"generation_config\.json"):
        GenerationDefaults.load(tmp_path)


def test_an_unknown_option_names_its_neighbour() -> None:
    with pytest.raises(UsageError, match="did you mean temperature"):
        GenerationDefaults().options({"temprature": 1})
