"""The cost of a campaign proven on both sides, from a solve of its users alone or, if that is not enough, of all.

0. If exchanges and the bound at the prices of the plan are as close as asked, nothing is solved (`quoting.py`).
1. The users that may be shown the campaign are solved again; all others keep their slates. The allocation is one of the
   whole problem, so its value proves the most that the campaign costs.
2. The bound at the prices of the plan says what the campaign costs at least. If the two are further apart than asked,
   one visit to all users at the prices of the small solve, and two to the campaign's users, give another bound.
3. If that is not enough, the whole problem is solved from there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.engines import engine_for
from oasis_alloc.engines.base import Engine
from oasis_alloc.forecast.campaign_program import beside_others, of_users, with_row
from oasis_alloc.forecast.quote_base import Found, QuoteBase
from oasis_alloc.program.program import Program
from oasis_alloc.solvers.kept import Kept, WarmStart, matched, places
from oasis_alloc.solvers.monitor import Monitor
from oasis_alloc.solvers.registry import solver_named
from oasis_alloc.solvers.resume import Checkpointer
from oasis_alloc.solvers.stages import Task, carry_out, prepare

_PART = 0.25  # of the gap that is asked, for the solve of the campaign's users
_MOST, _LEAST = 1e-2, 1e-9  # gaps that it is given


@dataclass(frozen=True, eq=False)
class Proof:
    """What is known of the problem with the campaign: value <= optimum <= bound, over all pairs."""

    value: float  # minus infinity without an allocation
    bound: float  # minus infinity where no allocation delivers the campaign
    pairs: Ints  # whose probability changes
    change: Floats  # by how much
    campaign: Floats  # the probabilities of the campaign's pairs; 1 without an allocation
    prices: Floats  # by row, the campaign's own last
    passes: float


@dataclass(frozen=True, eq=False)
class Solved:
    """The end of a solve of a program."""

    value: float
    bound: float
    positions: Ints
    x: Floats
    prices: Floats
    passes: float
    infeasible: bool


class Asked(NamedTuple):
    """What is to be proven, and what is known of it."""

    floor: float  # impressions in all
    price: float  # of the next one, an estimate
    bound: float  # of the value with the campaign, proven


def solve_program(program: Program, gap: float, warm: WarmStart | None, threads: int | None) -> Solved:
    """Solve a program as `oa.solve` does."""
    with engine_for(program, threads) as engine:
        monitor = Monitor(gap)
        trivially = prepare(engine, monitor)
        checkpointer = Checkpointer.of(None, 30.0, None, "dual", False)

        def engine_of(some: Program) -> Engine:
            return engine_for(some, threads)

        solver = solver_named("dual")
        task = Task(engine, engine_of, monitor, checkpointer, "dual", solver, None, warm, False)
        outcome = carry_out(task, trivially)
        best, prices = monitor.best, monitor.prices
        if outcome.conflict is not None or best is None or prices is None or not best.feasible:
            none = np.empty(0, np.int64)
            bound = -np.inf if outcome.conflict is not None else float(monitor.bound)
            known = np.zeros(program.n_rows) if prices is None else prices
            is_infeasible = outcome.conflict is not None
            return Solved(-np.inf, bound, none, np.empty(0), known, engine.passes, is_infeasible)
        return Solved(best.value, float(monitor.bound), best.positions, best.x, prices, engine.passes, False)


def width_of(base: QuoteBase, gap: float) -> float:
    """What value and bound of a problem with a campaign may differ by: no answer is closer than the plan is."""
    return gap * _size(base) + max(0.0, base.dual - base.allocation.value)


def _size(base: QuoteBase) -> float:
    return max(abs(base.allocation.value), base.allocation.size, 1e-300)


def prove(base: QuoteBase, found: Found, asked: Asked, gap: float, kept: Kept | None, threads: int | None) -> Proof:
    """Prove what a campaign costs, from the plan and what its prices say."""
    width = width_of(base, gap)
    local, small = _locally(base, found, asked, gap * _size(base), kept, threads)
    if local.bound - local.value > width:
        bound, passes = bound_with(base, found, asked.floor, local.prices, small, threads)
        local = replace(local, bound=min(local.bound, bound), passes=local.passes + passes)
    if local.bound - local.value <= width:
        return local
    whole = np.zeros(base.program.n_pairs, np.bool_)
    whole[found.mine] = True
    program = with_row(base.program, whole, base.unit_column, asked.floor)
    start = None
    if np.isfinite(local.value):
        x = np.array(base.x)
        x[local.pairs] += local.change
        start = np.flatnonzero(x), x[x != 0.0]
    prices = np.append(base.prices, local.prices[-1])
    solved = solve_program(program, gap, _warm(base, prices, kept, start), threads)
    passes = local.passes + solved.passes
    if solved.infeasible:
        return replace(local, bound=-np.inf, passes=passes)
    bound = min(solved.bound, local.bound)
    if solved.value < local.value or not np.isfinite(solved.value):
        return replace(local, bound=bound, passes=passes)
    x = np.zeros(base.program.n_pairs)
    x[solved.positions] = solved.x
    change = x - base.x
    at = np.flatnonzero(change)
    return Proof(solved.value, bound, at, change[at], x[found.mine], solved.prices, passes)


def _warm(
    base: QuoteBase, prices: Floats, kept: Kept | None, allocation: tuple[Ints, Floats] | None
) -> WarmStart:  # fmt: skip
    """A start with prices of all rows and of the campaign's."""
    known = np.ones(prices.size, np.bool_)
    if kept is None or kept.smoothed is None:
        return WarmStart(prices, known)
    labels = {block.name: block.labels for block in base.program.blocks}
    earlier = {name: array for name, array in kept.smoothed.items() if name in labels}
    same = {name: array for name, array in earlier.items() if array.size == len(labels[name])}
    smoothed, _ = matched(base.program, places(base.program, {name: labels[name] for name in same}), same)
    smoothed = np.append(smoothed, prices[-1])
    return WarmStart(prices, known, smoothed, kept.gamma, kept.recovered, kept.typical, allocation, kept.violation)


def _locally(
    base: QuoteBase, found: Found, asked: Asked, width: float, kept: Kept | None, threads: int | None
) -> tuple[Proof, Program]:
    """(what a solve of the campaign's users alone gives, its program); the bound is the one that was known."""
    ours = of_users(base.program, found)
    shown = np.flatnonzero(found.x > 0.0)
    own_at, own_x = ours.at[shown], found.x[shown]
    with engine_for(ours.program, threads) as engine:
        own = engine.sums(own_at, own_x)
    others = base.allocation.totals - own.totals
    small = beside_others(ours.program, others, own.totals)
    small = with_row(small, ours.member, base.unit_column, asked.floor)
    scale = max(abs(own.value), width)
    gap = float(np.clip(_PART * width / scale, _LEAST, _MOST))
    prices = np.append(base.prices, -asked.price)
    solved = solve_program(small, gap, _warm(base, prices, kept, (own_at, own_x)), threads)
    passes = solved.passes * found.users.size / max(1, base.program.n_users)
    if not solved.infeasible:
        prices = solved.prices
    plan = np.zeros(ours.pairs.size)
    plan[own_at] = own_x
    value, x = -np.inf, plan
    if np.isfinite(solved.value):
        x = np.zeros(plan.size)
        x[solved.positions] = solved.x
        known = base.changed_value(ours.pairs, plan, x)
        value = -np.inf if known is None else known
    campaign = x[ours.member] if np.isfinite(value) else np.ones(found.mine.size)
    moved = np.flatnonzero(x != plan)
    return Proof(value, asked.bound, ours.pairs[moved], (x - plan)[moved], campaign, prices, passes), small


def bound_with(
    base: QuoteBase,
    found: Found,
    floor: float,
    prices: Floats,
    small: Program,
    threads: int | None,
) -> tuple[float, float]:
    """(the bound on allocations with the campaign at prices by row, its own last; passes).

    `small` has the campaign's users alone.
    """
    ours, own = base.program.admit(prices[:-1]), max(0.0, -float(prices[-1]))
    gamma = base.smoothing
    if base.program.rules is None:
        visited = float(base.engine.visit(ours, gamma).bound + base.program.conjugate(ours))
    else:
        with engine_for(base.program, threads) as engine:  # under rules, from the beginning as below: the same roots
            visited = float(engine.visit(ours, gamma).bound + base.program.conjugate(ours))
    with engine_for(small, threads) as engine:
        without = engine.visit(np.append(ours, 0.0), gamma).bound
        gain = engine.visit(np.append(ours, -own), gamma).bound - without
    passes = 1.0 + 2.0 * found.users.size / max(1, base.program.n_users)
    return visited + max(0.0, float(gain)) - own * floor, passes
