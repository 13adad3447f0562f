"""The linear program over undecided pairs, with the remaining slots and limits.

Every row of a measure is elastic: its price may move from the current one by at most its radius, which is the same as
letting the total leave its band at the price of the radius' end (the boxstep method: Marsten, Hogan and Blankenship,
Oper. Res. 23:389). So the program is feasible and bounded for any fixed pairs, its prices are bounded, and a used slack
shows which prices need to move further. A soft row's price is also limited by its penalty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from oasis_alloc.common.types import AnyInts, Floats, Ints
from oasis_alloc.engines.base import Engine, PairSplit
from oasis_alloc.program.program import Program
from oasis_alloc.solvers.incumbent import Allocation
from oasis_alloc.solvers.linear import AT_LOWER, AT_UPPER, BASIC, LinearProgram, LinearSolution, Statuses
from oasis_alloc.solvers.slate_rows import SlateRows, slate_rows
from oasis_alloc.solvers.small_limits import SmallLimits, small_limits
from oasis_alloc.solvers.support_lp import SupportForms, support_forms
from oasis_alloc.statement.functions.base import BoundFunction

SEGMENTS = 8  # chords of a curved function in one round
_BROADCAST = 4  # a base total in more rows than this gets a separate variable, so that rows stay sparse

_Entries = tuple[AnyInts, AnyInts, Floats]  # row, column, coefficient


@dataclass(frozen=True, eq=False)
class Restricted:
    """Columns: pairs, decrements, broadcast totals, slack above, slack below, chords, pieces.

    Rows: slates, measures, broadcast totals, pieces. Chords are of curved functions, pieces of support functions.
    """

    lp: LinearProgram
    pairs: Ints
    slates: SlateRows
    rows: Ints  # of measures
    curved: Ints  # of rows whose function is curved: they have SEGMENTS more columns each, after the slacks
    above_is_end: npt.NDArray[np.bool_]  # (len(rows),) the slack's price is the end of the domain, not of the radius
    below_is_end: npt.NDArray[np.bool_]
    n_aux: int
    forms: SupportForms
    small: SmallLimits

    @property
    def n_slates(self) -> int:
        return self.slates.names.size

    @property
    def n_steps(self) -> int:
        return self.slates.step_names.size

    def prices(self, solution: LinearSolution) -> Floats:
        """Prices of `rows`."""
        return solution.prices[self.n_slates : self.n_slates + self.rows.size]

    @property
    def slacks(self) -> slice:
        """The columns of slack above, then below, of `rows`."""
        start = self.pairs.size + self.n_steps + self.n_aux
        return slice(start, start + 2 * self.rows.size)

    def slack(self, solution: LinearSolution) -> tuple[Floats, Floats]:
        """(above, below) of `rows`."""
        above, below = solution.x[self.slacks].reshape(2, self.rows.size)
        return above, below

    def basis_for(
        self, wider: Restricted, solution: LinearSolution, allocation: Allocation
    ) -> tuple[Statuses, Statuses] | None:
        """This program's final basis, carried over to one with more pairs, users and rows; None for other pieces.

        New pairs enter at their fixed value: 0, or 1 where they are in the allocation; new rows are basic.
        """
        if not self.forms.same_as(wider.forms):
            return None
        n, m, aux = self.pairs.size, self.rows.size, self.n_aux
        after = n + self.n_steps
        pair = np.full(wider.pairs.size, AT_LOWER, np.int8)
        pair[allocation.has_whole(wider.pairs)] = AT_UPPER
        pair[np.searchsorted(wider.pairs, self.pairs)] = solution.columns[:n]
        row_at = np.searchsorted(wider.rows, self.rows)
        slack = np.full((2, wider.rows.size), AT_LOWER, np.int8)
        slack[:, row_at] = solution.columns[after + aux : after + aux + 2 * m].reshape(2, m)
        step = np.full(wider.n_steps, AT_LOWER, np.int8)
        there, known = _shared(wider.slates.step_names, self.slates.step_names)
        step[there] = solution.columns[n:after][known]
        segments = np.full((wider.curved.size, SEGMENTS), AT_LOWER, np.int8)
        segments[:, : SEGMENTS // 2] = AT_UPPER
        chords = after + aux + 2 * m
        forms = chords + SEGMENTS * self.curved.size
        segments[np.searchsorted(wider.curved, self.curved)] = solution.columns[chords:forms].reshape(-1, SEGMENTS)
        slate = np.full(wider.n_slates, BASIC, np.int8)
        there, known = _shared(wider.slates.names, self.slates.names)
        slate[there] = solution.rows[: self.n_slates][known]
        row = np.full(wider.rows.size, BASIC, np.int8)
        row[row_at] = solution.rows[self.n_slates : self.n_slates + m]
        totals = solution.columns[after : after + aux]
        columns = np.concatenate([pair, step, totals, slack.ravel(), segments.ravel(), solution.columns[forms:]])
        return columns, np.concatenate([slate, row, solution.rows[self.n_slates + m :]])


def restricted(
    engine: Engine, decision: PairSplit, fixed: Floats, prices: Floats, radius: Floats, max_prices: Floats, keep: Ints
) -> Restricted:
    """Set up the program.

    By row: `fixed` are the totals of fixed pairs, `radius` how far a price may move, `max_prices` the highest price of
    a slack; rows in `keep` are in the program in any case.
    """
    program, undecided, n = engine.program, engine.take(decision.undecided), decision.undecided.size
    shown = decision.shown.of_users(program.indptr, np.unique(undecided.users))
    slates = slate_rows(program, undecided, engine.take(shown))
    n_steps, n_slates = slates.step_names.size, slates.names.size
    base = program.columns_of(undecided)
    arithmetic = program.arithmetic
    aux = np.flatnonzero(np.bincount(arithmetic.indices, minlength=arithmetic.shape[1]) > _BROADCAST)
    sparse = np.ones(arithmetic.shape[1])
    sparse[aux] = 0.0
    measures = sp.csr_array(arithmetic @ sp.diags_array(sparse) @ base)
    measures.eliminate_zeros()
    through = sp.csr_array(sp.csc_array(arithmetic)[:, aux] if aux.size else (program.n_rows, 0))

    lower, upper, penalty = program.bands()  # fresh arrays: changed below
    is_curved = np.zeros(program.n_rows, np.bool_)
    for block in program.curved:
        is_curved[block.rows] = True
    # a row without undecided pairs still matters if it has a price, is missed, or must be kept
    touched = is_curved | (prices != 0.0) | (np.diff(measures.indptr) > 0) | (np.diff(through.indptr) > 0)
    touched |= (fixed > upper) | (fixed < lower)
    forms = support_forms(program, base, fixed, prices)
    touched[forms.rows] = True
    touched[keep] = True  # rows of the last round stay, so that its basis can be carried over
    rows = np.flatnonzero(touched)
    # the price of a curved function, or of a tiny limit, is unrelated to the scores, so the radius is relative to the
    # price itself; slacks that cost less than the price would make the program unbounded
    max_prices = np.maximum(max_prices, 2.0 * np.abs(prices))
    penalty[forms.rows] = 2.0 * forms.largest_price  # their own prices stay below, so it is never paid
    end = np.where(np.isfinite(penalty), penalty, max_prices)[rows]
    above = np.minimum(prices[rows] + radius[rows], end)
    below = np.minimum(radius[rows] - prices[rows], end)
    curved, first, width, gain = _segments(program, rows, prices, radius, max_prices)
    lower[curved] = upper[curved] = first
    lower[forms.rows] = upper[forms.rows] = -forms.delivered
    matrix = _assembled(
        (n_slates, rows.size, aux.size, forms.inner.shape[0]),
        (n, n_steps, aux.size, rows.size, rows.size, gain.size, forms.gain.size),
        [
            (0, 0, _entries(slates.matrix), 1.0),
            (0, 1, _entries(slates.steps), -1.0),
            (1, 0, _entries(measures, rows), 1.0),
            (1, 2, _entries(through, rows), 1.0),
            (1, 3, _diagonal(rows.size), -1.0),
            (1, 4, _diagonal(rows.size), 1.0),
            (1, 5, _stairs(rows, curved), -1.0),
            (1, 6, _entries(forms.totals, rows), -1.0),
            (2, 0, _entries(base, aux), 1.0),
            (2, 2, _diagonal(aux.size), -1.0),
            (3, 6, _entries(forms.inner), 1.0),
        ],
    )
    zeros, n_more = np.zeros(aux.size), 2 * rows.size + gain.size
    asked = np.zeros(program.n_rows)
    asked[curved] = np.abs(first + width[:, : SEGMENTS // 2].sum(axis=1))
    small = small_limits(program, measures, np.diff(through.indptr) == 0, fixed, asked)
    value = undecided.value - slates.decrement
    lp = LinearProgram(
        cost=np.concatenate([value, -slates.cost, zeros, -above, -below, gain.ravel(), forms.gain]),
        matrix=matrix,
        row_lower=np.concatenate([slates.lower, lower[rows] - fixed[rows], zeros, forms.row_lower]),
        row_upper=np.concatenate([slates.upper, upper[rows] - fixed[rows], zeros, np.zeros(forms.row_lower.size)]),
        lower=np.concatenate([np.zeros(n + n_steps), zeros - np.inf, np.zeros(n_more), forms.lower]),
        upper=np.concatenate([
            np.ones(n), slates.width, np.full(aux.size + 2 * rows.size, np.inf), width.ravel(),
            np.full(forms.gain.size, np.inf),
        ]),
        n_fixed=n + n_steps,
        limits=np.concatenate([np.zeros(n_slates), small.sizes[rows], zeros, np.zeros(forms.row_lower.size)]),
        units=small.units,
    )  # fmt: skip
    hard = ~is_curved[rows]  # a curved row's slack says that its chords end, whatever its price
    return Restricted(
        lp, decision.undecided, slates, rows, curved, hard & (above >= end), hard & (below >= end), aux.size, forms,
        small,
    )  # fmt: skip


def _segments(
    program: Program, rows: Ints, prices: Floats, radius: Floats, max_prices: Floats
) -> tuple[Ints, Floats, Floats, Floats]:
    """Curved functions as chords over the totals at prices within the radius.

    Returns the curved ones of `rows`, the total at which their chords begin, and (n, SEGMENTS) widths and slopes. The
    slacks continue with the slopes at both ends, so a price cannot leave its radius.
    """
    every: list[tuple[Ints, Floats, Floats, Floats]] = []
    for block in program.curved:
        function, here = block.function, np.arange(block.rows.start, block.rows.stop)
        reach = np.minimum(radius[here], 0.5 * max_prices[here])
        at = [_at(function, prices[here] + reach * (2.0 * k / SEGMENTS - 1.0)) for k in range(SEGMENTS + 1)]
        totals = np.maximum.accumulate(np.stack([e for e, _ in at], axis=1), axis=1)
        worth = np.stack([f for _, f in at], axis=1)
        width = np.diff(totals, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            slope = np.diff(worth, axis=1) / width
        middle = reach[:, None] * (2.0 * (np.arange(SEGMENTS) + 0.5) / SEGMENTS - 1.0)
        # as f is concave, a chord is no steeper than the curve at its ends; rounding of close totals may say otherwise
        center, half = -(prices[here][:, None] + middle), reach[:, None] / SEGMENTS
        slope = np.where(np.isfinite(slope), np.clip(slope, center - half, center + half), center)
        every.append((here, totals[:, 0], width, np.clip(slope, -max_prices[here][:, None], max_prices[here][:, None])))
    if not every:
        return np.empty(0, np.int64), np.empty(0), np.empty((0, SEGMENTS)), np.empty((0, SEGMENTS))
    curved, first, widths, slopes = (np.concatenate(parts) for parts in zip(*every, strict=True))
    mine = np.isin(curved, rows)
    return curved[mine], first[mine], widths[mine], slopes[mine]


def _at(function: BoundFunction, prices: Floats) -> tuple[Floats, Floats]:
    """(total, value) of every group at prices."""
    curve = function.curve(prices)
    return curve.maximizer, curve.values


def _stairs(rows: Ints, curved: Ints) -> _Entries:
    """(len(rows), len(curved) * SEGMENTS): which row each segment belongs to."""
    row = np.repeat(np.searchsorted(rows, curved), SEGMENTS)
    return row, np.arange(row.size), np.ones(row.size)


def _diagonal(n: int) -> _Entries:
    return np.arange(n), np.arange(n), np.ones(n)


def _entries(matrix: sp.csr_array, rows: Ints | None = None) -> _Entries:
    """The entries row by row; of the chosen rows, which ascend, numbered by their place among them."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    if rows is None:
        return row, matrix.indices, matrix.data
    place = np.full(matrix.shape[0], -1)
    place[rows] = np.arange(rows.size)
    at = place[row]
    kept = at >= 0
    return at[kept], matrix.indices[kept], matrix.data[kept]


def _shared(names: Ints, known: Ints) -> tuple[Ints, Ints]:
    """(positions in `names`, positions in `known`) of what both have; both ascend."""
    _, at, where = np.intersect1d(names, known, assume_unique=True, return_indices=True)
    return at, where


def _assembled(
    heights: tuple[int, ...], widths: tuple[int, ...], blocks: list[tuple[int, int, _Entries, float]]
) -> sp.csc_array:
    """The matrix of blocks: (row of blocks, column of blocks, entries, factor), from the top down.

    Blocks of SciPy side by side take as long as the linear program of a small problem.
    """
    above, left = np.cumsum([0, *heights]), np.cumsum([0, *widths])
    row = np.concatenate([row + above[r] for r, _, (row, _, _), _ in blocks])
    column = np.concatenate([column + left[c] for _, c, (_, column, _), _ in blocks])
    data = np.concatenate([factor * data for _, _, (_, _, data), factor in blocks])
    return sp.csc_array((data, (row, column)), shape=(int(above[-1]), int(left[-1])))
