"""A starting basis for the linear program from the current prices, if there is no earlier basis.

The program is reformulated at its prices: each column has its value minus the prices of its rows, so that all prices
start at zero. Pairs with a positive rest are in, or the best ones if the slate has no room for all. The first one left
out sets the price of its slate; every other row starts with its own residual. Where that slate misses a guard, the
price of the guard is one at which a pair that leaves and one that enters are worth the same. The dual simplex method
then begins near its end (measured in docs/decisions/0006-billion.md and 0029-fine-rows-and-guards.md). Crash bases:
Bixby, "Implementing the simplex method: the initial basis", ORSA J. Comput. 4:267.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.solvers.linear import AT_LOWER, AT_UPPER, BASIC, LinearProgram, LinearSolution, Statuses
from oasis_alloc.solvers.restricted import Restricted

_DOUBLINGS = 8  # times that the price of a guard is made eight times as high, to find one that keeps it
_MEETINGS = 40
_SAME = 1e-12  # of what a slate is worth: as much more is rounding


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
        lp.limits, lp.units,
    )  # fmt: skip
    columns = np.where((cost > 0.0) & np.isfinite(shifted.upper), AT_UPPER, AT_LOWER).astype(np.int8)
    columns[~np.isfinite(shifted.lower)] = AT_UPPER
    columns[broadcast] = BASIC
    rows = np.full(lower.size, BASIC, np.int8)
    rows[first + m : after] = AT_LOWER
    _fill(part, cost[: part.pairs.size], columns, rows)
    if part.slates.n_guards:
        _keep(part, cost[: part.pairs.size], columns, rows)
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


def _keep(part: Restricted, score: Floats, columns: Statuses, rows: Statuses) -> None:
    """Give slates that miss their guard its price: a pair that enters there and one that leaves set it and the size's.

    A slate at a price of its guard is worth a line in that price, and the largest of them is smallest where the lines
    of a slate that misses the guard and one that keeps it meet. The slate there takes the place of one of the two,
    until none is worth more.
    """
    guards = _Guards.of(part, score)
    low = guards.slates(np.zeros(guards.missing.size))
    found = guards.kept(low) < guards.missing
    price, high = guards.typical(), low
    for _ in range(_DOUBLINGS):
        high = guards.slates(price)
        short = found & (guards.kept(high) < guards.missing)
        if not short.any():
            break
        price = np.where(short, 8.0 * price, price)
    found &= ~short
    price = np.zeros(found.size)
    for _ in range(_MEETINGS):
        more, less = guards.kept(high) - guards.kept(low), guards.worth(low) - guards.worth(high)
        price = np.where(found, less / np.where(more > 0.0, more, 1.0), 0.0)
        between = guards.slates(price)
        gain = guards.worth(between, price) - guards.worth(low, price)
        better = found & (gain > _SAME * np.abs(guards.worth(low, price)))
        if not better.any():
            break
        misses = guards.kept(between) < guards.missing
        low = np.where((better & misses)[guards.row], between, low)
        high = np.where((better & ~misses)[guards.row], between, high)
    enters, leaves = guards.first(high & ~low), guards.first(low & ~high)
    found &= (enters >= 0) | (leaves >= 0)
    mine = found[guards.row]
    columns[guards.pair[mine]] = np.where(low[mine], AT_UPPER, AT_LOWER)
    for chosen in (enters, leaves):
        columns[guards.pair[chosen[found & (chosen >= 0)]]] = BASIC
    n = part.n_slates
    rows[n - found.size : n][found] = AT_LOWER
    sized = found & (guards.size >= 0)
    both = (enters >= 0) & (leaves >= 0)
    end = np.where(guards.wanted(price) < guards.least, AT_LOWER, AT_UPPER)
    rows[guards.size[sized]] = np.where(both, end, BASIC)[sized]


@dataclass(frozen=True, eq=False)
class _Guards:
    """The slates that have a guard: entries by pair, `row` says of which guard; limits by guard."""

    pair: Ints
    row: Ints
    score: Floats
    column: Floats
    missing: Floats  # what the guard still asks for
    size: Ints  # the row of the slate's size, -1 without
    least: Floats  # slots that must be filled
    room: Floats

    @classmethod
    def of(cls, part: Restricted, score: Floats) -> _Guards:
        n, n_sizes = part.n_slates, part.slates.n_sizes
        first = n - part.slates.n_guards
        guards, sizes = part.slates.matrix[first:], part.slates.matrix[:n_sizes].tocoo()
        row = np.repeat(np.arange(n - first), np.diff(guards.indptr))
        of = np.full(part.pairs.size, -1)
        of[sizes.coords[1]] = sizes.coords[0]
        size = np.full(n - first, -1)
        size[row] = of[guards.indices]
        lower, upper = part.lp.row_lower, part.lp.row_upper
        least, room = (np.where(size >= 0, side[size], free) for side, free in ((lower, 0.0), (upper, np.inf)))
        pair = guards.indices.astype(np.int64)
        return cls(pair, row, score[pair], guards.data, lower[first:n], size, np.maximum(least, 0.0), room)

    def typical(self) -> Floats:
        """A price by guard that is of the size of scores."""
        largest, column = np.zeros((2, self.missing.size))
        np.maximum.at(largest, self.row, np.abs(self.score))
        np.maximum.at(column, self.row, np.abs(self.column))
        return np.asarray(np.where(largest > 0.0, largest, 1.0) / np.where(column > 0.0, column, 1.0))

    def wanted(self, price: Floats) -> Floats:
        """By guard, the pairs that are worth something at its price."""
        worth = self.score + price[self.row] * self.column
        return np.bincount(self.row, worth > 0.0, price.size).astype(np.float64)

    def slates(self, price: Floats) -> npt.NDArray[np.bool_]:
        """By entry, whether the best slate at the prices of guards has it."""
        worth = self.score + price[self.row] * self.column
        order = np.lexsort((-worth, self.row))
        start = np.searchsorted(self.row, np.arange(price.size))
        inside = np.empty(worth.size, np.bool_)
        count = np.minimum(np.maximum(self.wanted(price), self.least), self.room)
        inside[order] = (np.arange(worth.size) - start[self.row]) < count[self.row]
        return inside

    def kept(self, inside: npt.NDArray[np.bool_]) -> Floats:
        """By guard, what slates keep."""
        return np.bincount(self.row, np.where(inside, self.column, 0.0), self.missing.size).astype(np.float64)

    def worth(self, inside: npt.NDArray[np.bool_], price: Floats | None = None) -> Floats:
        """By guard, what slates are worth, with what they keep beyond the guard at its price."""
        value = np.bincount(self.row, np.where(inside, self.score, 0.0), self.missing.size).astype(np.float64)
        return value if price is None else value + price * (self.kept(inside) - self.missing)

    def first(self, which: npt.NDArray[np.bool_]) -> Ints:
        """By guard, its first entry among `which`, -1 without."""
        out, at = np.full(self.missing.size, -1), np.flatnonzero(which)[::-1]
        out[self.row[at]] = at
        return out
