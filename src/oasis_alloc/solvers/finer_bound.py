"""A bound of less smoothing, where the parts of an objective cancel and what smoothing loses is all that is left.

The bound of a visit is too large by up to about its smoothing per slot. That is a small share of the scores, and of the
gap that was requested, unless scores of both signs add up to nearly nothing: then it is the whole gap.

Prices have roundings too. Where limits are a trillionth of what slates could add to them, a price may be a trillion
scores, and its rounding alone brings pairs into slates. Prices that are larger by some roundings cost a rounding of
what the limits cost, and keep these pairs out.
"""

from __future__ import annotations

import numpy as np

from oasis_alloc.engines.base import Engine
from oasis_alloc.solvers.monitor import Monitor

_ROUNDINGS = (1e-16, 1e-15, 1e-14, 1e-13)  # of prices
_SMOOTHINGS = (1e-9, 1e-11, 1e-13, 1e-15)  # in typical scores; the last one is the rounding of scores


def finer_bound(engine: Engine, monitor: Monitor) -> None:
    """Offer the bounds at the best prices with less and less smoothing, then at larger prices, until it is proven."""
    program, prices, best = engine.program, monitor.prices, monitor.best
    if prices is None or best is None or not best.feasible or program.n_pairs == 0:
        return
    for smoothing in _SMOOTHINGS:
        if monitor.reached:
            return
        visit = engine.visit(prices, smoothing * (engine.survey().size or 1.0))
        monitor.offer_bound(visit.bound + program.conjugate(prices), prices)
        monitor.check_limits(engine.passes)
    for rounding in _ROUNDINGS:
        if monitor.reached:
            return
        above = program.admit(prices + rounding * np.abs(prices))
        if not np.array_equal(above, prices):
            visit = engine.visit(above, _SMOOTHINGS[-1] * (engine.survey().size or 1.0))
            monitor.offer_bound(visit.bound + program.conjugate(above), above)
            monitor.check_limits(engine.passes)
