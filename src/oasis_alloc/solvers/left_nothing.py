"""Limits of 0 that leave the objective nothing: every allocation that keeps them is worth what no slates are worth.

They keep pairs out of all slates (kept_out.py). No finite price does that where a function is infinitely steep at 0, as
`entropy` and `alpha_fair(offset=0)` are. The dual bound then comes near to the value and never reaches it, and a gap
relative to an objective of 0 stays open.
"""

from __future__ import annotations

import numpy as np

from oasis_alloc.engines.base import Engine
from oasis_alloc.solvers.kept_out import rows_of_nothing, sorted_pairs
from oasis_alloc.solvers.monitor import Monitor


def bound_of_nothing(engine: Engine, monitor: Monitor) -> None:
    """Offer the value without slates as a bound, where limits of 0 keep out all pairs that could change it.

    The prices stay those of the best bound so far.
    """
    program, prices = engine.program, monitor.prices
    if prices is None:
        return
    nothing = rows_of_nothing(engine)
    if not nothing.size:
        return
    counted = [block.rows for block in program.blocks if not block.function.is_constraint]
    paid = np.concatenate([np.empty(0, np.int64), *(np.arange(rows.start, rows.stop) for rows in counted)])
    worth = program.concave(np.zeros(program.n_rows))
    if not np.isfinite(worth):
        return  # a conflict: see domain.py
    pays = abs(program.arithmetic[paid])
    for some in sorted_pairs(engine, nothing):
        gains = (some.pairs.value > 0.0) | ((pays @ abs(some.columns)).sum(axis=0) > 0.0)
        if (gains & ~some.kept_out).any():
            return
    monitor.offer_bound(worth, prices)
