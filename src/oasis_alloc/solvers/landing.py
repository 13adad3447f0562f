"""An end without a linear programme: the smoothed slates themselves as the allocation.

At the optimum of the smoothed dual the smoothed slates meet every demand, and together with their prices they are
`sum gamma/2 x (1 - x)` and a little away from the bound. Where that is within the gap asked for, Newton steps go on
until the demands are met to rounding, which takes a few, for they converge quadratically once the fractional pairs stay
the same (Qi and Sun, Math. Program. 58:353, 1993). Curved functions and rules of slates, which make the linear
programme of the finisher large, cost nothing here. A gap of 1e-6 needs the finisher all the same: with next to no
smoothing the fractional pairs never stay the same.
"""

from __future__ import annotations

import numpy as np

from oasis_alloc.engines.base import Engine
from oasis_alloc.solvers.finisher import bound_at, worth
from oasis_alloc.solvers.newton import Point, SmoothedDual, minimise
from oasis_alloc.solvers.watch import FEASIBLE, Watch, relative_gap

_EXACT = 0.05 * FEASIBLE  # residual at which demands are met
_MOST_STEPS = 12
_FRACTIONAL_A_ROW = 30.0  # with fewer, which they are changes with every step
_SHARE = 0.7  # of the gap asked for that the smoothing may take


def missing(dual: SmoothedDual, watch: Watch, point: Point) -> float:
    """How many times the gap is larger than asked for, if the smoothed slates of a point met all demands.

    Infinite where the finisher is the better end: for problems without curves and rules, whose linear programme is
    small and exact, and where few pairs would be fractional for every price that can move.
    """
    program = dual.program
    # prices of support functions are next to the domain, and as far from the bound
    if (program.rules is None and not program.curved) or program.supports:
        return np.inf
    value = point.visit.value + program.concave(point.visit.totals)
    times = relative_gap(watch.bound, value) / (_SHARE * watch.target)
    moving = np.unique(program.row[~dual.held(point)]).size
    return times if point.visit.fractional >= _FRACTIONAL_A_ROW * moving * max(times, 1.0) else np.inf


def land(engine: Engine, watch: Watch, dual: SmoothedDual, point: Point, scale: float) -> tuple[Point, bool]:
    """Go on until the demands are met and offer the slates; (the last point, True where the gap is reached)."""
    program = engine.program
    watch.stage = "landing"
    point = minimise(dual, point, 1, _EXACT, _MOST_STEPS)
    if program.violation(point.visit.totals) > FEASIBLE:
        watch.stage = "passes"
        return point, False
    point = dual.here(point)  # so that thresholds are this point's
    prices = program.prices(point.z)
    watch.offer(worth(engine, *engine.slates(prices, point.gamma)))
    if not watch.reached:
        bound_at(engine, watch, prices, scale)
    watch.stage = "passes"
    return point, watch.reached
