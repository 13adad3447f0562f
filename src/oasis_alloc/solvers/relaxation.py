"""When constraints conflict: the least total relaxation, as a separate program.

With the values set to 0 and every hard constraint softened at one per unit, the optimum is minus the least total by
which the limits must be relaxed: it always exists. Its dual bound proves infeasibility (a Farkas certificate: prices at
which the limits require more than any slates can supply). Its allocation shows which limits must be relaxed by how
much, and the groups with a price are the ones in conflict. Weights make a missed unit of one limit cost more than of
another. Whether there is a conflict is decided without weights, and with every row scaled by a power of ten, so that no
weight and no unit can hide one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats
from oasis_alloc.common.verdicts import EPSILON, FEASIBLE, relative_gap
from oasis_alloc.engines.base import Engine, Survey
from oasis_alloc.program.program import Program
from oasis_alloc.program.variants import relaxed, softened
from oasis_alloc.solvers.conflicts import Conflict, conflicts_of
from oasis_alloc.solvers.dual import optimize
from oasis_alloc.solvers.evaluation import evaluate, mixed
from oasis_alloc.solvers.finer_bound import finer_bound
from oasis_alloc.solvers.finisher import Round, finish_rounds
from oasis_alloc.solvers.incumbent import Allocation
from oasis_alloc.solvers.least_total import LeastTotal
from oasis_alloc.solvers.monitor import Monitor, Status, Stop
from oasis_alloc.solvers.presolve import out_of_reach
from oasis_alloc.solvers.registry import Solver
from oasis_alloc.solvers.settings import DUAL
from oasis_alloc.solvers.ties import choose

_GAP, _FINE = 1e-6, 1e-9  # of the total; the finer one where the whole program is solved in one go
_ROUGH = 1e-4  # the same where it is not: whether limits conflict is told by far less
_NOISE = 1e-14  # of a unit: what totals are off by
_ROUNDING = 1e-10  # of the demands: a total relaxation below that counts as 0
_PENALTY = 10.0  # first price of a missed unit, in largest values: a high one costs digits of the bound
_ABOVE = 3.0  # the same, relative to the prices of soft limits and functions
_STEEPER = 30.0  # factor by which it is raised while functions still exceed it
_MOST_PENALTIES = 8
_CLEAR = 1e2  # multiple of the tolerance from which a conflict is far enough from rounding to break ties


@dataclass(frozen=True, eq=False)
class Relaxation:
    """Bounds of the least total relaxation, and the rows in it; totals are weighted, in units of rows."""

    at_least: float  # proven lower bound on the total relaxation, besides the unreachable parts
    tolerance: float  # up to this total a problem counts as feasible, at the prices of the proof
    certain: bool  # proven in another way: a limit that no total reaches, or half of the tolerance
    at_most: float  # reached by an allocation, including the unreachable parts
    conflicts: tuple[Conflict, ...]
    totals: Floats
    prices: Floats  # of the relaxation, by row, in [-weight, weight]
    told: Floats  # prices that decide which met limits are named; other prices prove the total as well
    weights: Floats  # of a missed unit of the total, by row
    positions: npt.NDArray[np.int64]
    x: Floats
    last: Round | None  # the whole program and its solution, if it was solved at once

    @property
    def proven(self) -> bool:
        """True if no allocation meets all constraints."""
        return self.certain or self.at_least > self.tolerance


def smallest_relaxation(
    stated: Engine,
    engine_of: Callable[[Program], Engine],
    monitor: Monitor,
    weights: Floats,
    loose: Floats | None = None,
) -> Relaxation:
    """Solve the relaxation of the program of `stated`; `monitor` provides the clock.

    `weights` are of a missed unit, by row; `loose`, by row, is the free relaxation of each limit.
    """
    program, survey = stated.program, stated.survey()
    loose = np.zeros(program.n_rows) if loose is None else loose
    at_once = program.n_pairs <= DUAL.now.whole_relaxation
    free = relaxed(program, weights, survey.min_totals, survey.max_totals, loose)
    with engine_of(free) as engine:
        rounding = _ROUNDING * abs(free.concave(np.zeros(free.n_rows)))
        own = LeastTotal(monitor, stated, _FINE if at_once else _ROUGH, rounding)
        last: Round | None = None
        try:
            if at_once:
                zero = np.zeros(free.n_rows)
                last = finish_rounds(engine, own, zero, np.full(free.n_rows, np.inf), 1.0)
            else:
                own.offer_bound(0.0, np.zeros(free.n_rows))  # nothing is missed: an allocation of that ends the search
                optimize(engine, own, None, 1.0)
        except Stop as stop:
            if not own.proven:  # amounts that are not the least would name conflicts that are not there
                raise stop from None
        best, prices = own.best, own.prices
    beyond = out_of_reach(program, survey)
    if best is None or prices is None:
        none = np.empty(0)
        return Relaxation(0.0, 0.0, beyond, np.inf, (), none, none, none, weights, none.astype(np.int64), none, None)
    at_least = -own.bound
    positions, x = best.nonzeros
    limits = _limits(program, best.totals)
    at_most, met = _missed(program, best.totals, weights), _met(program, limits, survey)
    if not at_once:  # less than what the total is known to says nothing
        met = np.maximum(met, _ROUGH * at_most / weights)
    return Relaxation(
        at_least=max(0.0, at_least),
        tolerance=(_GAP if loose.any() else 1.0) * _tolerance(program, prices, survey),
        certain=beyond,
        at_most=at_most,
        conflicts=conflicts_of(program, best.totals, prices, met, weights),
        totals=best.totals,
        prices=prices,
        told=prices,
        weights=weights,
        positions=positions,
        x=x,
        last=last if last is not None and last.part.pairs.size == program.n_pairs else None,
    )


def neutral(program: Program) -> Floats:
    """Weights of a missed unit for finding and naming conflicts: 1 for columns of ordinary size.

    For others the power of ten that makes a typical candidate count about 1, so that the named limits do not depend
    on whether a column is in thousands.
    """
    return np.asarray(10.0 ** -np.round(np.log10(program.row_scale)))


def decided(
    stated: Engine, engine_of: Callable[[Program], Engine], monitor: Monitor, smallest: Relaxation
) -> Relaxation:
    """The relaxation, or a second one if the first shows neither a conflict nor an allocation that keeps all limits.

    The least total may miss a small limit although a large one could be relaxed by as much within its tolerance. So
    every limit is relaxed by half of its tolerance at no cost, and further misses count relative to the limit.
    """
    if smallest.proven or not smallest.x.size or evaluate(stated, smallest.positions, smallest.x).feasible:
        return smallest
    program, own = stated.program, _limits(stated.program, smallest.totals)
    limit = np.maximum(own, 1e-3 * program.row_scale)
    free = 0.5 * FEASIBLE * np.where(mixed(stated), limit, own) * program.hard  # a limit of 0 is missed by any total
    loose = smallest_relaxation(stated, engine_of, monitor, 1.0 / limit, free)
    return replace(smallest, certain=True) if loose.proven else loose


def without_ties(stated: Engine, monitor: Monitor, smallest: Relaxation) -> Relaxation:
    """The relaxation of a proven conflict, chosen by `ties.py` if several have the least total.

    Verdict, proof and prices do not change. Programs that were not solved at once keep the relaxation that was found;
    so do conflicts near rounding, but for what rounding of `keep` gave.
    """
    if smallest.last is None:
        return smallest
    program, survey, last = stated.program, stated.survey(), smallest.last
    clear = not 0.0 < smallest.at_least <= _CLEAR * smallest.tolerance
    choice = choose(program, last.part, last.solution, smallest.weights, monitor.seconds_left, clear)
    if choice is None:
        return smallest
    best = evaluate(stated, choice.positions, choice.x)
    missed = _missed(program, best.totals, smallest.weights)
    binding = (choice.prices != 0.0) | (program.ratios(best.totals) > 0.0)  # others can be as large as they like
    size = float(_limits(program, best.totals)[binding] @ smallest.weights[binding])
    if missed > smallest.at_most + choice.more + _ROUNDING * max(smallest.at_most, size):
        return smallest  # the numbers differ so much in size that the choice is not accurate enough
    met = _met(program, _limits(program, best.totals), survey)
    return replace(
        smallest,
        at_most=missed,
        conflicts=conflicts_of(program, best.totals, choice.prices, met, smallest.weights),
        totals=best.totals,
        told=choice.prices,
        positions=best.positions,
        x=best.x,
        last=None,
    )


def _tolerance(program: Program, prices: Floats, survey: Survey) -> float:
    """The relaxation at these prices within which all limits count as kept.

    An allocation that keeps every limit up to FEASIBLE misses at most `sum_g |price_g| excess_g` at them. If all
    pairs of a row have the same sign, a total that misses its limit is no further from 0 than the limit; otherwise the
    sum of absolute contributions counts as well.
    """
    lower, upper, _ = program.bands()
    limit = np.abs(np.where(prices > 0.0, np.maximum(upper, survey.min_totals), np.minimum(lower, survey.max_totals)))
    both = (survey.min_totals < 0.0) & (survey.max_totals > 0.0)
    size = np.maximum(limit, np.where(both, np.maximum(-survey.min_totals, survey.max_totals), 0.0))
    priced = prices != 0.0
    return FEASIBLE * float(np.abs(prices[priced]) @ size[priced])


def _limits(program: Program, totals: Floats) -> Floats:
    """The size of each row's limit, on the side of its total."""
    lower, upper, _ = program.bands()
    limit = np.where(totals > upper, upper, np.where(totals < lower, lower, np.where(np.isfinite(upper), upper, lower)))
    return np.where(np.isfinite(limit), np.abs(limit), 0.0)


def _met(program: Program, limits: Floats, survey: Survey) -> Floats:
    """The miss up to which a row counts as met in reports of conflicts: a share of its limit, and rounding.

    A limit of 0 is kept to a share of what a typical pair adds.
    """
    rounding = np.where((survey.min_totals != 0.0) | (survey.max_totals != 0.0), _NOISE * program.row_scale, 0.0)
    return np.maximum(1e-3 * FEASIBLE * np.where(limits > 0.0, limits, program.row_scale), rounding)


def _missed(program: Program, totals: Floats, weights: Floats) -> float:
    """Weighted total by which hard limits are missed."""
    return sum(float(weights[b.rows] @ b.function.excess(totals[b.rows])) for b in program.blocks)


@dataclass(frozen=True, eq=False)
class Relaxed:
    """The best allocation among those that relax the limits by the least total."""

    allocation: Allocation  # value and violation are of the original problem
    prices: Floats
    bound: float  # of every allocation that relaxes the limits by no more in total
    passes: float
    status: Status  # RELAXED, or why it is not proven
    conflicts: tuple[Conflict, ...]
    rounding: float  # of the bound, after subtracting the penalties


@dataclass(frozen=True, eq=False)
class _Penalized:
    """The answer at one penalty."""

    allocation: Allocation  # value and violation are of the original problem
    missed: float  # weighted total by which it misses limits that could be kept
    prices: Floats
    bound: float  # of values minus penalties
    penalty: float

    def bound_at(self, missed: float) -> float:
        """A bound of the values of all allocations that relax the limits by at most this in total."""
        return self.bound + self.penalty * missed

    @property
    def rounding(self) -> float:
        """Rounding of that bound."""
        return 10.0 * EPSILON * self.penalty * self.missed

    def gap(self, monitor: Monitor) -> float:
        """The gap of values alone."""
        best, rounding = self.allocation, monitor.rounding_of(self.allocation)
        return relative_gap(self.bound_at(self.missed), best.value, best.size, max(rounding, self.rounding))


def best_relaxed(
    stated: Engine,
    engine_of: Callable[[Program], Engine],
    monitor: Monitor,
    run: Solver,
    smallest: Relaxation,
    again: Callable[[Engine, Monitor], None] | None = None,
) -> Relaxed:
    """The best value at the least total, from the relaxation's own prices; `again` is used if the gap stays open.

    A missed unit has a penalty that is raised until no function exceeds it: the total relaxation of the answer is
    compared with the least one, which is proven, so steep functions do not matter. The penalty and the gap of values
    minus penalties are first sized at the relaxation's own allocation, where a function may be far larger and steeper
    than at the answer. If that leaves the gap of values open, the next round sizes both at the answer.
    """
    program = stated.program
    at_most = _avoidable(stated, smallest.totals, smallest.weights)
    size = max(float(_limits(program, smallest.totals) @ smallest.weights), 1.0)
    enough = at_most + _GAP * max(at_most, FEASIBLE * size)
    penalty = _first_penalty(stated, smallest.totals, smallest.weights)
    start = penalty * smallest.prices
    worth = abs(stated.add_up(smallest.positions, smallest.x)[0]) + program.concave_size(smallest.totals)
    worth = max(worth, monitor.scale)
    found: list[_Penalized] = []
    passes, status = 0.0, Status.STALLED
    for _ in range(_MOST_PENALTIES):
        target = _target(monitor, worth, penalty * at_most)
        own = monitor.within(target, "passes", monitor.rounding, monitor.scale)
        soft = softened(program, penalty * smallest.weights, stated.survey().min_totals, stated.survey().max_totals)
        with engine_of(soft) as engine:
            stopped = _run(run, engine, own, soft.variables(start), again)
            passes += engine.passes
        if own.best is None or own.prices is None:  # stopped before it had an answer
            status = stopped or status
            break
        answer = evaluate(stated, *own.best.nonzeros)
        missed = _avoidable(stated, answer.totals, smallest.weights)
        last = _Penalized(answer, missed, own.prices, own.bound, penalty)
        found.append(last)
        if missed > enough:
            penalty *= _STEEPER
            start = penalty * smallest.prices
        else:
            status = Status.RELAXED
            worth = max(abs(answer.value), answer.size)
            fits = min(penalty, _first_penalty(stated, answer.totals, smallest.weights))
            same = fits > 0.5 * penalty and _target(monitor, worth, fits * at_most) > 0.5 * target
            if same or last.gap(monitor) <= monitor.target:
                break
            penalty, start = fits, last.prices
        if stopped is not None:
            break
    if not found:
        raise Stop(status)
    return _best_of(stated, monitor, smallest, found, passes, status if stopped is None else stopped, enough)


def _run(
    run: Solver, engine: Engine, own: Monitor, start: Floats, again: Callable[[Engine, Monitor], None] | None
) -> Status | None:
    """Maximize values minus penalties; why the solver was stopped, if it was."""
    try:
        run(engine, own, start)
    except Stop as stop:
        return stop.status
    if not own.reached:
        finer_bound(engine, own)
    if not own.reached and again is not None:
        again(engine, own)
    return None


def _best_of(
    stated: Engine, monitor: Monitor, smallest: Relaxation, found: list[_Penalized], passes: float, status: Status,
    enough: float,
) -> Relaxed:  # fmt: skip
    """The answer with the smallest gap among those of the least total; the best bound of all at its total."""
    program = stated.program
    least = [one for one in found if one.missed <= enough]
    if least:
        best = min(least, key=lambda one: one.gap(monitor)).allocation
    else:  # ended early: return the allocation with the least total, whatever its value
        best = evaluate(stated, smallest.positions, smallest.x)
    missed = _avoidable(stated, best.totals, smallest.weights)
    tightest = min(found, key=lambda one: one.bound_at(missed))
    bound = tightest.bound_at(missed)
    if monitor.free is not None:
        bound = min(bound, monitor.free)
    met = _met(program, _limits(program, best.totals), stated.survey())
    told = conflicts_of(program, best.totals, smallest.told, met, smallest.weights)
    # the bound covers this allocation, so a bound below its value is rounding of the penalties
    rounding = 10.0 * EPSILON * tightest.penalty * missed
    return Relaxed(best, tightest.prices, max(bound, best.value), passes, status, told, rounding)


def _avoidable(stated: Engine, totals: Floats, weights: Floats) -> float:
    """Weighted total by which limits are missed that could be kept."""
    program, survey = stated.program, stated.survey()
    lower, upper, _ = program.bands()
    miss = np.maximum(totals - np.maximum(upper, survey.min_totals), np.minimum(lower, survey.max_totals) - totals)
    return float(np.maximum(miss, 0.0)[program.hard] @ weights[program.hard])


def _target(monitor: Monitor, worth: float, penalized: float) -> float:
    """The gap of values minus penalties that leaves values of this size with the requested gap."""
    return monitor.target * min(1.0, max(worth / max(penalized, 1e-300), EPSILON))


def _first_penalty(stated: Engine, totals: Floats, weights: Floats) -> float:
    """First penalty of a missed unit: above the prices of values, soft limits and functions at these totals."""
    program = stated.program
    largest = stated.survey().largest
    soft = program.bands()[2] * program.row_scale  # price of a pair in soft limits; infinite for hard ones
    paid = float(soft[np.isfinite(soft)].max(initial=0.0))
    for block in program.curved:
        slope = np.abs(block.function.price_at(totals[block.rows])) * program.row_scale[block.rows]
        paid = max(paid, float(slope[np.isfinite(slope)].max(initial=0.0)))
    for block, function in program.supports:
        paid = max(paid, float((function.largest() * program.row_scale[block.rows]).max(initial=0.0)))
    cheapest = float((weights * program.row_scale).min(initial=np.inf))
    return (max(_PENALTY * largest, _ABOVE * paid) or 1.0) / (cheapest if np.isfinite(cheapest) else 1.0)
