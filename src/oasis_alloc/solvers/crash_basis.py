"""A starting basis for the linear program from the current prices, if there is no earlier basis.

The program is reformulated at its prices: each column has its value minus the prices of its rows, so that all prices
start at zero. Pairs with a positive rest are in, or the best ones if the slate has no room for all. The first one left
out sets the price of its slate; every other row starts with its own residual. The dual
simplex method then begins near its end (measured in docs/decisions/0006-billion.md). Crash bases: Bixby, "Implementing
the simplex method: the initial basis", ORSA J. Comput. 4:267.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.solvers.linear import AT_LOWER, AT_UPPER, BASIC, LinearProgram, LinearSolution, Statuses
from oasis_alloc.solvers.restricted import Restricted


@dataclass(frozen=True, eq=False)
class CrashBasis:
    """The program at its rows' prices: measures are equations, with columns for their slack."""

    lp: LinearProgram
    basis: tuple[Statuses, Statuses]
    prices: Floats  # (n_rows,) subtracted from the columns
    ranged: Ints  # rows with a slack column; these columns are the last ones

    def back(self, solution: LinearSolution) -> LinearSolution:
        """The solution of the original program: the slack column of a row gives the status of the row."""
        n = solution.x.size - self.ranged.size
        rows, own = solution.rows.copy(), solution.columns[n:]
        # the slack is at its lower end if the row is at its upper end
        other = np.where(own == AT_LOWER, AT_UPPER, AT_LOWER)
        rows[self.ranged] = np.where((own == BASIC) | (rows[self.ranged] == BASIC), BASIC, other)
        return LinearSolution(
            solution.x[:n], solution.prices + self.prices, solution.columns[:n], rows, solution.iterations
        )


def crash_basis(part: Restricted, prices: Floats) -> CrashBasis:
    """Reformulate the program at the prices of its measures, `part.rows`, and choose a starting basis."""
    lp, first, m = part.lp, part.n_slates, part.rows.size
    after = first + m + part.n_aux
    paid = np.zeros(lp.matrix.shape[0])
    paid[first : first + m] = prices
    broadcast = slice(part.pairs.size + part.n_steps, part.pairs.size + part.n_steps + part.n_aux)
    paid[first + m : after] = lp.matrix[first : first + m, broadcast].T @ prices
    lower, upper = lp.row_lower.copy(), lp.row_upper.copy()
    measures = slice(first, first + m)
    limited = np.isfinite(lower[measures]) | np.isfinite(upper[measures])
    ranged = first + np.flatnonzero(limited & (lower[measures] < upper[measures]))
    # a row with one limit is an equation there, whichever end it has
    limit = np.where(np.isfinite(upper[ranged]), upper[ranged], lower[ranged])
    left = sp.csc_array((np.ones(ranged.size), (ranged, np.arange(ranged.size))), shape=(lower.size, ranged.size))
    matrix = sp.csc_array(sp.hstack([lp.matrix, left], format="csc"))
    cost = np.concatenate([lp.cost, np.zeros(ranged.size)]) - matrix.T @ paid
    low = np.where(np.isfinite(upper[ranged]), 0.0, -np.inf)
    high = np.where(np.isfinite(upper[ranged]), limit - lower[ranged], 0.0)
    lower[ranged] = upper[ranged] = limit
    shifted = LinearProgram(
        cost, matrix, lower, upper, np.concatenate([lp.lower, low]), np.concatenate([lp.upper, high]), lp.n_fixed,
        lp.limits, lp.allowed,
    )  # fmt: skip
    columns = np.where((cost > 0.0) & np.isfinite(shifted.upper), AT_UPPER, AT_LOWER).astype(np.int8)
    columns[~np.isfinite(shifted.lower)] = AT_UPPER
    columns[broadcast] = BASIC
    rows = np.full(lower.size, BASIC, np.int8)
    rows[first + m : after] = AT_LOWER
    _fill(part, cost[: part.pairs.size], columns, rows)
    return CrashBasis(shifted, (columns, rows), paid, ranged)


def _fill(part: Restricted, score: Floats, columns: Statuses, rows: Statuses) -> None:
    """Put the best pairs into every slate; the first one outside, or the last one inside, sets the slate's price."""
    n_sizes = part.slates.n_sizes
    sizes = sp.csr_array(part.slates.matrix[:n_sizes])
    pair, row = sizes.indices, np.repeat(np.arange(n_sizes), np.diff(sizes.indptr))
    order = np.lexsort((-score[pair], row))
    pair = pair[order]
    rank = np.arange(pair.size) - sizes.indptr[row]
    wanted = np.bincount(row, score[pair] > 0.0, n_sizes)
    upper, lower = part.lp.row_upper[:n_sizes], part.lp.row_lower[:n_sizes]
    crowded, forced = wanted > upper, (wanted < lower) & (lower <= np.diff(sizes.indptr))
    inside = np.where(crowded, upper, np.where(forced, lower - 1.0, wanted))
    columns[pair] = np.where(rank < inside[row], AT_UPPER, AT_LOWER)
    columns[pair[(rank == inside[row]) & (crowded | forced)[row]]] = BASIC
    rows[:n_sizes][crowded] = AT_UPPER
    rows[:n_sizes][forced] = AT_LOWER
