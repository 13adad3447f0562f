"""The base of engines on one machine: chunks of users, each with separate tables, summed in a fixed order.

The chunks follow from the program alone, so the answer is bit for bit the same on any number of threads, and whether a
chunk is visited in one piece or in several.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.engines.base import AllocationSums, PairSplit, Survey, Visit
from oasis_alloc.engines.pieces import ChunkPart, Piece, n_pairs_of, pairs_of, parts_of, positions_of
from oasis_alloc.engines.settings import SIZES
from oasis_alloc.engines.shown import Shown, ShownHere, with_shown
from oasis_alloc.engines.surveyed import Surveyed
from oasis_alloc.kernels.rules import curvature as rules_curvature
from oasis_alloc.kernels.rules import ruled as ruled_kernels
from oasis_alloc.kernels.rules.further_prices import room_for
from oasis_alloc.kernels.rules.rules import scratch
from oasis_alloc.kernels.solve import decide as decide_kernels
from oasis_alloc.kernels.solve import jobs
from oasis_alloc.kernels.solve import visit as visit_kernels
from oasis_alloc.program.narrowing import Narrowing
from oasis_alloc.program.own_rows import OwnRows
from oasis_alloc.program.pair_lookup import PairView
from oasis_alloc.program.program import Program

if TYPE_CHECKING:
    from oasis_alloc.engines.core import Core

_Engine = TypeVar("_Engine", bound="Chunked")

_MAX_CHUNKS, _FEW_CHUNKS = 64, 8
_PAIRS_A_CELL = 32  # pairs per cell of a chunk's tables
_TABLE_BYTES = 1 << 28  # for all chunks' tables together
_MOST_KEPT = 1 << 22  # fractional pairs kept for Hessian products, over all chunks
_VECTORS = 4  # kept per fractional pair where rules cross
_KINK = 1e-5  # smoothing of decisions under rules, in typical values: nearly none
_RULED_SLACK = 3.0  # factor of the first smoothing: too few candidates are costly under rules
_NOTHING = 1e-12


class Chunked(Surveyed):
    """An engine without the source of its pieces; `engines/base.py` documents the calls."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.passes = 0.0
        self.visits = 0
        self._sizes = SIZES.now
        self._threads: int | None = 1
        n_tables = len(program.base)
        table_bytes = n_tables * program.n_cells * 8 * 2
        most = max(_MAX_CHUNKS, program.n_pairs // self._sizes.large_chunk_pairs)
        max_chunks = max(1, min(most, _TABLE_BYTES // max(1, table_bytes)))
        # every visit and every product clears and adds up all chunks' tables: they must stay small compared with the
        # pairs
        max_chunks = min(
            max_chunks, max(_FEW_CHUNKS, program.n_pairs // (_PAIRS_A_CELL * n_tables * program.n_cells + 1))
        )
        chunks = max(1, min(max_chunks, program.n_pairs // self._sizes.chunk_pairs))
        self._edges = _chunk_edges(program.indptr, chunks, self._sizes.users)
        self._n = self._edges.size - 1
        # rules have separate kernels, so that they cost nothing in problems without rules
        self._rules = None if program.rules is None else program.rules.kernel
        self._threshold = np.zeros(program.n_users)
        self._guard = np.zeros(program.n_users if program.rules is not None and program.rules.target.size else 0)
        self._further = room_for(self._rules)
        self._slack = np.inf
        self._load = np.zeros((self._n, n_tables, program.n_cells))
        self._square = np.zeros_like(self._load)
        self._out = np.zeros((self._n, visit_kernels.N_OUT))
        self._capacity = min(_MOST_KEPT // self._n, max(256, program.n_pairs // (2 * self._n)))
        self._kept = [self._curvature_buffer() for _ in range(self._n)]
        self._keep_every = 1
        self._hessian_scale = 0.0
        self._survey: Survey | None = None
        self._parts: Floats | None = None
        self._slate_reach: tuple[Floats, Floats] | None = None

    @abstractmethod
    def _chunks(self, job: Callable[[int], object]) -> None:
        """Call the job with the number of every chunk, some of them at the same time; no pairs are needed."""

    @abstractmethod
    def take(self, positions: Ints) -> PairView: ...

    @abstractmethod
    def plain(self) -> Chunked: ...

    def _told(self, other: _Engine) -> _Engine:
        """An engine of the same pairs, which need not be surveyed again: rules do not matter to a survey."""
        other._survey, other._parts = self._survey, self._parts
        return other

    @abstractmethod
    def close(self) -> None: ...

    def _found(self, piece: Piece, *found: Ints) -> None:
        """Called with the pairs of a piece that a decision or slates found, by their numbers in the piece."""

    def _curvature_buffer(self) -> visit_kernels.PlainCurvature | jobs.RuledCurvature:
        n_extra, n = self.program.extra.shape[0], self._capacity
        extra = np.zeros((n_extra, n))
        if self._rules is None:  # end[] is as long as cell[]: a kept user has at least one pair
            return visit_kernels.PlainCurvature(np.zeros(n, np.uint32), extra, np.zeros(n + 1, np.int32))
        users = min(n, int(np.diff(self._edges).max(initial=0)))
        cell, end, runs, vectors = (np.zeros(k, np.int64) for k in (n, n + 1, users + 1, users + 1))
        crossing = self._rules.start.size > 0
        held = np.zeros(n * (_VECTORS if crossing else int(self._guard.size > 0)))
        return jobs.RuledCurvature(cell, extra, end, runs, held, vectors)

    def _ruled(self, job: int, piece: Piece, tables: Floats, gamma: float, stride: int = 1, **marks: Any) -> None:
        assert self._rules is not None  # checked by the caller
        rules = self._rules
        if piece.guard is not None:
            rules = rules._replace(guard=readonly(piece.guard.reshape(-1)))
        users = jobs.Users(piece.first, piece.last, stride)
        point, sums = self._point(tables, gamma), self._sums(piece.chunk)
        made = scratch(piece.first, piece.last, piece.pairs.indptr, rules)
        ruled_kernels.visit(job, users, piece.pairs, point, sums, jobs.marks(**marks), rules, *made)

    def _point(self, tables: Floats, gamma: float) -> jobs.Point:
        slack = min(self._slack, np.finfo(np.float64).max)
        return jobs.Point(tables, gamma, slack, self._threshold, self._guard, self._further)

    def _sums(self, chunk: int) -> jobs.Sums:
        return jobs.Sums(
            self._load[chunk], self._square[chunk], self._kept[chunk], self._keep_every, self._out[chunk]
        )  # fmt: skip

    @property
    def _kink(self) -> float:
        """Smoothing of decisions: under rules only."""
        return 0.0 if self._rules is None else _KINK * (self.survey().size or 1.0)

    @contextmanager
    def narrowed(self, narrowing: Narrowing) -> Iterator[Chunked]:
        full, survey = self.program, self.survey()
        self.program, self._survey = narrowing.program, survey.narrowed(narrowing)
        try:
            yield self
        finally:
            self.program, self._survey = full, survey

    @property
    def thresholds(self) -> Floats:
        return self._threshold

    @property
    def own_prices(self) -> tuple[Floats, jobs.FurtherPrices]:
        """(prices of guards by user, or empty; prices of categories that cross) at the last visit under rules."""
        return self._guard, self._further

    def visit(self, prices: Floats, gamma: float, stride: int = 1) -> Visit:
        program = self.program
        self.visits += 1  # also counts a visit that does not finish
        self._visit_pieces(program.tables(prices), gamma, stride)
        out = self._out.sum(axis=0)
        visited = out[visit_kernels.USERS]
        scale = program.n_users / visited if visited else 0.0
        self.passes += visited / max(1, program.n_users)
        self._adapt(out, gamma)
        load, square = self._added_up(self._load), self._added_up(self._square)
        self._hessian_scale *= scale / gamma
        return Visit(
            smoothed=out[visit_kernels.SMOOTHED] * scale,
            bound=out[visit_kernels.BOUND] * scale,
            value=out[visit_kernels.VALUE] * scale,
            totals=program.totals(load) * scale,
            activity=program.activity(load) * scale,
            diagonal=program.curvature_diagonal(square) * (scale / gamma),
            fractional=out[visit_kernels.FRACTIONAL] * scale,
            prices=prices,
            gamma=gamma,
            stride=stride,
            engine=self,
            number=self.visits,
        )

    def _visit_pieces(self, tables: Floats, gamma: float, stride: int) -> None:
        """Visit at price tables: the sums of each chunk into `_load`, `_square` and `_out`."""
        point = self._point(tables, gamma)

        def job(piece: Piece) -> None:
            chunk = piece.chunk
            if piece.begins:
                self._load[chunk] = 0.0
                self._square[chunk] = 0.0
                self._out[chunk] = 0.0
            if self._rules is not None:
                self._ruled(ruled_kernels.VISIT, piece, tables, gamma, stride=stride)
                return
            users = jobs.Users(piece.first, piece.last, stride)
            visit_kernels.visit(users, piece.pairs, self.program.size, point, self._sums(chunk))

        self._pieces(job, stride)

    def _adapt(self, out: Floats, gamma: float) -> None:
        """Adapt to how far thresholds move, and to how many fractional pairs fit the buffers."""
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

    def last_curvature(self, direction: Floats) -> Floats:
        program = self.program
        self._curvature_chunks(program.tables(direction).reshape(len(program.base), program.n_cells))
        return program.totals(self._added_up(self._load)) * self._hessian_scale

    def _curvature_chunks(self, tables: Floats) -> None:
        """The curvature times a direction, given as tables, of each chunk into `_load`."""
        plain: Any = visit_kernels.curvature_product
        product: Any = plain if self._rules is None else rules_curvature.curvature_product

        def job(chunk: int) -> None:
            self._load[chunk] = 0.0
            users = int(self._out[chunk, visit_kernels.KEPT_USERS])
            product(users, self._kept[chunk], tables, self._load[chunk])

        self._chunks(job)

    @property
    def own_rows(self) -> OwnRows | None:
        return None

    def with_own_prices(self, prices: Floats, gamma: float) -> Floats:
        return prices

    def histogram(self, prices: Floats, widest: float) -> npt.NDArray[np.int64]:
        counts = np.zeros((self._n, decide_kernels.N_BINS), np.int64)
        self._count_pieces(self.program.tables(prices), widest, self._kink, counts)
        self.passes += 1.0
        return np.asarray(counts.sum(axis=0))

    def _count_pieces(self, tables: Floats, widest: float, kink: float, counts: npt.NDArray[np.int64]) -> None:
        """Add to the histogram of each chunk."""

        def job(piece: Piece) -> None:
            if self._rules is None:
                decide_kernels.margins(
                    piece.first, piece.last, piece.pairs, tables, self.program.size, widest, counts[piece.chunk]
                )
            else:
                histogram = counts[piece.chunk]
                self._ruled(ruled_kernels.MARGINS, piece, tables, kink, widest=widest, histogram=histogram)

        self._pieces(job)

    def decide(self, prices: Floats, margins: Floats) -> PairSplit:
        bounds = np.zeros((self._n, 1))
        parts = self._decide_pieces(self.program.tables(prices), self.program.widest(margins), self._kink, bounds)
        self.passes += 1.0
        shown = ShownHere(positions_of(parts, second=True))
        return PairSplit(positions_of(parts), shown, float(bounds.sum()))

    def _decide_pieces(self, tables: Floats, within: Floats, kink: float, bounds: Floats) -> list[list[ChunkPart]]:
        """The undecided and the shown pairs of each chunk; what its slates are worth goes into bounds (n_chunks, 1)."""
        parts: list[list[ChunkPart]] = [[] for _ in range(self._n)]

        def job(piece: Piece) -> None:
            for part in parts_of(piece):
                state = np.empty(n_pairs_of(part), np.uint8)
                if self._rules is None:
                    given = part.first, part.last, part.pairs, tables, self.program.size, within
                    decide_kernels.decide(*given, state, bounds[part.chunk])
                else:
                    self._ruled(
                        ruled_kernels.DECIDE, part, tables, kink, margin=within, state=state, bound=bounds[part.chunk]
                    )
                undecided = np.flatnonzero(state == decide_kernels.UNDECIDED)
                shown = np.flatnonzero(state == decide_kernels.IN)
                self._found(part, undecided, shown)
                parts[part.chunk].append(ChunkPart(part.start, undecided.astype(np.uint32), shown.astype(np.uint32)))

        self._pieces(job)
        return parts

    def scores(self, prices: Floats) -> Floats:
        tables = self.program.tables(prices)
        out = np.empty(self.program.n_pairs)

        def job(piece: Piece) -> None:
            part = out[piece.start : piece.start + n_pairs_of(piece)]
            decide_kernels.score(piece.first, piece.last, piece.pairs, tables, part)

        self._pieces(job)
        self.passes += 1.0
        return out

    def last_slates(self, prices: Floats, gamma: float) -> tuple[Ints, Floats]:
        parts = self._allocate_pieces(self.program.tables(prices), gamma)
        self.passes += 1.0
        return positions_of(parts), np.concatenate([part.second for chunk in parts for part in chunk])

    def _allocate_pieces(self, tables: Floats, gamma: float) -> list[list[ChunkPart]]:
        """The pairs with x > 0, and their x, of each chunk."""
        parts: list[list[ChunkPart]] = [[] for _ in range(self._n)]

        def job(piece: Piece) -> None:
            for part in parts_of(piece):
                x = np.empty(n_pairs_of(part))
                if self._rules is None:
                    decide_kernels.allocate(
                        part.first, part.last, part.pairs, tables, self.program.size, gamma, self._threshold, x
                    )  # fmt: skip
                else:
                    self._ruled(ruled_kernels.ALLOCATE, part, tables, gamma, x=x)
                shown = np.flatnonzero(x > _NOTHING)
                self._found(part, shown)
                parts[part.chunk].append(ChunkPart(part.start, shown.astype(np.uint32), x[shown]))

        self._pieces(job)
        return parts

    def add_up(self, positions: Ints, x: Floats) -> tuple[float, Floats]:
        sums = self.sums(positions, x)
        return sums.value, sums.totals

    def sums(self, positions: Ints, x: Floats) -> AllocationSums:
        taken = self.take(positions)
        return self._as_sums(self._add_up_chunks(taken, x), self.program.diminished(taken, x))

    def sums_with(self, shown: Shown, own: Ints, x: Floats) -> AllocationSums:
        return self.sums(*with_shown(shown, own, x))

    def shown_in(self, shown: Shown, cells: npt.NDArray[np.bool_]) -> tuple[Ints, Shown]:
        every = shown.array()
        found = every[cells[self.take(every).cells]]
        return found, shown.without(found)

    def _as_sums(self, values: Floats, decrement_cost: float) -> AllocationSums:
        """The sums over all chunks, of their values and of the totals in `_load`."""
        program, load = self.program, self._added_up(self._load)
        return AllocationSums(
            float(values.sum()) - decrement_cost, decrement_cost, program.totals(load), program.activity(load)
        )

    def _add_up_chunks(self, taken: PairView, x: Floats) -> Floats:
        """(n_chunks,) values of an allocation; its totals by cell go into `_load`."""
        program, edges, positions = self.program, self._edges, taken.positions
        pairs, ends = pairs_of(program, taken.store), np.searchsorted(positions, program.indptr[edges])
        values = np.zeros(self._n)

        def job(chunk: int) -> None:
            self._load[chunk] = 0.0
            mine = slice(int(ends[chunk]), int(ends[chunk + 1]))
            values[chunk] = decide_kernels.add_up(
                int(edges[chunk]), positions[mine], taken.at[mine], x[mine], pairs, program.n_classes,
                self._load[chunk],
            )  # fmt: skip

        self._chunks(job)
        return values

    def core(self, split: PairSplit) -> Core:
        from oasis_alloc.engines.core import Core

        return Core(self, split, self._threads)

    def follow(self, other: Chunked, gamma: float) -> None:
        self._threshold[:] = other._threshold
        self._follow_slack(other, gamma)

    def _follow_slack(self, other: Chunked, gamma: float) -> None:
        self._slack = max(other._slack, gamma if self._rules is None else _RULED_SLACK * gamma)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def _chunk_edges(indptr: npt.NDArray[Any], chunks: int, users: int) -> npt.NDArray[np.int64]:
    """User numbers that split the pairs into about equal chunks, at multiples of `users`."""
    n_users = indptr.size - 1
    wanted = np.linspace(0, indptr[-1], chunks + 1)[1:-1]
    inner = np.searchsorted(indptr, wanted) // users * users
    return np.unique(np.concatenate([[0], inner, [n_users]])).astype(np.int64)
