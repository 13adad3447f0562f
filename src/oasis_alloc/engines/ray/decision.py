"""Decisions whose pairs stay with the actors: the driver has how many they are, and those that it has asked for.

A decision of slates without rules follows from the price tables and the margins alone. So it outlives its actors: what
is lost with one is decided again, and a task that writes a part of the allocation, or a process that asks for all of
it, decides it from the files.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.ascending import among, without
from oasis_alloc.common.csr import blocks
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.engines.base import PairSplit
from oasis_alloc.engines.pieces import ChunkPart, n_pairs_of, part_of, parts_of, positions_of
from oasis_alloc.engines.ray.found import places_of
from oasis_alloc.engines.ray.held import Store
from oasis_alloc.engines.ray.splits import Split
from oasis_alloc.engines.shown import Shown, pairs_of_users
from oasis_alloc.kernels.solve import decide as decide_kernels
from oasis_alloc.program.pair_arrays import PairArrays
from oasis_alloc.program.program import Program

if TYPE_CHECKING:
    from oasis_alloc.engines.ray.cluster import Cluster
    from oasis_alloc.engines.ray.driver import RayChunks

_BLOCK = 1 << 22  # pairs that are read at a time where no actor has them
_log = logging.getLogger("oasis_alloc.solve")

Arguments = Callable[[list[int]], tuple[Any, ...]]  # of some chunks


@dataclass(frozen=True, eq=False, repr=False)
class Recipe(ByFields):
    """What a decision follows from."""

    program: Program  # as actors have it: pairs and users, no rows
    tables: Floats
    within: Floats

    def shown_to(self, first: int, last: int) -> Ints:
        """The positions of the pairs shown to some users, decided from the files."""
        run = Store(self.program).load(first, last)
        piece = part_of(self.program, (0, True, first, last, run.start), run.arrays, run.indptr)
        tables, within = np.array(self.tables), np.array(self.within)  # writable, for which kernels are compiled
        out = [np.empty(0, np.int64)]
        for part in parts_of(piece):
            state = np.empty(n_pairs_of(part), np.uint8)
            decide_kernels.decide(
                part.first, part.last, part.pairs, tables, self.program.size, within, state, np.zeros(1)
            )
            out.append(np.flatnonzero(state == decide_kernels.IN) + part.start)
        return np.concatenate(out)

    def shown(self) -> Ints:
        """The positions of all of them."""
        users = blocks(self.program.indptr, 0, self.program.n_users, _BLOCK)
        return np.concatenate([np.empty(0, np.int64), *(self.shown_to(first, last) for first, last in users)])


@dataclass(eq=False, repr=False)
class FarDecision:
    """A decision that actors remember by its number."""

    recipe: Recipe
    number: int
    size: int  # pairs shown
    key: int = -1  # of the engine that made it
    values: Floats = field(default_factory=lambda: np.empty(0))  # by chunk, of the pairs shown
    load: Floats = field(default_factory=lambda: np.empty(0))  # totals by cell of the same
    cluster: Cluster | None = None  # None after its end
    users: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # those whose pairs are known here ...
    pairs: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # ... which are these
    against: dict[int, tuple[Ints, Ints]] = field(default_factory=dict)  # by number: only here, only there

    def __reduce__(self) -> tuple[Any, ...]:
        return FarDecision, (self.recipe, self.number, self.size)

    def ask(self, name: str, arguments: Arguments, key: int | None = None) -> list[tuple[list[int], Any]] | None:
        """What actors say of this decision; None if it is not known there any more, and cannot be made again."""
        for _ in range(2):
            if self.cluster is None:
                return None
            found = self.cluster.ask(
                self.key if key is None else key, name, lambda chunks: (chunks, self.number, *arguments(chunks))
            )
            if all(result is not None for _, result in found):
                return found
            if not self._made_again():  # some are in the place of lost actors
                return None
        return None

    def _made_again(self) -> bool:
        """Let actors decide once more; False if they have no program for it."""
        cluster, recipe = self.cluster, self.recipe
        if cluster is None or not cluster.has(self.key):
            return False
        alive = cluster.alive()
        cluster.ask(self.key, "split", lambda chunks: (chunks, recipe.tables, recipe.within, self.number, alive))
        return True

    def array(self) -> Ints:
        """The positions of all pairs that it shows, from the actors or from the files."""
        _log.info(
            "%s pairs that are shown are brought to this process: %s bytes", f"{self.size:,}", f"{8 * self.size:,}"
        )
        found = self.ask("shown", lambda chunks: ())
        if found is None:
            return self.recipe.shown()
        parts: list[list[ChunkPart]] = [[] for _ in range(sum(len(chunks) for chunks, _ in found))]
        for chunks, own in found:
            for chunk, part in zip(chunks, own, strict=True):
                parts[chunk] = part
        return positions_of(parts, second=True)

    def of_users(self, users: Ints) -> Ints:
        """The pairs shown to some users."""
        indptr, missing = self.recipe.program.indptr, without(users, self.users)
        if missing.size:
            found = None
            if self.cluster is not None:
                ends = np.searchsorted(missing, self.cluster.edges)
                found = self.ask("shown_to", lambda chunks: (of_chunks(missing, chunks, ends),))
            if found is None:
                return pairs_of_users(self.array(), indptr, users)
            self.know(missing, np.sort(np.concatenate([pairs for _, pairs in found])))
        return pairs_of_users(self.pairs, indptr, users)

    def know(self, users: Ints, pairs: Ints) -> None:
        """Keep the pairs that are shown to some users."""
        more = without(users, self.users)
        if more.size:
            pairs = pairs_of_users(pairs, self.recipe.program.indptr, more)
            self.users = np.sort(np.concatenate([self.users, more]))
            self.pairs = np.sort(np.concatenate([self.pairs, pairs]))

    def compared(self, other: FarDecision) -> tuple[Ints, Ints]:
        """(pairs that only this one shows, pairs that only the other one shows)."""
        none = np.empty(0, np.int64)
        if other is self:
            return none, none
        if other.number not in self.against:
            found = self.ask("compare", lambda chunks: (other.number,))
            if found is None and other._made_again():
                found = self.ask("compare", lambda chunks: (other.number,))
            if found is None:
                mine, theirs = self.array(), other.array()
                return without(mine, theirs), without(theirs, mine)
            here, there = (np.sort(np.concatenate([both[side] for _, both in found])) for side in (0, 1))
            self.against[other.number], other.against[self.number] = (here, there), (there, here)
        return self.against[other.number]


@dataclass(frozen=True, eq=False)
class FarShown(ByFields):
    """The pairs of a decision at the actors, without some."""

    decision: FarDecision
    gone: Ints  # of its pairs, ascending

    @property
    def size(self) -> int:
        return self.decision.size - self.gone.size

    @property
    def is_here(self) -> bool:
        return False

    def array(self) -> Ints:
        return without(self.decision.array(), self.gone)

    def _users_of(self, positions: Ints) -> Ints:
        return np.unique(self.decision.recipe.program.users_of(positions))

    def has(self, positions: Ints) -> npt.NDArray[np.bool_]:
        theirs = self.decision.of_users(self._users_of(positions))
        return among(positions, theirs) & ~among(positions, self.gone)

    def without(self, positions: Ints) -> Shown:
        more = positions[self.has(positions)]
        return FarShown(self.decision, np.sort(np.concatenate([self.gone, more]))) if more.size else self

    def of_users(self, indptr: Ints, users: Ints) -> Ints:
        return without(self.decision.of_users(users), self.gone)

    def compared(self, other: Shown) -> tuple[Ints, Ints]:
        if not isinstance(other, FarShown):
            mine, theirs = self.array(), other.array()
            return without(mine, theirs), without(theirs, mine)
        here, there = self.decision.compared(other.decision)
        # of the pairs that both decisions show, those that one has lost
        lost, theirs_lost = without(self.gone, here), without(other.gone, there)
        here, there = without(here, self.gone), without(there, other.gone)
        only_here = np.sort(np.concatenate([here, without(theirs_lost, self.gone)]))
        only_there = np.sort(np.concatenate([there, without(lost, other.gone)]))
        return only_here, only_there

    def in_cells(self, engine: RayChunks, cells: npt.NDArray[np.bool_]) -> tuple[Ints, Shown] | None:
        """As `Engine.shown_in`; None where no actor can tell."""
        found = self.decision.ask("shown_in", lambda chunks: (cells,), engine.key)
        if found is None:
            return None
        positions = without(np.sort(np.concatenate([pairs for _, pairs in found])), self.gone)
        return positions, FarShown(self.decision, np.sort(np.concatenate([self.gone, positions])))

    def values_with(self, engine: RayChunks, own: Ints, x: Floats) -> Floats | None:
        """(n_chunks,) values of these and of others with their x, with totals in the engine's `_load`.

        None where no actor can tell.
        """
        decision = self.decision
        if decision.key == engine.key and not self.gone.size and not own.size:
            engine._load[0], engine._starts = decision.load, [0]
            return decision.values
        gone_ends, ends, gone = engine._ends(self.gone), engine._ends(own), self.gone

        def arguments(chunks: list[int]) -> tuple[Any, ...]:
            return of_chunks(gone, chunks, gone_ends), of_chunks(own, chunks, ends), of_chunks(x, chunks, ends)

        found = decision.ask("add_up_shown", arguments, engine.key)
        if found is None:
            return None
        values = np.zeros(engine.n_chunks)
        for chunks, (worth, _) in found:
            values[chunks] = worth
        engine._place([(chunks, [load]) for chunks, (_, load) in found], engine._load)
        return values


def decided_far(engine: RayChunks, prices: Floats, margins: Floats) -> PairSplit:
    """As `Engine.decide`, of slates without rules; the pairs that are shown stay with the actors.

    How it differs from the decisions before, and what it shows to users with open pairs, comes with it.
    """
    program, cluster, n = engine.program, engine._cluster, engine.n_chunks
    tables, within = program.tables(prices), program.widest(margins)
    earlier = {one.number: one for one in sorted(cluster.decisions, key=lambda one: one.number)}
    number, alive = cluster.next_decision(), list(earlier)
    found: list[tuple[list[int], Split]] = cluster.ask(
        engine.key, "split", lambda chunks: (chunks, tables, within, number, alive)
    )
    parts: list[list[ChunkPart]] = [[] for _ in range(n)]
    arrays: list[PairArrays | None] = [None] * n
    values, bounds = np.zeros(n), np.zeros((n, 1))
    for chunks, split in found:
        engine._spread(chunks, split.undecided, parts)
        engine._spread(chunks, split.found or (), arrays)
        values[chunks], bounds[chunks] = split.values, split.bounds
    engine._place([(chunks, [split.loads]) for chunks, split in found], engine._load)
    engine._find([places_of(own)[0] for own in parts], arrays)
    engine.passes += 1.0
    recipe = Recipe(engine._slim, tables, within)
    size = sum(split.n_shown for _, split in found)
    decision = FarDecision(recipe, number, size, engine.key, values, engine._added_up(engine._load).copy(), cluster)
    cluster.decisions.add(decision)
    users = _in_order([split.users for _, split in found])
    decision.know(users, _in_order([split.shown for _, split in found]))
    for k, before in earlier.items():
        told = [of for of in (split.earlier[k] for _, split in found) if of is not None]
        if len(told) == len(found):
            here, there, shown = (_in_order([of[part] for of in told]) for part in range(3))
            decision.against[k] = here, there
            before.against = {j: of for j, of in before.against.items() if j in earlier} | {number: (there, here)}
            before.know(users, shown)
    return PairSplit(positions_of(parts), FarShown(decision, np.empty(0, np.int64)), float(bounds.sum()))


def _in_order(parts: list[list[Ints]]) -> Ints:
    """Numbers of all chunks, ascending; chunks of an actor need not follow one another."""
    return np.sort(np.concatenate([np.empty(0, np.int64), *(part for of in parts for part in of)]))


def of_chunks(values: npt.NDArray[Any], chunks: list[int], ends: Ints) -> npt.NDArray[Any]:
    """The entries of some chunks, of values whose chunks end at `ends`."""
    if len(chunks) == chunks[-1] - chunks[0] + 1:
        return values[ends[chunks[0]] : ends[chunks[-1] + 1]]
    return np.concatenate([values[ends[chunk] : ends[chunk + 1]] for chunk in chunks])
