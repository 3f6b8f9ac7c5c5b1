"""Decoding beside transformers, in one run: `python -m tests.bench.decode [--folder DIR]`.

Both decode the same synthetic FP8 checkpoint (see `synthetic`), everything in RAM, greedily, each in a
process of its own and one after the other; what is compared is tokens a second after the prompt (the median
of several replies), and resident memory. transformers has no FP8 product on the CPU: it dequantises to
bfloat16 while it loads.
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

PROMPT = list(range(100, 132))
TOKENS = 48
REPEATS = 5


def memory() -> dict[str, object]:
    """This process's resident memory, now and at its highest; taken while the model is still there."""
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = {name: value for name, _, value in (line.partition(":") for line in lines)}
    return {
        "rss_bytes": int(fields["VmRSS"].split()[0]) * 1024,
        "peak_rss_bytes": int(fields["VmHWM"].split()[0]) * 1024,
    }


def run_ours(folder: Path, threads: int) -> dict[str, object]:
    """Tokens a second at depth 0, and what a round costs at each depth."""
    from engine import GenerateOptions, Verified, load
    from engine.decoding.counters import Counters

    began = time.perf_counter()
    engine = load(folder, threads=threads, context=512)
    result: dict[str, object] = {"load_seconds": time.perf_counter() - began}
    rounds: dict[int, float] = {}
    speeds: list[float] = []
    for depth in (0, *[0] * REPEATS, 1, 2, 3, 4, 8):  # the first one warms up
        counters = Counters()
        began = time.perf_counter()
        for event in engine.generate(
            PROMPT, GenerateOptions(max_tokens=TOKENS, depth=depth, ignore_eos=True)
        ):
            if isinstance(event, Verified):
                counters.observe(event)
        rounds[depth] = counters.seconds / counters.rounds * 1e3
        if depth == 0:
            speeds.append(counters.tokens_per_second or 0.0)
    result["tokens_per_second"] = statistics.median(speeds[1:])
    rounds[0] = 1e3 / statistics.median(speeds[1:])
    return result | {"round_milliseconds": rounds} | memory()


def run_transformers(folder: Path, threads: int) -> dict[str, object]:
    """Tokens a second of `generate`, without its prompt."""
    import torch
    from transformers import AutoModelForCausalLM, FineGrainedFP8Config

    torch.set_num_threads(threads)
    began = time.perf_counter()
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16, quantization_config=FineGrainedFP8Config(dequantize=True)
    )
    result: dict[str, object] = {"load_seconds": time.perf_counter() - began}
    ids = torch.tensor([PROMPT])

    def seconds(tokens: int) -> float:
        begun = time.perf_counter()
        model.generate(ids, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, pad_token_id=1)
        return time.perf_counter() - begun

    seconds(2)
    speeds = [(TOKENS - 1) / (seconds(TOKENS) - seconds(1)) for _ in range(REPEATS)]
    result["tokens_per_second"] = statistics.median(speeds)
    return result | memory()


RUNS = {"draftscope": run_ours, "transformers": run_transformers}


def measure(name: str, folder: Path, threads: int) -> dict[str, object]:
    """Run one of them in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.decode", "--only", name, "--folder", str(folder)]
    output = subprocess.run(
        [*command, "--threads", str(threads)], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    result: dict[str, object] = json.loads(output.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("/tmp/draftscope-synthetic"))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", choices=RUNS)
    options = parser.parse_args()
    if options.only:
        result = RUNS[options.only](options.folder, options.threads)
        print(json.dumps(result))
        return
    from tests.bench.synthetic import synthesise

    folder = synthesise(options.folder)
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    print(f"FP8 checkpoint of {size / 1e9:.2f} GB, {options.threads} threads, {TOKENS} tokens, greedy")
    found = {name: measure(name, folder, options.threads) for name in RUNS}
    print("| | load s | tokens/s | RSS GB | peak RSS GB |\n|---|---|---|---|---|")
    for name, result in found.items():
        rss, peak = float(str(result["rss_bytes"])) / 1e9, float(str(result["peak_rss_bytes"])) / 1e9
        speed, load = float(str(result["tokens_per_second"])), float(str(result["load_seconds"]))
        print(f"| {name} | {load:.1f} | {speed:.2f} | {rss:.2f} | {peak:.2f} |")
    ours, theirs = found["draftscope"], found["transformers"]
    ratio = float(str(ours["tokens_per_second"])) / float(str(theirs["tokens_per_second"]))
    share = float(str(ours["rss_bytes"])) / float(str(theirs["rss_bytes"]))
    print(f"{ratio:.2f} times the tokens/s (bound 5), {share:.0%} of the RSS (bound 50 %)")
    rounds = ours["round_milliseconds"]
    assert isinstance(rounds, dict)
    print("a round at depth, ms:", ", ".join(f"{depth}: {value:.1f}" for depth, value in rounds.items()))


if __name__ == "__main__":
    main()
