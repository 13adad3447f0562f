"""The one definition of feasible and of gap: used by every solver, report and page.

A limit of a row g is kept if

    excess_g  <=  FEASIBLE * max(|limit_g|, sum_p |a_gp| x_p)

with a_gp the contribution of pair p to the row, after the arithmetic on measures. The gap is

    (bound - value) / max(|value|, |bound|, sum of the absolute parts of the objective)

Both are ratios of numbers in the same unit, each of one limit or of the objective as a whole. So no verdict depends on
the units of a column or of the objective, on another limit, or on a limit that no total can reach.
"""

from __future__ import annotations

import math

import numpy as np

from oasis_alloc.common.types import Floats

FEASIBLE = 1e-6
"""Largest violation of an allocation that counts as feasible."""

NO_LIMIT = 1e20
"""Limits of this size or more count as no limit."""

LARGEST = 1e150
"""Largest sum over all candidates, in the objective and in a row: curvatures are sums of squares of such numbers."""

LEAST = 1e-150
"""Smallest typical size that is not 0, of values and of contributions to a row: their squares must not vanish."""

ROUNDING = 1e-14
"""Rounding error of sums, as a share of the sizes of their parts: differences up to that count as zero."""

EPSILON = 1e-15
"""The same for sums of the same numbers in another order."""

# the same, to distinguish rounding from a wrong bound below a value; reference solvers keep slates to 1e-8
_BROKEN, _BROKEN_BY_OTHERS = 1e-9, 1e-6


def relative_gap(bound: float, value: float, size: float = 0.0, rounding: float = 0.0) -> float:
    """How far a value may be from the optimum, as a share of the objective.

    Parameters
    ----------
    bound, value
        Upper bound of the optimum, and the objective of an allocation.
    size
        Sum of the absolute parts of the objective, at that allocation.
    rounding
        A difference up to which the two count as equal, in the objective's unit.

    Returns
    -------
    float
        0 if the value is at the bound; infinite if there is no bound.

    Example
    -------
    >>> from oasis_alloc.common.verdicts import relative_gap
    >>> relative_gap(bound=2.0e9, value=1.5e9), relative_gap(bound=1e-9, value=-1e-9, size=1.0), relative_gap(0.0, 0.0)
    (0.25, 2e-09, 0.0)
    """
    missing, whole = float(bound - value), float(max(abs(value), abs(bound), size))
    if missing <= rounding:
        return 0.0
    return missing / whole if math.isfinite(missing) and whole > 0.0 else math.inf


def is_broken(bound: float, value: float, size: float, bought: float, exact: bool = True) -> bool:
    """True if a bound is below the value of an allocation by more than rounding and the gain from its violations.

    `bought` is `sum_g |price_g| excess_g`: the amount by which an allocation with small violations may be above the
    bound of allocations that keep all limits.
    """
    slack = _BROKEN if exact else _BROKEN_BY_OTHERS
    return value - bound > 2.0 * bought + slack * max(abs(value), abs(bound), size)


def ratios(totals: Floats, lower: Floats, upper: Floats, activity: Floats | None = None) -> Floats:
    """excess / max(|limit|, activity) of every row, 0 if both limits are kept; missing limits are infinite.

    `activity` is `sum_p |a_gp| x_p`; without it |total| is used, which is exact if all a_gp have the same sign, and
    makes the ratio larger otherwise.
    """
    above, below = totals - upper, lower - totals
    excess = np.maximum(np.maximum(above, below), 0.0)
    limit = np.where(above >= below, upper, lower)
    size = np.maximum(np.where(np.isfinite(limit), np.abs(limit), 0.0), np.abs(totals))
    if activity is not None:
        size = np.maximum(size, activity)
    out = np.zeros(totals.size)
    np.divide(excess, size, out=out, where=excess > 0.0)
    return out
