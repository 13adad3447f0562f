"""An end without a linear programme: the smoothed slates themselves as the allocation.

At the optimum of the smoothed dual the smoothed slates meet every demand, and together with their prices they are
`sum gamma/2 x (1 - x)` and a little away from the bound. Where that is within the gap asked for, Newton steps go on
until the demands are met to rounding, which takes a few, for they converge quadratically once the fractional pairs stay
the same (Qi and Sun, Math. Program. 58:353, 1993). Curved functions, rules of slates and many limits, which make the
linear programme of the finisher large, cost nothing here. Where there are only caps, what is too much is moved within
users (repair.py), and rough prices do. A gap of 1e-6 needs the finisher all the same: with next to no smoothing the
fractional pairs never stay the same.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from oasis_alloc.common.verdicts import FEASIBLE
from oasis_alloc.engines.base import Engine
from oasis_alloc.program.program import Program
from oasis_alloc.solvers.finisher import bound_at
from oasis_alloc.solvers.monitor import Watch
from oasis_alloc.solvers.newton import Point, SmoothedDual, minimize
from oasis_alloc.solvers.repair import only_caps, rebalance
from oasis_alloc.solvers.worth import worth

_EXACT = 0.05 * FEASIBLE  # residual at which demands are met
_MOVED = (0.3, 0.03)  # of the gap asked for: what moving may take, at first and where that was not enough
_MOVABLE = 0.25  # of the open pairs of a row
_DROPPED = 12.0  # times the smoothing that what cannot be moved is worth, where it is near to being dropped
_MOST_STEPS = 12
_FRACTIONAL_A_ROW = 20.0  # with fewer, which they are changes with every step
_SHARE = 0.7  # of the gap asked for that the smoothing may take
_LARGE = 50_000  # undecided pairs from which a linear programme takes longer than a few passes that are left


def missing(dual: SmoothedDual, watch: Watch, point: Point, undecided: int) -> float:
    """How many times the gap is larger than asked for, if the smoothed slates of a point met all demands.

    Infinite where the finisher is the better end: where its linear programme, of `undecided` pairs, is small and
    exact, without curves and rules, and where few pairs would be fractional for every price that can move.
    """
    program = dual.program
    # prices of support functions are next to the domain, and as far from the bound
    if (program.rules is None and not program.curved and undecided < _LARGE) or program.supports:
        return np.inf
    # what smoothing takes from slates at their own priced scores, whether or not these meet the demands yet
    visit = point.visit
    taken = max(0.0, visit.bound - (visit.value - float(program.prices(point.z) @ visit.totals)))
    times = float(taken) / float(watch.size_of(visit.value)) / (_SHARE * float(watch.target))
    moving = np.unique(program.row[~dual.held(point)]).size
    # as many as there will be: they go with the smoothing
    return times if point.visit.fractional >= _FRACTIONAL_A_ROW * moving * max(np.sqrt(times), 1.0) else np.inf


def land(engine: Engine, watch: Watch, dual: SmoothedDual, point: Point, scale: float) -> tuple[Point, bool]:
    """Go on until the demands are met and offer the slates; (the last point, True where the gap is reached).

    `scale` is the typical score. Without rules what is too much is moved to other pairs, for about gamma a unit.
    """
    program = engine.program
    watch.stage = "landing"
    may_move = program.rules is None and only_caps(engine)
    for part in _MOVED if may_move else (0.0,):
        if may_move:
            point = minimize(dual, point, 1, partial(_few, program, watch, part * watch.target, scale), _MOST_STEPS)
        else:
            point = minimize(dual, point, 1, _EXACT, _MOST_STEPS)
            if program.violation(point.visit.totals, program.kept_share * point.visit.activity) > FEASIBLE:
                break
        point = dual.here(point)  # so that thresholds are this point's
        prices = program.prices(point.z)
        positions, x = engine.slates(prices, point.gamma)
        if may_move:
            rebalance(engine, positions, x, point.visit.totals)
        watch.offer(worth(engine, positions, x))
        if not watch.reached and not may_move:
            bound_at(engine, watch, prices, scale)
        if watch.reached:
            break
    watch.stage = "passes"
    return point, watch.reached


def _few(program: Program, watch: Watch, gap: float, scale: float, point: Point) -> bool:
    """Whether moving what exceeds caps, and what they leave of their prices' worth, takes no more than a gap."""
    _, upper, penalty = program.bands()
    prices = program.prices(point.z)
    hard = ~np.isfinite(penalty)
    over = np.where(hard, np.maximum(point.visit.totals - upper, 0.0), 0.0)
    under = np.where(hard & (prices > 0.0), np.maximum(upper - point.visit.totals, 0.0), 0.0)
    open_ = _MOVABLE * point.visit.diagonal * point.gamma / program.unit
    moved = np.minimum(over + under, open_) / program.unit * point.gamma
    dropped = np.maximum(over - open_, 0.0) / program.unit * min(scale, _DROPPED * point.gamma)
    missed = np.maximum(under - open_, 0.0) * prices
    return float(np.sum(moved + dropped + missed)) <= gap * watch.size_of(point.visit.bound)
