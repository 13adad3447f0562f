"""A linear program in numbers near 1, whatever units its rows and its objective have.

A simplex code keeps rows and prices to absolute tolerances, drops coefficients below one and fails at costs above
another (HiGHS: 1e-9, 1e-12, about 1e12). Columns of budgets in small units, and values in large ones, come out of that
as limits that are broken and as programs that are not solved. So every row is divided by its largest coefficient, every
column that is no probability by its own, and the objective by what a typical pair is worth. All factors are powers of
two, so scaling rounds nothing (Curtis and Reid, IMA J. Appl. Math. 10:118, 1972, is the general method).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from oasis_alloc.functions.base import Floats
from oasis_alloc.solvers.linear import LinearProgram, LinearSolution
from oasis_alloc.verdicts import NO_LIMIT

_HEAVY = 1e-6  # of the largest value that a typical one counts as at least: a few may be worth far more than the rest
_PASSES = 2


@dataclass(frozen=True, eq=False)
class Scaled:
    """The same program in other units."""

    lp: LinearProgram
    row: Floats  # what each row was multiplied by
    column: Floats
    cost: float

    def back(self, solution: LinearSolution) -> LinearSolution:
        """A solution in the units of the program that was given; a basis is the same in all units."""
        return replace(solution, x=solution.x * self.column, prices=solution.prices * self.row / self.cost)


def scaled(lp: LinearProgram) -> Scaled:
    """Scale a program, whose first `n_fixed` columns are probabilities and keep their unit."""
    size = abs(lp.matrix)
    fixed = np.arange(size.shape[1]) < lp.n_fixed
    row, column = np.ones(size.shape[0]), np.ones(size.shape[1])
    largest = _largest(size[:, : lp.n_fixed], 1)
    known = largest > 0.0
    row[known] = _inverse(largest[known])
    rest = np.flatnonzero(~known)
    for _ in range(_PASSES if rest.size else 1):
        row[rest] = _inverse(_largest((size @ sp.diags_array(column))[rest], 1))
        column = np.where(fixed, 1.0, _inverse(_largest(sp.diags_array(row) @ size, 0)))
    worth = np.abs(lp.cost * column)
    pairs = worth[: lp.n_fixed]
    pairs = pairs[pairs > 0.0]
    if pairs.size:
        typical = max(float(pairs.mean()), _HEAVY * float(pairs.max()))
    else:  # a relaxation, where what is missed may cost very different amounts
        typical = float(np.exp(np.log(worth[worth > 0.0]).mean())) if worth.any() else 0.0
    cost = float(_inverse(np.array([typical]))[0])
    return Scaled(
        replace(
            lp,
            cost=lp.cost * column * cost,
            matrix=sp.csc_array(sp.diags_array(row) @ lp.matrix @ sp.diags_array(column)),
            row_lower=_limits(lp.row_lower) * row,
            row_upper=_limits(lp.row_upper) * row,
            lower=_limits(lp.lower) / column,
            upper=_limits(lp.upper) / column,
        ),
        row,
        column,
        cost,
    )


def _largest(matrix: sp.csc_array, axis: int) -> Floats:
    """The largest entry of each row (axis 1) or column (axis 0), 0 where there are none."""
    if not matrix.shape[axis]:
        return np.zeros(matrix.shape[1 - axis])
    return np.asarray(matrix.max(axis=axis).toarray()).ravel()


def _inverse(sizes: Floats) -> Floats:
    """The power of two next to 1 / size, 1 for a size of 0."""
    sizes = np.where(sizes > 0.0, sizes, 1.0)
    return np.asarray(np.exp2(np.clip(np.round(-np.log2(sizes)), -1000, 1000)))


def _limits(numbers: Floats) -> Floats:
    return np.where(np.abs(numbers) >= NO_LIMIT, np.copysign(np.inf, numbers), numbers)
