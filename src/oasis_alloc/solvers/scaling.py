"""Scales a linear program to numbers near 1, for any units of its rows and its objective.

A simplex code keeps rows and prices to absolute tolerances, drops coefficients below one and fails at costs above
another (HiGHS: 1e-9, 1e-12, about 1e12). Budgets in small units, and values in large ones, would then give broken
limits and unsolved programs. So every row is divided by its largest coefficient, every column that is not a probability
by its own, and the objective by the value of a typical pair. All factors are powers of two, so scaling is exact (Curtis
and Reid, IMA J. Appl. Math. 10:118, 1972, is the general method).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from oasis_alloc.common.types import Floats
from oasis_alloc.common.verdicts import NO_LIMIT
from oasis_alloc.solvers.linear import LinearProgram, LinearSolution

_HEAVY = 1e-6  # minimum of the typical value, relative to the largest: a few may be far larger than the rest
_LARGEST = 1e-13  # minimum scale, relative to the largest cost: HiGHS fails at costs far above that
SMALL = 1e-2  # of a row's largest coefficient: it is kept to 1e-9, and a limit is to be kept to 1e-6 of itself
_STEEP = 1e-10  # inverse of the largest coefficient of a row that is scaled for a smaller limit
_PASSES = 2


@dataclass(frozen=True, eq=False)
class Scaled:
    """The same program in other units."""

    lp: LinearProgram
    row: Floats  # factor of each row
    column: Floats
    cost: float

    def back(self, solution: LinearSolution) -> LinearSolution:
        """A solution in the units of the program that was given; a basis is the same in all units."""
        return replace(solution, x=solution.x * self.column, prices=solution.prices * self.row / self.cost)


def scaled(lp: LinearProgram) -> Scaled:
    """Scale a program, whose first `n_fixed` columns are probabilities and keep their unit."""
    matrix = lp.matrix
    n_rows, n_columns = matrix.shape
    size, at = np.abs(matrix.data), matrix.indices
    of = np.repeat(np.arange(n_columns), np.diff(matrix.indptr))
    mine = slice(0, int(matrix.indptr[lp.n_fixed]))
    probability = np.ones(n_columns)
    if lp.units.size:
        probability[: lp.units.size] = np.where(lp.units < 1.0, 1.0 / _inverse(lp.units), 1.0)
    largest = _largest((size * probability[of])[mine], at[mine], n_rows)
    row, column = _inverse(largest), probability.copy()
    rest = largest == 0.0  # rows without probabilities
    row = _for_small_limits(lp, row)
    for _ in range(_PASSES if rest.any() else 1):
        row = np.where(rest, _inverse(_largest(size * column[of], at, n_rows)), row)
        column = _inverse(_largest(size * row[at], of, n_columns))
        column[: lp.n_fixed] = probability[: lp.n_fixed]
    worth = np.abs(lp.cost * column)
    pairs = worth[: lp.n_fixed]
    pairs = pairs[pairs > 0.0]
    if pairs.size:
        typical = max(float(pairs.mean()), _HEAVY * float(pairs.max()))
    else:  # a relaxation, whose misses may have very different costs
        typical = float(np.exp(np.log(worth[worth > 0.0]).mean())) if worth.any() else 0.0
    typical = max(typical, _LARGEST * float(worth.max(initial=0.0)))
    cost = float(_inverse(np.array([typical]))[0])
    return Scaled(
        replace(
            lp,
            cost=lp.cost * column * cost,
            matrix=sp.csc_array((matrix.data * row[at] * column[of], at, matrix.indptr), shape=matrix.shape),
            row_lower=_limits(lp.row_lower * row),
            row_upper=_limits(lp.row_upper * row),
            lower=_limits(lp.lower / column),
            upper=_limits(lp.upper / column),
        ),
        row,
        column,
        cost,
    )


def _for_small_limits(lp: LinearProgram, row: Floats) -> Floats:
    """Larger factors for rows whose limits would be lost in the tolerance of their largest coefficient."""
    if not lp.limits.size:
        return row
    size = lp.limits * row
    small = (size > 0.0) & (size < SMALL)
    return np.where(small, row * _inverse(np.where(small, np.maximum(size, _STEEP), 1.0)), row)


def _largest(sizes: Floats, groups: npt.NDArray[np.integer[Any]], n: int) -> Floats:
    """The largest of the sizes of each of n groups, 0 for empty groups."""
    out = np.zeros(n)
    np.maximum.at(out, groups, sizes)
    return out


def _inverse(sizes: Floats) -> Floats:
    """The power of two nearest to 1 / size, 1 for a size of 0."""
    sizes = np.where(sizes > 0.0, sizes, 1.0)
    return np.asarray(np.exp2(np.clip(np.round(-np.log2(sizes)), -1000, 1000)))


def _limits(numbers: Floats) -> Floats:
    return np.where(np.abs(numbers) >= NO_LIMIT, np.copysign(np.inf, numbers), numbers)
