"""What totals can reach in slates: less than all candidates together, so that more limits are known not to bind.

A limit between what slates hold and what all candidates add up to is found in three steps, each only for the rows that
the one before leaves open: a bound from the share of a user's candidates that a slate holds; the sum over cells with
the net coefficient of each, for arithmetic that cancels; and one pass over the pairs (kernels/solve/slate_reach.py).
Sums that are rounded are rounded outward, so that no reach is below the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import scipy.sparse as sp

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.common.verdicts import LARGEST
from oasis_alloc.kernels.solve.slate_reach import FRACTION, TERMS, TOTAL, Entries, Room
from oasis_alloc.program.program import Program

_MOST_ENTRIES = 1 << 21  # of rows and cells; the limits of further rows are those of all candidates
_SPACING = 2.0**-52
_WHOLE = 2.0**53  # sums of whole numbers are exact up to here

Pass = Callable[[Entries, Room, int], Floats]
"""(3, n_rows) sums of `slate_reach` over all users, of so many rows."""


@dataclass(frozen=True, eq=False)
class _Sides:
    """Limits that may be out of reach: caps, and floors as caps of the negative total."""

    row: Ints
    sign: Floats
    limit: Floats
    whole: Floats  # reach of all candidates
    parts: Floats  # sums of absolute parts of all candidates

    def at(self, where: Ints) -> _Sides:
        return _Sides(*(getattr(self, field.name)[where] for field in fields(self)))


def within_slates(
    program: Program, min_totals: Floats, max_totals: Floats, parts: Floats, add_up: Pass
) -> tuple[Floats, Floats]:
    """(smallest, largest) total of every row, of slates where a limit lies between those and all candidates.

    `min_totals` and `max_totals` are those of all candidates, and `parts` (2, K + 1, n_cells) the sums of the positive
    and of the negative parts of all columns that they are made of. Rows whose limits are elsewhere keep theirs.
    """
    share = least_share(program)
    sides = _undecided(program, min_totals, max_totals, share)
    if not sides.row.size:
        return min_totals, max_totals
    tables = _coefficients(program, sides)
    single = sum((np.diff(table.indptr) > 0).astype(np.int64) for table in tables) <= 1
    tables = [_that_count(table, single, *parts[:, k]) for k, table in enumerate(tables)]
    rounding = (program.n_pairs + 64) * _SPACING
    every = sum(t.maximum(0) @ parts[0, k] + t.minimum(0) @ parts[1, k] for k, t in enumerate(tables))
    reach = np.minimum(sides.whole, np.asarray(every) * (1.0 + rounding))
    sure = np.where(single, share * np.asarray(every) * (1.0 - rounding), 0.0)
    left = np.flatnonzero((sides.limit < reach) & (sides.limit >= sure))
    if left.size:
        found = add_up(_entries([table[left] for table in tables], program.n_cells), room_of(program), left.size)
        # sums of whole numbers are exact, and so is a total to which no pair adds
        exact = ((found[FRACTION] == 0.0) & (found[TOTAL] < _WHOLE)) | (found[TOTAL] == 0.0)
        # where columns cancel in a pair, roundings are of what cancels
        rounded = (found[TERMS] + 64) * found[TOTAL] + np.where(single[left], 0.0, 64 * sides.parts[left])
        outward = np.where(exact, 0.0, _SPACING * rounded)
        reach[left] = np.minimum(reach[left], found[TOTAL] + outward)
    low, high = min_totals.copy(), max_totals.copy()
    caps = sides.sign > 0.0
    high[sides.row[caps]] = reach[caps]
    low[sides.row[~caps]] = -reach[~caps]
    return low, high


def least_share(program: Program) -> float:
    """The least part of the sum over a user's candidates that the best slate of that user is sure to have.

    Candidates with categories of at most m items can be dealt out to as many slates as there are m in the candidates.
    """
    n = np.diff(program.indptr)
    users = np.flatnonzero(n)
    if not users.size:
        return 1.0
    room = room_of(program)
    size = np.broadcast_to(room.size, n.shape)[users]
    fits = np.minimum(size, room.most.min(initial=np.iinfo(np.int64).max))
    slates = np.ceil(n[users] / np.maximum(fits, 1))
    return float(np.where(fits > 0, 1.0 / slates, 0.0).min())


def room_of(program: Program) -> Room:
    """The sizes and nested caps of a program's slates."""
    if program.rules is None:
        none = np.empty((0, 0), np.int32)
        return Room(np.array([program.size]), readonly(none), np.empty(0, np.int64), 0)
    rules = program.rules.kernel
    return Room(rules.size, readonly(rules.of), rules.most, rules.n)


def _undecided(program: Program, min_totals: Floats, max_totals: Floats, share: float) -> _Sides:
    """The limits that all candidates together miss, and slates perhaps not."""
    lower, upper, _ = program.bands()
    known = np.maximum(np.abs(min_totals), np.abs(max_totals)) <= LARGEST
    with np.errstate(invalid="ignore"):  # limits that are infinite
        cap = known & np.isfinite(upper) & (upper >= 0.0) & (upper < max_totals)
        cap &= (min_totals < 0.0) | (upper >= share * max_totals * (1.0 - 1e-6))
        floor = known & np.isfinite(lower) & (lower <= 0.0) & (lower > min_totals)
        floor &= (max_totals > 0.0) | (lower <= share * min_totals * (1.0 - 1e-6))
    caps, floors = np.flatnonzero(cap), np.flatnonzero(floor)
    sides = _Sides(
        np.concatenate([caps, floors]),
        np.repeat([1.0, -1.0], [caps.size, floors.size]),
        np.concatenate([upper[caps], -lower[floors]]),
        np.concatenate([max_totals[caps], -min_totals[floors]]),
        (max_totals - min_totals)[np.concatenate([caps, floors])],
    )
    by_base = np.asarray(sum(np.diff(base.indptr) for base in program.base))
    pattern = program.arithmetic[sides.row]
    entries = sp.csr_array((np.ones(pattern.nnz), pattern.indices, pattern.indptr), shape=pattern.shape) @ by_base
    order = np.argsort(entries, kind="stable")
    return sides.at(np.sort(order[np.cumsum(entries[order]) <= _MOST_ENTRIES]))


def _coefficients(program: Program, sides: _Sides) -> list[sp.csr_array]:
    """(n_sides, n_cells) coefficients of every column, with the sign of the side."""
    arithmetic = sp.diags_array(sides.sign) @ program.arithmetic[sides.row]
    return [sp.csr_array(arithmetic @ base) for base in program.base]


def _that_count(table: sp.csr_array, single: Ints, up: Floats, down: Floats) -> sp.csr_array:
    """The entries that can add to a row: in rows of one column, those whose cell has a part of the same sign."""
    row, cell = sp.coo_array(table).coords
    data = sp.coo_array(table).data
    adds = ((data > 0.0) & (up[cell] > 0.0)) | ((data < 0.0) & (down[cell] < 0.0))
    keep = np.where(single[row], adds, data != 0.0)
    return sp.csr_array((data[keep], (row[keep], cell[keep])), shape=table.shape)


def _entries(tables: list[sp.csr_array], n_cells: int) -> Entries:
    """The entries by cell, all columns together."""
    n = tables[0].shape[0]
    coords = [sp.coo_array(table) for table in tables]
    keys = [np.asarray(t.coords[1], np.int64) * n + t.coords[0] for t in coords]
    key = np.unique(np.concatenate(keys))
    coefficient = np.zeros((len(tables), key.size))
    for k, table in enumerate(coords):
        coefficient[k, np.searchsorted(key, keys[k])] = table.data
    start = np.searchsorted(key, np.arange(n_cells + 1) * n).astype(np.int64)
    return Entries(
        readonly(start), readonly((key % n).astype(np.int32)), readonly(coefficient),
        int(np.diff(start).max(initial=0)),
    )  # fmt: skip
