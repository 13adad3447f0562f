"""The size of scores: what a slot is worth without prices, or what functions pay where no pair has a value."""

from __future__ import annotations

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.engines.base import Engine
from oasis_alloc.program.program import Program
from oasis_alloc.solvers.settings import DUAL, DualSettings


def slots_of_one_size(program: Program) -> float:
    """Slots that can be filled where every user has the largest size, as without rules."""
    return float(np.minimum(np.diff(program.indptr), program.size).sum())


def typical_without_rules(engine: Engine, stride: int, rough_stride: int, settings: DualSettings) -> float:
    """The typical score of slates that only have sizes; with rules, of the rougher sample."""
    if engine.program.rules is None:
        return typical_score(engine, stride, settings)
    with engine.plain() as plain:
        return typical_score(plain, rough_stride, settings)


def typical_score(engine: Engine, stride: int, settings: DualSettings) -> float:
    """Mean value of a slot without prices; if no value is positive, the typical size of values."""
    program = engine.program
    size = engine.survey().size
    visit = engine.visit(np.zeros(program.n_rows), max(size, 1e-300), stride)
    slots = slots_of_one_size(program)
    return max(visit.bound / max(1.0, slots), size) or price_of_functions(program, visit.totals, settings)


def price_of_functions(program: Program, totals: Floats, settings: DualSettings | None = None) -> float:
    """Typical price that functions give a pair at some totals: the size of scores if all values are 0.

    1 without functions, or if it is about that size: a start needs only the order of magnitude.
    """
    ordinary = (DUAL.now if settings is None else settings).ordinary
    paid = [0.0]
    largest = {block.name: function.largest() for block, function in program.supports}
    for block in program.blocks:
        function, unit = block.function, program.row_scale[block.rows]
        if function.is_curved:
            prices = np.abs(function.price_at(totals[block.rows]))
        else:
            prices = largest.get(block.name, function.band()[2])
        known = (prices * unit)[np.isfinite(prices)]
        paid.append(float(known.mean()) if known.size else 0.0)
    typical = max(paid)
    return typical if typical > 0.0 and not 1.0 / ordinary <= typical <= ordinary else 1.0
