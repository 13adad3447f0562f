"""What all quotes of one solution share: the problem as arrays, the plan by pair, and the bound of its prices."""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.csr import gather
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.common.verdicts import FEASIBLE
from oasis_alloc.engines import engine_for
from oasis_alloc.errors import ProblemError, SolverError
from oasis_alloc.forecast.best_slates import BestSlates, slates_of
from oasis_alloc.forecast.cell_rows import CellRows
from oasis_alloc.kernels.solve.opportunity import Priced
from oasis_alloc.kernels.solve.quoted_pairs import shown_and_wanted, users_of_ascending
from oasis_alloc.program.lowering import lower
from oasis_alloc.session import Session
from oasis_alloc.solvers.evaluation import evaluate
from oasis_alloc.solvers.kept import matched
from oasis_alloc.solvers.kept import places as places_of

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates
    from oasis_alloc.engines.chunks import Chunked
    from oasis_alloc.problem import Problem
    from oasis_alloc.program.program import Program
    from oasis_alloc.solution import Solution
    from oasis_alloc.solvers.incumbent import Allocation

_COARSE, _FINE = 1e-2, 1e-6  # smoothing of visits for a bound, in mean values: without rules it is exact at any
_MOST_ENTRIES = 50_000_000  # of cells in rows, above which they are not kept

_bases: weakref.WeakKeyDictionary[Solution, QuoteBase] = weakref.WeakKeyDictionary()
_making = threading.Lock()


@dataclass(eq=False)
class InMemory:
    """Pairs of some users that were read from files; their memory counts for as long as this exists."""

    users: Ints  # (n_users,) of the candidates
    item: npt.NDArray[Any]  # (n_pairs,)
    main: Floats | None  # (n_pairs,) the main column of the objective
    n_users: int  # of the whole program


@dataclass(frozen=True, eq=False)
class QuoteBase:
    """A solved problem in the form that quotes read."""

    problem: Problem
    program: Program
    engine: Chunked
    prices: Floats  # by row
    allocation: Allocation  # the plan
    x: Floats  # the same by pair
    bound: float  # of the optimum of what was solved
    dual: float  # the bound at `prices` for this problem
    activity: Floats  # by row, sums of absolute contributions
    is_solved: bool  # False with new items, which the plan does not show
    lock: threading.Lock = field(default_factory=threading.Lock)  # visits of an engine are one at a time
    in_memory: InMemory | None = None  # where the program is of some users of files
    _slates: BestSlates | None = None

    @property
    def weighted(self) -> bool:
        """Whether pairs count by their users or slots."""
        return self.problem.supply is not None or self.program.origin is not None

    @property
    def unit_column(self) -> int:
        """Which of the program's columns counts impressions."""
        return len(self.program.base) - 1 if self.weighted else 0

    @cached_property
    def rows_of_cells(self) -> CellRows | None:
        """What a slot adds to each row, by cell; None where that is too much to keep."""
        return CellRows.of(self.program, _MOST_ENTRIES)

    @cached_property
    def limits_of_cells(self) -> CellRows | None:
        """The same for rows with a hard limit alone."""
        lower, upper, _ = self.program.bands()
        limited = self.program.hard & (np.isfinite(lower) | np.isfinite(upper))
        return None if self.rows_of_cells is None else self.rows_of_cells.only(limited)

    def slates(self, threads: int | None) -> BestSlates:
        """The best slates under rules; found at the first quote."""
        if self._slates is None:
            object.__setattr__(self, "_slates", slates_of(self, threads))
        assert self._slates is not None
        return self._slates

    def columns(self, pairs: Ints, users: Ints) -> tuple[Ints, Floats]:
        """(cells, (K, n_pairs) columns besides exposure) of pairs, given with their users."""
        program = self.program
        cells = program.code[pairs].astype(np.int64)
        if program.n_segments > 1:
            cells += program.segment[users].astype(np.int64) * program.n_classes
        return cells, np.asarray(program.extra[:, pairs], np.float64)

    def entries(self, pairs: Ints) -> tuple[Ints, Ints, Floats] | None:
        """(place in `pairs`, row, what a slot adds to it), pair by pair; None where that is too much to keep."""
        if self.rows_of_cells is None:
            return None
        return self.rows_of_cells.entries(*self.columns(pairs, self.program.users_of(pairs)))

    @cached_property
    def _by_item(self) -> tuple[Ints, Ints]:
        """(where each item's pairs begin, pairs by item)."""
        item = self.item
        count = np.bincount(item, minlength=self.problem.candidates.n_items)
        return np.concatenate([[0], np.cumsum(count)]).astype(np.int64), np.argsort(item, kind="stable")

    def pairs_of(self, items: npt.NDArray[np.bool_]) -> Ints:
        """The pairs of some items, ascending."""
        start, order = self._by_item
        _, places = gather(start, np.flatnonzero(items))
        return np.sort(order[places])

    def changed_value(self, pairs: Ints, before: Floats, after: Floats) -> float | None:
        """The value of the plan with other probabilities of some pairs, all that their users are shown among them.

        None if limits would be missed, or that is too much to find out.
        """
        program, plan = self.program, self.allocation
        moved = np.flatnonzero(before != after)
        change = (after - before)[moved]
        entries = self.entries(pairs[moved])
        if entries is None:
            return None
        pair, row, adds = entries
        totals = plan.totals + np.bincount(row, adds * change[pair], program.n_rows)
        if program.hard.any():
            more = np.bincount(row, np.abs(adds) * change[pair], program.n_rows)
            activity = program.kept_share * np.maximum(0.0, self.activity + more)
            if program.ratios(totals, activity).max(initial=0.0) > max(FEASIBLE, plan.violation):
                return None
        value = plan.value + float(program.value[pairs[moved]].astype(np.float64) @ change)
        value += program.concave(totals) - program.concave(plan.totals)
        if program.rules is not None:
            users, code = program.users_of(pairs), program.code[pairs].astype(np.int64)
            first, then = (program.rules.decrement_cost(users, code, x) for x in (before, after))
            value -= then - first
        return value

    @property
    def item(self) -> npt.NDArray[Any]:
        """The item of every pair of the program."""
        if self.in_memory is not None:
            return self.in_memory.item
        origin = self.program.origin
        return self.problem.candidates.item if origin is None else self.problem.candidates.item[origin.pair]

    def users_of(self, users: Ints) -> Ints:
        """The candidates' users of users of the program, of which there are several per user with slot weights."""
        if self.in_memory is not None:
            return self.in_memory.users[users]
        return users // max(1, self.program.n_users // max(1, self.problem.candidates.n_users))

    def sizes(self, users: Ints) -> Ints:
        """Slots of users of the program."""
        program = self.program
        if program.rules is None:
            return np.full(users.size, program.size, np.int64)
        return np.asarray(program.rules.size[users], np.int64)

    def units(self, pairs: Ints) -> Floats:
        """Impressions of a pair that is shown for sure."""
        return np.asarray(self.program.extra[-1, pairs], np.float64) if self.weighted else np.ones(pairs.size)

    @cached_property
    def priced(self) -> Priced:
        """What priced scores are made of, read-only as a whole: else a kernel is compiled for each mixture."""
        program = self.program
        tables = np.ascontiguousarray(program.tables(self.prices), np.float64)
        return Priced(
            readonly(program.indptr), readonly(program.segment), readonly(program.code), readonly(program.value),
            readonly(program.extra), readonly(tables),
        )  # fmt: skip

    @cached_property
    def shown(self) -> tuple[Ints, Ints]:
        """(pairs that the plan shows, ascending; (n_users + 1,) where each user's are among them)."""
        shown = np.flatnonzero(self.x > 0.0)
        return shown, np.searchsorted(shown, self.program.indptr).astype(np.int64)

    @property
    def n_users(self) -> int:
        """All users of the plan."""
        return self.program.n_users if self.in_memory is None else self.in_memory.n_users

    @property
    def smoothing(self) -> float:
        """Smoothing of a visit that is made for its bound."""
        return smoothing_of(self.engine)


def smoothing_of(engine: Chunked) -> float:
    """Smoothing of a visit that is made for its bound."""
    return (_COARSE if engine.program.rules is None else _FINE) * (engine.survey().size or 1.0)


class Found(NamedTuple):
    """The pairs that a campaign's quote moves: its own, and those that the plan shows to its users."""

    users: Ints  # of the program, that may be shown it
    mine: Ints  # its pairs, ascending
    begin: Ints  # (n_users + 1,) where each user's are in `mine`
    start: Ints  # (n_users + 1,) where each user's are below
    pairs: Ints  # of the program, ascending
    user: Ints  # (n_pairs,) place in `users` of each
    member: npt.NDArray[np.bool_]  # pairs of the campaign
    x: Floats  # the plan
    units: Floats  # (n_pairs,) impressions of each
    now: float  # impressions of the campaign in the plan


def find(base: QuoteBase, items: npt.NDArray[np.bool_], users: npt.NDArray[np.bool_] | None) -> Found:
    """Find a campaign's pairs, by its items and (None: all) users of the candidates."""
    program = base.program
    mine = base.pairs_of(items)
    owner = users_of_ascending(program.indptr, mine)
    if users is not None:
        kept = users[base.users_of(owner)]
        mine, owner = mine[kept], owner[kept]
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    who, begin = owner[first], np.append(first, mine.size).astype(np.int64)
    shown, shown_begin = base.shown
    room = mine.size + int((shown_begin[who + 1] - shown_begin[who]).sum())
    start, pairs, member = np.empty(who.size + 1, np.int64), np.empty(room, np.int64), np.empty(room, np.bool_)
    n = shown_and_wanted(who, begin, mine, shown_begin, shown, start, pairs, member)
    pairs, member = pairs[:n], member[:n]
    user = np.repeat(np.arange(who.size), np.diff(start))
    x, units = base.x[pairs], base.units(pairs)
    now = float(x[member] @ units[member])
    return Found(who, mine, begin, start, pairs, user, member, x, units, now)


def base_of(solution: Solution, threads: int | None) -> QuoteBase:
    """What quotes of a solution share; made at its first quote."""
    with _making:
        found = _bases.get(solution)
        if found is None:
            _check(solution)
            found = _bases[solution] = _made(solution, solution.problem, threads)
        return found


def base_with(solution: Solution, base: QuoteBase, candidates: Candidates, threads: int | None) -> QuoteBase:
    """The same for candidates with new items, whose pairs come after those that their users had."""
    session = Session(solution.problem)
    session.change(candidates=candidates)
    return _made(solution, session.problem, threads, base)


def _check(solution: Solution) -> None:
    solution.raise_if_infeasible()
    if solution.problem.candidates.stream is not None and solution.problem.slate.slot_weights is not None:
        raise ProblemError(
            "quote: with slot weights, candidates have to be in memory, and those of this solution are in Parquet "
            "files; solve the market of the quote, or a sample of its users, from arrays or frames."
        )
    if solution.violation > FEASIBLE or solution.status.name == "RELAXED":
        raise SolverError(
            f"quote: the plan misses limits (violation {solution.violation:.1e}, {solution.status}), so there is no "
            "value to compare with; lower the limits in solution.conflicts and solve again."
        )


def _made(solution: Solution, problem: Problem, threads: int | None, before: QuoteBase | None = None) -> QuoteBase:
    program = lower(problem, threads=threads)
    names = set(solution.prices) & set(problem.names)
    where = places_of(program, {name: solution.problem.labels(name) for name in names})
    prices, _ = matched(program, where, solution.prices)
    prices = program.admit(prices)
    kept = solution._kept
    if kept is not None:
        positions, x = kept.nonzeros.pairs, kept.nonzeros.x
    elif program.origin is None:
        positions, x = solution.pairs, solution.x
    else:
        raise SolverError("quote: slot weights need a solution of solver='dual'; solve again with it.")
    if before is not None:  # every user of the program has its pairs in the same order, new ones at the end
        user = before.program.users_of(positions)
        positions = positions + (program.indptr[user] - before.program.indptr[user])
    engine = engine_for(program, threads)
    allocation = evaluate(engine, positions, x)
    dual = float(engine.visit(prices, smoothing_of(engine)).bound + program.conjugate(prices))
    by_pair = np.zeros(program.n_pairs if program.stream is None else 0)
    if program.stream is None:
        by_pair[positions] = x
    made = QuoteBase(
        problem, program, engine, readonly(prices), allocation, readonly(by_pair), float(solution.bound), dual,
        engine.sums(positions, x).activity, before is None,
    )  # fmt: skip
    if program.stream is None:
        weakref.finalize(made, engine.close)  # the engine does not refer to it
    else:
        engine.close()  # its sizes are known, and it holds memory that other readers of the files may need
    return made
