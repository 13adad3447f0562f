"""The engine that solvers see: every call goes to the actors, and sums come back chunk by chunk.

Results are put in the places of the chunks and added up by the code of all engines (`engines/chunks.py`), in the order
of the chunks, so the bits do not depend on which actor has which chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.threads import each
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.engines.base import PairSplit, Visit
from oasis_alloc.engines.chunks import Chunked
from oasis_alloc.engines.pieces import ChunkPart, Piece
from oasis_alloc.engines.ray.cluster import Call, dealt, slim
from oasis_alloc.kernels.solve import visit as visit_kernels
from oasis_alloc.program.pair_arrays import PairArrays
from oasis_alloc.program.pair_lookup import PairView
from oasis_alloc.program.program import Program

if TYPE_CHECKING:
    from oasis_alloc.engines.ray.cluster import Cluster

_WIRE_BYTES = 1 << 25  # of tables by chunk that come back per visit; beyond it, chunks are added up at the actors


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
        self._prices, self._margins = np.empty(0), np.empty(0)  # of the current call
        self._curvature_of = 0  # the visit whose curvature is here
        self._history: list[State | tuple[RayChunks, int]] = []
        per_parcel = max(1, -(-2 * self._load.nbytes // _WIRE_BYTES))
        self._parcels = np.arange(self._n) // per_parcel

    @property
    def edges(self) -> Ints:
        """User numbers between chunks."""
        return self._edges

    @property
    def parcels(self) -> Ints:
        """The parcel of every chunk."""
        return self._parcels

    @property
    def n_parcels(self) -> int:
        """Groups of chunks that have to be at the same actor."""
        return int(self._parcels[-1]) + 1

    def dealt(self, n: int) -> list[list[int]]:
        """The chunks in n runs of about as many pairs."""
        pairs = np.diff(self.program.indptr[self._edges])
        runs = dealt(np.bincount(self._parcels, pairs).tolist(), n)
        return [np.flatnonzero(np.isin(self._parcels, run)).tolist() for run in runs]

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
            if isinstance(state, State):
                yield self._call_of(state)
            else:
                other, n = state
                yield other.opening(cluster._store_of(other.program))
                for earlier in other._history[:n]:
                    assert isinstance(earlier, State)  # an engine without rules follows none
                    yield other._call_of(earlier)
                yield "follow", lambda chunks, other=other: (self.key, chunks, other.key)  # type: ignore[misc]
                yield "close", lambda chunks, other=other: (other.key,)  # type: ignore[misc]

    def _call_of(self, state: State) -> Call:
        tables = state.program.tables(state.prices)
        within = () if state.margins is None else (state.program.widest(state.margins),)
        parcels = (self._parcels,) if state.name == "visit" else ()
        return state.name, lambda chunks: (self.key, chunks, *parcels, tables, *within, *state.numbers)

    def _ask(self, name: str, *arguments: Any) -> list[tuple[list[int], Any]]:
        return self._cluster.ask(self.key, name, lambda chunks: (chunks, *arguments))

    def _remember(self, name: str, *numbers: Any, margins: Floats | None = None) -> None:
        if name == "visit" or self._rules is not None:
            self._history.append(State(name, self.program, self._prices, numbers, margins))

    def _pieces(self, job: Callable[[Piece], object], stride: int = 1) -> None:
        raise NotImplementedError("pairs are at the actors; every call has a method of its own there")

    def _chunks(self, job: Callable[[int], object]) -> None:
        each(range(self._n), job, None)

    def _place(self, chunks: list[int], by_parcel: Floats, into: Floats) -> None:
        """Put sums by parcel into the places of the parcels' first chunks at this actor; the others are 0."""
        into[chunks] = 0.0
        parcels = self._parcels[chunks]
        first = np.flatnonzero(np.diff(parcels, prepend=-1))
        into[np.asarray(chunks)[first]] = by_parcel

    def _survey_pieces(self, scalars: Floats, positive: Floats, negative: Floats) -> None:
        for chunks, (numbers, up, down) in self._ask("survey", self._parcels):
            scalars[chunks] = numbers
            self._place(chunks, up, positive)
            self._place(chunks, down, negative)

    def attained(self, guarded: bool) -> Floats:
        """(n_users,) as `program.attaining` says, read by the actors."""
        return np.concatenate(self._by_chunk("attained", guarded))

    def visit(self, prices: Floats, gamma: float, stride: int = 1) -> Visit:
        self._prices = np.array(prices)
        return super().visit(prices, gamma, stride)

    def _visit_pieces(self, tables: Floats, gamma: float, stride: int) -> None:
        numbers = (gamma, stride, self._slack, self._keep_every)
        took = []
        for chunks, (out, load, square, report) in self._ask("visit", self._parcels, tables, *numbers):
            self._out[chunks] = out
            self._place(chunks, load, self._load)
            self._place(chunks, square, self._square)
            took.append((chunks, report))
        self._remember("visit", *numbers)
        if stride == 1:
            self._cluster.watch.seen(self._cluster, self, took)

    def _curvature_chunks(self, tables: Floats) -> None:
        """Products at this process, from what actors have kept: a visit is followed by many, each a round otherwise."""
        if self._rules is None:
            if self._curvature_of != self.visits:
                for chunk, kept in enumerate(self._by_chunk("kept")):
                    self._kept[chunk] = visit_kernels.Curvature(*(np.array(part) for part in kept))
                self._curvature_of = self.visits
            super()._curvature_chunks(tables)
            return
        for chunks, load in self._ask("curvature", self._parcels, tables):
            self._place(chunks, load, self._load)

    def histogram(self, prices: Floats, widest: float) -> npt.NDArray[np.int64]:
        self._prices = np.array(prices)
        return super().histogram(prices, widest)

    def _count_pieces(self, tables: Floats, widest: float, kink: float, counts: npt.NDArray[np.int64]) -> None:
        for _, found in self._ask("count", tables, widest, kink, self._slack):
            counts[0] += found
        self._remember("count", widest, kink, self._slack)

    def decide(self, prices: Floats, margins: Floats) -> PairSplit:
        self._prices, self._margins = np.array(prices), np.array(margins)
        return super().decide(prices, margins)

    def _decide_pieces(self, tables: Floats, within: Floats, kink: float, bounds: Floats) -> list[list[ChunkPart]]:
        found = self._by_chunk("decide", tables, within, kink, self._slack)
        self._remember("decide", kink, self._slack, margins=self._margins)
        bounds[:] = [bound for _, bound in found]
        return [parts for parts, _ in found]

    def last_slates(self, prices: Floats, gamma: float) -> tuple[Ints, Floats]:
        self._prices = np.array(prices)
        return super().last_slates(prices, gamma)

    def _allocate_pieces(self, tables: Floats, gamma: float) -> list[list[ChunkPart]]:
        found = self._by_chunk("allocate", tables, gamma, self._slack)
        self._remember("allocate", gamma, self._slack)
        return found

    def _by_chunk(self, name: str, *arguments: Any) -> list[Any]:
        out: list[Any] = [None] * self._n
        for chunks, found in self._ask(name, *arguments):
            for chunk, part in zip(chunks, found, strict=True):
                out[chunk] = part
        return out

    def scores(self, prices: Floats) -> Floats:
        found = self._by_chunk("scores", self.program.tables(prices))
        self.passes += 1.0
        return np.concatenate(found)

    def _add_up_chunks(self, taken: PairView, x: Floats) -> Floats:
        values, ends = np.zeros(self._n), self._ends(taken.positions)
        for chunks, (own, load) in self._cluster.ask(
            self.key,
            "add_up",
            lambda chunks: (chunks, self._parcels, _part(taken.positions, chunks, ends), _part(x, chunks, ends)),
        ):
            values[chunks] = own
            self._place(chunks, load, self._load)
        return values

    def take(self, positions: Ints) -> PairView:
        return PairView(self.program, positions, FarPairs(self, positions), np.arange(positions.size))

    def fetch(self, positions: Ints) -> PairArrays:
        """Single pairs, by ascending positions, from the actors that hold them."""
        out, ends = self.program.arrays.like(positions.size), self._ends(positions)
        for chunks, found in self._cluster.ask(
            self.key, "take", lambda chunks: (chunks, _part(positions, chunks, ends))
        ):
            out.put(_part(np.arange(positions.size), chunks, ends), found)
        return out

    def _ends(self, positions: Ints) -> Ints:
        return np.searchsorted(positions, self.program.indptr[self._edges])

    def plain(self) -> RayChunks:
        return self._cluster.engine(replace(self.program, rules=None))

    def follow(self, other: Chunked, gamma: float) -> None:
        assert isinstance(other, RayChunks)  # of the same kind
        self._ask("follow", other.key)
        self._history.append((other, len(other._history)))
        super().follow(other, gamma)

    def close(self) -> None:
        self._cluster.forget(self)


class FarPairs:
    """Pairs at the actors, fetched when they are first asked for: the solver often needs only their positions."""

    def __init__(self, engine: RayChunks, positions: Ints) -> None:
        self._engine, self._positions = engine, positions

    @cached_property
    def _arrays(self) -> PairArrays:
        return self._engine.fetch(self._positions)

    @property
    def code(self) -> npt.NDArray[np.integer[Any]]:
        return self._arrays.code

    @property
    def value(self) -> npt.NDArray[np.floating[Any]]:
        return self._arrays.value

    @property
    def extra(self) -> npt.NDArray[np.floating[Any]]:
        return self._arrays.extra

    @property
    def guard(self) -> Floats:
        return self._arrays.guard


def _part(values: npt.NDArray[Any], chunks: list[int], ends: Ints) -> npt.NDArray[Any]:
    """The entries of some chunks."""
    return np.concatenate([values[ends[chunk] : ends[chunk + 1]] for chunk in chunks])
