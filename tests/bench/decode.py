"""Decoding beside transformers, in one run: `python -m tests.bench.decode [--folder DIR]`.

Both decode the same synthetic FP8 checkpoint (see `synthetic`), everything in RAM, greedily, each in a
process of its own that stays loaded. They reply in turns, because a shared machine's memory is faster in one
minute than in the next; what is compared is tokens a second after the prompt, the median of several replies,
and resident memory. transformers has no FP8 product on the CPU: it dequantises to bfloat16 while it loads.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PROMPT = list(range(100, 132))
TOKENS = 48
REPEATS = 7


def memory() -> dict[str, float]:
    """This process's resident memory, now and at its highest; taken while the model is still there."""
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = {name: value for name, _, value in (line.partition(":") for line in lines)}
    return {
        "rss_bytes": int(fields["VmRSS"].split()[0]) * 1024,
        "peak_rss_bytes": int(fields["VmHWM"].split()[0]) * 1024,
    }


def draftscope(folder: Path, threads: int) -> Iterator[dict[str, float]]:
    """Load, then one reply at depth 0 for each turn; after the last, what a round costs at each depth."""
    from engine import GenerateOptions, Verified, load
    from engine.decoding.counters import Counters

    began = time.perf_counter()
    engine = load(folder, threads=threads, context=512)
    yield {"load_seconds": time.perf_counter() - began}

    def reply(depth: int) -> Counters:
        counters = Counters()
        options = GenerateOptions(max_tokens=TOKENS, depth=depth, ignore_eos=True)
        for event in engine.generate(PROMPT, options):
            if isinstance(event, Verified):
                counters.observe(event)
        return counters

    for _ in range(REPEATS + 1):
        yield {"tokens_per_second": reply(0).tokens_per_second or 0.0, **memory()}
    counted = {depth: reply(depth) for depth in (0, 1, 2, 3, 4, 8)}
    yield {f"depth {depth}": each.seconds / each.rounds * 1e3 for depth, each in counted.items()}


def transformers(folder: Path, threads: int) -> Iterator[dict[str, float]]:
    """Load, then one reply for each turn; the prompt's time is taken off by a reply of one token."""
    import torch
    from transformers import AutoModelForCausalLM, FineGrainedFP8Config

    torch.set_num_threads(threads)
    began = time.perf_counter()
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16, quantization_config=FineGrainedFP8Config(dequantize=True)
    )
    yield {"load_seconds": time.perf_counter() - began}
    ids = torch.tensor([PROMPT])

    def seconds(tokens: int) -> float:
        begun = time.perf_counter()
        model.generate(ids, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, pad_token_id=1)
        return time.perf_counter() - begun

    for _ in range(REPEATS + 1):
        yield {"tokens_per_second": (TOKENS - 1) / (seconds(TOKENS) - seconds(1)), **memory()}


RUNS = {"draftscope": draftscope, "transformers": transformers}


class Child:
    """One of them in a process of its own, which does its next step when it is asked."""

    def __init__(self, name: str, folder: Path, threads: int) -> None:
        command = [sys.executable, "-m", "tests.bench.decode", "--only", name, "--folder", str(folder)]
        self._process = subprocess.Popen(
            [*command, "--threads", str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def step(self) -> dict[str, float]:
        """Let it do its next step, and return what it measured."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print("go", file=self._process.stdin, flush=True)
        for line in self._process.stdout:
            if line.startswith("{"):
                result: dict[str, float] = json.loads(line)
                return result
        message = "a benchmarked process ended"
        raise RuntimeError(message)

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("/tmp/draftscope-synthetic"))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", choices=RUNS)
    options = parser.parse_args()
    if options.only:
        steps = RUNS[options.only](options.folder, options.threads)
        for _ in sys.stdin:
            print(json.dumps(next(steps)), flush=True)
        return
    from tests.bench.synthetic import synthesise

    folder = synthesise(options.folder)
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    print(f"FP8 checkpoint of {size / 1e9:.2f} GB, {options.threads} threads, {TOKENS} tokens, greedy")
    children = {name: Child(name, folder, options.threads) for name in RUNS}
    try:
        report(children)
    finally:
        for child in children.values():
            child.end()


def report(children: dict[str, Child]) -> None:
    """Measure in turns and print the table."""
    loads = {name: child.step()["load_seconds"] for name, child in children.items()}
    turns = [{name: child.step() for name, child in children.items()} for _ in range(REPEATS + 1)][1:]
    print("| | load s | tokens/s: median | lowest | highest | RSS GB | peak RSS GB |")
    print("|---|---|---|---|---|---|---|")
    for name in children:
        speeds = [turn[name]["tokens_per_second"] for turn in turns]
        last = turns[-1][name]
        print(f"| {name} | {loads[name]:.1f} | {statistics.median(speeds):.2f} | {min(speeds):.2f} ", end="")
        print(f"| {max(speeds):.2f} | {last['rss_bytes'] / 1e9:.2f} | {last['peak_rss_bytes'] / 1e9:.2f} |")
    ratios = sorted(
        turn["draftscope"]["tokens_per_second"] / turn["transformers"]["tokens_per_second"] for turn in turns
    )
    share = turns[-1]["draftscope"]["rss_bytes"] / turns[-1]["transformers"]["rss_bytes"]
    print(f"{statistics.median(ratios):.2f} times the tokens/s ", end="")
    print(f"({ratios[0]:.2f} to {ratios[-1]:.2f}; bound 5), {share:.0%} of the RSS (bound 50 %)")
    rounds = children["draftscope"].step()
    print("a round, ms:", ", ".join(f"{depth}: {value:.1f}" for depth, value in rounds.items()))


if __name__ == "__main__":
    main()
