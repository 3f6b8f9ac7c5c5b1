"""The kernels' speed beside torch's, in one run: `python -m tests.bench.kernels [--threads N]`.

All figures come from weights too many to stay in the processor's caches, as in decoding a large model: each
call takes the next of several copies. Widths are measured in turns, one call each, so that a noisy moment
falls on all alike; a figure is the median. Beside them stands a plain loop that reads the same bytes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from typing import TYPE_CHECKING, Any

import numba
import numpy as np  # noqa: TC002  numba looks the annotation up
import torch

from engine.kernels.base import Expert, Uses
from engine.kernels.cpu import CpuKernels
from engine.kernels.reference import dequantise

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from engine.kernels.base import Matrix

ROWS, COLS = 7168, 2048
COPIES_BYTES = 200e6
WIDTHS = (*range(1, 10), 128)
BOUNDS = {2: 1.35, 4: 2.0, 8: 3.5}


@numba.njit(parallel=True, nogil=True)
def read_all(words: np.ndarray[Any, np.dtype[np.int64]], parts: int) -> int:
    """Touch every byte and do nothing else worth mentioning."""
    total = 0
    size = words.size // parts
    for part in numba.prange(parts):
        found = 0
        for i in range(part * size, (part + 1) * size):
            found ^= words[i]
        total += found
    return total


def weights(rows: int, cols: int) -> tuple[Tensor, Tensor]:
    """A random FP8 weight and its scales."""
    stored = (torch.randn(rows, cols) * 30).to(torch.float8_e4m3fn)
    return stored, torch.rand(-(-rows // 128), -(-cols // 128)) * 0.01


def milliseconds(function: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    function()
    return (time.perf_counter() - began) * 1e3


def in_turns(calls: dict[str, list[Callable[[], object]]], rounds: int) -> dict[str, list[float]]:
    """Time each name's calls, one of each name at a time; the first round warms up and is left out.

    Every call takes the next variant, so that none finds in a cache what the one before it has read.
    """
    taken: dict[str, list[float]] = {name: [] for name in calls}
    turn = 0
    for i in range(rounds + 1):
        for name, variants in calls.items():
            turn += 1
            spent = milliseconds(variants[turn % len(variants)])
            if i:
                taken[name].append(spent)
    return taken


def product_table(kernels: CpuKernels, rows: int, cols: int) -> None:
    """T(n) / T(1) for a product, beside torch."""
    copies = max(2, int(COPIES_BYTES / (rows * cols)) | 1)  # odd: every kind of call meets every copy
    matrices = [kernels.matrix(*weights(rows, cols)) for _ in range(copies)]
    resident = [dequantise(matrix).to(torch.bfloat16) for matrix in matrices[: copies // 2 + 1]]
    words = [matrix.stored.view(torch.int64).numpy().ravel() for matrix in matrices]
    xs = {n: torch.randn(n, cols) for n in WIDTHS}
    halves = {n: x.to(torch.bfloat16) for n, x in xs.items()}

    def ours(matrix: Matrix, n: int) -> Callable[[], object]:
        return lambda: kernels.multiply(matrix, xs[n])

    def theirs(weight: Tensor, n: int) -> Callable[[], object]:
        return lambda: halves[n] @ weight.T

    def decoding(matrix: Matrix) -> Callable[[], object]:
        return lambda: halves[1] @ dequantise(matrix).to(torch.bfloat16).T

    def reading(w: Any) -> Callable[[], object]:
        return lambda: read_all(w, kernels.threads)

    calls: dict[str, list[Callable[[], object]]]
    calls = {f"ours {n}": [ours(m, n) for m in matrices] for n in WIDTHS[:-1]}
    taken = in_turns(calls, 40)
    taken |= in_turns({f"torch {n}": [theirs(w, n) for w in resident] for n in WIDTHS[:-1]}, 40)
    taken |= in_turns({"read": [reading(w) for w in words]}, 20)
    taken |= in_turns({"ours 128": [ours(m, 128) for m in matrices]}, 8)
    taken |= in_turns({"torch 128": [theirs(w, 128) for w in resident]}, 8)
    taken |= in_turns({"decode": [decoding(m) for m in matrices]}, 4)
    median = {name: statistics.median(values) for name, values in taken.items()}
    one, size = median["ours 1"], rows * cols
    print(f"\n## FP8 product {rows} x {cols}, {kernels.threads} thread(s), median ms of cold weights")
    print(f"1 token: {size / one / 1e6:.1f} GB/s; a plain loop that reads them: ", end="")
    print(f"{size / median['read'] / 1e6:.1f} GB/s")
    print("| tokens | ours | T(n)/T(1) | bound | torch bf16 resident | torch / ours |")
    print("|---|---|---|---|---|---|")
    for n in WIDTHS:
        bound = BOUNDS.get(n, "")
        mine, other = median[f"ours {n}"], median[f"torch {n}"]
        print(f"| {n} | {mine:.2f} | {mine / one:.2f} | {bound} | {other:.2f} | {other / mine:.2f} |")
    print(f"1 token against torch's resident bf16: {median['torch 1'] / one:.2f} times as fast (bound 1.5)")
    print(f"against torch's dequantise and multiply: {median['decode'] / one:.0f} times (bound 30)")
    print(f"128 tokens against 128 single ones: {128 * one / median['ours 128']:.2f} times (bound 2.5)")


def experts_table(kernels: CpuKernels, hidden: int = 2048, inner: int = 1024, experts: int = 64) -> None:
    """The expert mixture: weights a second for n tokens of 8 experts each, drawn at random."""
    nets = {
        e: Expert(
            kernels.matrix(*weights(inner, hidden)),
            kernels.matrix(*weights(inner, hidden)),
            kernels.matrix(*weights(hidden, inner)),
        )
        for e in range(experts)
    }
    print(f"\n## Experts {hidden} x {inner}, 8 of {experts}, {kernels.threads} thread(s)")
    print("| tokens | experts in the union | ms | GB/s of their weights |\n|---|---|---|---|")
    for n in (1, 2, 4, 8, 128):
        spent, unions = [], []
        for _ in range(25):
            ids = torch.stack([torch.randperm(experts)[:8] for _ in range(n)])
            x, outputs = torch.randn(n, hidden), torch.empty(n * 8, hidden)
            uses: Uses = kernels.group(ids, experts)
            spent.append(milliseconds(lambda x=x, u=uses, o=outputs: kernels.run_experts(x, u, nets, o)))
            unions.append(len(uses.numbers))
        median, union = statistics.median(spent[2:]), statistics.mean(unions[2:])
        print(f"| {n} | {union:.1f} | {median:.2f} | {union * 3 * hidden * inner / median / 1e6:.1f} |")


def attention_table(kernels: CpuKernels, heads: int = 128, latent: int = 512, rope: int = 64) -> None:
    """Latent attention with V3's dimensions over a growing context."""
    cache = torch.randn(4096, latent + rope)
    print(f"\n## Latent attention, {heads} heads, {latent} + {rope}, {kernels.threads} thread(s)")
    print("| context | tokens | ms | G multiply-adds a second |\n|---|---|---|---|")
    for start, n in ((256, 1), (1024, 1), (4000, 1), (4000, 2), (4000, 4), (4000, 8)):
        q = torch.randn(n, heads, latent + rope)
        spent = [
            milliseconds(lambda q=q, s=start: kernels.attend(q, cache, latent, s, 0.1)) for _ in range(9)
        ]
        median = statistics.median(spent[1:])
        work = n * heads * (start + n / 2) * (2 * latent + rope)
        print(f"| {start} | {n} | {median:.2f} | {work / median / 1e6:.1f} |")


def spin(stop: Any) -> None:
    """Keep one core busy."""
    while not stop.is_set():
        sum(range(100_000))


def neighbour_table(kernels: CpuKernels) -> None:
    """Min and median of one product while another process keeps one core busy."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    other = context.Process(target=spin, args=(stop,), daemon=True)
    matrices = [kernels.matrix(*weights(ROWS, COLS)) for _ in range(12)]
    print(f"\n## Beside a busy neighbour, {kernels.threads} thread(s)")
    alone = CpuKernels(1)
    print("| tokens | min | 10 % | median | 90 % | max ms | one thread, median | median / min (bound 1.3) |")
    print("|---|---|---|---|---|---|---|---|")
    other.start()
    time.sleep(1.0)
    for n in (1, 2, 4):
        x = torch.randn(n, COLS)
        torch.randn(512, 512) @ torch.randn(512, 512)  # wakes torch's own pool, which must not spin
        for i in range(200):  # long enough for the kernels to notice the neighbour
            kernels.multiply(matrices[i % 12], x)
        spent = [milliseconds(lambda x=x, i=i: kernels.multiply(matrices[i % 12], x)) for i in range(241)][1:]
        single = [milliseconds(lambda x=x, i=i: alone.multiply(matrices[i % 12], x)) for i in range(61)][1:]
        spent.sort()
        low, tenth, median, ninetieth, high = (spent[i] for i in (0, 24, 120, 216, 239))
        print(f"| {n} | {low:.2f} | {tenth:.2f} | {median:.2f} | {ninetieth:.2f} | {high:.2f} ", end="")
        print(f"| {statistics.median(single):.2f} | {median / low:.2f} |")
    stop.set()
    other.join(5)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    torch.manual_seed(0)
    for threads in options.threads:
        kernels = CpuKernels(threads)
        torch.set_num_threads(threads)
        product_table(kernels, ROWS, COLS)
        product_table(kernels, COLS, ROWS)
        experts_table(kernels)
        attention_table(kernels)
        neighbour_table(kernels)


if __name__ == "__main__":
    main()
