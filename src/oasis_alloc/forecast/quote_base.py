"""What all quotes of one solution share: the problem as arrays, the plan by pair, and the bound of its prices."""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.csr import gather
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.common.verdicts import FEASIBLE
from oasis_alloc.engines import engine_for
from oasis_alloc.errors import ProblemError, SolverError
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

    @property
    def weighted(self) -> bool:
        """Whether pairs count by their users or slots."""
        return self.problem.supply is not None or self.program.origin is not None

    @property
    def unit_column(self) -> int:
        """Which of the program's columns counts impressions."""
        return len(self.program.base) - 1 if self.weighted else 0

    @cached_property
    def rows_of_cells(self) -> tuple[sp.csc_array, ...] | None:
        """What a unit in each cell adds to each row, by column; None where that is too much to keep."""
        program = self.program
        per_group = np.diff(sp.csc_array(program.arithmetic).indptr)
        entries = sum(int(np.diff(matrix.indptr) @ per_group) for matrix in program.base)
        if entries > _MOST_ENTRIES:
            return None
        return tuple(sp.csc_array(program.arithmetic @ matrix) for matrix in program.base)

    def adds(self, pairs: Ints) -> sp.csc_array | None:
        """What a slot of each pair adds to each row, (n_rows, n_pairs); None where that is too much."""
        by_cell, view = self.rows_of_cells, self.engine.take(pairs)
        if by_cell is None:
            return None
        out = by_cell[0][:, view.cells]
        for k in range(1, len(by_cell)):
            if by_cell[k].nnz:
                more = by_cell[k][:, view.cells]
                more.data *= np.repeat(view.extra(k - 1), np.diff(more.indptr))
                out = out + more
        return sp.csc_array(out)

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
        """The value of the plan with other probabilities of some pairs, all those of their users.

        None if limits would be missed, or that is too much to find out.
        """
        program, plan = self.program, self.allocation
        moved = np.flatnonzero(before != after)
        change = (after - before)[moved]
        adds = self.adds(pairs[moved])
        if adds is None:
            return None
        totals = plan.totals + adds @ change
        if program.hard.any():
            activity = program.kept_share * np.maximum(0.0, self.activity + abs(adds) @ change)
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
        origin = self.program.origin
        return self.problem.candidates.item if origin is None else self.problem.candidates.item[origin.pair]

    def users_of(self, users: Ints) -> Ints:
        """The candidates' users of users of the program, of which there are several per user with slot weights."""
        return users // max(1, self.program.n_users // max(1, self.problem.candidates.n_users))

    @property
    def sizes(self) -> Ints:
        """(n_users,) slots of each user of the program."""
        program = self.program
        if program.rules is None:
            return np.full(program.n_users, program.size, np.int64)
        return np.asarray(program.rules.size, np.int64)

    def units(self, pairs: Ints) -> Floats:
        """Impressions of a pair that is shown for sure."""
        return np.asarray(self.program.extra[-1, pairs], np.float64) if self.weighted else np.ones(pairs.size)

    def scores(self, pairs: Ints, users: Ints) -> Floats:
        """Priced scores of pairs, given with their users."""
        program = self.program
        tables = program.tables(self.prices)
        cell = program.code[pairs].astype(np.int64)
        if program.n_segments > 1:
            cell += program.segment[users].astype(np.int64) * program.n_classes
        out = program.value[pairs].astype(np.float64) - tables[0].ravel()[cell]
        for k in range(1, len(program.base)):
            out -= tables[k].ravel()[cell] * program.extra[k - 1, pairs]
        return np.asarray(out)

    @property
    def smoothing(self) -> float:
        """Smoothing of a visit that is made for its bound."""
        return smoothing_of(self.engine)


def smoothing_of(engine: Chunked) -> float:
    """Smoothing of a visit that is made for its bound."""
    return (_COARSE if engine.program.rules is None else _FINE) * (engine.survey().size or 1.0)


class Found(NamedTuple):
    """The pairs of the users that may be shown a campaign."""

    users: Ints  # of the program
    start: Ints  # (n_users + 1,) where their pairs are below
    pairs: Ints  # of the program
    owner: Ints  # (n_pairs,) user of each pair, of the program
    member: npt.NDArray[np.bool_]  # pairs of the campaign
    x: Floats  # the plan
    units: Floats  # (n_pairs,) impressions of each
    now: float  # impressions of the campaign in the plan


def find(base: QuoteBase, items: npt.NDArray[np.bool_], users: npt.NDArray[np.bool_] | None) -> Found:
    """Find a campaign's pairs, by its items and (None: all) users of the candidates."""
    program = base.program
    mine = base.pairs_of(items)
    owner = program.users_of(mine)
    if users is not None:
        mine = mine[users[base.users_of(owner)]]
        owner = program.users_of(mine)
    who = owner[np.flatnonzero(np.diff(owner, prepend=-1))]
    start, pairs = gather(program.indptr, who)
    member = np.zeros(pairs.size, np.bool_)
    member[np.searchsorted(pairs, mine)] = True
    x, units = base.x[pairs], base.units(pairs)
    now = float(x[member] @ units[member])
    return Found(who, start, pairs, np.repeat(who, np.diff(start)), member, x, units, now)


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
    if solution.problem.candidates.stream is not None:
        raise ProblemError(
            "quote: the candidates of this solution are in Parquet files, and a quote reads pairs in memory; solve the "
            "market of the quote, or a sample of its users, from arrays or frames."
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
        positions, x = kept.positions, kept.x
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
    by_pair = np.zeros(program.n_pairs)
    by_pair[positions] = x
    made = QuoteBase(
        problem, program, engine, readonly(prices), allocation, readonly(by_pair), float(solution.bound), dual,
        engine.sums(positions, x).activity, before is None,
    )  # fmt: skip
    weakref.finalize(made, engine.close)  # the engine does not refer to it
    return made
