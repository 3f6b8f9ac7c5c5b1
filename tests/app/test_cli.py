"""The command line: what goes to which stream, and how mistakes end. On a fake engine but for one test."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from app import cli
from app.commands.output import TextOutput
from app.commands.run import summary
from app.commands.terminal import StatusLine, harmless
from engine.decoding.counters import Counters
from engine.event_json import from_json
from engine.events import Finished, FinishReason, Header, Mode, Origin, Prefilled, Token, Verified
from engine.kernels.compiling import COMPILING
from engine.surface import LoadSettings
from engine.text.template import ChatTemplate, Message
from engine.text.tokenizer import Tokenizer
from tests.engine import fake_engine
from tests.engine.text import made

ROOT = Path(__file__).parents[2]
HARNESS = "import sys, app.cli; from tests.engine.fake_engine import load; sys.exit(app.cli.main(load=load))"
TOKENIZER = Tokenizer(made.byte_level())
DEADLINE = 60.0


def draftscope(*arguments: str) -> int:
    return cli.main(list(arguments), load=fake_engine.load)


def child(*arguments: str, **pipes: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", HARNESS, *arguments], cwd=ROOT, **pipes)  # type: ignore[call-overload, no-any-return]


def events_of(text: str) -> list[object]:
    return [from_json(json.loads(line)) for line in text.splitlines()]


def ids_of(text: str) -> str:
    return ",".join(map(str, TOKENIZER.encode(text)))


def test_the_text_goes_to_stdout_and_the_figures_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    ids = ids_of("the sea ")
    count = len(ids.split(","))
    assert draftscope("run", "-m", "model", "--ids", ids, "--max-tokens", str(2 * count), "--depth", "2") == 0
    out, err = capsys.readouterr()
    assert out == "the sea the sea \n"
    assert f"reply {2 * count} tokens" in err
    assert "tokens/s" in err
    assert "drafts accepted" in err
    assert "tokens a round" in err


def test_a_prompt_passes_the_chat_template(capsys: pytest.CaptureFixture[str]) -> None:
    assert draftscope("run", "-m", "model", "--json", "--system", "Be brief.", "the sea") == 0
    prefilled = next(e for e in events_of(capsys.readouterr().out) if isinstance(e, Prefilled))
    template = ChatTemplate(made.TEMPLATE, {"bos_token": made.BOS})
    rendered = template.render([Message("system", "Be brief."), Message("user", "the sea")])
    assert prefilled.prompt_tokens == len(TOKENIZER.encode(rendered))


def test_a_raw_prompt_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert draftscope("run", "-m", "no-template", "--json", "--raw", "the sea") == 0
    prefilled = next(e for e in events_of(capsys.readouterr().out) if isinstance(e, Prefilled))
    assert prefilled.prompt_tokens == len(TOKENIZER.encode("the sea"))


@pytest.mark.parametrize("typed", [b"the sea", b"the sea\n", b"the sea\r\n"])
def test_a_dash_reads_standard_input(
    typed: bytes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed)))
    assert (
        draftscope("run", "-m", "model", "--raw", "--max-tokens", str(len(TOKENIZER.encode("the sea"))), "-")
        == 0
    )
    assert capsys.readouterr().out == "the sea\n"


def test_json_is_events_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--temperature", "0.5", "--top-k", "9", "--seed", "-1", "--mode", "ngram", "--depth", "3"]
    arguments += [
        "--accept",
        "rejection",
        "--top-p",
        "0.9",
        "--min-p",
        "0.1",
        "--ignore-eos",
        "--max-tokens",
        "7",
    ]
    assert draftscope("run", "-m", "models/demo", "--json", "--ids", "5,6,7", *arguments) == 0
    header, *_, finished = events_of(capsys.readouterr().out)
    assert isinstance(header, Header)
    assert header.model == "demo"
    options = header.options
    assert (options.temperature, options.top_k, options.seed) == (0.5, 9, 2**64 - 1)
    assert (options.top_p, options.min_p, options.ignore_eos) == (0.9, 0.1, True)
    assert (options.mode, options.depth, options.accept.value) == ("ngram", 3, "rejection")
    assert finished == Finished(FinishReason.LENGTH, 7, 0.5)


@pytest.mark.parametrize(("model", "mode"), [("model", Mode.MTP), ("no-mtp", Mode.NGRAM)])
def test_the_checkpoint_drafts_for_itself_where_it_can(
    model: str, mode: Mode, capsys: pytest.CaptureFixture[str]
) -> None:
    assert draftscope("run", "-m", model, "--json", "--ids", "1") == 0
    header = events_of(capsys.readouterr().out)[0]
    assert isinstance(header, Header)
    assert (header.options.mode, header.options.depth) == (mode, 1)


def test_without_a_tokenizer_ids_go_in_and_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert draftscope("run", "-m", "ids-only", "--ids", "5,6,7", "--max-tokens", "4") == 0
    assert capsys.readouterr().out == "5,6,7,5\n"


def test_logits_are_written_to_the_file_that_was_named(tmp_path: Path) -> None:
    out = tmp_path / "rows"
    assert draftscope("logits", "-m", "model", "--ids", "5,6,7", "--out", str(out)) == 0
    with np.load(out) as archive:
        assert archive["logits"].shape == (3, 8)
        assert archive["logits"].dtype == np.float32


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["fly"], 2, "'fly' is not one of chat, run, compare"),
        (["run", "-m", "model"], 2, "nothing to reply to"),
        (["run", "-m", "model", ""], 2, "prompt is empty"),
        (["run", "-m", "model", "--ids", "5,x"], 2, "not a list of token ids"),
        (["run", "-m", "model", "--ids", ""], 2, "not a list of token ids"),
        (["run", "-m", "model", "--ids", "5", "hello"], 2, "--ids is the whole prompt"),
        (["run", "-m", "model", "--raw", "--system", "x", "hello"], 2, "--system has no place"),
        (["run", "-m", "broken", "--depth", "9", "hello"], 2, "depth must be from 0 to 8, not 9"),
        (["run", "-m", "broken", "--temperature", "-1", "hello"], 2, "temperature must be"),
        (["run", "-m", "model", "--mode", "psychic", "hello"], 2, "psychic"),
        (["run", "-m", "model", "--threads", "0", "hello"], 2, "at least 1"),
        (["run", "-m", "broken", "--ram", "12", "hello"], 2, "'12' has no unit: write 12GB"),
        (["run", "-m", "broken", "--ram", "101%", "hello"], 2, "at most 100%"),
        (
            ["logits", "-m", "broken", "--ram", "lots", "--ids", "5", "--out", "x"],
            2,
            "'lots' is not an amount",
        ),
        (["run", "-m", "broken", "--disk-limit", "200MB", "hello"], 2, "'200MB' is not a speed"),
        (["run", "-m", "broken", "--disk-limit", "0MB/s", "hello"], 2, "above 0"),
        (["run", "-m", "broken", "--readers", "0", "hello"], 2, "at least 1"),
        (["run", "-m", "model", "--dep", "1", "hello"], 2, "--dep"),
        (["run", "-m", "model", "--context", "3", "--ids", "1,2,3"], 2, "has 3 tokens"),
        (["run", "-m", "no-template", "hello"], 2, "--raw"),
        (["run", "-m", "ids-only", "hello"], 2, "no tokenizer.json"),
        (["run", "-m", "missing", "hello"], 3, "check the path"),
        (["run", "-m", "no-mtp", "--mode", "mtp", "hello"], 3, "no MTP layer"),
        (["run", "-m", "too-big", "hello"], 4, "700 GB"),
        (["run", "-m", "damaged", "--ids", "5"], 3, "shard 7 is gone"),
        (["logits", "-m", "model", "--ids", "5", "--out", "/nowhere/at/all.npz"], 2, "/nowhere/at/all.npz"),
        (["logits", "-m", "model", "--ids", "5", "--out", "/"], 2, "cannot be written"),
    ],
)
def test_a_mistake_ends_in_one_sentence(
    arguments: list[str], code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        ended = draftscope(*arguments)
    except SystemExit as exit_:
        ended = int(str(exit_.code))
    assert ended == code
    err = capsys.readouterr().err
    assert sentence in err
    lines = [line for line in err.splitlines() if not line.startswith("OMP_WAIT_POLICY")]
    assert len(lines) == 1
    assert lines[0].startswith("draftscope: ")


def test_a_reply_that_fails_keeps_its_text_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    def load(*_path: object, **_values: object) -> fake_engine.FakeEngine:
        engine = fake_engine.FakeEngine(Path("model"), LoadSettings(context=99))
        failed = Finished(FinishReason.ERROR, 1, 0.1, "the drive \x1b[31mis gone")
        token = Token(5, "sea", Origin.ORDINARY, 0, None, None)
        engine.generate = lambda *_: iter([Verified(0, Mode.MTP, 0, 0, (token,), ()), failed])  # type: ignore[method-assign, assignment]
        return engine

    assert cli.main(["run", "-m", "model", "--ids", "5"], load=load) == 1
    out, err = capsys.readouterr()
    assert out == "sea\n"
    assert "draftscope: the drive ␛[31mis gone\n" in err


def test_out_of_memory_has_its_own_code(capsys: pytest.CaptureFixture[str]) -> None:
    def load(*_path: object, **_values: object) -> fake_engine.FakeEngine:
        raise MemoryError

    assert cli.main(["run", "-m", "model", "--ids", "5"], load=load) == 4
    assert "memory does not suffice" in capsys.readouterr().err


def test_an_interrupt_keeps_the_partial_text() -> None:
    process = child(
        "run", "-m", "model", "--ids", ids_of("the sea "), "--max-tokens", "1000000000",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.read(24) == b"the sea " * 3
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert out.endswith(b"\n")
    assert b"tokens/s" in err
    assert b"Traceback" not in err


def test_an_interrupt_while_loading_ends_quietly(tmp_path: Path) -> None:
    folder = tmp_path / "slow-load"
    folder.mkdir()
    process = child("run", "-m", str(folder), "--ids", "5", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    began = time.monotonic()
    while not (folder / "loading").exists():
        assert time.monotonic() - began < DEADLINE
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=DEADLINE) == (b"", b"")
    assert process.returncode == 130


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_reader_that_leaves_ends_the_command_quietly(form: list[str]) -> None:
    process = child(
        "run", "-m", "model", "--ids", ids_of("the sea "), "--max-tokens", "1000000000", *form,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    assert process.stderr
    process.stdout.read(8)
    process.stdout.close()
    assert process.wait(DEADLINE) == 141
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()


def test_a_terminal_gets_no_escape_sequences_and_a_pipe_gets_the_text() -> None:
    text = "a\x1b[2Jb\x07\r\x9b31m\tc"
    ids = TOKENIZER.encode(text)
    arguments = ["run", "-m", "model", "--max-tokens", str(len(ids)), "--ids", ",".join(map(str, ids))]
    piped = child(*arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert piped.communicate(timeout=DEADLINE)[0].decode() == text + "\n"
    ours, theirs = pty.openpty()
    process = child(*arguments, stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # how Linux says that the other end was closed
        pass
    process.wait(DEADLINE)
    os.close(ours)
    assert shown.decode() == "a␛[2Jb␇␍\ufffd31m\tc\r\n"


def test_what_is_harmless_stays() -> None:
    assert harmless("naïve 🌊\n\tx") == "naïve 🌊\n\tx"
    assert not any(
        ord(each) < 32 or 127 <= ord(each) < 160 for each in harmless("".join(map(chr, range(11, 160))))
    )


def test_progress_is_shown_on_terminals_only() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        status = StatusLine(stream)
        status.loading(5 * 10**8, 10**9, "a\x1bb")
        status.clear()
    assert pipe.getvalue() == ""
    assert "loading 50% of 1.0 GB  a␛b" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_a_stage_that_takes_long_is_said_without_a_terminal_too() -> None:
    pipe = io.StringIO()
    status = StatusLine(pipe)
    for done, total, what in ((0, 0, "comp\x1biling"), (1, 9, "a"), (0, 0, "comp\x1biling")):
        status.loading(done, total, what)
    status.clear()
    assert pipe.getvalue() == "draftscope: comp␛iling\n"


@pytest.mark.parametrize(
    ("most", "advice"), [(4096, "--context takes up to 4096."), (99, "this model was made for no more.")]
)
def test_a_full_context_comes_with_advice_that_can_be_followed(
    most: int, advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(*_path: object, **_values: object) -> fake_engine.FakeEngine:
        engine = fake_engine.FakeEngine(Path("model"), LoadSettings(context=99))
        engine.most_context = most
        engine.generate = lambda *_: iter([Finished(FinishReason.CONTEXT, 0, 0.1)])  # type: ignore[method-assign, assignment]
        return engine

    assert cli.main(["run", "-m", "model", "--ids", "5"], load=load) == 0
    assert f"The context of 99 tokens is full; {advice}" in capsys.readouterr().err


def test_text_that_ends_its_line_gets_no_second_newline() -> None:
    stream = io.StringIO()
    output = TextOutput(stream)
    token = Token(1, "sea\n", Origin.ORDINARY, 0, None, None)
    output.take(Verified(0, Mode.MTP, 0, 0, (token,), ()))
    output.end()
    assert stream.getvalue() == "sea\n"


def test_the_summary_speaks_of_drafts_only_where_there_were_any() -> None:
    finished = Finished(FinishReason.STOP, 1, 0.5)
    assert summary(None, finished, Counters()) == "reply 1 tokens in 0.50 s"


def test_the_command_alone_opens_the_chat_which_needs_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert draftscope() == 2
    assert "needs a terminal; `draftscope run` writes to pipes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("chat", "--depth", "9"), "depth must be from 0 to 8"),
        (("chat", "--pace", "-1"), "not a number of 0 or more"),
        (("chat", "--continue", "--resume", "x"), "not allowed with"),
        (("replay", "/no/such/file"), "/no/such/file"),
        (("config",), "what"),
    ],
)
def test_what_is_wrong_with_a_chat_is_said_in_one_sentence(
    arguments: tuple[str, ...], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = draftscope(*arguments)
    except SystemExit as ended:
        code = int(str(ended.code))
    assert code == 2
    said = capsys.readouterr().err
    assert reason in said
    assert said.count("\n") == 1


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        draftscope("--version")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("draftscope 0")


def test_the_command_line_imports_nothing_heavy() -> None:
    heavy = ["torch", "numba", "numpy", "textual", "tokenizers", "jinja2"]
    code = f"import sys, app.cli; print([each for each in {heavy} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_openmp_threads_wait_passively_before_anything_heavy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    seen: list[str | None] = []

    def load(*_path: object, **_values: object) -> fake_engine.FakeEngine:
        seen.append(os.environ.get("OMP_WAIT_POLICY"))
        return fake_engine.FakeEngine(Path("model"), LoadSettings(context=99))

    cli.main(["run", "-m", "model", "--ids", "5"], load=load)
    assert seen == ["passive"]


def test_the_real_command_refuses_a_missing_checkpoint(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app.cli", "run", "-m", str(tmp_path / "nothing"), "hello"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 3
    assert done.stdout == ""
    said = [line for line in done.stderr.splitlines() if line != f"draftscope: {COMPILING}"]
    assert len(said) == 1
    assert "nothing" in said[0]
