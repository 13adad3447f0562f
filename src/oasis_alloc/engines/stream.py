"""The engine for candidates in Parquet files: every pass reads them again, a block ahead of the kernels.

Each thread has a lane, a run of chunks, and a second thread that decodes the lane's next block into reused buffers
while kernels visit the current one. Blocks are whole users; kernels see the program's user numbers, so the split
into blocks does not matter, and the answer has the same bits as in memory. The free part of the memory limit holds
samples, and decoded blocks from pass to pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from queue import SimpleQueue
from threading import Event
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.csr import blocks
from oasis_alloc.common.threads import run_all, share, workers
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.data.row_groups import MemoryBudget, RowGroupReader
from oasis_alloc.engines.base import PairSplit
from oasis_alloc.engines.chunks import Chunked
from oasis_alloc.engines.pieces import Piece, part_of
from oasis_alloc.errors import InputError
from oasis_alloc.program.pair_arrays import PairArrays, PairReader
from oasis_alloc.program.pair_lookup import PairView
from oasis_alloc.program.program import Program

_BUFFERS = 3  # per lane: one being visited, one ready, one being filled


@dataclass(frozen=True)
class UserBlock:
    """Users of one chunk whose pairs are read together."""

    chunk: int
    begins: bool
    first: int
    last: int
    start: int
    end: int


@dataclass(eq=False)
class Lane:
    """A run of chunks, with the state for reading and visiting them."""

    blocks: list[UserBlock]
    reader: RowGroupReader
    buffers: list[PairArrays]
    indptr: Ints  # (n_users + 1,) positions of a user's pairs in its block; only the lane's users are written
    kept: dict[int, PairArrays] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Held:
    """Pairs that decisions and slates have found, by ascending positions; `used` are those requested since."""

    positions: Ints
    arrays: PairArrays
    used: npt.NDArray[np.bool_]

    def where(self, positions: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """(places, a mask of those that are present)."""
        at = np.minimum(np.searchsorted(self.positions, positions), max(0, self.positions.size - 1))
        return at, self.positions[at] == positions if self.positions.size else np.zeros(positions.size, np.bool_)


class ParquetStream(Chunked):
    """Streams a program's pairs; `engines/base.py` documents the calls."""

    def __init__(self, program: Program, threads: int | None = None) -> None:
        super().__init__(program)
        assert program.stream is not None  # checked by `engine_for`
        self._pair_reader: PairReader = program.stream
        self._budget: MemoryBudget = self._pair_reader.dataset.budget
        self._threads = threads
        self._stop = Event()
        self._sample: tuple[int, PairArrays, Ints] | None = None
        self._found_pairs: list[tuple[Ints, PairArrays]] = []
        self._held = Held(np.empty(0, np.int64), program.arrays.like(0), np.empty(0, np.bool_))
        self._a_pair = program.arrays.like(1).n_bytes
        self._largest = self._pair_reader.dataset.largest(self._pair_reader.names)
        lanes, pairs = self._shape(workers(threads, self._n))
        self._lanes = [self._lane(blocks) for blocks in self._split(lanes, pairs)]
        self._fixed = self._budget.held
        # What stays free: another engine may need as much, and an allocation's pairs are looked up next to both.
        self._free = self._fixed + self._largest
        self._pool = ThreadPoolExecutor(len(self._lanes), thread_name_prefix="oasis_alloc")
        self._readers = ThreadPoolExecutor(len(self._lanes), thread_name_prefix="oasis_alloc-read")

    def _shape(self, lanes: int) -> tuple[int, int]:
        """(lanes, pairs of a block) that leave half of the memory free: relaxations have a separate engine.

        Half of what a look-up leaves: both engines are there while it reads a row group.
        """
        group, half = self._largest, (self._budget.limit - self._largest) // 2
        while lanes > 1 and lanes * (group + _BUFFERS * self._sizes.min_block * self._a_pair) > half:
            lanes -= 1
        pairs = (half // lanes - group) // (_BUFFERS * self._a_pair)
        return lanes, max(1, min(self._sizes.max_block, pairs))

    def _split(self, lanes: int, pairs: int) -> Iterator[list[UserBlock]]:
        """Chunks dealt out to lanes, in runs of about as many pairs, and cut into blocks."""
        indptr, edges = self.program.indptr, self._edges
        ends = np.searchsorted(indptr[edges], np.linspace(0, indptr[-1], lanes + 1)[1:-1])
        for begin, end in zip([0, *ends], [*ends, self._n], strict=True):
            found = []
            for chunk in range(begin, end):
                for first, last in blocks(indptr, int(edges[chunk]), int(edges[chunk + 1]), pairs):
                    begins = first == edges[chunk]
                    found.append(UserBlock(chunk, begins, first, last, int(indptr[first]), int(indptr[last])))
            if found:
                yield found

    def _lane(self, blocks: list[UserBlock]) -> Lane:
        longest = max(block.end - block.start for block in blocks)
        buffers = [self.program.arrays.like(longest) for _ in range(_BUFFERS)]
        self._budget.take(self, sum(buffer.n_bytes for buffer in buffers))
        indptr = np.empty(self.program.n_users + 1, np.int64)
        return Lane(blocks, self._pair_reader.dataset.read(self._pair_reader.names), buffers, indptr)

    def _pieces(self, job: Callable[[Piece], object], stride: int = 1) -> None:
        self._pair_reader.dataset.check()  # also if blocks are cached: the answer must be of the files as they are
        if stride == 1:
            self._forget_sample()
        elif self._has_sample(stride):
            self._visit_sample(job)
            return
        self._stop.clear()
        run_all(self._pool, [partial(self._run, lane, job) for lane in self._lanes], self._stop)

    def _run(self, lane: Lane, job: Callable[[Piece], object]) -> None:
        """Visit a lane's blocks in order while the next ones are read."""
        free: SimpleQueue[PairArrays | None] = SimpleQueue()
        ready: SimpleQueue[PairArrays | None] = SimpleQueue()
        for buffer in lane.buffers:
            free.put(buffer)
        reading = self._readers.submit(self._read, lane, free, ready)
        indptr = self.program.indptr
        try:
            for block in lane.blocks:
                arrays = ready.get()
                if arrays is None or self._stop.is_set():
                    break
                lane.indptr[block.first : block.last + 1] = indptr[block.first : block.last + 1] - block.start
                place = block.chunk, block.begins, block.first, block.last, block.start
                job(part_of(self.program, place, arrays.first(block.end - block.start), lane.indptr))
                if block.first not in lane.kept:
                    free.put(arrays)
        finally:
            free.put(None)
            reading.result()

    def _read(self, lane: Lane, free: SimpleQueue[PairArrays | None], ready: SimpleQueue[PairArrays | None]) -> None:
        """Fill free buffers with a lane's blocks; None at the end."""
        try:
            for block in lane.blocks:
                arrays = free.get()
                if arrays is None or self._stop.is_set():
                    return
                if block.first in lane.kept:
                    ready.put(lane.kept[block.first])
                    free.put(arrays)
                    continue
                size = block.end - block.start
                keep = self._budget.ask(self, size * self._a_pair, self._free)
                into = self.program.arrays.like(size) if keep else arrays
                self._fill(lane.reader, block, into)
                if keep:
                    lane.kept[block.first] = into
                    free.put(arrays)
                ready.put(into)
        finally:
            ready.put(None)

    def _fill(self, reader: RowGroupReader, block: UserBlock, into: PairArrays) -> None:
        whole = into.first(block.end - block.start)
        self._pair_reader.fill(reader, self.program.indptr, (block.first, block.last), whole)

    def _has_sample(self, stride: int) -> bool:
        """Whether a sample of users is in memory, after trying to load it."""
        if self._sample is not None and self._sample[0] == stride:
            return True
        self._forget_sample()
        program = self.program
        mine = (np.arange(program.n_users) >> 5) % stride == 0
        indptr = np.concatenate([[0], np.cumsum(np.where(mine, np.diff(program.indptr), 0))]).astype(np.int64)
        n_bytes = int(indptr[-1]) * self._a_pair
        if n_bytes + self._fixed + self._free > self._budget.limit:
            return False
        if not self._budget.ask(self, n_bytes, self._free):  # a sample saves more passes than blocks do
            for lane in self._lanes:
                self._budget.take(self, -sum(arrays.n_bytes for arrays in lane.kept.values()))
                lane.kept.clear()
            if not self._budget.ask(self, n_bytes, self._free):
                return False
        sample = program.arrays.like(int(indptr[-1]))

        def copy(piece: Piece) -> None:
            users = slice(piece.first, piece.last)
            pairs = np.repeat(mine[users], np.diff(program.indptr[piece.first : piece.last + 1]))
            sample.put(slice(int(indptr[piece.first]), int(indptr[piece.last])), _arrays(piece).at(pairs))

        self._pieces(copy)
        self._sample = (stride, sample, indptr)
        return True

    def _visit_sample(self, job: Callable[[Piece], object]) -> None:
        assert self._sample is not None  # checked by `_pieces`
        _, sample, indptr = self._sample
        edges = self._edges

        def whole(chunk: int) -> object:
            first, last = int(edges[chunk]), int(edges[chunk + 1])
            return job(
                part_of(self.program, (chunk, True, first, last, int(self.program.indptr[first])), sample, indptr)
            )

        self._chunks(whole)

    def _forget_sample(self) -> None:
        if self._sample is not None:
            self._budget.take(self, -self._sample[1].n_bytes)
            self._sample = None

    def _chunks(self, job: Callable[[int], object]) -> None:
        share(self._pool, len(self._lanes), job, self._n)

    def decide(self, prices: Floats, margins: Floats) -> PairSplit:
        self._found_pairs = []
        decision = super().decide(prices, margins)
        self._hold()
        return decision

    def last_slates(self, prices: Floats, gamma: float) -> tuple[Ints, Floats]:
        self._found_pairs = []
        slates = super().last_slates(prices, gamma)
        self._hold()
        return slates

    def _found(self, piece: Piece, *found: Ints) -> None:
        places = np.concatenate(found)
        arrays = _arrays(piece).at(places + piece.pairs.indptr[piece.first])
        self._found_pairs.append((places + piece.start, arrays))

    def _hold(self) -> None:
        """Keep the pairs just found, and the earlier ones that were requested since the last time."""
        old = self._held
        self._merge([(old.positions[old.used], old.arrays.at(np.flatnonzero(old.used))), *self._found_pairs])
        self._found_pairs = []

    def _merge(self, parts: list[tuple[Ints, PairArrays]]) -> None:
        parts = sorted(parts, key=lambda part: int(part[0][0]) if part[0].size else -1)
        every = np.concatenate([positions for positions, _ in parts])
        order = np.argsort(every, kind="stable")  # cheap for sorted runs
        order = order[np.append(True, np.diff(every[order]) > 0)] if every.size else order
        arrays = PairArrays.joined([arrays for _, arrays in parts]).at(order)
        self._held = Held(every[order], arrays, np.zeros(order.size, np.bool_))

    def take(self, positions: Ints) -> PairView:
        at, there = self._held.where(positions)
        if not there.all():
            missing = positions[~there]
            read = self._pair_reader.take(self.program.users_of(missing), missing, self.program.arrays)
            used = self._held.used
            self._merge([(self._held.positions, self._held.arrays), (missing, read)])
            old, _ = self._held.where(positions[there])
            self._held.used[old] = used[at[there]]
            at, _ = self._held.where(positions)
        self._held.used[at] = True
        return PairView(self.program, positions, self._held.arrays, at)

    def plain(self) -> ParquetStream:
        unguarded = replace(self._pair_reader, guard=None)
        return self._told(ParquetStream(replace(self.program, rules=None, stream=unguarded), self._threads))

    def close(self) -> None:
        self._stop.set()
        self._pool.shutdown()
        self._readers.shutdown()
        for lane in self._lanes:
            lane.reader.close()
        self._lanes, self._sample = [], None
        self._budget.close(self)

    def __exit__(self, *error: Any) -> None:
        """End; files that changed meanwhile are an error, which explains most other errors."""
        super().__exit__(*error)
        if error[1] is None or (isinstance(error[1], Exception) and not isinstance(error[1], InputError)):
            self._pair_reader.dataset.check()


def _arrays(piece: Piece) -> PairArrays:
    """The arrays that hold a piece's pairs."""
    assert piece.guard is not None  # `part_of` has made the piece
    return PairArrays(piece.pairs.code, piece.pairs.value, piece.pairs.extra, piece.guard)
