"""Limits of 0 that leave the objective nothing: every allocation that keeps them is worth what no slates are worth.

A cap of 0 on a total without negative contributions keeps every pair that counts in it out of all slates. No finite
price does that where a function is infinitely steep at 0, as `entropy` and `alpha_fair(offset=0)` are. The dual bound
then comes near to the value and never reaches it, and a gap relative to an objective of 0 stays open.
"""

from __future__ import annotations

import numpy as np

from oasis_alloc.engines.base import Engine
from oasis_alloc.solvers.monitor import Monitor

_PART = 1 << 20  # pairs looked up at a time


def bound_of_nothing(engine: Engine, monitor: Monitor) -> None:
    """Offer the value without slates as a bound, where limits of 0 keep out all pairs that could change it.

    The prices stay those of the best bound so far.
    """
    program, survey, prices = engine.program, engine.survey(), monitor.prices
    if program.stream is not None or prices is None:
        return
    _, upper, _ = program.bands()
    nothing = np.flatnonzero(program.hard & (upper <= 0.0) & (survey.min_totals >= 0.0))
    if not nothing.size:
        return
    counted = [block.rows for block in program.blocks if not block.function.is_constraint]
    paid = np.concatenate([np.empty(0, np.int64), *(np.arange(rows.start, rows.stop) for rows in counted)])
    worth = program.concave(np.zeros(program.n_rows))
    if not np.isfinite(worth):
        return  # a conflict: see domain.py
    forbids, pays = program.arithmetic[nothing], abs(program.arithmetic[paid])
    for start in range(0, program.n_pairs, _PART):
        pairs = engine.take(np.arange(start, min(start + _PART, program.n_pairs)))
        columns = program.columns_of(pairs)
        kept_out = (forbids @ columns).sum(axis=0) > 0.0
        gains = (pairs.value > 0.0) | ((pays @ abs(columns)).sum(axis=0) > 0.0)
        if (gains & ~kept_out).any():
            return
    monitor.offer_bound(worth, prices)
