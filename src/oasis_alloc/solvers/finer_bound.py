"""A bound of less smoothing, where the parts of an objective cancel and what smoothing loses is all that is left.

The bound of a visit is too large by up to about its smoothing per slot. That is a small share of the scores, and of the
gap that was requested, unless scores of both signs add up to nearly nothing: then it is the whole gap.
"""

from __future__ import annotations

from oasis_alloc.engines.base import Engine
from oasis_alloc.solvers.monitor import Monitor

_SMOOTHINGS = (1e-9, 1e-11, 1e-13, 1e-15)  # in typical scores; the last one is the rounding of scores


def finer_bound(engine: Engine, monitor: Monitor) -> None:
    """Offer the bounds at the best prices with less and less smoothing, until the gap is proven."""
    program, prices, best = engine.program, monitor.prices, monitor.best
    if prices is None or best is None or not best.feasible or program.n_pairs == 0:
        return
    for smoothing in _SMOOTHINGS:
        if monitor.proven:
            return
        visit = engine.visit(prices, smoothing * (engine.survey().size or 1.0))
        monitor.offer_bound(visit.bound + program.conjugate(prices), prices)
        monitor.check_limits(engine.passes)
