"""A worker without an engine, which speaks the protocol and fails as the path it is to load says.

Run as a script. What it was set to before the load is told as a warning of the loaded line.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from queue import SimpleQueue

Line = dict[str, object]

OPTIONS = {"max_tokens": 512, "mode": "mtp", "depth": 1, "stop_ids": [], "temperature": 0.25}


def say(line: Line) -> None:
    print(json.dumps(line), flush=True)


class FakeWorker:
    def __init__(self) -> None:
        self.path = ""
        self.settings: Line = {}
        self.cancelled = threading.Event()
        self.jobs: SimpleQueue[Line | None] = SimpleQueue()

    def listen(self) -> None:
        for data in sys.stdin:
            command = json.loads(data)
            name = command["command"]
            if name == "set":
                self.settings |= {key: command[key] for key in command if key != "command"}
            elif name == "cancel":
                self.cancelled.set()
            elif name == "quit" and self.path != "deaf":
                break
            elif name in ("load", "generate", "compare"):
                self.jobs.put(command)
        if self.path == "deaf":
            time.sleep(3600)
        self.jobs.put(None)

    def work(self) -> None:
        while (job := self.jobs.get()) is not None:
            if job["command"] == "load":
                self.load(str(job["path"]))
            elif job["command"] == "generate":
                self.generate(job)
            else:
                self.compare(job)

    def load(self, path: str) -> None:
        self.path = path
        say({"event": "loading", "what": "shard", "done_bytes": 1, "total_bytes": 2})
        if path == "refused":
            say({"event": "error", "command": "load", "message": "There is no such folder; check the path."})
            return
        if path == "dies-loading":
            print("Traceback\n\x1b[31mOSError: no space.", file=sys.stderr, flush=True)
            os._exit(3)
        loaded: Line = {
            "event": "loaded",
            "model": path,
            "context": 64,
            "mtp": path != "no-mtp",
            "draft_model": False,
        }
        told = {"warnings": [json.dumps(self.settings)], "options": OPTIONS, "weights_bytes": 671}
        say({**loaded, **told})
        say({"event": "memory", "used_bytes": 5, "budget_bytes": 9})
        if path == "no-mtp" and self.settings.get("mode") == "mtp":
            say({"event": "error", "command": "load", "message": "This checkpoint has no MTP layer."})

    def generate(self, job: Line) -> None:
        if self.path == "refuses-replies":
            say({"event": "error", "command": "generate", "message": "It has no tokenizer."})
            return
        self.cancelled.clear()
        if job.get("fit"):
            say({"event": "dropped", "turns": 2})
        say({"event": "header", "schema": 1, "model": self.path, "options": OPTIONS})
        say({"event": "prefilled", "prompt_tokens": 3, "reused_tokens": 0, "seconds": 0.5})
        for number in range(10**9):
            self.round(number)
            if self.cancelled.wait(0.005):
                break
        say({"event": "finished", "reason": "cancelled", "tokens": number + 1, "seconds": 1.0})

    def round(self, number: int) -> None:
        token: Line = {"id": number, "text": "a", "origin": "ordinary", "position": 0}
        depth = self.settings.get("depth", 0)
        say(
            {"event": "verified", "round": number, "mode": "mtp", "depth": depth, "accepted": 0}
            | {"tokens": [{**token, "logprob": -0.5, "draft_logprob": None}], "rejected": []}
        )
        if number < 3:
            return
        match self.path:
            case "garbage":
                print("{this is no JSON", flush=True)
            case "newer-event":
                say({"event": "dreamt"})
            case "dies":
                print("about to die\nRuntimeError: out of ideas", file=sys.stderr, flush=True)
                os._exit(7)
            case "silent":
                os.close(1)
                time.sleep(3600)
            case "noisy":
                for _ in range(5000):
                    print("x" * 100, file=sys.stderr)

    def compare(self, job: Line) -> None:
        if self.path == "refuses-replies":
            say({"event": "lanes_finished", "complete": False, "message": "It has no tokenizer."})
            return
        why = json.dumps({name: job[name] for name in ("options", "max_tokens", "fit", "messages")})
        say(
            {"event": "lanes_planned", "lanes": job["lanes"], "repeats": job["repeats"]}
            | {"interleaved": True, "why": why, "fork_bytes": 0}
        )
        if self.path == "dies":
            os._exit(7)
        tag = {"lane": 1, "repeat": 0}
        say({"event": "finished", "reason": "length", "tokens": 4, "seconds": 1.0, "compare": tag})
        if self.path != "endless":
            say({"event": "lanes_finished", "complete": True})


if __name__ == "__main__":
    print("a start-up script says hello", flush=True)
    say({"event": "hello", "schema": int(sys.argv[1]), "commands": []})
    worker = FakeWorker()
    threading.Thread(target=worker.listen, daemon=True).start()
    worker.work()
