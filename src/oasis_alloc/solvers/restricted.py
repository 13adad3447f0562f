"""The linear programme over undecided pairs, with what is left of slots and limits.

Every row of a measure is elastic: its price may move from the current one by at most its radius, which is the same as
letting the total leave its band at the price of the radius' end (the boxstep method: Marsten, Hogan and Blankenship,
Oper. Res. 23:389). So the programme is feasible and bounded whatever is fixed, its prices never run away, and a slack
that is used says which prices have further to go. A soft row's price is held by its penalty as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from oasis_alloc.engines.base import Decision
from oasis_alloc.functions.base import BoundFunction, Floats
from oasis_alloc.program import Program
from oasis_alloc.solvers.highs import AT_LOWER, AT_UPPER, BASIC, LinearProgram, LinearSolution, Statuses
from oasis_alloc.solvers.pieces import Pieces, pieces_of

Positions = npt.NDArray[np.int64]

SEGMENTS = 8  # chords of a curved function in one round
_BROADCAST = 4  # a base total in more rows than this gets a variable of its own, so that rows stay sparse


@dataclass(frozen=True, eq=False)
class Restricted:
    """Columns: pairs, broadcast totals, slack above, slack below, segments, pieces.

    Rows: slates, measures, broadcast totals, pieces. Segments are of curved functions, pieces of support functions.
    """

    lp: LinearProgram
    pairs: Positions
    users: Positions  # slates, and categories of slates, that have a row: see slate_rows
    rows: Positions  # of measures
    curved: Positions  # of rows whose function is curved: they have SEGMENTS more columns each, after the slacks
    above_is_end: npt.NDArray[np.bool_]  # (len(rows),) the slack's price is the end of the domain, not of the radius
    below_is_end: npt.NDArray[np.bool_]
    n_aux: int
    pieces: Pieces

    def prices(self, solution: LinearSolution) -> Floats:
        """Prices of `rows`."""
        return solution.prices[self.users.size : self.users.size + self.rows.size]

    def slack(self, solution: LinearSolution) -> tuple[Floats, Floats]:
        """(above, below) of `rows`."""
        start = self.pairs.size + self.n_aux
        above, below = solution.x[start : start + 2 * self.rows.size].reshape(2, self.rows.size)
        return above, below

    def basis_for(
        self, wider: Restricted, solution: LinearSolution, shown: Positions
    ) -> tuple[Statuses, Statuses] | None:
        """This programme's final basis, carried over to one with more pairs, users and rows; None for other pieces.

        What is new enters as it was fixed: pairs at 0, or at 1 where they are in `shown`; new rows are basic.
        """
        if not self.pieces.same_as(wider.pieces):
            return None
        n, m, aux = self.pairs.size, self.rows.size, self.n_aux
        pair = np.full(wider.pairs.size, AT_LOWER, np.int8)
        pair[np.isin(wider.pairs, shown, assume_unique=True)] = AT_UPPER
        pair[np.searchsorted(wider.pairs, self.pairs)] = solution.columns[:n]
        row_at = np.searchsorted(wider.rows, self.rows)
        slack = np.full((2, wider.rows.size), AT_LOWER, np.int8)
        slack[:, row_at] = solution.columns[n + aux : n + aux + 2 * m].reshape(2, m)
        segments = np.full((wider.curved.size, SEGMENTS), AT_LOWER, np.int8)
        segments[:, : SEGMENTS // 2] = AT_UPPER
        segments[np.searchsorted(wider.curved, self.curved)] = solution.columns[
            n + aux + 2 * m : n + aux + 2 * m + SEGMENTS * self.curved.size
        ].reshape(-1, SEGMENTS)
        user = np.full(wider.users.size, BASIC, np.int8)
        user[np.searchsorted(wider.users, self.users)] = solution.rows[: self.users.size]
        row = np.full(wider.rows.size, BASIC, np.int8)
        row[row_at] = solution.rows[self.users.size : self.users.size + m]
        pieces = solution.columns[n + aux + 2 * m + SEGMENTS * self.curved.size :]
        columns = np.concatenate([pair, solution.columns[n : n + aux], slack.ravel(), segments.ravel(), pieces])
        return columns, np.concatenate([user, row, solution.rows[self.users.size + m :]])


def restricted(
    program: Program,
    decision: Decision,
    fixed: Floats,
    prices: Floats,
    radius: Floats,
    most: Floats,
    keep: Positions,
) -> Restricted:
    """Set up the programme.

    By row: `fixed` are the totals of what is already in, `radius` how far a price may move, `most` the highest price
    that a slack may have; rows in `keep` are in the programme in any case.
    """
    undecided, n = decision.undecided, decision.undecided.size
    users, slates, slots = slate_rows(program, decision.undecided, decision.shown)
    base = program.columns_of(undecided)
    arithmetic = program.arithmetic
    aux = np.flatnonzero(np.bincount(arithmetic.indices, minlength=arithmetic.shape[1]) > _BROADCAST)
    sparse = np.ones(arithmetic.shape[1])
    sparse[aux] = 0.0
    measures = sp.csr_array(arithmetic @ sp.diags_array(sparse) @ base)
    measures.eliminate_zeros()
    through = sp.csr_array(sp.csc_array(arithmetic)[:, aux])

    lower, upper, penalty = program.bands()  # fresh arrays: changed below
    # a row without undecided pairs still has a say where it has a price or is missed
    touched = (np.diff(measures.indptr) > 0) | (np.diff(through.indptr) > 0) | (prices != 0.0)
    touched |= (fixed > upper) | (fixed < lower)
    pieces = pieces_of(program, base, fixed, prices)
    touched[pieces.rows] = True
    touched[keep] = True  # rows of the last round stay, so that its basis can be carried over
    rows = np.flatnonzero(touched)
    is_curved = np.zeros(program.n_rows, np.bool_)
    for block in program.curved:
        is_curved[block.rows] = True
    # what a curved function pays for a unit has nothing to do with the scores: its own price is the measure
    most = np.where(is_curved, np.maximum(most, 2.0 * np.abs(prices)), most)
    penalty[pieces.rows] = 2.0 * pieces.dearest  # their own prices stay below, so nobody pays it
    end = np.where(np.isfinite(penalty), penalty, most)[rows]
    above = np.minimum(prices[rows] + radius[rows], end)
    below = np.minimum(radius[rows] - prices[rows], end)
    eye = sp.eye_array(rows.size, format="csr")
    curved, first, width, gain = _segments(program, rows, prices, radius, most)
    lower[curved] = upper[curved] = first
    lower[pieces.rows] = upper[pieces.rows] = 0.0
    stairs = _stairs(rows, curved)
    n_more = 2 * rows.size + stairs.shape[1] + pieces.gain.size
    matrix = _assemble(
        [slates, sp.csr_array((users.size, aux.size)), sp.csr_array((users.size, n_more))],
        [measures[rows], through[rows], sp.hstack([-eye, eye, -stairs, -pieces.totals[rows]], format="csr")],
        [base[aux], -sp.eye_array(aux.size, format="csr"), sp.csr_array((aux.size, n_more))],
        [sp.csr_array((pieces.inner.shape[0], n + aux.size + n_more - pieces.gain.size)), pieces.inner],
    )
    zeros = np.zeros(aux.size)
    lp = LinearProgram(
        cost=np.concatenate(
            [program.value[undecided].astype(np.float64), zeros, -above, -below, gain.ravel(), pieces.gain]
        ),
        matrix=matrix,
        row_lower=np.concatenate([np.full(users.size, -np.inf), lower[rows] - fixed[rows], zeros, pieces.least]),
        row_upper=np.concatenate([slots, upper[rows] - fixed[rows], zeros, np.zeros(pieces.least.size)]),
        lower=np.concatenate([np.zeros(n), zeros - np.inf, np.zeros(n_more - pieces.gain.size), pieces.lower]),
        upper=np.concatenate(
            [np.ones(n), np.full(aux.size + 2 * rows.size, np.inf), width.ravel(), np.full(pieces.gain.size, np.inf)]
        ),
    )
    hard = ~is_curved[rows]  # a curved row's slack says that its chords end, whatever its price
    return Restricted(
        lp, undecided, users, rows, curved, hard & (above >= end), hard & (below >= end), aux.size, pieces
    )


def _segments(
    program: Program, rows: Positions, prices: Floats, radius: Floats, most: Floats
) -> tuple[Positions, Floats, Floats, Floats]:
    """Curved functions as chords over the totals that prices within the radius ask for.

    Returns the curved ones of `rows`, the total at which their chords begin, and (n, SEGMENTS) widths and slopes. The
    slacks go on with the slopes at both ends, so a price cannot leave its radius.
    """
    every: list[tuple[Positions, Floats, Floats, Floats]] = []
    for block in program.curved:
        function, here = block.function, np.arange(block.rows.start, block.rows.stop)
        reach = np.minimum(radius[here], 0.5 * most[here])
        at = [_at(function, prices[here] + reach * (2.0 * k / SEGMENTS - 1.0)) for k in range(SEGMENTS + 1)]
        totals = np.maximum.accumulate(np.stack([e for e, _ in at], axis=1), axis=1)
        worth = np.stack([f for _, f in at], axis=1)
        width = np.diff(totals, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            slope = np.diff(worth, axis=1) / width
        middle = reach[:, None] * (2.0 * (np.arange(SEGMENTS) + 0.5) / SEGMENTS - 1.0)
        flat = ~np.isfinite(slope) | (width <= 1e-12 * np.maximum(1.0, np.abs(totals[:, 1:])))
        slope = np.where(flat, -(prices[here][:, None] + middle), slope)
        every.append((here, totals[:, 0], width, np.clip(slope, -most[here][:, None], most[here][:, None])))
    if not every:
        return np.empty(0, np.int64), np.empty(0), np.empty((0, SEGMENTS)), np.empty((0, SEGMENTS))
    curved, first, widths, slopes = (np.concatenate(parts) for parts in zip(*every, strict=True))
    mine = np.isin(curved, rows)
    return curved[mine], first[mine], widths[mine], slopes[mine]


def _at(function: BoundFunction, prices: Floats) -> tuple[Floats, Floats]:
    """(total, value) of every group at prices."""
    curve = function.curve(prices)
    return curve.maximiser, curve.values


def _stairs(rows: Positions, curved: Positions) -> sp.csr_array:
    """(len(rows), len(curved) * SEGMENTS): which row each segment belongs to."""
    row = np.repeat(np.searchsorted(rows, curved), SEGMENTS)
    return sp.csr_array((np.ones(row.size), (row, np.arange(row.size))), shape=(rows.size, row.size))


def slate_rows(program: Program, undecided: Positions, shown: Positions) -> tuple[Positions, sp.csr_array, Floats]:
    """One row for every slate, and every category of a slate, with more undecided pairs than room for them.

    Returns an ascending number a row (the same for the same slate or category whatever else is undecided), the matrix
    over the undecided pairs, and the room that `shown` leaves.
    """
    start = 0
    names, room, row, column = [], [], [], []
    rules = [(program.users_of(undecided), program.users_of(shown), program.size, program.n_users)]
    of_shown = list(program.categories_of(shown))
    for k, (group, most) in enumerate(program.categories_of(undecided)):
        rules.append((group, of_shown[k][0], most, program.n_users * (int(program.category[k].max(initial=0)) + 1)))
    n_rows = 0
    for group, taken, most, n_groups in rules:
        has = np.flatnonzero(group >= 0)
        which, inverse, count = np.unique(group[has], return_inverse=True, return_counts=True)
        left = most - _counts_at(which, taken)
        tight = count > left
        number = np.cumsum(tight) - 1 + n_rows
        inside = tight[inverse]
        names.append(start + which[tight])
        room.append(left[tight].astype(np.float64))
        row.append(number[inverse[inside]])
        column.append(has[inside])
        n_rows += int(tight.sum())
        start += n_groups
    rows, columns = np.concatenate(row), np.concatenate(column)
    matrix = sp.csr_array((np.ones(rows.size), (rows, columns)), shape=(n_rows, undecided.size))
    return np.concatenate(names), matrix, np.concatenate(room)


def _counts_at(which: Positions, groups: Positions) -> Positions:
    """How many of `groups` are equal to each of the ascending `which`."""
    ordered = np.sort(groups)
    return np.searchsorted(ordered, which, side="right") - np.searchsorted(ordered, which, side="left")


def _assemble(*block_rows: list[sp.csr_array]) -> sp.csc_array:
    return sp.csc_array(sp.vstack([sp.hstack(parts, format="csr") for parts in block_rows], format="csr"))
