"""When demands conflict: the least total relaxation, as a programme of its own.

With the values set to 0 and every hard constraint softened at one per unit, the optimum is minus the least total by
which the limits must give: it always exists. Its dual bound proves infeasibility (a Farkas
certificate: prices at which the demands cost more than any slates can supply), its allocation says who would have to
give how much, and the groups with a price are the ones in conflict. Weights say that a unit of one limit is dearer to
miss than a unit of another; whether there is a conflict at all is asked without them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from oasis_alloc.certificate import Conflict, conflicts_of
from oasis_alloc.engines.base import Engine
from oasis_alloc.functions.base import Floats
from oasis_alloc.program import Program, limit_size, relaxed, softened
from oasis_alloc.solvers.dual import optimise
from oasis_alloc.solvers.finisher import finish_rounds
from oasis_alloc.solvers.registry import Solver
from oasis_alloc.solvers.watch import FEASIBLE, Allocation, Stop, Watch

_ALL_AT_ONCE = 100_000  # pairs up to which the whole programme is solved in one go
_GAP = 1e-6
_DEAR = 1e3  # price of a missed unit, in largest values
_DEARER = 10.0  # the same, in what soft limits pay at most
_TILT = 1e-3  # value of a typical pair against one unit of relaxation, so that few pairs tie


@dataclass(frozen=True, eq=False)
class Relaxation:
    """The least total relaxation, bracketed, and who takes part in it; totals are weighted."""

    at_least: float  # proven: the limits must give this much together
    at_most: float  # reached by an allocation
    tolerance: float  # up to this a problem counts as feasible
    conflicts: tuple[Conflict, ...]
    totals: Floats
    prices: Floats  # of the relaxation, by row, in [-weight, weight]
    weights: Floats  # of a missed unit, by row, 1 or more
    positions: npt.NDArray[np.int64]
    x: Floats

    @property
    def proven(self) -> bool:
        """True where no allocation meets all constraints."""
        return self.at_least > self.tolerance


def least_relaxation(
    stated: Engine, engine_of: Callable[[Program], Engine], watch: Watch, weights: Floats | None = None
) -> Relaxation:
    """Solve the relaxation of the program of `stated`; `watch` lends its clock. `weights` are by row, 1 or more."""
    program = stated.program
    weights = np.ones(program.n_rows) if weights is None else weights
    at_once = program.n_pairs <= _ALL_AT_ONCE
    size = stated.survey().size
    tilt = 0.0 if at_once or size == 0.0 else _TILT / size
    free = relaxed(program, tilt, weights)
    with engine_of(free) as engine:
        own = Watch(_GAP, watch.seconds_left, None, None)
        own.stage = "conflicts"
        own.may_conflict = False
        try:
            if at_once:
                zero = np.zeros(free.n_rows)
                finish_rounds(engine, own, zero, np.full(free.n_rows, np.inf), 1.0)
            else:
                optimise(engine, own, None, 1.0)
        except Stop as stop:
            if own.best is None:
                raise stop from None
    best = own.best
    at_least = -own.bound if tilt == 0.0 else _without_values(program, engine_of, own.prices, weights)
    tolerance = FEASIBLE * max(
        (limit_size(b.function) for b in program.blocks if b.function.is_constraint), default=1.0
    )
    if best is None or own.prices is None:
        none = np.empty(0)
        return Relaxation(max(0.0, at_least), np.inf, tolerance, (), none, none, weights, none.astype(np.int64), none)
    missed = _missed(program, best.totals, weights)
    conflicts = conflicts_of(program, best.totals, own.prices, 1e-7, weights)
    return Relaxation(
        max(0.0, at_least), missed, tolerance, conflicts, best.totals, own.prices, weights, best.positions, best.x
    )


def _missed(program: Program, totals: Floats, weights: Floats) -> float:
    """Weighted total by which hard limits are missed."""
    return sum(float(weights[b.rows] @ b.function.excess(totals[b.rows])) for b in program.blocks)


@dataclass(frozen=True, eq=False)
class Relaxed:
    """The best allocation among those that relax the limits by the least total."""

    allocation: Allocation  # value and violation are of the problem as it was stated
    prices: Floats
    bound: float  # of every allocation that relaxes the limits by no more in total
    passes: float


def best_relaxed(
    stated: Engine, engine_of: Callable[[Program], Engine], watch: Watch, run: Solver, least: Relaxation
) -> Relaxed:
    """Solve with a missed unit at a price that no value and no soft limit pays, from the relaxation's own prices."""
    program = stated.program
    largest = stated.survey().largest or 1.0
    soft_ones = program.bands()[2] * program.unit  # what soft limits pay for a pair; infinite for hard ones
    paid = float(soft_ones[np.isfinite(soft_ones)].max(initial=0.0))
    penalty = max(_DEAR * largest, _DEARER * paid) / float(program.unit.min())
    soft = softened(program, penalty * least.weights)
    worth_of_it = float(stated.take(least.positions).value @ least.x)
    own = Watch(1.0, watch.seconds_left, None, None)
    # the gap that is asked for is one of values, not of penalties
    own.target = watch.target * max(1.0, abs(worth_of_it)) / max(1.0, penalty * least.at_most)
    own.may_conflict = False
    with engine_of(soft) as engine:
        try:
            run(engine, own, soft.variables(penalty * least.prices))
        except Stop:
            if own.best is None or own.prices is None:
                raise
        assert own.best is not None  # a soft problem always has an allocation
        assert own.prices is not None
        best, passes = own.best, engine.passes
    missed = _missed(program, best.totals, least.weights)
    answer = replace(best, value=best.value + penalty * missed, violation=program.violation(best.totals))
    # this allocation is one of those that are bounded, so a bound below its value is a rounding of the penalties
    return Relaxed(answer, own.prices, max(own.bound + penalty * missed, answer.value), passes)


def _without_values(
    program: Program, engine_of: Callable[[Program], Engine], prices: Floats | None, weights: Floats
) -> float:
    """What the limits must give at least, from the dual without any values at prices found with some."""
    if prices is None:
        return -np.inf
    free = relaxed(program, 0.0, weights)
    with engine_of(free) as engine:
        return float(-(engine.visit(prices, _GAP).bound + free.conjugate(prices)))
