"""The engine for candidates in memory: chunks of users on host threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from queue import Empty, SimpleQueue

import numpy as np

from oasis_alloc.common.threads import share, workers
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.engines.base import in_sample
from oasis_alloc.engines.chunks import Chunked
from oasis_alloc.engines.pieces import Piece, pairs_of, part_of
from oasis_alloc.kernels.solve.own_prices import own_prices
from oasis_alloc.program.narrowing import Narrowing, with_merged_cells
from oasis_alloc.program.own_rows import OwnRows
from oasis_alloc.program.pair_arrays import PairArrays
from oasis_alloc.program.pair_lookup import PairView
from oasis_alloc.program.program import Program
from oasis_alloc.program.wide_blocks import WideBlocks, is_wide, wide


class Threads(Chunked):
    """Visits users on `threads` host threads; a chunk is one piece."""

    _in_memory = True

    def __init__(self, program: Program, threads: int | None = None) -> None:
        super().__init__(program)
        self._threads = threads
        self._pairs = pairs_of(program, program)
        self._wide: PairArrays | None = None  # of few pairs: converted once, and read by every pass
        self._free: SimpleQueue[WideBlocks] = SimpleQueue()  # buffers that no thread is using
        self._workers = workers(threads, self._n)
        others = self._workers - 1
        self._own: tuple[Program, OwnRows | None] | None = None
        self._pool = ThreadPoolExecutor(others, thread_name_prefix="oasis_alloc") if others else None

    def _pieces(self, job: Callable[[Piece], object], stride: int = 1) -> None:
        narrow = self._rules is not None and not is_wide(self.program)
        if narrow and self._wide is None and self._bytes <= self._sizes.wide_bytes:
            self._wide = WideBlocks(self.program, self.program.n_pairs).all()
        if narrow and self._wide is None:
            self._chunks(partial(self._in_blocks, job, stride))
            return
        indptr = self.program.indptr

        def whole(chunk: int) -> None:
            first, last = int(self._edges[chunk]), int(self._edges[chunk + 1])
            place = chunk, True, first, last, int(indptr[first])
            job(Piece(*place, self._pairs) if self._wide is None else part_of(self.program, place, self._wide, indptr))

        self._chunks(whole)

    @property
    def _bytes(self) -> int:
        """Bytes of all pairs in the types of the kernels under rules."""
        return self.program.n_pairs * wide(self.program).like(1).n_bytes

    def _in_blocks(self, job: Callable[[Piece], object], stride: int, chunk: int) -> None:
        """A chunk in blocks, in the types of the kernels under rules."""
        first, last = int(self._edges[chunk]), int(self._edges[chunk + 1])
        needed = None if stride == 1 else in_sample(np.arange(first, last), stride)
        try:
            blocks = self._free.get_nowait()
        except Empty:
            blocks = WideBlocks(self.program, self._sizes.wide_block)
        for begin, end, indptr, arrays in blocks.of(first, last, needed):
            place = chunk, begin == first, begin, end, int(self.program.indptr[begin])
            job(part_of(self.program, place, arrays, indptr))
        self._free.put(blocks)

    def _chunks(self, job: Callable[[int], object]) -> None:
        if self._pool is None:
            for chunk in range(self._n):
                job(chunk)
        else:
            share(self._pool, self._workers, job, self._n)

    @contextmanager
    def narrowed(self, narrowing: Narrowing) -> Iterator[Chunked]:
        merged = with_merged_cells(narrowing.program)
        if merged is narrowing.program:
            with super().narrowed(narrowing) as engine:
                yield engine
            return
        with Threads(merged, self._threads) as engine:
            engine.passes, engine._survey = self.passes, self.survey().narrowed(narrowing)
            try:
                yield engine
            finally:
                self.passes = engine.passes

    @property
    def own_rows(self) -> OwnRows | None:
        if self._own is None or self._own[0] is not self.program:
            self._own = self.program, OwnRows.of(self.program)
        return self._own[1]

    def with_own_prices(self, prices: Floats, gamma: float) -> Floats:
        own = self.own_rows
        if own is None:
            return prices
        out, mine = prices.copy(), prices[own.rows]
        tables = self.program.tables(own.without(prices))

        def job(piece: Piece) -> None:
            own_prices(piece.first, piece.last, piece.pairs, tables, self.program.size, gamma, own.groups, mine)

        self._pieces(job)
        self.passes += 1.0  # every pair is read once from memory; a user's are read again from the cache
        out[own.rows] = mine
        return out

    def take(self, positions: Ints) -> PairView:
        return PairView(self.program, positions, self.program, positions)

    def plain(self) -> Threads:
        return self._told(Threads(replace(self.program, rules=None), self._threads))

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
