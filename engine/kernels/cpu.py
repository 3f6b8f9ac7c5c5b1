"""The kernels on the CPU: numba, weights read as stored, one summation order for every width.

Each product is cut into jobs (some rows, a head, some heads of a token) that threads take as they are free.
Products too small to be worth waking a thread run in the caller's, and beside a busy neighbour fewer threads
are used (see `free_cores`). All calls must come from one thread.
"""

from __future__ import annotations

import time
from array import array
from itertools import chain
from typing import TYPE_CHECKING

import numba
import numpy as np
import torch

from engine.kernels import elementwise, tasks
from engine.kernels.base import Expert, Rotary, Uses
from engine.kernels.free_cores import FreeCores
from engine.kernels.machine import run_here, run_parallel
from engine.kernels.matrix_kernels import CHUNK_ROWS, scratch_bytes
from engine.kernels.stored import CpuMatrix
from engine.kernels.threads import choose_threads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from engine.kernels.base import Matrix

_JOBS_A_THREAD = 4
_PARALLEL_WORK = 1_000_000
"""Multiply-adds from which a second thread pays. It goes to sleep between two calls of a reply whose events
somebody takes, and waking it costs up to 0.1 ms: with less the demo model, all of whose products are smaller,
is 3 to 6 % slower at depths 1 to 3. V3's smallest, its router, has 1.8 million."""


class CpuKernels:
    """The `Kernels` of this machine's processor."""

    def __init__(self, threads: int | None = None) -> None:
        self.threads, self.warning = choose_threads(threads)
        if self.threads > 1:
            numba.set_num_threads(self.threads)
        self._free_cores = FreeCores(self.threads)
        self.device = torch.device("cpu")
        self._counter = np.zeros(1, np.int64)
        self._scratch = torch.empty(0, dtype=torch.uint8)
        self._stride = 0
        self._everyone: dict[int, Uses] = {}
        """For each number of tokens, the uses of one expert by all of them."""

    def warm_up(self) -> None:
        """Compile everything, or find it cached, so that no reply's clock has it in."""
        x, ones = torch.ones(1, 4), torch.ones(4)
        net = Expert(*[self.matrix(torch.ones(4, 4), None)] * 3)
        ids, weights = self.route(
            self.multiply(net.gate, self.rms_norm(x, ones, 1.0)), ones, 1, 1, 1, True, 1.0
        )
        outputs = torch.empty(1, 4)
        self.run_experts(x, self.group(ids, 4), dict.fromkeys(range(4), net), outputs)
        self.combine(outputs, weights)
        self.accumulate(outputs, weights[0], ids[0], torch.zeros(1, 4))
        cache, rotary = torch.zeros(1, 6), Rotary(torch.ones(1, 1), torch.zeros(1, 1))
        self.write_latents(torch.ones(1, 6), ones, 1.0, rotary, 0, cache)
        q = self.latent_queries(torch.ones(1, 1, 4), net.gate, 2, rotary, 0)
        self.expand_values(self.attend(q, cache, 4, 0, 1.0), net.gate, 2)
        if self.threads > 1:
            run_parallel(tasks.linear_task(), 0, 0, self._counter.ctypes.data, self.threads)

    def matrix(self, stored: Tensor, scales: Tensor | None) -> CpuMatrix:
        return CpuMatrix.of(stored, scales)

    def multiply(self, matrix: Matrix, x: Tensor) -> Tensor:
        m = _own(matrix)
        x = _rows(x, m.cols)
        tokens = x.shape[0]
        out = torch.empty(tokens, m.rows)
        scratch, stride = self._room(scratch_bytes(m.cols))
        chunk, jobs = self._cut(m.rows)
        # fmt: off
        parameters = (
            m.address, x.data_ptr(), m.cols * 4, tokens, out.data_ptr(), m.rows * 4, scratch, stride, chunk,
        )
        # fmt: on
        self._run(tasks.linear_task(), parameters, jobs, m.rows * m.cols * tokens)
        return out

    def rms_norm(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        out = torch.empty_like(x)
        elementwise.rms_norm(x.numpy(), weight.numpy(), eps, out.numpy())
        return out

    def route(
        self,
        logits: Tensor,
        bias: Tensor,
        k: int,
        groups: int,
        kept_groups: int,
        normalise: bool,
        factor: float,
    ) -> tuple[Tensor, Tensor]:
        ids = torch.empty(logits.shape[0], k, dtype=torch.int64)
        weights = torch.empty(logits.shape[0], k)
        elementwise.route(
            logits.numpy(), bias.numpy(), groups, kept_groups, normalise, factor, ids.numpy(), weights.numpy()
        )
        return ids, weights

    def group(self, ids: Tensor, experts: int) -> Uses:
        count = ids.numel()
        numbers, starts, tokens, slots = np.empty((4, count + 1), np.int64)
        used = elementwise.group_by_expert(ids.numpy(), experts, numbers, starts, tokens, slots)
        return Uses(
            tuple(numbers[:used].tolist()),
            torch.from_numpy(starts[: used + 1]),
            torch.from_numpy(tokens[:count]),
            torch.from_numpy(slots[:count]),
        )

    def run_experts(self, x: Tensor, uses: Uses, experts: Mapping[int, Expert], outputs: Tensor) -> None:
        starts = uses.starts.tolist()
        rows = [
            (*_addresses(experts[number]), starts[i], starts[i + 1] - starts[i])
            for i, number in enumerate(uses.numbers)
            if number in experts
        ]
        if not rows:
            return
        first = next(experts[number] for number in uses.numbers if number in experts)
        inner, hidden, width = _own(first.gate).rows, _own(first.gate).cols, _own(first.down).rows
        x = _rows(x, hidden)
        table = array("q", chain.from_iterable(rows))
        halves = torch.empty(outputs.shape[0], 2 * inner)
        scratch, stride = self._room(scratch_bytes(max(inner, hidden)))
        count = sum(row[4] for row in rows)
        at = (table.buffer_info()[0], uses.tokens.data_ptr(), uses.slots.data_ptr())
        h, h_stride, work = halves.data_ptr(), 2 * inner * 4, hidden * inner * count
        chunk, jobs = self._cut(inner, len(rows))
        self._run(
            tasks.gate_up_task(),
            (*at, x.data_ptr(), hidden * 4, h, h_stride, inner, chunk, scratch, stride),
            jobs,
            2 * work,
        )
        chunk, jobs = self._cut(width, len(rows))
        self._run(
            tasks.down_task(),
            (at[0], at[2], h, h_stride, outputs.data_ptr(), width * 4, width, chunk, scratch, stride),
            jobs,
            work,
        )

    def combine(self, outputs: Tensor, weights: Tensor) -> Tensor:
        out = torch.empty(weights.shape[0], outputs.shape[1])
        elementwise.combine(outputs.numpy(), weights.numpy(), out.numpy())
        return out

    def accumulate(self, outputs: Tensor, weights: Tensor, tokens: Tensor, sums: Tensor) -> None:
        elementwise.accumulate(outputs.numpy(), weights.numpy(), tokens.numpy(), sums.numpy())

    def feed_forward(self, x: Tensor, expert: Expert) -> Tensor:
        tokens = x.shape[0]
        if tokens not in self._everyone:
            every = torch.arange(tokens)
            self._everyone[tokens] = Uses((0,), torch.tensor([0, tokens]), every, every)
        out = torch.empty(tokens, _own(expert.down).rows)
        self.run_experts(x, self._everyone[tokens], {0: expert}, out)
        return out

    def latent_queries(self, q: Tensor, kv_b: Matrix, nope: int, rotary: Rotary, start: int) -> Tensor:
        m = _own(kv_b)
        q = _rows(q, q.shape[2])
        tokens, heads, size = q.shape
        _check_positions(rotary, start, tokens)
        width = m.cols + size - nope
        out = torch.empty(tokens, heads, width)
        scratch, stride = self._room(scratch_bytes(m.cols))
        # fmt: off
        parameters = (
            m.address, m.rows // heads, nope, m.cols, q.data_ptr(), heads * size * 4, size * 4, tokens,
            out.data_ptr(), heads * width * 4, width * 4, scratch, stride,
        )
        # fmt: on
        self._run(tasks.absorb_task(), parameters, heads, heads * nope * m.cols * tokens)
        elementwise.rotate_queries(
            q.numpy(), nope, rotary.cosine.numpy(), rotary.sine.numpy(), start, out.numpy(), m.cols
        )
        return out

    def write_latents(
        self, kv: Tensor, weight: Tensor, eps: float, rotary: Rotary, start: int, cache: Tensor
    ) -> None:
        if start < 0 or start + kv.shape[0] > cache.shape[0]:
            message = f"rows {start} to {start + kv.shape[0]} are outside a cache of {cache.shape[0]}"
            raise ValueError(message)
        _check_positions(rotary, start, kv.shape[0])
        elementwise.write_latents(
            kv.numpy(), weight.numpy(), eps, rotary.cosine.numpy(), rotary.sine.numpy(), start, cache.numpy()
        )

    def attend(self, q: Tensor, cache: Tensor, latent: int, start: int, scale: float) -> Tensor:
        q = _rows(q, cache.shape[1])
        tokens, heads, width = q.shape
        out = torch.empty(tokens, heads, latent)
        factor = np.array([scale], np.float32)
        matrix = self.matrix(cache, None)
        groups = -(-heads // tasks.GROUP_HEADS)
        scratch, stride = self._room(tasks.attention_scratch_bytes(scratch_bytes(width)))
        # fmt: off
        parameters = (
            matrix.address, latent, width, heads, groups, q.data_ptr(), start, factor.ctypes.data,
            out.data_ptr(), scratch, stride,
        )
        # fmt: on
        work = tokens * heads * (start + tokens) * (width + latent)
        self._run(tasks.attend_task(), parameters, tokens * groups, work)
        return out

    def expand_values(self, latents: Tensor, kv_b: Matrix, values: int) -> Tensor:
        m = _own(kv_b)
        latents = _rows(latents, m.cols)
        tokens, heads, latent = latents.shape
        out = torch.empty(tokens, heads * values)
        scratch, stride = self._room(scratch_bytes(latent))
        # fmt: off
        parameters = (
            m.address, m.rows // heads, values, latents.data_ptr(), heads * latent * 4, latent * 4, tokens,
            out.data_ptr(), heads * values * 4, scratch, stride,
        )
        # fmt: on
        self._run(tasks.expand_task(), parameters, heads, heads * values * latent * tokens)
        return out

    def _run(self, task: int, parameters: tuple[int, ...], jobs: int, work: int) -> None:
        packed = array("q", parameters)  # numpy's takes five times as long, in a call of 10 microseconds
        address, _ = packed.buffer_info()
        threads = 1 if jobs == 1 or work < _PARALLEL_WORK else self._free_cores.threads(time.perf_counter())
        if threads == 1:
            run_here(task, address, jobs)
            return
        self._counter[0] = 0
        run_parallel(task, address, jobs, self._counter.ctypes.data, threads)

    def _cut(self, rows: int, matrices: int = 1) -> tuple[int, int]:
        """Rows of a job, and how many jobs that makes for some matrices of so many rows.

        Long jobs read ahead undisturbed, many jobs leave no thread without work at the end.
        """
        wanted = rows if self.threads == 1 else rows * matrices // (self.threads * _JOBS_A_THREAD)
        chunk = min(max(wanted // CHUNK_ROWS, 1) * CHUNK_ROWS, -(-rows // CHUNK_ROWS) * CHUNK_ROWS)
        return chunk, -(-rows // chunk) * matrices

    def _room(self, size: int) -> tuple[int, int]:
        """Address of the threads' scratch, and bytes from one thread's to the next's."""
        if size > self._stride:
            self._stride = -(-size // 4096) * 4096 + 64  # off by a line, so that threads do not share sets
            self._scratch = torch.empty(self.threads * self._stride + 64, dtype=torch.uint8)
        return -(-self._scratch.data_ptr() // 64) * 64, self._stride


def _own(matrix: Matrix) -> CpuMatrix:
    if not isinstance(matrix, CpuMatrix):
        message = "a matrix of another kernel set"
        raise TypeError(message)
    return matrix


def _rows(x: Tensor, size: int) -> Tensor:
    """x as rows of `size` float32 without gaps: what is read by address must be what it looks like."""
    if x.shape[-1] != size or x.dtype != torch.float32:
        message = f"rows of {size} float32 are needed, not {x.dtype} {tuple(x.shape)}"
        raise ValueError(message)
    return x.contiguous()


def _check_positions(rotary: Rotary, start: int, tokens: int) -> None:
    """Compiled loops look nothing up: past the table's end they would turn by whatever lies there."""
    if start < 0 or start + tokens > rotary.cosine.shape[0]:
        message = f"positions {start} to {start + tokens} are outside a table of {rotary.cosine.shape[0]}"
        raise ValueError(message)


def _addresses(expert: Expert) -> tuple[int, int, int]:
    return _own(expert.gate).address, _own(expert.up).address, _own(expert.down).address
