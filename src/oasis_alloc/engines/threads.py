"""The engine for candidates in memory: chunks of users on host threads, added up in a fixed order.

The number of chunks follows from the program alone, never from the number of threads, so any number of threads gives
bit for bit the same answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from oasis_alloc.engines.base import Decision, Visit
from oasis_alloc.functions.base import Floats
from oasis_alloc.kernels import decide as decide_kernels
from oasis_alloc.kernels import jobs
from oasis_alloc.kernels import ruled as ruled_kernels
from oasis_alloc.kernels import visit as visit_kernels
from oasis_alloc.keys import frozen
from oasis_alloc.program import Program

_CHUNK_PAIRS = 100_000  # below this, threads cost more than they bring
_MOST_CHUNKS, _FEW_CHUNKS = 64, 8
_PAIRS_A_CELL = 32  # of a chunk's tables
_TABLE_BYTES = 1 << 28  # for all chunks' tables together
_MOST_KEPT = 1 << 22  # fractional pairs kept for Hessian products, over all chunks
_KINK = 1e-5  # smoothing of decisions under rules, in typical values: next to none
_RULED_SLACK = 3.0  # of the first smoothing: looking at too few candidates is dear under rules
_NOTHING = 1e-12
_BLOCK = 32  # users of a sample stand together in blocks of this many (see kernels/visit.py)


class Threads:
    """Visits users on `threads` host threads; see `engines/base.py` for what each call does."""

    def __init__(self, program: Program, threads: int | None = None) -> None:
        self.program = program
        self.passes = 0.0
        self._threads = threads
        n_tables = len(program.base)
        table_bytes = n_tables * program.n_cells * 8 * 2
        most = max(1, min(_MOST_CHUNKS, _TABLE_BYTES // max(1, table_bytes)))
        # every visit and every product clears and adds up all chunks' tables: these stay small beside the pairs
        most = min(most, max(_FEW_CHUNKS, program.n_pairs // (_PAIRS_A_CELL * n_tables * program.n_cells + 1)))
        chunks = max(1, min(most, program.n_pairs // _CHUNK_PAIRS))
        self._edges = _chunk_edges(program.indptr, chunks)
        self._n = self._edges.size - 1
        # read-only all of them: compiled code tells arrays that may be written from those that may not
        self._pairs = visit_kernels.Pairs(
            frozen(program.indptr), frozen(program.code), frozen(program.value), frozen(program.extra),
            frozen(program.segment),
        )  # fmt: skip
        # rules have kernels of their own, so that problems without them pay nothing
        self._rules = None if program.rules is None else program.rules.kernel
        size = float(np.abs(program.value).mean(dtype=np.float64)) if program.n_pairs else 0.0
        self._least_gamma = _KINK * (size or 1.0)  # of decisions under rules
        self._threshold = np.zeros(program.n_users)
        self._guard = np.zeros(program.n_users if program.rules is not None and program.rules.target.size else 0)
        self._slack = np.inf
        self._load = np.zeros((self._n, n_tables, program.n_cells))
        self._square = np.zeros_like(self._load)
        self._out = np.zeros((self._n, visit_kernels.N_OUT))
        self._capacity = min(_MOST_KEPT // self._n, max(256, program.n_pairs // (2 * self._n)))
        self._kept = [self._curvature_buffer() for _ in range(self._n)]
        self._keep_every = 1
        self._hessian_scale = 0.0
        workers = min(threads or os.cpu_count() or 1, self._n)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="oasis_alloc") if workers > 1 else None

    def _curvature_buffer(self) -> visit_kernels.Curvature | jobs.Curvature:
        n_extra, n = self.program.extra.shape[0], self._capacity
        # end[] is as long as cell[]: a kept user has at least one pair
        cell, extra, end = np.zeros(n, np.int64), np.zeros((n_extra, n)), np.zeros(n + 1, np.int64)
        if self._rules is None:
            return visit_kernels.Curvature(cell, extra, end)
        return jobs.Curvature(cell, extra, np.zeros(n), end, np.zeros(n + 1, np.int64))

    def _ruled(
        self, job: int, chunk: int, tables: Floats, gamma: float, stride: int = 1, widest: float = 1.0,
        **marks: npt.NDArray[Any],
    ) -> None:  # fmt: skip
        kept: Any = self._kept[chunk]
        assert self._rules is not None  # the caller has looked
        slack = min(self._slack, np.finfo(np.float64).max)
        ruled_kernels.visit(
            job, self._edges[chunk], self._edges[chunk + 1], stride, self._pairs, tables, gamma, slack, widest,
            self._keep_every, self._threshold, self._guard,
            jobs.Sums(self._load[chunk], self._square[chunk], kept, self._out[chunk]),
            jobs.marks(**marks), self._rules,
        )  # fmt: skip

    def _each(self, job: Callable[[int], object]) -> None:
        if self._pool is None:
            for chunk in range(self._n):
                job(chunk)
        else:
            for _ in self._pool.map(job, range(self._n)):
                pass

    def visit(self, prices: Floats, gamma: float, stride: int = 1) -> Visit:
        program, edges = self.program, self._edges
        tables = program.tables(prices)
        slack = min(self._slack, np.finfo(np.float64).max)
        kernel: Any = visit_kernels.visit

        def job(chunk: int) -> None:
            self._load[chunk] = 0.0
            self._square[chunk] = 0.0
            if self._rules is not None:
                self._ruled(ruled_kernels.VISIT, chunk, tables, gamma, stride=stride)
                return
            kernel(
                edges[chunk], edges[chunk + 1], stride, self._pairs, tables, program.size, gamma, slack,
                self._threshold, self._load[chunk], self._square[chunk], self._kept[chunk], self._keep_every,
                self._out[chunk],
            )  # fmt: skip

        self._each(job)
        out = self._out.sum(axis=0)
        visited = out[visit_kernels.USERS]
        scale = program.n_users / visited if visited else 0.0
        self.passes += visited / max(1, program.n_users)
        self._adapt(out, gamma)
        load, square = self._load.sum(axis=0), self._square.sum(axis=0)
        self._hessian_scale *= scale / gamma
        return Visit(
            smoothed=out[visit_kernels.SMOOTHED] * scale,
            bound=out[visit_kernels.BOUND] * scale,
            value=out[visit_kernels.VALUE] * scale,
            totals=program.totals(load) * scale,
            activity=program.activity(load) * scale,
            diagonal=program.curvature_diagonal(square) * (scale / gamma),
            fractional=out[visit_kernels.FRACTIONAL] * scale,
        )

    def _adapt(self, out: Floats, gamma: float) -> None:
        """Follow how far thresholds move, and how many fractional pairs fit the buffers."""
        misses = out[visit_kernels.MISSES] / max(1.0, out[visit_kernels.USERS])
        if not np.isfinite(self._slack):
            self._slack = gamma if self._rules is None else _RULED_SLACK * gamma
        elif misses > 0.02:
            self._slack *= 1.5
        elif misses < 0.005:
            self._slack = max(0.8 * self._slack, 1e-300)
        kept, curved = out[visit_kernels.KEPT], out[visit_kernels.CURVED]
        self._hessian_scale = curved / kept if kept else 0.0
        room = 0.5 * self._capacity * self._n
        self._keep_every = max(1, int(np.ceil(curved / room)))

    def curvature(self, direction: Floats) -> Floats:
        program = self.program
        tables = program.tables(direction).reshape(len(program.base), program.n_cells)
        plain: Any = visit_kernels.curvature_product
        product: Any = plain if self._rules is None else ruled_kernels.curvature_product

        def job(chunk: int) -> None:
            self._load[chunk] = 0.0
            users = int(self._out[chunk, visit_kernels.KEPT_USERS])
            product(users, self._kept[chunk], tables, self._load[chunk])

        self._each(job)
        return program.totals(self._load.sum(axis=0)) * self._hessian_scale

    def histogram(self, prices: Floats, widest: float) -> npt.NDArray[np.int64]:
        tables = self.program.tables(prices)
        counts = np.zeros((self._n, decide_kernels.N_BINS), np.int64)

        def job(chunk: int) -> None:
            given = self._edges[chunk], self._edges[chunk + 1], self._pairs, tables
            if self._rules is None:
                decide_kernels.margins(*given, self.program.size, widest, counts[chunk])
            else:
                job, gamma = ruled_kernels.MARGINS, self._least_gamma
                self._ruled(job, chunk, tables, gamma, widest=widest, histogram=counts[chunk])

        self._each(job)
        self.passes += 1.0
        return np.asarray(counts.sum(axis=0))

    def decide(self, prices: Floats, margins: Floats) -> Decision:
        tables, within = self.program.tables(prices), self.program.widest(margins)
        indptr = self.program.indptr
        parts: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = [(np.empty(0, np.int64),) * 2] * self._n
        slots = np.empty(self.program.n_users, np.int64)

        def job(chunk: int) -> None:
            first, last = self._edges[chunk], self._edges[chunk + 1]
            start, stop = int(indptr[first]), int(indptr[last])
            state = np.empty(stop - start, np.uint8)
            counts = np.zeros(3, np.int64)
            if self._rules is None:
                size = self.program.size
                decide_kernels.decide(first, last, self._pairs, tables, size, within, state, slots, counts)
            else:
                job, gamma = ruled_kernels.DECIDE, self._least_gamma
                self._ruled(job, chunk, tables, gamma, margin=within, state=state)
            undecided = np.flatnonzero(state == decide_kernels.UNDECIDED) + start
            parts[chunk] = (undecided, np.flatnonzero(state == decide_kernels.IN) + start)

        self._each(job)
        self.passes += 1.0
        undecided, shown = (np.concatenate(side) for side in zip(*parts, strict=True))
        return Decision(undecided, shown)

    def scores(self, prices: Floats) -> Floats:
        tables = self.program.tables(prices)
        out = np.empty(self.program.n_pairs)

        def job(chunk: int) -> None:
            first, last = self._edges[chunk], self._edges[chunk + 1]
            part = out[self.program.indptr[first] : self.program.indptr[last]]
            decide_kernels.score(first, last, self._pairs, tables, part)

        self._each(job)
        self.passes += 1.0
        return out

    def slates(self, prices: Floats, gamma: float) -> tuple[npt.NDArray[np.int64], Floats]:
        tables = self.program.tables(prices)
        indptr = self.program.indptr
        parts: list[tuple[npt.NDArray[np.int64], Floats]] = [(np.empty(0, np.int64), np.empty(0))] * self._n

        def job(chunk: int) -> None:
            first, last = self._edges[chunk], self._edges[chunk + 1]
            x = np.empty(int(indptr[last] - indptr[first]))
            if self._rules is None:
                decide_kernels.allocate(first, last, self._pairs, tables, gamma, self._threshold, x)
            else:
                self._ruled(ruled_kernels.ALLOCATE, chunk, tables, gamma, x=x)
            shown = np.flatnonzero(x > _NOTHING)
            parts[chunk] = (shown + indptr[first], x[shown])

        self._each(job)
        self.passes += 1.0
        positions, x = (np.concatenate(side) for side in zip(*parts, strict=True))
        return positions, x

    def add_up(self, positions: npt.NDArray[np.int64], x: Floats) -> tuple[float, Floats]:
        program = self.program
        users = program.users_of(positions)
        load = np.zeros((len(program.base), program.n_cells))
        value = decide_kernels.add_up(positions, users, x, self._pairs, program.n_classes, load)
        return float(value) - program.diminished(positions, x), program.totals(load)

    def plain(self) -> Threads:
        return Threads(replace(self.program, rules=None), self._threads)

    def follow(self, other: Threads, gamma: float) -> None:
        self._threshold[:] = other._threshold
        self._slack = max(other._slack, gamma if self._rules is None else _RULED_SLACK * gamma)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def _chunk_edges(indptr: npt.NDArray[Any], chunks: int) -> npt.NDArray[np.int64]:
    """User numbers that cut the pairs into about equal chunks, at whole blocks so that samples are even."""
    n_users = indptr.size - 1
    wanted = np.linspace(0, indptr[-1], chunks + 1)[1:-1]
    inner = np.searchsorted(indptr, wanted) // _BLOCK * _BLOCK
    return np.unique(np.concatenate([[0], inner, [n_users]])).astype(np.int64)
