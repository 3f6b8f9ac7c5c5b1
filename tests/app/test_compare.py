"""`draftscope compare`: what goes to which stream, and how it ends. On a fake engine but for one test."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app import cli
from app.commands.compare import read_prompts
from engine.errors import UsageError
from engine.event_json import from_json
from engine.events import Finished, FinishReason, Header, Origin, Prefilled, RejectedToken, Token, Verified
from engine.lanes import LaneEvent, LanesFinished, LanesPlanned, LanesPrepared
from tests.engine.fake_engine import FakeEngine
from tests.engine.tiny import build, partly_right_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from engine.events import Event
    from engine.lanes import Lane, LanesNews
    from engine.options import GenerateOptions
    from engine.surface import LoadSettings


class LanesEngine(FakeEngine):
    """A fake whose every draft is right and whose passes take a second, and half as much again a draft."""

    def __init__(self, folder: Path, settings: LoadSettings) -> None:
        super().__init__(folder, settings)
        self.warnings = ()
        self.asked: list[tuple[list[int], tuple[Lane, ...], GenerateOptions, int]] = []
        self.fault = folder.name

    def compare(
        self, token_ids: Sequence[int], lanes: Sequence[Lane], options: GenerateOptions, *, repeats: int = 1
    ) -> Iterator[LanesNews]:
        self.asked.append((list(token_ids), tuple(lanes), options, repeats))
        interleaved = self.fault != "alone"
        yield LanesPlanned(tuple(lanes), repeats, interleaved, "This is why.", 5)
        yield LaneEvent(None, 0, Prefilled(len(token_ids), 0, 1.25))
        yield LanesPrepared(1.25, 0.5)
        for repeat in range(repeats):
            for number, lane in enumerate(lanes):
                for event in self._lane(lane.depth, options.max_tokens, token_ids):
                    yield LaneEvent(number, repeat, event)
                    if self.fault == "cancelled" and number == 1:
                        yield LaneEvent(number, repeat, Finished(FinishReason.CANCELLED, 1, 1.0))
                        yield LanesFinished(complete=False)
                        return
                    if self.fault == "failing" and number == 1:
                        yield LanesFinished(False, "Shard 7 is \x1b[31mgone.")
                        return
        yield LanesFinished(complete=True)

    def _lane(self, depth: int, most: int, ids: Sequence[int]) -> Iterator[Event]:
        said = [ids[place % len(ids)] for place in range(most)]
        if self.fault == "differs" and depth == 2:
            said[3] += 1
        yield Prefilled(len(ids), len(ids) - 1, 9.0)
        yield Verified(0, self.controls.mode, 0, 0, (token(said[0]),), ())
        number, done = 0, 1
        while done < most:
            number += 1
            drafted = min(depth, most - done - 1)
            tokens = tuple(map(token, said[done : done + drafted + 1]))
            done += len(tokens)
            seconds = 1 + 0.5 * drafted
            yield Verified(number, self.controls.mode, drafted, drafted, tokens, (), 0.0, seconds)
        yield Finished(FinishReason.LENGTH, most, 1.0)


def token(id_: int) -> Token:
    return Token(id_, "", Origin.ORDINARY, 0, None, None)


@pytest.fixture(autouse=True)
def _traces_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


class Loaded:
    """Loads the fake and keeps it."""

    def __init__(self) -> None:
        self.engine: LanesEngine | None = None

    def __call__(
        self, path: str, settings: LoadSettings, progress: Callable[[int, int, str], None]
    ) -> LanesEngine:
        progress(1, 2, "model.safetensors")
        self.engine = LanesEngine(Path(path), settings)
        return self.engine


def compare(*arguments: str, load: Loaded | None = None) -> int:
    return cli.main(["compare", *arguments], load=load or Loaded())


def cells(out: str) -> dict[str, list[str]]:
    """The table's rows by lane."""
    rows = [line.strip("|").split("|") for line in out.splitlines() if line.startswith("|")]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}


def test_the_table_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare("-m", "model", "--depths", "0,1", "--max-tokens", "9", "the sea") == 0
    out, err = capsys.readouterr()
    table = cells(out)
    assert list(table) == ["lane", "---", "depth 0", "mtp 1"]
    assert table["depth 0"][:4] == ["1.0", "0 %", "1.00", "16"]
    assert table["mtp 1"][:5] == ["1.3", "0 %", "1.33 ± 0.00", "16", "100 %"]
    assert "Fastest: mtp 1, 1.33 times the speed of depth 0." in out
    assert "Depth 1 pays: 2.00 tokens a round, a round costs 1.50." in out
    assert "Identical text: yes." in out
    assert "This is why." in out
    assert "1.25 s" in out, "prefill stands apart"
    assert err == ""


def test_json_is_one_object_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare("-m", "alone", "--json", "--depths", "0,2", "--modes", "mtp,ngram,auto", "the sea") == 0
    data = json.loads(capsys.readouterr().out)
    assert list(data) == ["interleaved", "identical_text", "lanes"]
    assert data["interleaved"] is False
    assert data["identical_text"] is True
    lanes = [(lane["mode"], lane["depth"]) for lane in data["lanes"]]
    assert lanes == [("ordinary", 0), ("mtp", 2), ("ngram", 2), ("auto", None)]


def test_what_was_asked_reaches_the_engine() -> None:
    load = Loaded()
    given = ["--raw", "--repeats", "3", "--temperature", "0.5", "--seed", "4", "--depths", "2,0,2"]
    assert compare("-m", "model", *given, "the sea", load=load) == 0
    assert load.engine
    ((ids, lanes, options, repeats),) = load.engine.asked
    assert load.engine.tokenizer
    assert ids == load.engine.tokenizer.encode("the sea")
    assert [lane.label for lane in lanes] == ["depth 0", "mtp 2"]
    assert (options.temperature, options.seed, options.max_tokens) == (0.5, 4, 64)
    assert repeats == 3
    assert load.engine.closed


def test_without_an_mtp_layer_ngrams_draft(capsys: pytest.CaptureFixture[str]) -> None:
    load = Loaded()
    assert compare("-m", "no-mtp", "--depths", "0,1", "the sea", load=load) == 0
    assert list(cells(capsys.readouterr().out))[2:] == ["depth 0", "ngram 1"]


def test_prompts_of_a_file_are_measured_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "prompts"
    file.write_text('the sea\n\n{"prompt": "the sky", "skill": "blue"}\n')
    load = Loaded()
    assert compare("-m", "model", "--depths", "0,1", "--prompts", str(file), "--json", load=load) == 0
    assert load.engine
    assert len(load.engine.asked) == 2
    assert json.loads(capsys.readouterr().out)["lanes"][0]["tokens"] == 2 * 2 * 63


def test_texts_that_differ_are_a_fault_and_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare("-m", "differs", "--depths", "0,1,2", "the sea") == 1
    out, err = capsys.readouterr()
    assert "Identical text: no." in out
    assert cells(out)["mtp 2"][2] == "–", "no ratio between different texts"
    assert err.count("\n") == 1
    files = [Path(word.rstrip(".,")) for word in err.split() if ".jsonl" in word]
    assert len(files) == 2
    for file in files:
        header, *events = [from_json(json.loads(line)) for line in file.read_text().splitlines()]
        assert isinstance(header, Header)
        assert isinstance(events[-1], Finished)


def test_under_rejection_texts_may_differ(capsys: pytest.CaptureFixture[str]) -> None:
    sampling = ["--temperature", "0.7", "--accept", "rejection"]
    assert compare("-m", "differs", "--depths", "0,1,2", *sampling, "the sea") == 0
    assert "Identical text: not promised." in capsys.readouterr().out
    assert compare("-m", "differs", "--depths", "0,2", "--accept", "rejection", "the sea") == 1, "greedy is"


def test_an_interrupt_keeps_what_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare("-m", "cancelled", "--depths", "0,1", "--max-tokens", "9", "the sea") == 130
    out = capsys.readouterr().out
    assert cells(out)["depth 0"][3] == "8"
    assert cells(out)["mtp 1"][:4] == ["–", "–", "–", "0"]


def test_a_failure_says_why_after_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare("-m", "failing", "--depths", "0,1", "the sea") == 1
    out, err = capsys.readouterr()
    assert "depth 0" in cells(out)
    assert err == "draftscope: Shard 7 is ␛[31mgone.\n"


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ([], 2, "nothing to compare"),
        ([""], 2, "The prompt is empty"),
        (["--depths", "0,9", "x"], 2, "not from 0 to 8"),
        (["--depths", "", "x"], 2, "not a list"),
        (["--modes", "mtp,psychic", "x"], 2, "psychic"),
        (["--modes", "ordinary", "x"], 2, "not a list of mtp, ngram, auto"),
        (["--repeats", "0", "x"], 2, "at least 1"),
        (["--max-tokens", "0", "x"], 2, "max_tokens must be"),
        (["--mode", "mtp", "x"], 2, "--mode"),
        (["--prompts", "/nowhere/at/all"], 2, "/nowhere/at/all cannot be read"),
        (["-m", "no-mtp", "--modes", "auto", "x"], 3, "no MTP layer"),
        (["-m", "no-template", "x"], 2, "--raw"),
    ],
)
def test_a_mistake_ends_in_one_sentence(
    arguments: list[str], code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        ended = compare(*arguments)
    except SystemExit as exit_:
        ended = int(str(exit_.code))
    assert ended == code
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no prompt"),
        ("x\n{nonsense", "line 2"),
        ('{"turns": []}', '"prompt"'),
        ('{"prompt": 3}', "line 1"),
    ],
)
def test_a_file_of_prompts_is_checked(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        read_prompts(text, "file")


def test_a_lane_without_drafts_accepted_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    class Poor(LanesEngine):
        def _lane(self, depth: int, most: int, ids: Sequence[int]) -> Iterator[Event]:
            for event in super()._lane(0, most, ids):
                if isinstance(event, Verified) and event.round and depth:
                    rejected = tuple(RejectedToken(1, "", None, None) for _ in range(depth))
                    event = replace(event, depth=depth, rejected=rejected, verify_seconds=2.0)
                yield event

    def load(path: str, settings: LoadSettings, progress: object) -> Poor:
        return Poor(Path(path), settings)

    assert cli.main(["compare", "-m", "model", "--depths", "0,2,4", "the sea"], load=load) == 0
    out = capsys.readouterr().out
    assert "Fastest: depth 0; no lane that drafts reaches its speed." in out
    assert "Depth 2 is slower: 1.00 tokens a round, since only 0 % of its drafts are accepted." in out


def test_lanes_that_are_not_told_apart_have_no_winner(capsys: pytest.CaptureFixture[str]) -> None:
    class Scattering(LanesEngine):
        """Of which the passes with drafts take as long as those without, one time less, one time more."""

        times = 0

        def _lane(self, depth: int, most: int, ids: Sequence[int]) -> Iterator[Event]:
            self.times += depth > 0
            for event in super()._lane(0, most, ids):
                if isinstance(event, Verified) and depth:
                    event = replace(event, verify_seconds=0.9 if self.times % 2 else 1.1)
                yield event

    def load(path: str, settings: LoadSettings, progress: object) -> Scattering:
        return Scattering(Path(path), settings)

    assert cli.main(["compare", "-m", "model", "--depths", "0,1", "the sea"], load=load) == 0
    out = capsys.readouterr().out
    assert "No lane is clearly the fastest: mtp 1 (1.00 ± 0.10), depth 0 (1.00)" in out or (
        "No lane is clearly the fastest: depth 0 (1.00), mtp 1 (1.00 ± 0.10)" in out
    )
    assert "Depth 1 is as fast as depth 0, as far as its runs can tell: 1.00 ± 0.10" in out


def test_the_real_engine_writes_one_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = build(tmp_path / "tiny", partly_right_spec())
    arguments = [
        "-m",
        str(folder),
        "--context",
        "128",
        "--threads",
        "1",
        "--max-tokens",
        "16",
        "--ignore-eos",
    ]
    arguments += ["--modes", "mtp,ngram,auto", "--depths", "0,2", "--json", "--raw", "the sea the sea"]
    assert cli.main(["compare", *arguments]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["interleaved"] is True
    assert data["identical_text"] is True
    assert [lane["tokens"] for lane in data["lanes"]] == [2 * 15] * 4
    assert all(lane["ratio"] > 0 for lane in data["lanes"])
