"""The worker as a real child process, on a fake engine; only the last test loads the real one."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import pytest

from engine.event_json import from_json
from engine.events import Finished, FinishReason, Header, Prefilled, Prefilling, Verified, Waiting
from engine.experts import ExpertUse
from engine.lab.results import WiringReport
from engine.options import Acceptance, Mode
from engine.surface import LoadSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.events import Event

ROOT = Path(__file__).parents[2]
HARNESS = "from engine import worker; from tests.engine import fake_engine as fake; worker.main(fake.load)"
DEADLINE = 60.0  # seconds; only a hang comes near it
END_SECONDS = 10.0  # the promise is one; a loaded machine is given more

Line = dict[str, object]

LANES: list[Line] = [{"mode": "ordinary", "depth": 0}, {"mode": "mtp", "depth": 2}]


class Client:
    """A worker process and its lines."""

    def __init__(self, command: list[str], environment: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._lines: SimpleQueue[bytes] = SimpleQueue()
        self.memory: list[Line] = []
        """Lines about memory, which may stand anywhere and so are kept apart."""

    def listen(self) -> Client:
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.put(line)

    def send(self, *commands: Line | bytes) -> None:
        """Write commands at once; bytes go as they are."""
        assert self.process.stdin
        for command in commands:
            data = command if isinstance(command, bytes) else json.dumps(command).encode()
            self.process.stdin.write(data + b"\n")
        self.process.stdin.flush()

    def line(self) -> Line:
        while True:
            try:
                line = json.loads(self._lines.get(timeout=DEADLINE))
            except Empty:
                pytest.fail("the worker said nothing")
            assert isinstance(line, dict)
            if line["event"] != "memory":
                return line
            self.memory.append(line)

    def until(self, name: str) -> list[Line]:
        """Return the lines up to the first of that name, which is the last."""
        lines = [self.line()]
        while lines[-1]["event"] != name:
            lines.append(self.line())
        return lines

    def until_event(self, holds: Callable[[Event], bool]) -> Event:
        while True:
            event = from_json(self.line())
            if holds(event):
                return event

    def load(self, name: str = "model", **values: object) -> Line:
        self.send({"command": "load", "path": name, **values})
        return self.until("loaded")[-1]

    def reply(self, **values: object) -> list[Event]:
        """Ask for a reply, and return its events."""
        self.send({"command": "generate", "ids": [10, 11, 12], **values})
        return [from_json(line) for line in self.until("finished")]

    def finish(self) -> None:
        """Kill the process and close the pipes."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def end_input(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client([sys.executable, "-c", HARNESS]).listen()
    yield client
    client.finish()


def test_hello_comes_first(client: Client) -> None:
    hello = client.line()
    assert hello["event"] == "hello"
    assert hello["schema"] == 1


def test_loading_is_reported_with_what_was_loaded(client: Client) -> None:
    client.send({"command": "load", "path": "/models/demo", "context": 100})
    lines = client.until("loaded")
    assert {"event": "loading", "what": "model.safetensors", "done_bytes": 100, "total_bytes": 100} in lines
    loaded = lines[-1]
    assert loaded["model"] == "demo"
    assert loaded["context"] == 100
    assert loaded["mtp"] is True
    assert loaded["tokenizer"] is True
    assert loaded["chat_template"] is True
    assert loaded["options"]["mode"] == "mtp"  # type: ignore[index]
    assert loaded["weights_bytes"] == 671_000


def test_memory_is_told_after_loading_and_while_a_reply_grows(client: Client) -> None:
    client.load()
    client.send({"command": "set", "pace": 20})
    client.send({"command": "generate", "ids": [1, 2, 3], "options": {"max_tokens": 100_000}})
    while len(client.memory) < 2:
        client.line()
    client.send({"command": "cancel"})
    client.until("finished")
    for line in client.memory:
        assert line["budget_bytes"] == 9_000_000_000
        assert 1_000_000 < int(str(line["used_bytes"])) < 10**12


def test_oldest_turns_are_left_out_of_a_chat_that_is_to_fit(client: Client) -> None:
    client.load(context=64)
    turn = [{"role": "user", "content": "the sky was"}, {"role": "assistant", "content": "grey and blue"}]
    whole = [{"role": "system", "content": "sea"}, *turn * 9, {"role": "user", "content": "naïve?"}]
    client.send({"command": "generate", "messages": whole, "fit": True})
    dropped, header, *_, finished = client.until("finished")
    assert (dropped["event"], header["event"]) == ("dropped", "header")
    assert finished["reason"] == "length"
    kept = [whole[0], *whole[1 + 2 * int(str(dropped["turns"])) :]]
    client.send({"command": "generate", "messages": kept, "fit": True})
    lines = client.until("finished")
    (prefilled,) = [line for line in lines if line["event"] == "prefilled"]
    assert lines[0]["event"] == "header"  # one turn fewer was enough, so nothing more is left out
    assert int(str(prefilled["prompt_tokens"])) <= 48
    client.send({"command": "compare", "messages": whole, "lanes": LANES[:1], "max_tokens": 2, "fit": True})
    assert client.until("lanes_finished")[-1]["complete"] is True
    client.send({"command": "generate", "messages": whole})
    assert "context holds 64" in str(client.until("finished")[-1]["message"])


def test_without_a_path_the_demo_is_loaded(client: Client) -> None:
    client.send({"command": "load"})
    assert client.until("loaded")[-1]["model"] == "demo"
    header = client.reply(options={"max_tokens": 2})[0]
    assert isinstance(header, Header)
    assert header.model == "demo"


def test_settings_of_memory_and_drive_reach_the_engine(client: Client) -> None:
    given = {
        "ram": "12GB",
        "context": 99,
        "threads": 2,
        "disk_limit": "200MB/s",
        "readers": 4,
        "direct": False,
        "draft_model": "small",
    }
    assert client.load("tell-settings", **given)["warnings"] == [str(LoadSettings(**given))]  # type: ignore[arg-type]
    assert client.load("tell-settings")["warnings"] == [str(LoadSettings())]


def test_waiting_for_the_disk_is_an_event(client: Client) -> None:
    client.load("stalls")
    assert Waiting(1, 11, 61, 3.2) in client.reply(options={"max_tokens": 3})


def test_openmp_threads_wait_passively_unless_told_otherwise(client: Client) -> None:
    assert client.load()["warnings"] == ["OMP_WAIT_POLICY is passive"]


def test_without_an_mtp_layer_the_prompt_is_looked_up(client: Client) -> None:
    assert client.load("no-mtp")["options"]["mode"] == "ngram"  # type: ignore[index]
    header, *_, finished = client.reply(options={"max_tokens": 3})
    assert isinstance(header, Header)
    assert header.options.mode is Mode.NGRAM
    assert isinstance(finished, Finished)
    assert finished.reason is FinishReason.LENGTH


def test_a_reply_is_events_from_header_to_finished(client: Client) -> None:
    client.load()
    events = client.reply(options={"max_tokens": 9, "depth": 2})
    assert isinstance(events[0], Header)
    assert (events[0].model, events[0].options.depth) == ("model", 2)
    assert [type(event) for event in events[1:3]] == [Prefilling, Prefilled]
    tokens = [token for event in events if isinstance(event, Verified) for token in event.tokens]
    assert [token.id for token in tokens] == [10, 11, 12] * 3
    assert isinstance(events[-1], Finished)


def test_messages_and_raw_prompts_are_encoded(client: Client) -> None:
    client.load()
    client.send({"command": "generate", "messages": [{"role": "user", "content": "the sea"}]})
    (chat,) = [line for line in client.until("finished") if line["event"] == "prefilled"]
    client.send({"command": "generate", "prompt": "the sea"})
    (raw,) = [line for line in client.until("finished") if line["event"] == "prefilled"]
    assert chat["prompt_tokens"] == int(str(raw["prompt_tokens"])) + 3  # begin, user, assistant


def test_settings_hold_for_later_replies_and_a_reply_may_differ(client: Client) -> None:
    client.load()
    client.send({"command": "set", "temperature": 0.5, "accept": "rejection", "max_tokens": 4, "depth": 3})
    first = client.reply(options={"temperature": 0.7})[0]
    second = client.reply()[0]
    assert isinstance(first, Header)
    assert isinstance(second, Header)
    assert (first.options.temperature, second.options.temperature) == (0.7, 0.5)
    assert second.options.accept is Acceptance.REJECTION
    assert (second.options.max_tokens, second.options.depth) == (4, 3)


def test_settings_before_the_load_hold_after_it(client: Client) -> None:
    client.send({"command": "set", "depth": 4, "mode": "ngram"})
    options = client.load()["options"]
    assert (options["depth"], options["mode"]) == (4, "ngram")  # type: ignore[index]


def test_depth_and_mode_change_in_mid_reply(client: Client) -> None:
    client.load()
    client.send({"command": "set", "pace": 200})
    client.send({"command": "generate", "ids": [1, 2, 3], "options": {"max_tokens": 100_000}})
    client.until("drafted")
    client.send({"command": "set", "depth": 3, "mode": "ngram"})
    client.until_event(
        lambda event: isinstance(event, Verified) and (event.depth, event.mode) == (3, Mode.NGRAM)
    )
    client.send({"command": "cancel"})
    finished = client.until_event(lambda event: isinstance(event, Finished))
    assert isinstance(finished, Finished)
    assert finished.reason is FinishReason.CANCELLED


def test_what_is_set_before_the_engine_began_is_not_lost(client: Client) -> None:
    client.load("slow-start")
    client.send({"command": "set", "pace": 200})
    client.send({"command": "generate", "ids": [1, 2, 3], "options": {"max_tokens": 10**9, "depth": 1}})
    client.until("header")  # the engine takes its time from here to its first event
    client.send({"command": "set", "depth": 5})
    client.until_event(lambda event: isinstance(event, Verified) and event.depth == 5)


def test_cancel_before_the_engine_began_is_not_lost(client: Client) -> None:
    client.load("slow-start")
    client.send({"command": "generate", "ids": [1, 2, 3], "options": {"max_tokens": 10**9}})
    client.until("header")
    client.send({"command": "cancel"})
    assert client.until("finished")[-1]["reason"] == "cancelled"


def test_cancel_ends_what_was_asked_before_it_and_nothing_after(client: Client) -> None:
    client.load()
    ask = {"command": "generate", "ids": [1, 2, 3]}
    endless = {**ask, "options": {"max_tokens": 10**9}}
    client.send(endless, endless, {"command": "cancel"}, {**ask, "options": {"max_tokens": 5}})
    assert [client.until("finished")[-1]["reason"] for _ in range(3)] == ["cancelled", "cancelled", "length"]


def test_a_paused_engine_goes_step_by_step(client: Client) -> None:
    client.load()
    client.send({"command": "pause"}, {"command": "generate", "ids": [1, 2], "options": {"max_tokens": 50}})
    client.until("verified")  # the first token belongs to the prompt
    for number in (1, 2):
        client.send({"command": "step"})
        assert client.until("verified")[-1]["round"] == number
    client.send({"command": "nonsense"})
    assert client.line()["event"] == "error"  # and no round came before it
    client.send({"command": "pause", "on": False})
    assert client.until("finished")[-1]["reason"] == "length"


def test_experts_are_told_at_once_in_the_middle_of_a_reply(client: Client) -> None:
    client.load()
    client.send({"command": "pause"}, {"command": "generate", "ids": [1, 2], "options": {"max_tokens": 50}})
    client.until("verified")
    client.send({"command": "experts"})
    told = client.until("experts")[-1]
    assert ExpertUse.from_json(told).uses == ((1, 0, 2, 0), (0, 3, 0, 0))
    client.send({"command": "cancel"})
    assert client.until("finished")[-1]["reason"] == "cancelled"


def test_the_wiring_lab_reports_and_is_refused_without_a_layer(client: Client) -> None:
    client.load()
    client.send({"command": "wiring", "text": "some text"})
    lines = client.until("wiring")
    assert [line["event"] for line in lines if line["event"] != "memory"] == ["wiring_progress", "wiring"]
    report = WiringReport.from_json(lines[-1]["report"])
    assert report.source == "some text"
    assert report.model == "model"
    client.load("no-mtp")
    client.send({"command": "wiring"})
    refused = client.until("error")[-1]
    assert refused["command"] == "wiring"
    assert "no MTP layer" in refused["message"]


@pytest.mark.parametrize(
    ("name", "mode", "sentence"),
    [("model", "model", "needs a second checkpoint"), ("no-mtp", "mtp", "no MTP layer")],
)
def test_a_mode_that_cannot_run_is_refused_while_comparing_too(
    client: Client, name: str, mode: str, sentence: str
) -> None:
    client.load(name)
    client.send({"command": "compare", "ids": [5], "lanes": LANES[:1], "max_tokens": 10**9})
    client.until("verified")
    client.send({"command": "set", "mode": mode, "depth": 6, "pace": 3}, {"command": "cancel"})
    (refused,) = [line for line in client.until("lanes_finished") if line["event"] == "error"]
    assert refused["command"] == "set"
    assert sentence in str(refused["message"])
    header, *_, finished = client.reply(options={"max_tokens": 2})
    assert isinstance(header, Header)
    assert header.options.mode != mode
    assert header.options.depth != 6
    assert isinstance(finished, Finished)
    assert finished.reason is FinishReason.LENGTH


def test_a_mode_that_can_run_holds_after_the_comparison(client: Client) -> None:
    client.load()
    client.send({"command": "compare", "ids": [5], "lanes": LANES, "max_tokens": 10**9})
    client.until("verified")
    client.send({"command": "set", "mode": "ngram"}, {"command": "cancel"})
    rounds = [line for line in client.until("lanes_finished") if line["event"] == "verified"]
    assert {line["mode"] for line in rounds} <= {"mtp", "ordinary"}
    header = client.reply(options={"max_tokens": 2})[0]
    assert isinstance(header, Header)
    assert header.options.mode is Mode.NGRAM


def test_ids_that_no_vocabulary_has_are_left_aside(client: Client) -> None:
    client.load()
    messages = [
        {"role": "user", "content": "the sea"},
        {"role": "assistant", "content": "blue", "ids": [99999999999]},
        {"role": "user", "content": "the sky"},
    ]
    client.send({"command": "generate", "messages": messages, "options": {"max_tokens": 2}})
    assert client.until("finished")[-1]["reason"] == "length"


def test_a_cache_is_kept_and_recalled_in_the_order_of_the_jobs(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "chat.cache"
    client.load()
    ask = {"command": "generate", "ids": [1, 2, 3], "options": {"max_tokens": 4}}
    keep = {"command": "keep_cache", "path": str(file)}
    client.send({"command": "pause"}, ask)
    client.until("verified")  # the first token belongs to the prompt
    client.send(keep, {"command": "cancel"})
    assert client.until("finished")[-1]["reason"] == "cancelled"
    assert client.line() == {"event": "kept", "bytes": 1, "tokens": 4}
    assert file.read_text() == "4"
    client.load("another")
    recall = {"command": "recall_cache", "path": str(file)}
    file.write_text("7")
    client.send(recall, {**ask, "ids": list(range(1, 20))}, recall)
    assert client.line() == {"event": "recalled", "tokens": 7}
    (prefilled,) = [line for line in client.until("finished") if line["event"] == "prefilled"]
    assert prefilled["reused_tokens"] == 7
    assert client.line() == {"event": "recalled", "tokens": 7}


@pytest.mark.parametrize(
    ("command", "sentence"),
    [("keep_cache", "There is no text yet."), ("recall_cache", "There is no kept cache")],
)
def test_a_refused_cache_is_an_error_and_the_next_reply_works(
    client: Client, tmp_path: Path, command: str, sentence: str
) -> None:
    client.load()
    client.send({"command": command, "path": str(tmp_path / "chat.cache")})
    error = client.line()
    assert (error["event"], error["command"]) == ("error", command)
    assert sentence in str(error["message"])
    assert isinstance(client.reply(options={"max_tokens": 2})[-1], Finished)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b"garbage", "one line of JSON"),
        (b"\xff\xfe", "one line of JSON"),
        (b"[" * 100_000, "one line of JSON"),
        (b"[1]", "must be a JSON object"),
        (b"{}", "no command None"),
        (b'{"command":"genrate"}', "did you mean generate"),
        (b'{"command":["load"]}', "no command"),
        (b'{"command":"load","path":""}', "path must be a checkpoint's folder"),
        (b'{"command":"load","ram":12}', "ram must be a text, not 12"),
        (b'{"command":"load","disk_limit":200}', "disk_limit must be a text"),
        (b'{"command":"load","readers":0}', "readers must be a whole number of at least 1"),
        (b'{"command":"load","readers":true}', "readers must be a whole number"),
        (b'{"command":"load","direct":"yes"}', "direct must be true or false"),
        (b'{"command":"load","disk_limt":"1GB/s"}', "did you mean disk_limit"),
        (b'{"command":"load","path":3}', "path must be a text"),
        (b'{"command":"load","path":"x","context":0}', "context must be"),
        (b'{"command":"load","path":"x","contxt":9}', "did you mean context"),
        (b'{"command":"generate","ids":[1]}', "No checkpoint is loaded"),
        (b'{"command":"generate"}', "needs one of messages, prompt and ids"),
        (b'{"command":"generate","ids":[1],"prompt":"x"}', "needs one of"),
        (b'{"command":"generate","ids":[1.5]}', "ids must be a list of whole numbers"),
        (b'{"command":"generate","messages":[{"role":"user"}]}', "role and content"),
        (b'{"command":"generate","messages":[{"role":"user","content":null}]}', "content must be a text"),
        (b'{"command":"generate","ids":[1],"options":{"depth":9}}', "depth must be from 0 to 8"),
        (b'{"command":"generate","ids":[1],"options":{"dept":9}}', "did you mean depth"),
        (b'{"command":"generate","ids":[1],"options":3}', "options must be an object"),
        (b'{"command":"set","temperature":NaN}', "temperature must be"),
        (b'{"command":"set","pace":-1}', "pace must be"),
        (b'{"command":"set","mode":"fast"}', "mode must be one of"),
        (b'{"command":"keep_cache"}', "keep_cache needs the path of a file"),
        (b'{"command":"recall_cache","path":""}', "recall_cache needs the path of a file"),
        (b'{"command":"recall_cache","path":5}', "path must be a text, not 5"),
        (b'{"command":"keep_cache","file":"x"}', "keep_cache has no key 'file'"),
        (b'{"command":"keep_cache","path":"x"}', "No checkpoint is loaded"),
        (b'{"command":"recall_cache","path":"x"}', "No checkpoint is loaded"),
        (b'{"command":"pause"}', "No checkpoint is loaded"),
        (b'{"command":"step"}', "No checkpoint is loaded"),
    ],
)
def test_a_bad_command_is_answered_in_a_sentence(shared: Client, line: bytes, sentence: str) -> None:
    shared.send(line)
    answer = shared.line()
    assert answer["event"] == "error"
    assert sentence in str(answer["message"])
    assert "Traceback" not in str(answer["message"])


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    """One worker for all bad commands: each must leave it as it was."""
    client = Client([sys.executable, "-c", HARNESS]).listen()
    assert client.line()["event"] == "hello"
    yield client
    assert client.load()["event"] == "loaded"
    client.finish()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("missing", "missing is missing; check the path."), ("broken", "(RuntimeError: a bug)")],
)
def test_a_failed_load_is_an_error_and_the_next_one_works(client: Client, name: str, sentence: str) -> None:
    client.send({"command": "load", "path": name})
    error = client.until("error")[-1]
    assert error["command"] == "load"
    assert str(error["message"]).find(sentence) >= 0
    client.load()
    assert isinstance(client.reply(options={"max_tokens": 2})[-1], Finished)


def test_a_mode_that_the_next_checkpoint_lacks_is_given_up(client: Client) -> None:
    client.load()
    client.send({"command": "set", "mode": "mtp"})
    assert client.load("no-mtp")["options"]["mode"] == "ngram"  # type: ignore[index]
    assert "no MTP layer" in str(client.until("error")[-1]["message"])
    client.send({"command": "set", "mode": "mtp"})
    assert "no MTP layer" in str(client.until("error")[-1]["message"])
    assert isinstance(client.reply(options={"max_tokens": 2})[-1], Finished)


@pytest.mark.parametrize(
    ("name", "sentence"), [("explode", "kernel on fire"), ("damaged", "shard 7 is gone")]
)
def test_a_reply_that_fails_ends_with_the_reason(client: Client, name: str, sentence: str) -> None:
    client.load(name)
    finished = client.reply(options={"max_tokens": 5})[-1]
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.tokens) == (FinishReason.ERROR, 1)
    assert sentence in str(finished.message)
    client.load("model")
    finished = client.reply(options={"max_tokens": 5})[-1]
    assert isinstance(finished, Finished)
    assert finished.reason is FinishReason.LENGTH


def test_a_prompt_that_is_too_long_ends_the_reply_with_the_figure(client: Client) -> None:
    client.load(context=3)
    finished = client.reply(ids=[1, 2, 3])[-1]
    assert isinstance(finished, Finished)
    assert "has 3 tokens" in str(finished.message)


def test_without_a_tokenizer_a_sentence_says_what_works(client: Client) -> None:
    client.load("ids-only")
    client.send({"command": "generate", "prompt": "x"})
    error = client.until("error")[-1]
    assert error["command"] == "generate"
    assert "no tokenizer.json" in str(error["message"])
    assert isinstance(client.reply(options={"max_tokens": 2})[-1], Finished)


def test_what_libraries_print_is_not_among_the_lines(client: Client) -> None:
    client.load("noisy")
    client.reply(options={"max_tokens": 20})
    client.end_input()
    client.process.wait(DEADLINE)
    assert client.process.stderr
    printed = client.process.stderr.read()
    assert b"a library says hello" in printed
    assert b"native code" in printed


def test_an_interrupt_from_the_terminal_is_left_to_the_app(client: Client) -> None:
    client.load()
    client.process.send_signal(signal.SIGINT)
    assert isinstance(client.reply(options={"max_tokens": 2})[-1], Finished)


def test_the_engine_does_not_wait_for_a_reader(tmp_path: Path) -> None:
    client = Client([sys.executable, "-c", HARNESS])  # and nobody reads its lines
    ask = {"command": "generate", "ids": [1, 2, 3], "options": {"max_tokens": 5_000}}
    client.send({"command": "load", "path": str(tmp_path)}, ask)  # a megabyte of events
    began = time.monotonic()
    while not (tmp_path / "done").exists():
        assert time.monotonic() - began < DEADLINE
        time.sleep(0.02)
    client.end_input()
    assert client.process.wait(END_SECONDS) == 0
    client.finish()


@pytest.mark.parametrize("where", ["idle", "load", "round", "stuck", "paused"])
def test_the_end_of_the_input_ends_the_process(client: Client, where: str) -> None:
    client.until("hello")
    if where == "load":
        client.send({"command": "load", "path": "slow-load"})
        client.until("loading")
    elif where != "idle":
        client.load("hang" if where == "stuck" else "model")
        if where == "paused":
            client.send({"command": "pause"})
        client.send({"command": "generate", "ids": [1], "options": {"max_tokens": 10**9}})
        client.until("verified")
    client.end_input()
    assert client.process.wait(END_SECONDS) == 0


def test_quit_ends_the_process(client: Client) -> None:
    client.load()
    client.send({"command": "generate", "ids": [1], "options": {"max_tokens": 10**9}}, {"command": "quit"})
    assert client.until("finished")[-1]["reason"] == "cancelled"
    assert client.process.wait(END_SECONDS) == 0


def test_nobody_left_to_read_ends_the_process() -> None:
    client = Client([sys.executable, "-c", HARNESS])
    assert client.process.stdout
    client.process.stdout.close()
    client.send({"command": "cancel"}, b"garbage")
    assert client.process.wait(DEADLINE) == 0
    client.finish()


def test_the_real_worker_refuses_a_missing_checkpoint(tmp_path: Path) -> None:
    client = Client([sys.executable, "-m", "engine.worker"]).listen()
    client.send({"command": "load", "path": str(tmp_path / "nothing")})
    lines = client.until("error")
    assert lines[0]["event"] == "hello"
    assert "nothing" in str(lines[-1]["message"])
    assert "went wrong" not in str(lines[-1]["message"])
    client.end_input()
    assert client.process.wait(END_SECONDS) == 0
    client.finish()
