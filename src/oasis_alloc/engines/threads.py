"""The engine for candidates in memory: chunks of users on host threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from oasis_alloc.engines.chunks import Chunked, Piece, pairs_of, run_all
from oasis_alloc.program import Program
from oasis_alloc.taken import Positions, Taken


class Threads(Chunked):
    """Visits users on `threads` host threads; a chunk is one piece."""

    def __init__(self, program: Program, threads: int | None = None) -> None:
        super().__init__(program)
        self._threads = threads
        self._pairs = pairs_of(program, program)
        workers = min(threads or os.cpu_count() or 1, self._n)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="oasis_alloc") if workers > 1 else None

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
            run_all(self._pool, [partial(job, chunk) for chunk in range(self._n)])

    def take(self, positions: Positions) -> Taken:
        return Taken(self.program, positions, self.program, positions)

    def plain(self) -> Threads:
        return Threads(replace(self.program, rules=None), self._threads)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
