"""A checkpoint four times the RAM budget, in a small machine: `python -m tests.bench.offload`.

One memory control group of 4 GB holds, one after another, draftscope with a quarter of the synthetic FP8
checkpoint as its budget, transformers with accelerate's disk offload, and a bare reader of the same ranges.
Cold: the page cache is dropped before every reply. Warm: it is not, and keeps what the group has room for,
which a budget that leaves room is free to profit from; that table stands apart.

Before each measured reply comes a short one to another prompt, so that experts are not in memory because
this text has just been decoded at another depth; still, an engine may have learned which it likes, so depth 0
comes once more at the end, as a control. Weights are random, so next to no draft is accepted: what depths
show is what a wider verifying pass costs. Prompts' time is in no figure.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.cgroup import MemoryGroup
from tests.bench.memory import ALLOWANCE_BYTES, PeakMemory, drop_page_cache
from tests.bench.replies import HEAD, Streamed, reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bench.reader import Range

    Result = dict[str, Any]

GROUP = "draftscope-bench"
GROUP_BYTES = 4_000_000_000
PROMPT = list(range(100, 132))
OTHER_PROMPT = list(range(5000, 5032))
OTHER_TOKENS = 8
TOKENS = 48
DEPTHS = (0, 1, 2, 3, 4, 0)
READERS = (2, 4, 8)
DRIVE_DEPTHS = (0, 2, 4)
MOST_REPLAYED_BYTES = 6_000_000_000
"""Of each reply's reads; one pass of the bare reader takes some seconds then, and there are many."""
RATIO_BOUND, DRIVE_BOUND = 6.0, 0.85
THEIR_TOKENS = 8
THEIR_SECONDS = 120.0
CHILD_SECONDS = 1800.0


def draftscope(options: argparse.Namespace) -> Iterator[Result]:
    """All depths cold, then all depths warm, in one process."""
    with PeakMemory() as memory:
        from engine import GenerateOptions, load
        from tests.bench.reader import Recorder

        recorder = Recorder()
        read_at: dict[int, list[Range]] = {}
        shards = sorted(options.folder.glob("*.safetensors"))
        began = time.perf_counter()
        engine = load(
            options.folder,
            ram=options.ram,
            threads=options.threads,
            context=512,
            direct=None if options.reads == "measured" else options.reads == "direct",
        )
        yield {"load_seconds": time.perf_counter() - began, "reader": asdict(engine.home.choice)}
        for phase in ("cold", "warm"):
            for depth in DEPTHS:
                reply(
                    engine, OTHER_PROMPT, GenerateOptions(max_tokens=OTHER_TOKENS, depth=0, ignore_eos=True)
                )
                if phase == "cold":
                    drop_page_cache(shards)
                if phase == "cold" and depth in DRIVE_DEPTHS:
                    recorder.ranges = []
                asked = GenerateOptions(max_tokens=options.tokens, depth=depth, ignore_eos=True)
                yield {"phase": phase, **asdict(reply(engine, PROMPT, asked))}
                if recorder.ranges is not None:
                    read_at.setdefault(depth, recorder.ranges)
                    recorder.ranges = None
        found = {depth: list(map(asdict, ranges)) for depth, ranges in read_at.items()}
        options.ranges.write_text(json.dumps(found))
    yield {"peak_bytes": memory.peak_bytes}


def transformers(options: argparse.Namespace) -> Iterator[Result]:
    """One reply, from the first token on, as far as the time allows."""
    with PeakMemory() as memory:
        import torch
        from transformers import AutoModelForCausalLM, FineGrainedFP8Config
        from transformers.generation.stopping_criteria import StoppingCriteria, StoppingCriteriaList

        class Clock(StoppingCriteria):
            """Notes when each token came, and ends the reply in time."""

            def __init__(self) -> None:
                self.times: list[float] = []

            def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
                self.times.append(time.perf_counter())
                is_over = self.times[-1] - self.times[0] > THEIR_SECONDS
                return torch.full((input_ids.shape[0],), is_over, dtype=torch.bool)

        torch.set_num_threads(options.threads)
        began = time.perf_counter()
        model = AutoModelForCausalLM.from_pretrained(
            options.folder,
            dtype=torch.bfloat16,
            device_map="auto",
            max_memory={"cpu": options.cpu_memory},
            offload_folder=str(options.offload_folder),
            quantization_config=FineGrainedFP8Config(dequantize=True),
        )
        yield {"load_seconds": time.perf_counter() - began}
        drop_page_cache([*options.folder.glob("*.safetensors"), *options.offload_folder.glob("*")])
        clock = Clock()
        text = model.generate(
            torch.tensor([PROMPT]),
            max_new_tokens=THEIR_TOKENS + 1,
            min_new_tokens=THEIR_TOKENS + 1,
            do_sample=False,
            pad_token_id=1,
            stopping_criteria=StoppingCriteriaList([clock]),
        )
        tokens = len(clock.times) - 1
        yield {"tokens": tokens, "seconds": clock.times[-1] - clock.times[0]}
        yield {"ids": text[0, len(PROMPT) :].tolist()}
    yield {"peak_bytes": memory.peak_bytes}


def reader(options: argparse.Namespace) -> Iterator[Result]:
    """The same ranges with nothing to compute: buffered, then past the page cache, with several threads."""
    from tests.bench.reader import Range, first_of, read

    shards = sorted(options.folder.glob("*.safetensors"))
    for depth, found in json.loads(options.ranges.read_text()).items():
        ranges = first_of([Range(**each) for each in found], MOST_REPLAYED_BYTES)
        for direct in (False, True):
            for readers in READERS:
                drop_page_cache(shards)
                result: Result = {"depth": int(depth), "direct": direct, "readers": readers}
                try:
                    yield {
                        **result,
                        "gb_per_second": read(ranges, readers, direct, options.ram).gb_per_second,
                    }
                except OSError as error:  # a file system without O_DIRECT
                    yield {**result, "error": str(error)}
                    break


CHILDREN: dict[str, Callable[[argparse.Namespace], Iterator[Result]]] = {
    "draftscope": draftscope,
    "transformers": transformers,
    "reader": reader,
}


def run(group: MemoryGroup, name: str, options: argparse.Namespace, **values: object) -> list[Result]:
    """Run a child inside the group and return what it measured; raises RuntimeError where it failed."""
    given = {
        "folder": options.folder,
        "threads": options.threads,
        "tokens": options.tokens,
        "reads": options.reads,
        **values,
    }
    command = [sys.executable, "-m", "tests.bench.offload", "--only", name]
    command += [part for key, value in given.items() for part in (f"--{key.replace('_', '-')}", str(value))]
    done = subprocess.run(
        group.command(command), stdout=subprocess.PIPE, text=True, timeout=CHILD_SECONDS, check=False
    )
    if done.returncode:
        reason = "the group's memory did not suffice" if done.returncode == -9 else "see above"
        raise RuntimeError(f"{name} ended with status {done.returncode}: {reason}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def ours(group: MemoryGroup, options: argparse.Namespace, budget: int) -> list[Streamed]:
    """Print draftscope's tables; returns the cold replies."""
    loaded, *replies, memory = run(group, "draftscope", options, ram=budget, ranges=options.ranges)
    phases: dict[str, list[Streamed]] = {"cold": [], "warm": []}
    for values in replies:
        phases[values.pop("phase")].append(Streamed(**values))
    for phase, streamed in phases.items():
        print(f"\n## draftscope, page cache {phase}\n{HEAD}")
        print("\n".join(each.row() for each in streamed))
    text = phases["cold"][0].ids
    is_same = all(each.ids == text for streamed in phases.values() for each in streamed)
    print(f"\nThe text is {'the same' if is_same else 'NOT THE SAME'} in all of them; ", end="")
    print(f"{len(set(text))} of its {len(text)} tokens differ. Loaded in {loaded['load_seconds']:.1f} s.")
    print(f"The reader it chose: {loaded['reader']}.")
    bound = budget + ALLOWANCE_BYTES
    print(
        f"Peak RssAnon + RssShmem {memory['peak_bytes'] / 1e9:.2f} GB, bound {bound / 1e9:.2f} GB: ", end=""
    )
    print("kept" if memory["peak_bytes"] <= bound else "BROKEN")
    return phases["cold"]


def theirs(group: MemoryGroup, options: argparse.Namespace, cold: Streamed) -> None:
    """Print transformers' speed and the ratio to it, with the most memory that the group lets it have."""
    for cpu_memory in options.cpu_memory.split(","):
        print(f"\n## transformers + accelerate, {cpu_memory} of weights in RAM, the rest on the disk")
        try:
            with tempfile.TemporaryDirectory(prefix="offloaded-", dir=options.folder.parent) as folder:
                loaded, timed, text, memory = run(
                    group, "transformers", options, cpu_memory=cpu_memory, offload_folder=folder
                )
        except RuntimeError as error:
            print(f"{error}.")
            continue
        speed = timed["tokens"] / timed["seconds"]
        print(
            f"Loaded in {loaded['load_seconds']:.0f} s; {timed['tokens']} tokens at {speed:.3f} tokens/s; ",
            end="",
        )
        print(f"peak RssAnon + RssShmem {memory['peak_bytes'] / 1e9:.2f} GB.")
        same = sum(a == b for a, b in zip(text["ids"], cold.ids, strict=False))
        print(f"{same} of its {len(text['ids'])} tokens are ours (it computes in bfloat16).")
        print(
            f"draftscope, depth 0, cold: {cold.tokens_per_second / speed:.1f} times (bound {RATIO_BOUND:.0f})"
        )
        return
    print("No ratio: transformers did not run in this group.")


def bare(group: MemoryGroup, options: argparse.Namespace, budget: int, cold: list[Streamed]) -> None:
    """Print the bare reader's speeds on the engine's own ranges, and the engine's share of the best."""
    print("\n## A bare reader of the ranges that the engine read, in the same order, cold: GB/s")
    ways = [(direct, readers) for direct in (False, True) for readers in READERS]
    names = [f"{'direct' if direct else 'buffered'} {readers}" for direct, readers in ways]
    print(f"| depth | {' | '.join(names)} | engine | share of the best (bound {DRIVE_BOUND:.0%}) |")
    print("|---|" + "---|" * (len(ways) + 2))
    found = {
        (each["depth"], each["direct"], each["readers"]): each.get("gb_per_second", 0.0)
        for each in run(group, "reader", options, ram=budget, ranges=options.ranges)
    }
    for each in cold[: len(set(DEPTHS))]:
        if each.depth not in DRIVE_DEPTHS:
            continue
        speeds = [found.get((each.depth, *way), 0.0) for way in ways]
        cells = " | ".join(f"{speed:.2f}" for speed in speeds)
        share = each.drive_gb_per_second / max(speeds)
        print(f"| {each.depth} | {cells} | {each.drive_gb_per_second:.2f} | {share:.0%} |")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("/tmp/draftscope-synthetic"))
    parser.add_argument("--ram-share", type=float, default=0.25, help="budget, as a share of the checkpoint")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument(
        "--cpu-memory", default="2GB,1.5GB,1GB", help="for transformers; the first that works"
    )
    parser.add_argument(
        "--reads", choices=("measured", "direct", "buffered"), default="measured", help="of the engine"
    )
    parser.add_argument(
        "--alone", action="store_true", help="without transformers, which takes the most time"
    )
    parser.add_argument("--only", choices=CHILDREN, help=argparse.SUPPRESS)
    parser.add_argument("--offload-folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--ram", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--ranges", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        for result in CHILDREN[options.only](options):
            print(json.dumps(result), flush=True)
        return 0
    from tests.bench.synthetic import synthesise

    shards = sorted(synthesise(options.folder).glob("*.safetensors"))
    size = sum(file.stat().st_size for file in shards)
    budget = int(size * options.ram_share)
    try:
        group = MemoryGroup(GROUP, GROUP_BYTES)
    except OSError as error:
        print(f"This needs a memory control group, and none can be made here: {error}.", file=sys.stderr)
        return 2
    print(
        f"FP8 checkpoint of {size / 1e9:.2f} GB, budget {budget / 1e9:.2f} GB, {options.threads} threads, ",
        end="",
    )
    print(f"{options.tokens} tokens, greedy, in a memory group of {GROUP_BYTES / 1e9:.2f} GB")
    with group, tempfile.TemporaryDirectory(prefix="ranges-") as beside:
        options.ranges = Path(beside) / "ranges.json"
        drop_page_cache(shards)
        cold = ours(group, options, budget)
        if not options.alone:
            theirs(group, options, cold[0])
        bare(group, options, budget, cold)
    return 0


if __name__ == "__main__":
    sys.exit(main())
