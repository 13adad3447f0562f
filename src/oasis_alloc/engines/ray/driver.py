"""The engine that solvers see: every call goes to the actors, and sums come back chunk by chunk.

Sums are put in the places of the chunks and added up by the code of all engines (`engines/chunks.py`), in the order of
one tree (`engines/tree.py`), so the bits do not depend on which actor has which chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.threads import each
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.engines.base import AllocationSums, PairSplit, Visit
from oasis_alloc.engines.chunks import Chunked
from oasis_alloc.engines.pieces import ChunkPart, Piece
from oasis_alloc.engines.ray.calls import dealt, slim
from oasis_alloc.engines.ray.cluster import Call
from oasis_alloc.engines.ray.decision import FarShown, decided_far, of_chunks
from oasis_alloc.engines.ray.found import FarPairs, FoundPairs, both, open_of, places_of
from oasis_alloc.engines.ray.sample import SampledPairs, Thresholds
from oasis_alloc.engines.ray.shown import Decided, Difference
from oasis_alloc.engines.shown import Shown
from oasis_alloc.engines.tree import added_up, branches_of
from oasis_alloc.kernels.solve import jobs
from oasis_alloc.kernels.solve import visit as visit_kernels
from oasis_alloc.kernels.solve.slate_reach import Entries, Room
from oasis_alloc.program.pair_arrays import PairArrays
from oasis_alloc.program.pair_lookup import PairView
from oasis_alloc.program.program import Program

if TYPE_CHECKING:
    from oasis_alloc.engines.ray.cluster import Cluster

_KEPT_BYTES = 1 << 24  # of curvature that comes with a visit; more is asked for where it is needed


@dataclass(frozen=True, eq=False)
class State:
    """A call that left a state at the actors: a visit, or under rules any call."""

    name: str
    program: Program  # the one at that time, which may be narrower
    prices: Floats
    numbers: tuple[Any, ...]
    margins: Floats | None = None


class RayChunks(Chunked):
    """Visits the chunks that actors hold; `engines/base.py` documents the calls."""

    def __init__(self, program: Program, cluster: Cluster) -> None:
        super().__init__(program)
        self._cluster = cluster
        self.key = cluster.next_key()
        self._threshold = np.empty(0)  # of users: those are at the actors
        self._prices, self._margins = np.empty(0), np.empty(0)  # of the current call
        self._curvature: list[Any] = []  # of the last visit, as actors sent it
        self._curvature_of = 0  # the visit whose curvature is in `_kept`
        self._buffers = self._kept  # for visits here; what actors send is as long as it has to be
        self._found_pairs = FoundPairs(program.arrays.like(0), self._fetched)
        self._decided: Decided | None = None  # what actors know of the last decision
        self._n_decisions = 0
        self._sums_of_shown: tuple[Floats, Floats] = np.empty(0), np.empty(0)
        self._sample: SampledPairs | None = None  # with thresholds that are newer than those of the actors
        self._history: list[State | Thresholds | tuple[RayChunks, int]] = []
        self._starts: list[int] | None = (
            None  # of the branches whose sums the tables have; None for those of all chunks
        )

    @property
    def edges(self) -> Ints:
        """User numbers between chunks."""
        return self._edges

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        return self._n

    def dealt(self, n: int) -> list[list[int]]:
        """The chunks in n runs of about as many pairs."""
        return dealt(np.diff(self.program.indptr[self._edges]).tolist(), n)

    def opening(self, store: tuple[int, int | None]) -> Call:
        """The call that opens this engine at an actor."""
        program = self._slim
        return "open", lambda chunks: (self.key, program, store, self._sizes)

    @cached_property
    def _slim(self) -> Program:
        return slim(self.program)

    def history(self, cluster: Cluster) -> Iterator[Call]:
        """The calls that bring an actor to the state after the last call."""
        for state in self._history:
            if not isinstance(state, tuple):
                yield self._call_of(state)
            else:
                other, n = state
                yield other.opening(cluster._store_of(other.program))
                for earlier in other._history[:n]:
                    assert not isinstance(earlier, tuple)  # an engine without rules follows none
                    yield other._call_of(earlier)
                yield self._following(other)
                yield "close", lambda chunks, other=other: (other.key,)  # type: ignore[misc]

    def _call_of(self, state: State | Thresholds) -> Call:
        if isinstance(state, Thresholds):
            return "settle", lambda chunks: (self.key, chunks, state.stride, state.of(chunks))
        tables = state.program.tables(state.prices)
        within = () if state.margins is None else (state.program.widest(state.margins),)
        return state.name, lambda chunks: (self.key, chunks, tables, *within, *state.numbers)

    def _following(self, other: RayChunks) -> Call:
        return "follow", lambda chunks: (self.key, chunks, other.key)

    def _ask(self, name: str, *arguments: Any) -> list[tuple[list[int], Any]]:
        return self._cluster.ask(self.key, name, lambda chunks: (chunks, *arguments))

    def _remember(self, name: str, *numbers: Any, margins: Floats | None = None) -> None:
        if name == "visit" or self._rules is not None:
            self._history.append(State(name, self.program, self._prices, numbers, margins))

    def _pieces(self, job: Callable[[Piece], object], stride: int = 1) -> None:
        raise NotImplementedError("pairs are at the actors; every call has a method of its own there")

    def _chunks(self, job: Callable[[int], object]) -> None:
        each(range(self._n), job, None)

    def _place(self, found: list[tuple[list[int], Any]], *into: Floats) -> None:
        """Put what came of chunks, a table by branch for each of `into`, into the places where the branches begin."""
        starts: list[int] = []
        for chunks, tables in found:
            own = [first for first, _ in branches_of(chunks, self._n)]
            for table, by_branch in zip(into, tables, strict=True):
                table[own] = by_branch
            starts += own
        self._starts = sorted(starts)

    def _added_up(self, tables: Floats) -> Floats:
        return added_up(tables, self._starts)

    def _survey_pieces(self, scalars: Floats, positive: Floats, negative: Floats) -> None:
        found = self._ask("survey")
        for chunks, (numbers, *_) in found:
            scalars[chunks] = numbers
        self._place([(chunks, tables) for chunks, (_, *tables) in found], positive, negative)

    def _slate_reach_pieces(self, entries: Entries, room: Room, out: Floats, stride: int = 1) -> None:
        found = self._ask("slate_reach", *entries, out.shape[2])  # actors know the rules
        self._place([(chunks, [table]) for chunks, table in found], out)

    def attained(self, guarded: bool) -> Floats:
        """(n_users,) as `program.attaining` says, read by the actors."""
        return np.concatenate(self._by_chunk("attained", guarded))

    def visit(self, prices: Floats, gamma: float, stride: int = 1) -> Visit:
        self._prices = np.array(prices)
        return super().visit(prices, gamma, stride)

    def _visit_pieces(self, tables: Floats, gamma: float, stride: int) -> None:
        sample = self._sampled(stride)
        if sample is not None:
            point, self._kept, self._starts = self._point(tables, gamma), self._buffers, None

            def job(chunk: int) -> None:
                self._load[chunk], self._square[chunk], self._out[chunk] = 0.0, 0.0, 0.0
                sample.visit(chunk, self.program.size, point, self._sums(chunk))

            self._chunks(job)
            self._curvature_of = self.visits
            return
        self._settle()
        numbers = (gamma, stride, self._slack, self._keep_every)
        self._curvature = [None] * self._n
        took, sums = [], []
        for chunks, (out, load, square, kept, report) in self._cluster.ask(
            self.key, "visit", lambda chunks: (chunks, tables, *numbers, self._room(chunks))
        ):
            self._out[chunks] = out
            sums.append((chunks, (load, square)))
            self._spread(chunks, kept or (), self._curvature)
            took.append((chunks, report))
        self._place(sums, self._load, self._square)
        self._remember("visit", *numbers, 0)
        if stride == 1:
            self._cluster.watch.seen(self._cluster, self, took)

    def _room(self, chunks: list[int]) -> int:
        """Bytes of the curvature of some chunks up to which it comes with the visit."""
        return _KEPT_BYTES * len(chunks) // self._n

    def _sampled(self, stride: int) -> SampledPairs | None:
        """The users of a stride at this process; None under rules, and where their pairs are many."""
        program = self.program
        n_bytes = program.n_pairs // stride * program.arrays.like(1).n_bytes
        most = self._sizes.max_small if stride == 1 else self._sizes.max_sample
        # `keep_every` counts users by their numbers in the program
        if self._rules is not None or self._keep_every > 1 or n_bytes > most:
            return None
        if self._sample is None or self._sample.thresholds.stride != stride:
            self._settle()
            self._sample = SampledPairs.of(program, self._edges, stride, self._by_chunk("sample", stride))
        return self._sample

    def _settle(self, drop: bool = True) -> None:
        """Give the thresholds of the sample to the actors, with their next call."""
        if self._sample is None:
            return
        settled = self._sample.thresholds.copy()
        self._cluster.defer(self.key, *self._call_of(settled))
        self._history.append(settled)
        if drop:
            self._sample = None

    @property
    def thresholds(self) -> Floats:
        self._settle(drop=False)
        return np.concatenate(self._by_chunk("thresholds"))

    def _curvature_chunks(self, tables: Floats) -> None:
        """Products at this process, from what actors have kept: a visit is followed by many, each a round otherwise."""
        if self._curvature_of != self.visits:
            missing = any(own is None for own in self._curvature)
            every = self._by_chunk("kept") if missing else self._curvature
            self._kept = [self._as_kept(kept) for kept in every]
            self._curvature, self._curvature_of = [], self.visits
        self._starts = None
        super()._curvature_chunks(tables)

    def _as_kept(self, sent: tuple[Any, ...]) -> Any:
        """What an actor sent, as kernels are compiled for it: writable."""
        cell, *others = (np.array(part) for part in sent)
        if self._rules is None:
            return visit_kernels.PlainCurvature(cell, *others)
        return jobs.RuledCurvature(cell.astype(np.int64), *others)

    def histogram(self, prices: Floats, widest: float) -> npt.NDArray[np.int64]:
        self._prices = np.array(prices)
        return super().histogram(prices, widest)

    def _count_pieces(self, tables: Floats, widest: float, kink: float, counts: npt.NDArray[np.int64]) -> None:
        for _, found in self._ask("count", tables, widest, kink, self._slack):
            counts[0] += found
        self._remember("count", widest, kink, self._slack)

    def decide(self, prices: Floats, margins: Floats) -> PairSplit:
        stream = self.program.stream
        if self._rules is None and stream is not None and stream.copies is None:
            self._decided = None
            return decided_far(self, prices, margins)
        self._prices, self._margins = np.array(prices), np.array(margins)
        self._decided = None
        split = super().decide(prices, margins)
        self._decided = Decided(self._n_decisions, split.shown.array(), *self._sums_of_shown)
        return split

    def _decide_pieces(self, tables: Floats, within: Floats, kink: float, bounds: Floats) -> list[list[ChunkPart]]:
        out: list[list[ChunkPart]] = [[] for _ in range(self._n)]
        found: list[PairArrays | None] = [None] * self._n
        values, sums = np.zeros(self._n), []
        self._n_decisions += 1
        numbers = kink, self._slack, self._n_decisions
        for chunks, (parts, own, worth, loads, best) in self._ask("decide", tables, within, *numbers):
            self._spread(chunks, parts, out)
            self._spread(chunks, own or (), found)
            values[chunks], bounds[chunks] = worth, best
            sums.append((chunks, [loads]))
        self._place(sums, self._load)
        self._sums_of_shown = values, self._added_up(self._load)
        places = [places_of(parts) for parts in out]
        self._find([first if self._rules is None else both(first, second) for first, second in places], found)
        self._remember("decide", *numbers, margins=self._margins)
        return out

    def last_slates(self, prices: Floats, gamma: float) -> tuple[Ints, Floats]:
        self._prices, self._decided = np.array(prices), None
        self._settle(drop=False)
        return super().last_slates(prices, gamma)

    def _allocate_pieces(self, tables: Floats, gamma: float) -> list[list[ChunkPart]]:
        out: list[list[ChunkPart]] = [[] for _ in range(self._n)]
        found: list[PairArrays | None] = [None] * self._n
        for chunks, (parts, own) in self._ask("allocate", tables, gamma, self._slack):
            self._spread(chunks, parts, out)
            self._spread(chunks, own or (), found)
        self._find([open_of(parts) for parts in out], found)
        self._remember("allocate", gamma, self._slack)
        return out

    def _find(self, positions: list[Ints], found: list[PairArrays | None]) -> None:
        """Keep the pairs that came with a call, by chunk."""
        here = [(some, own) for some, own in zip(positions, found, strict=True) if own is not None]
        if here:
            places, arrays = zip(*here, strict=True)
            self._found_pairs.add(np.concatenate(places), PairArrays.joined(arrays))

    def _by_chunk(self, name: str, *arguments: Any) -> list[Any]:
        out: list[Any] = [None] * self._n
        for chunks, found in self._ask(name, *arguments):
            self._spread(chunks, found, out)
        return out

    def _spread(self, chunks: list[int], found: Sequence[Any], into: list[Any]) -> None:
        """Put what came of each chunk in its place; nothing where nothing came."""
        for chunk, part in zip(chunks, found, strict=bool(found)):
            into[chunk] = part

    def scores(self, prices: Floats) -> Floats:
        found = self._by_chunk("scores", self.program.tables(prices))
        self.passes += 1.0
        return np.concatenate(found)

    def sums_with(self, shown: Shown, own: Ints, x: Floats) -> AllocationSums:
        values = shown.values_with(self, own, x) if isinstance(shown, FarShown) else None
        return super().sums_with(shown, own, x) if values is None else self._as_sums(values, 0.0)

    def shown_in(self, shown: Shown, cells: npt.NDArray[np.bool_]) -> tuple[Ints, Shown]:
        found = shown.in_cells(self, cells) if isinstance(shown, FarShown) else None
        return super().shown_in(shown, cells) if found is None else found

    def _add_up_chunks(self, taken: PairView, x: Floats) -> Floats:
        decided = self._decided
        if decided is not None and taken.positions is decided.shown and np.all(x == 1.0):
            self._load[0], self._starts = decided.load, [0]
            return decided.values
        if self._found_pairs.has(taken.positions):
            self._starts = None
            return super()._add_up_chunks(taken, x)
        new, found = self._ends(taken.positions), None
        if decided is not None:
            old, shown = self._ends(decided.shown), decided.shown

            def difference(chunks: list[int]) -> tuple[Any, ...]:
                own = of_chunks(taken.positions, chunks, new), of_chunks(x, chunks, new)
                return chunks, decided.number, *Difference.of(of_chunks(shown, chunks, old), *own)

            found = self._cluster.ask(self.key, "add_up_difference", difference)
        if found is None or any(result is None for _, result in found):  # some are in the place of lost actors
            found = self._cluster.ask(
                self.key,
                "add_up",
                lambda chunks: (chunks, of_chunks(taken.positions, chunks, new), of_chunks(x, chunks, new)),
            )
        values = np.zeros(self._n)
        for chunks, (own, _) in found:
            values[chunks] = own
        self._place([(chunks, [load]) for chunks, (_, load) in found], self._load)
        return values

    def take(self, positions: Ints) -> PairView:
        return PairView(self.program, positions, FarPairs(self._found_pairs, positions), np.arange(positions.size))

    def _fetched(self, positions: Ints) -> PairArrays:
        return self.fetch(positions)

    def fetch(self, positions: Ints) -> PairArrays:
        """Single pairs, by ascending positions, from the actors that hold them."""
        out, ends = self.program.arrays.like(positions.size), self._ends(positions)
        for chunks, found in self._cluster.ask(
            self.key, "take", lambda chunks: (chunks, of_chunks(positions, chunks, ends))
        ):
            out.put(of_chunks(np.arange(positions.size), chunks, ends), found)
        return out

    def _ends(self, positions: Ints) -> Ints:
        return np.searchsorted(positions, self.program.indptr[self._edges])

    def plain(self) -> RayChunks:
        plain = self._cluster.engine(replace(self.program, rules=None))
        plain._survey = self._survey  # of pairs, whatever the rules
        return plain

    def follow(self, other: Chunked, gamma: float) -> None:
        assert isinstance(other, RayChunks)  # of the same kind
        other._settle()
        self._cluster.defer(self.key, *self._following(other))
        self._history.append((other, len(other._history)))
        self._follow_slack(other, gamma)

    def close(self) -> None:
        self._cluster.forget(self)
        # what is large, also where this object is still referred to
        self._found_pairs = FoundPairs(self.program.arrays.like(0), None)
        self._kept, self._buffers, self._curvature, self._sample, self._decided = [], [], [], None, None
