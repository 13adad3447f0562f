"""Feasible allocations without a solver: the best slates at given prices, scaled until all caps hold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.engines.base import Engine
from oasis_alloc.functions.base import Floats

_EXACT = 1e-6  # smoothing, in typical values, of slates that are not scaled


def scaled(engine: Engine, prices: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    """Everyone's best slate at these prices, each pair scaled down by the worst overrun of the caps it counts in.

    Keeps every cap on a measure with non-negative coefficients; floors may be missed, and the violation says so.
    Where slates have to hold something (a guard, slots that must be filled), they are left as they are, and caps may be
    missed too.

    Returns
    -------
    (positions, x)
        Non-zeros of the allocation, pair numbers ascending.
    """
    program = engine.program
    if program.rules is not None and program.rules.holds_back:
        gamma = _EXACT * (engine.survey().size or 1.0)
        engine.visit(prices, gamma)
        return engine.slates(prices, gamma)
    decision = engine.decide(prices, np.zeros(program.n_rows))
    positions = decision.shown
    _, totals = engine.add_up(positions, np.ones(positions.size))
    _, upper, penalty = program.bands()
    hard = ~np.isfinite(penalty) & (totals > np.maximum(upper, 0.0))  # no scaling brings a total below 0
    excess = np.zeros(program.n_rows)  # 1 - factor, so that "widest" is the smallest factor
    excess[hard] = 1.0 - np.maximum(upper[hard], 0.0) / totals[hard]
    factor = 1.0 - program.widest(excess).ravel()[engine.take(positions).cells]
    keep = factor > 0.0
    return positions[keep], factor[keep]
