"""The engine for candidates in memory: chunks of users on host threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

from oasis_alloc.common.threads import share, workers
from oasis_alloc.common.types import Ints
from oasis_alloc.engines.chunks import Chunked, pairs_of
from oasis_alloc.engines.pieces import Piece
from oasis_alloc.program.narrowing import Narrowing, with_merged_cells
from oasis_alloc.program.pair_lookup import PairView
from oasis_alloc.program.program import Program


class Threads(Chunked):
    """Visits users on `threads` host threads; a chunk is one piece."""

    def __init__(self, program: Program, threads: int | None = None) -> None:
        super().__init__(program)
        self._threads = threads
        self._pairs = pairs_of(program, program)
        self._workers = workers(threads, self._n)
        others = self._workers - 1
        self._pool = ThreadPoolExecutor(others, thread_name_prefix="oasis_alloc") if others else None

    def _pieces(self, job: Callable[[Piece], object], stride: int = 1) -> None:
        def whole(chunk: int) -> object:
            first, last = int(self._edges[chunk]), int(self._edges[chunk + 1])
            return job(Piece(chunk, True, first, last, int(self.program.indptr[first]), self._pairs))

        self._chunks(whole)

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

    def take(self, positions: Ints) -> PairView:
        return PairView(self.program, positions, self.program, positions)

    def plain(self) -> Threads:
        return Threads(replace(self.program, rules=None), self._threads)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
