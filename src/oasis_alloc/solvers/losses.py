"""What a point of the smoothed dual loses: how far the objective of its slates is below the bound at its prices."""

from __future__ import annotations

from oasis_alloc.common.types import Floats
from oasis_alloc.engines.base import Visit
from oasis_alloc.program.program import Program


def lost_by_smoothing(program: Program, visit: Visit) -> float:
    """What smoothing takes from slates at their own priced scores, whether or not these meet the demands yet.

    A slate `y` of rules is worth no more than `s x + gamma/2 (|y|^2 - |x|^2)`, for the smoothed slate x is the best one
    of the smoothed problem, and `|y|^2` is at most the slots. With a guard that says less than the bound does, which is
    the dual value at the smoothed prices of guards.
    """
    priced = visit.value - float(visit.prices @ visit.totals)
    most = 0.5 * visit.gamma * program.n_slots - (priced - visit.smoothed)
    return max(0.0, min(visit.bound - priced, most))


def lost_by_supports(program: Program, prices: Floats, totals: Floats) -> float:
    """What support functions lose at these totals: at these prices they would have other ones."""
    lost = 0.0
    for block, function in program.supports:
        own, there = prices[block.rows], totals[block.rows]
        lost += function.conjugate(own) - float(own @ there) - function.value(there)
    return max(0.0, lost)


def lost_by_curves(program: Program, prices: Floats, totals: Floats) -> float:
    """What curved functions lose at these totals: at these prices they would have other ones.

    At most infinite, where a total is outside the domain.
    """
    lost = 0.0
    for block in program.curved:
        own, there = prices[block.rows], totals[block.rows]
        lost += block.function.conjugate(own) - float(own @ there) - block.function.value(there)
    return max(0.0, lost)
