"""An end without a linear program: the smoothed slates themselves as the allocation.

At the optimum of the smoothed dual the smoothed slates meet every demand, and together with their prices they are
`sum gamma/2 x (1 - x)` and a little away from the bound. Where that is within the gap asked for, Newton steps go on
until the demands are met to rounding, which takes a few, for they converge quadratically once the fractional pairs stay
the same (Qi and Sun, Math. Program. 58:353, 1993). Curved functions, rules of slates and many limits, which make the
linear program of the finisher large, cost nothing here. Where there are only caps, what is too much is moved within
users (repair.py), and rough prices do. A gap of 1e-6 needs the finisher all the same: with next to no smoothing the
fractional pairs never stay the same.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from oasis_alloc.common.verdicts import FEASIBLE
from oasis_alloc.engines.base import Engine
from oasis_alloc.program.program import Program
from oasis_alloc.solvers.evaluation import evaluate
from oasis_alloc.solvers.finisher import bound_at
from oasis_alloc.solvers.monitor import Monitor
from oasis_alloc.solvers.newton import Point, SmoothedDual, minimize
from oasis_alloc.solvers.repair import only_caps, rebalance
from oasis_alloc.solvers.settings import DualSettings


def gap_ratio(dual: SmoothedDual, monitor: Monitor, point: Point, undecided: int) -> float:
    """How many times the gap is larger than asked for, if the smoothed slates of a point met all demands.

    Infinite where the finisher is the better end: where its linear program, of `undecided` pairs, is small and
    exact, without curves and rules, and where few pairs would be fractional for every price that can move.
    """
    program, settings = dual.program, dual.settings
    # prices of support functions are next to the domain, and as far from the bound
    if (program.rules is None and not program.curved and undecided < settings.large) or program.supports:
        return np.inf
    # what smoothing takes from slates at their own priced scores, whether or not these meet the demands yet
    visit = point.visit
    taken = max(0.0, visit.bound - (visit.value - float(program.prices(point.z) @ visit.totals)))
    times = float(taken) / float(monitor.size_of(visit.value)) / (settings.smoothing_share * float(monitor.target))
    moving = np.unique(program.row[~dual.at_bound(point)]).size
    # as many as there will be: they go with the smoothing
    enough = settings.fractional_per_row * moving * max(np.sqrt(times), 1.0)
    return times if point.visit.fractional >= enough else np.inf


def recover_primal(
    engine: Engine, monitor: Monitor, dual: SmoothedDual, point: Point, scale: float
) -> tuple[Point, bool]:
    """Go on until the demands are met and offer the slates; (the last point, True where the gap is reached).

    `scale` is the typical score. Without rules what is too much is moved to other pairs, for about gamma a unit.
    """
    program, settings = engine.program, dual.settings
    monitor.enter("recovery")
    may_move = program.rules is None and only_caps(engine)
    for part in settings.moved if may_move else (0.0,):
        if may_move:
            few = partial(_few, program, monitor, settings, part * monitor.target, scale)
            point = minimize(dual, point, 1, few, settings.recovery_steps)
        else:
            point = minimize(dual, point, 1, settings.exact * FEASIBLE, settings.recovery_steps)
            if program.violation(point.visit.totals, program.kept_share * point.visit.activity) > FEASIBLE:
                break
        point = dual.here(point)  # its slates are wanted
        prices = program.prices(point.z)
        positions, x = point.visit.slates()
        if may_move:
            rebalance(engine, positions, x, point.visit.totals)
        monitor.offer(evaluate(engine, positions, x))
        if not monitor.reached and not may_move:
            bound_at(engine, monitor, prices, scale, settings)
        if monitor.reached:
            break
    monitor.enter("passes")
    return point, monitor.reached


def _few(
    program: Program, monitor: Monitor, settings: DualSettings, gap: float, scale: float, point: Point
) -> bool:
    """Whether moving what exceeds caps, and what they leave of their prices' worth, takes no more than a gap."""
    _, upper, penalty = program.bands()
    prices = program.prices(point.z)
    hard = ~np.isfinite(penalty)
    over = np.where(hard, np.maximum(point.visit.totals - upper, 0.0), 0.0)
    under = np.where(hard & (prices > 0.0), np.maximum(upper - point.visit.totals, 0.0), 0.0)
    open_ = settings.movable * point.visit.diagonal * point.gamma / program.row_scale
    moved = np.minimum(over + under, open_) / program.row_scale * point.gamma
    dropped = np.maximum(over - open_, 0.0) / program.row_scale * min(scale, settings.dropped * point.gamma)
    missed = np.maximum(under - open_, 0.0) * prices
    return float(np.sum(moved + dropped + missed)) <= gap * monitor.size_of(point.visit.bound)
