"""The engine as a child process: `python -m engine.worker`, JSON lines in and out.

    {"command":"load","path":"…","ram":"12GB"}           {"event":"loading",…} … {"event":"loaded",…}
    {"command":"generate","messages":[…],"options":{…}}  {"event":"header",…} … {"event":"finished",…}
    {"command":"compare","messages":[…],                 {"event":"lanes_planned",…}, "lanes_prepared",
     "lanes":[{"mode":"mtp","depth":2},…],               events with "compare":{"lane":1,"repeat":0},
     "repeats":2,"max_tokens":64}                        and last one {"event":"lanes_finished",…}
    {"command":"set","depth":3,"pace":12,"top_p":0.9}    depth, mode and pace hold from the next round,
                                                         other options from the next reply
    {"command":"keep_cache","path":"…"}                  {"event":"kept","bytes":…,"tokens":…}
    {"command":"recall_cache","path":"…"}                {"event":"recalled","tokens":…}
    {"command":"wiring"}                                 {"event":"wiring_progress",…} … {"event":"wiring",
                                                         "report":…}, null where it was cancelled
    {"command":"experts"}                                {"event":"experts",…}, at once, also in mid-reply
    {"command":"cancel"}, "pause" ("on":false goes on), "step", "quit"

After loaded, and about once a second while it decodes, it says what its RAM budget is spent on:
{"event":"memory","used_bytes":…,"budget_bytes":…}, 0 being a budget that is not known. Such a line may stand
between any two of a reply.

With "fit":true, generate and compare leave the oldest turns (a user message with its reply) out of
messages that the context cannot hold beside a reply of min(256, context / 4) tokens; system messages and the
last turn stay. {"event":"dropped","turns":3} then comes before the header.

keep_cache writes the last text, with its rows in the caches, to a file. recall_cache, after another load of
the same checkpoint, puts it in place of the text there is: a prompt that begins so is run only from where the
two part. A file that does not fit is refused and changes nothing. Cancel lets both come to their end.

compare decodes the prompt in several lanes to compare their speeds (see `engine.decoding.lanes`); its lines
are those of `engine.lanes_json`. Progress of the prompt, which all lanes share, has "lane":null. It is deaf
to set of depth and mode, and to pace; cancel keeps what was measured. It is always answered by exactly one
lanes_finished, also where it is refused or fails: then that has a message.

Without a path, load opens the embedded demo; it also takes context, threads, disk_limit ("200MB/s"), readers,
direct and draft_model (the path of a second checkpoint, which drafts in mode model). Instead of messages,
generate and compare take "prompt" (raw text) or "ids". A command that cannot be carried out is
answered by {"event":"error","command":…,"message":…}, a reply that fails by its finished event.

The main thread alone runs the engine (kernels want one caller), one job after another as they were asked
for; a second thread listens, so that set and cancel act at once. The end of the input ends the process
within a second wherever it is: whoever started it may have been killed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING

from engine.demo.place import DEMO
from engine.errors import UsageError
from engine.events import SCHEMA_VERSION
from engine.kernels.passive import wait_passively
from engine.lanes import LanesFinished
from engine.lanes_json import to_json
from engine.options import GenerateOptions
from engine.surface import load_engine
from engine.worker_commands import COMMANDS, Command
from engine.worker_job import Job, sentence
from engine.worker_lines import LineWriter, take_standard_pipes
from engine.worker_session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.surface import Load

GRACE_SECONDS = 0.5
"""After the end of the input, how long a round may take to end by itself."""

MEASURED_TOKENS = 64
"""Of a comparison that does not say how many."""


class Worker:
    """A session, the thread that listens for commands, and the queue of jobs between them."""

    def __init__(self, lines: LineWriter, load: Load) -> None:
        self._lines = lines
        self._session = Session(lines.send, load)
        self._queue: SimpleQueue[Job | None] = SimpleQueue()

    def work(self) -> None:
        """Do the jobs, in the main thread, until there will be no more."""
        while (job := self._queue.get()) is not None:
            try:
                job.run(job)
            except Exception as error:
                self._error(job.name, error)
            finally:
                self._session.remove(job)
        self._session.close()

    def listen(self, commands: Iterable[bytes]) -> None:
        """Take commands until quit or the end of the input, then see to it that the process ends."""
        try:
            for line in commands:
                if line.strip() and not self._hear(line):
                    break
        finally:
            self._session.cancel()
            self._queue.put(None)
            time.sleep(GRACE_SECONDS)
            os._exit(0)

    def _hear(self, line: bytes) -> bool:
        """Carry out one command, or queue it; False for quit."""
        name = None
        try:
            command = Command.parse(line)
            name = command.name
            command.check_keys()
            match name:
                case "load":
                    self._load(command)
                case "generate":
                    self._generate(command)
                case "compare":
                    self._compare(command)
                case "keep_cache":
                    path = command.file()
                    self._ask(name, lambda _job: self._session.keep_cache(path))
                case "recall_cache":
                    path = command.file()
                    self._ask(name, lambda _job: self._session.recall_cache(path))
                case "set":
                    self._session.change(command.values)
                case "wiring":
                    text = command.text("text")
                    self._ask(name, lambda job: self._session.wiring(job, text))
                case "cancel":
                    self._session.cancel()
                case "pause":
                    controls = self._session.engine.controls
                    (controls.resume if command.flag("on") is False else controls.pause)()
                case "step":
                    self._session.engine.controls.step()
                case "experts":
                    self._lines.send({"event": "experts", **self._session.engine.expert_use().to_json()})
        except Exception as error:
            self._error(name, error)
        return name != "quit"

    def _load(self, command: Command) -> None:
        path, settings = command.text("path"), command.load_settings()
        if path == "":
            raise UsageError("path must be a checkpoint's folder, and left out for the demo.")
        self._ask("load", lambda _job: self._session.open(path or DEMO, settings))

    def _generate(self, command: Command) -> None:
        prompt, values, fit = command.prompt(), command.options(), bool(command.flag("fit"))
        GenerateOptions().changed(values)  # refused now, not when its turn comes
        self._ask("generate", lambda job: self._session.reply(job, prompt, values, fit=fit))

    def _compare(self, command: Command) -> None:
        prompt, lanes, fit = command.prompt(), command.lanes(), bool(command.flag("fit"))
        values = {**command.options(), "max_tokens": command.count("max_tokens") or MEASURED_TOKENS}
        repeats = command.count("repeats") or 1
        GenerateOptions().changed(values)
        self._ask("compare", lambda job: self._session.compare(job, prompt, values, lanes, repeats, fit=fit))

    def _ask(self, name: str, run: Callable[[Job], None]) -> None:
        job = Job(name, run)
        self._session.add(job)
        self._queue.put(job)

    def _error(self, command: str | None, error: Exception) -> None:
        if command == "compare":
            self._lines.send(to_json(LanesFinished(complete=False, message=sentence(error))))
        else:
            self._lines.send({"event": "error", "command": command, "message": sentence(error)})


def main(load: Load = load_engine) -> int:
    """Serve standard input until it ends."""
    wait_passively()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl+c goes to the whole group, and the app decides
    commands, lines = take_standard_pipes()
    lines.send({"event": "hello", "schema": SCHEMA_VERSION, "commands": list(COMMANDS)})
    worker = Worker(lines, load)
    threading.Thread(target=worker.listen, args=(commands,), name="worker commands", daemon=True).start()
    worker.work()
    lines.close(GRACE_SECONDS)
    return 0


if __name__ == "__main__":
    main()
    sys.stderr.flush()
    os._exit(0)  # nothing that a library leaves running may keep the process
