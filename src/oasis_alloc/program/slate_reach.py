"""What totals can reach in slates: less than all candidates together, so that more constraints are known not to bind.

A constraint whose limits lie between what slates hold and what all candidates add up to is found step by step. A step
rules out constraints of which one limit can bind, and the next one looks at the others: a bound from the share of a
user's candidates that a slate holds; sums over cells with the net coefficient of each, for arithmetic that cancels;
some of the users, where pairs are in memory; and one pass over all pairs (kernels/solve/slate_reach.py). Sums that are
rounded are rounded outward, so that no reach is below the truth.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.common.verdicts import LARGEST
from oasis_alloc.kernels.solve.slate_reach import FRACTION, TERMS, TOTAL, Entries, Room
from oasis_alloc.program.idle import idle_limits
from oasis_alloc.program.program import Program

_MOST_ENTRIES = 1 << 21  # of rows and cells; the limits of further rows are those of all candidates
_SPACING = 2.0**-52
_WHOLE = 2.0**53  # sums of whole numbers are exact up to here
_SOME = 16  # one user in so many is looked at first
_USERS = 1 << 14  # counted at a time


class Pass(Protocol):
    """(3, n_rows) sums of the kernel over one user in `stride` of every piece, of so many rows."""

    def __call__(self, entries: Entries, room: Room, n_rows: int, stride: int) -> Floats: ...


@dataclass(frozen=True, eq=False)
class _Sides:
    """Limits that may be out of reach: caps, and floors as caps of the negative total."""

    row: Ints
    block: Ints
    sign: Floats
    limit: Floats
    whole: Floats  # reach of all candidates
    parts: Floats  # sums of absolute parts of all candidates

    def at(self, where: npt.NDArray[np.bool_]) -> _Sides:
        return _Sides(*(getattr(self, field.name)[where] for field in fields(self)))

    def open(self, ruled_out: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Those of constraints of which no limit is ruled out."""
        return np.asarray(~np.isin(self.block, self.block[ruled_out]))


def within_slates(
    program: Program, min_totals: Floats, max_totals: Floats, parts: Floats, add_up: Pass, in_memory: bool
) -> tuple[Floats, Floats]:
    """(smallest, largest) total of every row: of slates for functions that they cannot make bind, else as given.

    `min_totals` and `max_totals` are those of all candidates, and `parts` (2, K + 1, n_cells) the sums of the positive
    and of the negative parts of all columns that they are made of.
    """
    share = least_share(program)
    sides = _undecided(program, min_totals, max_totals, share)
    if not sides.row.size:
        return min_totals, max_totals
    tables = _coefficients(program, sides)
    single = np.asarray(sum((np.diff(table.indptr) > 0).astype(np.int64) for table in tables)) <= 1
    tables = [_that_count(table, single, *parts[:, k]) for k, table in enumerate(tables)]
    every = np.asarray(sum(t.maximum(0) @ parts[0, k] + t.minimum(0) @ parts[1, k] for k, t in enumerate(tables)))
    rounding = (program.n_pairs + 64) * _SPACING
    reach = np.minimum(sides.whole, every * (1.0 + rounding))
    left = sides.open(sides.limit < np.where(single, share * every * (1.0 - rounding), 0.0))
    room = room_of(program)
    for stride in (_SOME, 1) if in_memory and program.n_users > _SOME else (1,):
        looked = np.flatnonzero(left & (sides.limit < reach))
        if not looked.size:
            break
        found = add_up(_entries([table[looked] for table in tables], program.n_cells), room, looked.size, stride)
        most = _outward(found, single[looked], sides.parts[looked])
        if stride == 1:
            reach[looked] = np.minimum(reach[looked], most)
        out = np.zeros(left.size, np.bool_)
        least = found[TOTAL] * (1.0 - rounding) - np.where(single[looked], 0.0, 64 * _SPACING * sides.parts[looked])
        out[looked] = sides.limit[looked] < (most if stride == 1 else least)
        left &= sides.open(out)
    low, high = min_totals.copy(), max_totals.copy()
    caps = left & (sides.sign > 0.0)
    floors = left & (sides.sign < 0.0)
    high[sides.row[caps]], low[sides.row[floors]] = reach[caps], -reach[floors]
    return low, high


def _outward(found: Floats, single: npt.NDArray[np.bool_], parts: Floats) -> Floats:
    """The sums of a pass, no less than the truth."""
    # sums of whole numbers are exact, and so is a total to which no pair adds
    exact = ((found[FRACTION] == 0.0) & (found[TOTAL] < _WHOLE)) | (found[TOTAL] == 0.0)
    # where columns cancel in a pair, roundings are of what cancels
    rounded = (found[TERMS] + 64) * found[TOTAL] + np.where(single, 0.0, 64 * parts)
    return np.asarray(found[TOTAL] + np.where(exact, 0.0, _SPACING * rounded))


def least_share(program: Program) -> float:
    """The least part of the sum over a user's candidates that the best slate of that user is sure to have.

    Candidates with categories of at most m items can be dealt out to as many slates as there are m in the candidates.
    """
    room, share = room_of(program), 1.0
    sizes = np.broadcast_to(room.size, program.n_users)
    for first in range(0, program.n_users, _USERS):
        n = np.diff(program.indptr[first : first + _USERS + 1])
        users = np.flatnonzero(n)
        fits = np.minimum(sizes[first + users], room.most.min(initial=np.iinfo(np.int64).max))
        slates = np.ceil(n[users] / np.maximum(fits, 1))
        share = min(share, float(np.where(fits > 0, 1.0 / slates, 0.0).min(initial=1.0)))
    return share


def room_of(program: Program) -> Room:
    """The sizes and nested caps of a program's slates."""
    if program.rules is None:
        none = np.empty((0, 0), np.int32)
        return Room(np.array([program.size]), readonly(none), np.empty(0, np.int64), 0)
    rules = program.rules.kernel
    return Room(rules.size, readonly(rules.of), rules.most, rules.n)


def _undecided(program: Program, min_totals: Floats, max_totals: Floats, share: float) -> _Sides:
    """The limits that all candidates together miss and slates perhaps not, of functions without other limits."""
    lower, upper, _ = program.bands()
    known = np.maximum(np.abs(min_totals), np.abs(max_totals)) <= LARGEST
    floor_met, cap_met = idle_limits(program, min_totals, max_totals)
    floor, cap = np.isfinite(lower) & ~floor_met, np.isfinite(upper) & ~cap_met  # those that have to be looked at
    sure = share * (1.0 - 1e-6)
    can_cap = known & (upper >= np.where(min_totals < 0.0, 0.0, np.maximum(sure * max_totals, 0.0)))
    can_floor = known & (lower <= np.where(max_totals > 0.0, 0.0, np.minimum(sure * min_totals, 0.0)))
    block = np.repeat(np.arange(len(program.blocks)), [b.rows.stop - b.rows.start for b in program.blocks])
    bad = (floor & ~can_floor) | (cap & ~can_cap) | ~known
    open_ = ~np.isin(block, block[bad])
    caps, floors = np.flatnonzero(cap & open_), np.flatnonzero(floor & open_)
    row = np.concatenate([caps, floors])
    sides = _Sides(
        row,
        block[row],
        np.repeat([1.0, -1.0], [caps.size, floors.size]),
        np.concatenate([upper[caps], -lower[floors]]),
        np.concatenate([max_totals[caps], -min_totals[floors]]),
        (max_totals - min_totals)[row],
    )
    if not row.size:
        return sides
    pattern = program.arithmetic[row]
    by_base = np.asarray(sum(np.diff(base.indptr) for base in program.base))
    entries = sp.csr_array((np.ones(pattern.nnz), pattern.indices, pattern.indptr), shape=pattern.shape) @ by_base
    by_block = np.bincount(sides.block, entries, len(program.blocks))
    order = np.argsort(by_block, kind="stable")
    few = order[np.cumsum(by_block[order]) <= _MOST_ENTRIES]
    return sides.at(np.isin(sides.block, few))


def _coefficients(program: Program, sides: _Sides) -> list[sp.csr_array]:
    """(n_sides, n_cells) coefficients of every column, with the sign of the side."""
    arithmetic = sp.diags_array(sides.sign) @ program.arithmetic[sides.row]
    return [sp.csr_array(arithmetic @ base) for base in program.base]


def _that_count(table: sp.csr_array, single: npt.NDArray[np.bool_], up: Floats, down: Floats) -> sp.csr_array:
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
