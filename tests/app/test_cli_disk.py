"""The command line where weights come from disk: settings, figures, the status line, and faults."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app import cli
from app.commands.run import _news, disk_summary
from app.commands.terminal import StatusLine
from engine.checkpoint.audit import audit
from engine.checkpoint.checkpoint import open_checkpoint
from engine.config import ModelConfig
from engine.decoding.counters import Counters
from engine.event_json import from_json
from engine.events import Finished, FinishReason, Header, Mode, Origin, Phase, Token, Verified, Waiting
from engine.offload.plan import CPU, make_plan
from engine.offload.units import inventory
from engine.surface import LoadSettings
from engine.text.tokenizer import Tokenizer
from tests.engine import fake_engine
from tests.engine.text import made
from tests.engine.tiny import partly_right

ROOT = Path(__file__).parents[2]
HARNESS = (
    "import sys, app.cli, app.commands.terminal as terminal; from tests.engine.fake_engine import load;"
    "terminal.PROGRESS_SECONDS = 0; sys.exit(app.cli.main(load=load))"
)
XYZ = ",".join(map(str, Tokenizer(made.byte_level()).encode("xyz")))
CONTEXT = 64
ROUND = Verified(1, Mode.MTP, 0, 0, (Token(7, "", Origin.ORDINARY, 0, 0.0, None),), (), verify_seconds=0.5)


def draftscope(*arguments: str) -> int:
    return cli.main(list(arguments), load=fake_engine.load)


def on_a_terminal(*arguments: str, stdout: int | None = None) -> str:
    """What a terminal gets; standard output goes there too unless another place is given."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", HARNESS, *arguments], cwd=ROOT, stdout=stdout or theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # how Linux says that the other end was closed
        pass
    process.wait(60)
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")


def counted(*rounds: Verified) -> Counters:
    counters = Counters()
    for each in rounds:
        counters.observe(each)
    return counters


def test_settings_of_memory_and_drive_reach_the_engine(capsys: pytest.CaptureFixture[str]) -> None:
    run = ["run", "-m", "tell-settings", "--ids", "5", "--max-tokens", "1"]
    given = ["--ram", "12GiB", "--disk-limit", "1.5GB/s", "--readers", "4", "--direct", "--threads", "2"]
    assert draftscope(*run, *given) == 0
    settings = LoadSettings("12GiB", None, 2, "1.5GB/s", 4, True)
    assert str(settings) in capsys.readouterr().err
    assert draftscope(*run, "--no-direct", "--context", "99") == 0
    assert str(LoadSettings(direct=False, context=99)) in capsys.readouterr().err


def test_logits_take_a_budget(tmp_path: Path) -> None:
    seen: list[LoadSettings] = []

    def load(path: str, settings: LoadSettings, progress: object) -> fake_engine.FakeEngine:
        seen.append(settings)
        return fake_engine.FakeEngine(Path(path), settings)

    out = str(tmp_path / "rows.npz")
    assert cli.main(["logits", "-m", "model", "--ids", "5,6,7", "--out", out, "--ram", "50%"], load=load) == 0
    assert seen == [LoadSettings(ram="50%", context=3)]


def test_the_model_is_the_demo_unless_another_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    paths: list[str] = []

    def load(path: str, settings: LoadSettings, progress: object) -> fake_engine.FakeEngine:
        paths.append(path)
        return fake_engine.FakeEngine(Path(path), settings)

    assert cli.main(["run", "--json", "--ids", "5"], load=load) == 0
    header = from_json(json.loads(capsys.readouterr().out.splitlines()[0]))
    assert isinstance(header, Header)
    assert header.model == "demo"
    assert cli.main(["logits", "--ids", "5", "--out", str(tmp_path / "rows")], load=load) == 0
    assert paths == ["demo", "demo"]


def test_figures_of_what_moved_stand_beside_those_of_the_reply(capsys: pytest.CaptureFixture[str]) -> None:
    run = ["run", "-m", "stalls", "--ids", XYZ, "--max-tokens", "9", "--depth", "1"]
    assert draftscope(*run, "--disk-limit", "200MB/s") == 0
    out, err = capsys.readouterr()
    assert out == "xyzxyzxyz\n"
    assert err.splitlines()[-1] == (
        "experts: 65% in memory, 4.4 loads a token (1.2 ahead), 188 MB a token, 25% of the time waiting"
        " · drive held to 200 MB/s (emulated)"
    )


def test_nothing_is_said_where_everything_was_in_memory(capsys: pytest.CaptureFixture[str]) -> None:
    assert draftscope("run", "-m", "model", "--ids", XYZ, "--max-tokens", "9") == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("prompt 3 tokens")


@pytest.mark.parametrize(
    ("counters", "limit", "line"),
    [
        (counted(), None, ""),
        (counted(ROUND), None, ""),
        (counted(ROUND), "1.15GB/s", "drive held to 1.15 GB/s (emulated)"),
        (counted(replace(ROUND, round=0, bytes_read=9, expert_uses=9)), None, ""),
        (
            counted(replace(ROUND, bytes_read=1_500_000_000, wait_seconds=0.06)),
            None,
            "weights from disk: 1.5 GB a token, 12% of the time waiting",
        ),
        (
            counted(replace(ROUND, expert_uses=4, expert_hits=4)),
            None,
            "experts: 100% in memory, 0.0 loads a token, 0% of the time waiting",
        ),
    ],
)
def test_the_line_of_what_moved(counters: Counters, limit: str | None, line: str) -> None:
    assert disk_summary(counters, limit) == line


def test_waiting_is_printed_as_an_event_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert draftscope("run", "-m", "stalls", "--json", "--ids", "5", "--max-tokens", "2") == 0
    events = [from_json(json.loads(line)) for line in capsys.readouterr().out.splitlines()]
    assert Waiting(1, 11, 61, 3.2) in events


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Waiting(1, 11, 61, 3.2), "waiting for the disk, 3 s (layer 12 of 61)"),
        (Waiting(1, 61, 61, 3.2), "waiting for the disk, 3 s (layer 61 of 61)"),  # the head
        (
            Waiting(1, 0, 1, 3.2, Phase.CATCHING_UP),
            "waiting for the disk while catching up, 3 s (layer 1 of 1)",
        ),
        (Waiting(1, 2, 9, 3.2, Phase.DRAFTING), "waiting for the disk while drafting, 3 s (layer 3 of 9)"),
    ],
)
def test_it_is_said_what_waits(event: Waiting, line: str) -> None:
    assert _news(event) == line


def test_the_status_line_tells_of_the_prompt_and_of_the_disk() -> None:
    run = ["run", "-m", "stalls", "--ids", XYZ, "--max-tokens", "2"]
    shown = on_a_terminal(*run, stdout=subprocess.DEVNULL)
    assert "\r\x1b[Kreading the prompt, layer 1 of 2, 8.1 GB read\r\x1b[K" in shown
    assert "\r\x1b[Kwaiting for the disk, 3 s (layer 12 of 61)\r\x1b[K" in shown
    assert "\x1b7" not in shown
    assert "layer 1 of 2\r" in on_a_terminal("run", "-m", "model", *run[3:], stdout=subprocess.DEVNULL)


def test_waiting_leaves_the_text_on_the_terminal_alone() -> None:
    shown = on_a_terminal("run", "-m", "stalls", "--ids", XYZ, "--max-tokens", "2", "--depth", "0")
    below, back = "\x1bD\x1b[A\x1b7\x1b[B", "\x1b8"
    waiting = "waiting for the disk, 3 s (layer 12 of 61)"
    assert f"x{below}\r\x1b[K{waiting}\r\x1b[K{back}y\n" in shown


def test_json_lines_on_a_terminal_are_not_mixed_with_the_status_line() -> None:
    shown = on_a_terminal("run", "-m", "stalls", "--json", "--ids", XYZ, "--max-tokens", "2")
    for line in shown.splitlines():
        if '"event"' in line:
            json.loads(line.rpartition("\x1b[K")[2])


def test_a_status_line_below_is_replaced_in_place() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    status = StatusLine(terminal := Terminal())
    status.show("a", below=True)
    status._reported = 0.0
    status.show("b", below=True)
    status.clear()
    assert terminal.getvalue() == "\x1bD\x1b[A\x1b7\x1b[B\r\x1b[Ka\r\x1b[Kb\r\x1b[K\x1b8"


def test_a_drive_that_fails_ends_the_reply_with_what_was_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert draftscope("run", "-m", "shrinks", "--ids", XYZ) == 1
    out, err = capsys.readouterr()
    assert out == "x\n"
    assert err.splitlines()[-1] == "draftscope: shard 7 has shrunk. The reply's 1 tokens are kept."
    assert draftscope("run", "-m", "shrinks", "--ids", XYZ, "--json") == 1
    finished = from_json(json.loads(capsys.readouterr().out.splitlines()[-1]))
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.tokens) == (FinishReason.ERROR, 1)


def test_text_stays_whole_where_the_engine_itself_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert draftscope("run", "-m", "damaged", "--ids", XYZ) == 3
    assert capsys.readouterr().out == "x\n"
    with pytest.raises(RuntimeError, match="kernel on fire"):
        draftscope("run", "-m", "explode", "--ids", XYZ)
    assert capsys.readouterr().out == "x\n"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return partly_right(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def least(checkpoint: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> int:
    """The smallest budget that works; which experts were hot is remembered nowhere else."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with open_checkpoint(checkpoint) as opened:
        config = ModelConfig.from_json(opened.config, checkpoint / "config.json")
        stock = inventory(opened, config, audit(opened, config))
        return make_plan(stock, config, CONTEXT, {CPU: 1 << 40}).least_bytes


def test_the_least_budget_says_the_same_and_reads_from_disk(
    checkpoint: Path, least: int, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["run", "-m", str(checkpoint), "--ids", "5,6,7", "--max-tokens", "24", "--depth", "2"]
    run += ["--temperature", "0", "--ignore-eos", "--context", str(CONTEXT), "--threads", "1"]
    assert cli.main(run) == 0
    text, figures = capsys.readouterr()
    assert "experts:" not in figures
    assert cli.main([*run, "--ram", f"{least}B", "--readers", "2", "--no-direct"]) == 0
    same, figures = capsys.readouterr()
    assert same == text
    assert "in memory, " in figures.splitlines()[-1]
    assert "of the time waiting" in figures.splitlines()[-1]
    assert cli.main([*run, "--ram", f"{least - 1}B"]) == 4
    assert "at least" in capsys.readouterr().err


def test_logits_are_the_same_at_the_least_budget(checkpoint: Path, least: int, tmp_path: Path) -> None:
    logits = ["logits", "-m", str(checkpoint), "--ids", ",".join(map(str, range(5, 5 + CONTEXT)))]
    logits += ["--threads", "1", "--out"]
    assert cli.main([*logits, str(tmp_path / "all")]) == 0
    assert cli.main([*logits, str(tmp_path / "least"), "--ram", f"{least}B"]) == 0
    with np.load(tmp_path / "all") as all_, np.load(tmp_path / "least") as some:
        assert np.array_equal(all_["logits"], some["logits"])


def test_a_draft_model_goes_to_the_engine_and_drafts(capsys: pytest.CaptureFixture[str]) -> None:
    run = ["run", "-m", "tell-settings", "--ids", "5", "--max-tokens", "1", "--json"]
    assert draftscope(*run, "--draft-model", "small") == 0
    captured = capsys.readouterr()
    assert "draft_model='small'" in captured.err
    assert '"mode": "model"' in captured.out.splitlines()[0]
