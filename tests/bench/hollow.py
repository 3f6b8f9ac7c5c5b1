"""DeepSeek-V3's real shape, without its weights: `python -m tests.bench.hollow FOLDER --ram 16GB`.

FOLDER is a hollow checkpoint (`python -m tests.hollow FOLDER`). Its holes are not on the drive, so without
--disk-limit the figures are compute and copies; with it, reads take as long as that drive would. Replies are
sampled at temperature 1, each to another prompt, so that nothing is reused and no text cycles. Acceptance is
0 and every guess of the next layer's experts is right, both by construction (see tests/hollow.py).
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

from tests.bench.memory import ALLOWANCE_BYTES, PeakMemory
from tests.bench.replies import HEAD, reply
from tests.hollow import real_rows

PROMPT_TOKENS = 20
TOKENS = 8
CONTEXT = 512


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ram", required=True, help="the budget: 16GB")
    parser.add_argument("--disk-limit", help="emulate a drive: 1.15GB/s")
    parser.add_argument("--depth", default="0,1", help="depths, one reply each")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="of a reply, after its first")
    parser.add_argument("--context", type=int, default=CONTEXT)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    rows = real_rows(options.folder)
    generator = random.Random(0)
    with PeakMemory() as memory:
        from engine import GenerateOptions, load

        began = time.perf_counter()
        engine = load(
            options.folder,
            ram=options.ram,
            disk_limit=options.disk_limit,
            threads=options.threads,
            context=options.context,
        )
        drive = f"a drive of {options.disk_limit}, emulated" if options.disk_limit else "no drive"
        print(f"{options.folder}, budget {options.ram}: compute and copies, {drive}")
        print(f"Loaded in {time.perf_counter() - began:.1f} s")
        replies = []
        for depth in (int(part) for part in options.depth.split(",")):
            prompt = [generator.randrange(rows) for _ in range(PROMPT_TOKENS)]
            asked = GenerateOptions(
                max_tokens=options.tokens + 1, depth=depth, temperature=1.0, seed=depth, ignore_eos=True
            )
            streamed = reply(engine, prompt, asked)
            replies.append(streamed)
            print(f"depth {depth}: {streamed.first_seconds:.1f} s to the first token of a reply to ", end="")
            print(
                f"{PROMPT_TOKENS} tokens, then {streamed.seconds / streamed.tokens:.2f} s a token; ", end=""
            )
            print(f"{sum(token < rows for token in streamed.ids)} of {len(streamed.ids)} are of real rows")
    print(f"\n{HEAD}")
    print("\n".join(each.row() for each in replies))
    print(
        "\nAcceptance is 0 and every guess is right by construction: drafts are of tokens that are never ",
        end="",
    )
    print("the text's, and every layer's router sees the same state.")
    print(f"Peak RssAnon + RssShmem {memory.peak_bytes / 1e9:.2f} GB ", end="")
    print(f"(bound: the budget and {ALLOWANCE_BYTES / 1e9:.2f} GB)")


if __name__ == "__main__":
    main()
