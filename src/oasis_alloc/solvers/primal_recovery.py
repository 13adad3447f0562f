"""An end without a linear program: the smoothed slates themselves as the allocation.

At the optimum of the smoothed dual, the smoothed slates meet every limit, and their value is about
`sum gamma/2 x (1 - x)` below the bound. If that is within the requested gap, Newton steps continue until the limits are
met to rounding. This takes a few steps, because they converge quadratically once the set of fractional pairs is fixed
(Qi and Sun, Math. Program. 58:353, 1993). Curved functions, rules of slates and many limits, which make the linear
program of the finisher large, cost nothing here. If there are only caps, the excess is moved within users (repair.py),
and rough prices are enough. A gap of 1e-6 still needs the finisher: with very small smoothing the set of fractional
pairs keeps changing with every step.
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
    """The gap divided by the requested gap, if the smoothed slates of a point met all limits.

    Infinite if the finisher is better: if its linear program, of `undecided` pairs, is small and exact, without curves
    and rules, and if few pairs would be fractional for every price that can move.
    """
    program, settings = dual.program, dual.settings
    # prices of support functions are near the domain, which affects the bound
    if (program.rules is None and not program.curved and undecided < settings.large) or program.supports:
        return np.inf
    # the loss from smoothing at the priced scores, whether or not the slates meet the limits yet
    visit = point.visit
    taken = max(0.0, visit.bound - (visit.value - float(program.prices(point.z) @ visit.totals)))
    times = float(taken) / float(monitor.size_of(visit.value)) / (settings.smoothing_share * float(monitor.target))
    moving = np.unique(program.row[~dual.at_bound(point)]).size
    # the final number: it is proportional to the smoothing
    enough = settings.fractional_per_row * moving * max(np.sqrt(times), 1.0)
    return times if point.visit.fractional >= enough else np.inf


def recover_primal(
    engine: Engine, monitor: Monitor, dual: SmoothedDual, point: Point, scale: float
) -> tuple[Point, bool]:
    """Continue until the limits are met and offer the slates; (the last point, True if the gap is reached).

    `scale` is the typical score. Without rules, the excess is moved to other pairs, at about gamma per unit.
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
        point = dual.here(point)  # its slates are needed
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


def _few(program: Program, monitor: Monitor, settings: DualSettings, gap: float, scale: float, point: Point) -> bool:
    """Whether moving the excess over caps, and the unused part of priced caps, costs no more than the gap."""
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
