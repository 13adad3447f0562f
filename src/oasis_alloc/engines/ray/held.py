"""What an actor holds: the pairs of some users in memory, and visits to them by the same kernels as on threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.csr import spans
from oasis_alloc.common.threads import share, workers
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.data.corrupt import CorruptFileError
from oasis_alloc.engines.chunks import Chunked
from oasis_alloc.engines.pieces import ChunkPart, Piece, n_pairs_of, part_of
from oasis_alloc.engines.ray.sample import sampled
from oasis_alloc.kernels.solve import decide as decide_kernels
from oasis_alloc.kernels.solve import jobs
from oasis_alloc.kernels.solve import visit as visit_kernels
from oasis_alloc.program.attaining import attain, pairs_for
from oasis_alloc.program.pair_arrays import PairArrays
from oasis_alloc.program.pair_lookup import PairView
from oasis_alloc.program.program import Program

_FOUND_PAIRS = 1 << 21  # of all actors, that come with a decision


@dataclass(frozen=True, eq=False)
class Run:
    """The pairs of consecutive users, `first` to one before `last`."""

    first: int
    last: int
    start: int  # position of the first pair
    arrays: PairArrays
    indptr: Ints  # (n_users + 1,) by the program's user numbers; only those of the run are written


class Store:
    """Arrays of pairs that several engines may share: a program, and the same without rules or without values."""

    def __init__(self, program: Program, valued: Store | None = None) -> None:
        self._program = program
        self._valued = valued  # has the same arrays but the values, which are all 0 here
        self.runs: list[Run] = []

    def load(self, first: int, last: int) -> Run:
        """Read the pairs of some users, with checks of checksums and of the users of all rows."""
        program, indptr = self._program, self._program.indptr
        start, end = int(indptr[first]), int(indptr[last])
        if self._valued is not None:
            valued = self._valued.run_of(first, last) or self._valued.load(first, last)
            arrays = valued.arrays._replace(value=np.zeros(end - start, program.value.dtype))
            self.runs.append(replace(valued, arrays=arrays))
            return self.runs[-1]
        assert program.stream is not None  # checked by the driver
        dataset, into = program.stream.dataset, program.arrays.like(end - start)
        dataset.check()
        self._check_users(first, last)
        with dataset.read(program.stream.names, verify=True) as reader:
            program.stream.fill(reader, indptr, (first, last), into)
        local = np.empty(program.n_users + 1, np.int64)
        local[first : last + 1] = indptr[first : last + 1] - start
        self.runs.append(Run(first, last, start, into, readonly(local)))
        return self.runs[-1]

    def _check_users(self, first: int, last: int) -> None:
        """Raise `CorruptFileError` if rows are not of the users that the candidates' counts say."""
        program = self._program
        assert program.stream is not None  # checked by the driver
        dataset, indptr, copies = program.stream.dataset, program.indptr, program.stream.copies
        if copies is not None:
            indptr, first, last = copies.indptr, first // copies.times, -(-last // copies.times)
        with dataset.read([dataset.user], verify=True) as reader:
            for at, end, columns in reader.stretches(int(indptr[first]), int(indptr[last])):
                found = columns[dataset.user]
                low, high = (np.searchsorted(indptr, [at, end - 1], side="right") - 1).tolist()
                counts = np.diff(np.clip(indptr[low : high + 2], at, end))
                expected = np.repeat(np.arange(low, high + 1), counts.astype(np.int64))
                if not np.array_equal(found, expected):
                    row = int(np.argmax(found != expected))
                    file = dataset.file[np.searchsorted(dataset.start, at + row, side="right") - 1]
                    raise CorruptFileError(
                        f"{dataset.place(at + row)}: user {int(found[row]):,}; expected user {int(expected[row]):,}. A "
                        "user is in two partitions, or a file was replaced: partition the pairs again.",
                        dataset.files[file].path.name,
                    )

    def keep(self, users: Sequence[tuple[int, int]]) -> None:
        """Hold the pairs of these stretches of users alone; the memory of the others is given back."""
        kept = []
        for run in self.runs:
            for first, last in users:
                low, high = max(run.first, first), min(run.last, last)
                if low < high:
                    kept.append(run if (low, high) == (run.first, run.last) else self._part(run, low, high))
        self.runs = kept

    def _part(self, run: Run, first: int, last: int) -> Run:
        """Some users of a run, copied, so that the run can be freed."""
        indptr = self._program.indptr
        start, end = int(indptr[first]), int(indptr[last])
        arrays = run.arrays.at(np.arange(start - run.start, end - run.start))
        local = np.empty(self._program.n_users + 1, np.int64)
        local[first : last + 1] = indptr[first : last + 1] - start
        return Run(first, last, start, arrays, readonly(local))

    def run_of(self, first: int, last: int) -> Run | None:
        """The run that has these users, if they are held."""
        return next((run for run in self.runs if run.first <= first and last <= run.last), None)


class Held(Chunked):
    """Visits the chunks that an actor holds; `engines/base.py` documents the calls."""

    def __init__(self, program: Program, store: Store, threads: int) -> None:
        super().__init__(program)
        self.store = store
        self._active: list[int] = []
        self.decided: dict[int, tuple[int, list[ChunkPart]]] = {}  # by chunk: (number, parts) of the last decision
        self._workers = workers(threads, self._n)
        self._pool = ThreadPoolExecutor(self._workers - 1) if self._workers > 1 else None

    @contextmanager
    def only(self, chunks: Sequence[int]) -> Iterator[None]:
        """In the block, calls visit these chunks."""
        self._active = list(chunks)
        yield

    def users(self, chunks: Sequence[int]) -> Iterator[tuple[int, int]]:
        """(first user, one after the last) of every stretch of consecutive chunks."""
        breaks = np.flatnonzero(np.diff(chunks) != 1) + 1
        for some in np.split(np.asarray(chunks), breaks) if len(chunks) else ():
            yield int(self._edges[some[0]]), int(self._edges[some[-1] + 1])

    def load(self, chunks: Sequence[int]) -> bool:
        """Hold the pairs of these chunks; True if some were read, because no engine of the same store had them."""
        edges = self._edges.tolist()
        missing = [chunk for chunk in chunks if self.store.run_of(edges[chunk], edges[chunk + 1]) is None]
        for first, last in self.users(missing):
            self.store.load(first, last)
        return bool(missing)

    def drop(self, chunks: Sequence[int]) -> None:
        """Give back the memory of the pairs of other chunks."""
        self.store.keep([*self.users(chunks)])

    def _pieces(self, job: Callable[[Piece], object], stride: int = 1) -> None:
        def whole(chunk: int) -> object:
            first, last = int(self._edges[chunk]), int(self._edges[chunk + 1])
            run = self._run(first, last)
            start = int(self.program.indptr[first])
            return job(part_of(self.program, (chunk, True, first, last, start), run.arrays, run.indptr))

        self._chunks(whole)

    def _run(self, first: int, last: int) -> Run:
        run = self.store.run_of(first, last)
        assert run is not None  # the driver has called `load`
        return run

    def _chunks(self, job: Callable[[int], object]) -> None:
        some = self._active
        if self._pool is None:
            for chunk in some:
                job(chunk)
        else:
            share(self._pool, self._workers, lambda k: job(some[k]), len(some))

    def arrays_at(self, positions: Ints) -> PairArrays:
        """The pairs at ascending positions of the active chunks."""
        edges = self.program.indptr[self._edges]
        parts = []
        for chunk in self._active:
            begin, end = np.searchsorted(positions, edges[chunk : chunk + 2]).tolist()
            run = self._run(int(self._edges[chunk]), int(self._edges[chunk + 1]))
            parts.append(run.arrays.at(positions[begin:end] - run.start))
        return PairArrays.joined(parts)

    def take(self, positions: Ints) -> PairView:
        return PairView(self.program, positions, self.arrays_at(positions), np.arange(positions.size))

    def sample_of(self, chunk: int, stride: int) -> tuple[PairArrays, Floats]:
        """(pairs, thresholds) of the users of a chunk whom a visit with this stride goes to."""
        first, last = int(self._edges[chunk]), int(self._edges[chunk + 1])
        run, indptr, users = self._run(first, last), self.program.indptr, sampled(first, last, stride)
        starts, sizes = indptr[users], indptr[users + 1] - indptr[users]
        return run.arrays.at(spans(starts - run.start, sizes)), self._threshold[users]

    def room(self, chunks: Sequence[int]) -> int:
        """How many pairs of some chunks may be sent unasked."""
        return _FOUND_PAIRS * len(chunks) // self._n

    def found(self, chunks: Sequence[int], positions: Sequence[Ints]) -> list[PairArrays] | None:
        """Pairs by positions in each chunk; None where they are too many to be sent unasked."""
        if sum(some.size for some in positions) > self.room(chunks):
            return None
        runs = [self._run(int(self._edges[chunk]), int(self._edges[chunk + 1])) for chunk in chunks]
        return [run.arrays.at(some - run.start) for run, some in zip(runs, positions, strict=True)]

    def settle(self, chunks: Sequence[int], stride: int, threshold: Floats) -> None:
        """Take over the thresholds of a sample's users, chunk by chunk."""
        at = 0
        for chunk in chunks:
            users = sampled(int(self._edges[chunk]), int(self._edges[chunk + 1]), stride)
            self._threshold[users] = threshold[at : at + users.size]
            at += users.size

    def kept_of(self, chunk: int) -> tuple[Any, ...]:
        """The fields of the curvature that the last visit has kept of a chunk, as short as they can be."""
        n, users = self._out[chunk, [visit_kernels.KEPT, visit_kernels.KEPT_USERS]].astype(int).tolist()
        own = self._kept[chunk]
        cell, extra = own.cell[:n].astype(np.uint32), np.ascontiguousarray(own.extra[:, :n])
        if not isinstance(own, jobs.RuledCurvature):
            return cell, extra, own.end[: users + 1]
        runs, vectors = own.runs[: users + 1], own.vectors[: users + 1]
        end = own.end[: int(runs[-1]) + 1]
        return cell, extra, end, runs, own.held[: int(vectors[-1])], vectors

    def values_of(self, positions: Ints, x: Floats) -> Floats:
        """(n_chunks,) values of the active chunks' part of an allocation; its totals by cell go into `_load`."""
        return self._add_up_chunks(self.take(positions), x)

    def scores_of(self, tables: Floats) -> list[Floats]:
        """Priced scores of the pairs of each active chunk."""
        out: dict[int, Floats] = {}

        def job(piece: Piece) -> None:
            out[piece.chunk] = np.empty(n_pairs_of(piece))
            decide_kernels.score(piece.first, piece.last, piece.pairs, tables, out[piece.chunk])

        self._pieces(job)
        return [out[chunk] for chunk in self._active]

    def attained(self, guarded: bool) -> list[Floats]:
        """What the users of each active chunk attain, of the column of `keep` or of 1."""
        assert self.program.rules is not None  # the driver asks under rules only
        kernel, out = self.program.rules.kernel, np.zeros(self.program.n_users)

        def job(piece: Piece) -> None:
            assert piece.guard is not None  # `part_of` has made the piece
            column = piece.guard[0] if guarded else np.ones(piece.pairs.code.size)
            pairs = pairs_for(self.program, piece.pairs.indptr, piece.pairs.code, column)
            attain((piece.first, piece.last), pairs, kernel, out, 1)

        self._pieces(job)
        return [out[self._edges[chunk] : self._edges[chunk + 1]] for chunk in self._active]

    def plain(self) -> Held:
        return Held(replace(self.program, rules=None), self.store, self._workers)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
