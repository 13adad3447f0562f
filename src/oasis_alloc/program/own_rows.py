"""Rows whose pairs are all of one user: functions by (user, genre), which a kernel solves within the user's block.

A price of such a row moves nobody else's slate, so it need not be found together with the others: at any prices of the
other rows, the best own prices of a user are found from that user's pairs (kernels/solve/own_prices.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.csr import spans
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.program.program import Program, RowBlock
from oasis_alloc.statement.functions.separable import SQUARE, BoundSeparable, SlopeForm

if TYPE_CHECKING:
    from oasis_alloc.kernels.solve.own_prices import OwnGroups

_MOST_GROUPS = 128  # of one user: a Newton step takes their number cubed
_MOST_ENTRIES = 1 << 28  # of pairs and groups: 3 GiB


@dataclass(frozen=True, eq=False)
class OwnRows:
    """The rows of one user each, in the order of users, for the kernel."""

    rows: Ints  # (n_own,) rows of the program
    variable: Ints  # (n_own,) their dual variables
    groups: OwnGroups

    @classmethod
    def of(cls, program: Program) -> OwnRows | None:
        """The rows that the kernel can take; None where there are none, or slates have rules, or pairs are in files."""
        if program.rules is not None or program.stream is not None or program.n_pairs == 0:
            return None
        found = [own for block in program.blocks if (own := _of_block(program, block)) is not None]
        return _together(program, found) if found else None

    def without(self, prices: Floats) -> Floats:
        """Prices by row with 0 for own rows."""
        out = prices.copy()
        out[self.rows] = 0.0
        return out


@dataclass(frozen=True, eq=False)
class _Own:
    """One function: the entries of pairs and rows, and the functions of its rows."""

    block: RowBlock
    user: Ints  # (rows,) the user of each row; that of the first one for a row without pairs
    pair: Ints
    row: Ints  # counted from the block's first one
    amount: Floats
    form: SlopeForm


def _of_block(program: Program, block: RowBlock) -> _Own | None:
    """The block's entries if each of its rows has pairs of one user only, and users have few rows."""
    function, n = block.function, len(block.labels)
    if not isinstance(function, BoundSeparable) or n < program.n_users:
        return None
    form = function.form()
    if form is None:
        return None
    by_cell = _entries_by_cell(program, block)
    if _n_entries(program, by_cell) > _MOST_ENTRIES:
        return None
    pair, row, amount = _entries(program, by_cell)
    if form.kind != SQUARE and amount.min(initial=0.0) < 0.0:  # totals would leave the domain
        return None
    user = program.users_of(pair)
    first, last = np.full(n, program.n_users), np.full(n, -1)
    np.minimum.at(first, row, user)
    np.maximum.at(last, row, user)
    used = last >= 0
    if (first[used] != last[used]).any():
        return None
    user_of = np.where(used, first, 0)
    if np.bincount(user_of[used], minlength=1).max(initial=0) > _MOST_GROUPS:
        return None
    return _Own(block, np.where(used, user_of, -1), pair, row, amount, form)


def _entries_by_cell(program: Program, block: RowBlock) -> list[sp.csc_array]:
    """For every column (rows, n_cells): what a pair of a cell adds to the block's rows for a unit of the column."""
    arithmetic = program.arithmetic[block.rows]
    return [sp.csc_array(arithmetic @ matrix) for matrix in program.base]


def _cells(program: Program) -> npt.NDArray[np.int64]:
    segment = np.repeat(program.segment.astype(np.int64), np.diff(program.indptr))
    return segment * program.n_classes + program.code


def _n_entries(program: Program, by_cell: list[sp.csc_array]) -> int:
    pairs = np.bincount(_cells(program), minlength=program.n_cells)
    return sum(int(pairs @ np.diff(matrix.indptr)) for matrix in by_cell)


def _entries(program: Program, by_cell: list[sp.csc_array]) -> tuple[Ints, Ints, Floats]:
    """(pair, row, amount) of all pairs and the rows that they add to."""
    cells, parts = _cells(program), []
    for k, matrix in enumerate(by_cell):
        if matrix.nnz == 0:
            continue
        count = np.diff(matrix.indptr)[cells]
        pair = np.repeat(np.arange(program.n_pairs), count)
        at = spans(matrix.indptr[cells], count)
        amount = matrix.data[at] if k == 0 else matrix.data[at] * program.extra[k - 1][pair]
        parts.append((pair, matrix.indices[at].astype(np.int64), amount))
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    pair, row, amount = (np.concatenate(part) for part in zip(*parts, strict=True))
    kept = amount != 0.0
    return pair[kept], row[kept], amount[kept].astype(np.float64)


def _together(program: Program, found: list[_Own]) -> OwnRows:
    """The rows of all functions, sorted by user; rows without pairs are left out: any price does for them."""
    from oasis_alloc.kernels.solve.own_prices import OwnGroups

    user = np.concatenate([own.user for own in found])
    row = np.concatenate([np.arange(own.block.rows.start, own.block.rows.stop) for own in found])
    variable = np.concatenate([np.arange(own.block.variables.start, own.block.variables.stop) for own in found])
    starts = np.cumsum([0, *(own.user.size for own in found)])
    order = np.argsort(user, kind="stable")
    order = order[np.searchsorted(user[order], 0) :]  # without those that no pair adds to
    place = np.full(user.size, -1)
    start = np.searchsorted(user[order], np.arange(program.n_users + 1))
    place[order] = np.arange(order.size) - start[user[order]]
    pair, entry_row, amount = (
        np.concatenate(part)
        for part in zip(
            *((own.pair, own.row + at, own.amount) for own, at in zip(found, starts, strict=False)), strict=True
        )
    )
    pair, entry, amount = _added_up(pair, place[entry_row], amount)
    numbers = [_numbers(program, own) for own in found]
    kind, a, b, c, least, most = (np.concatenate(part)[order] for part in zip(*numbers, strict=True))
    groups = OwnGroups(
        readonly(start.astype(np.int64)),
        readonly(np.searchsorted(pair, np.arange(program.n_pairs + 1)).astype(np.int64)),
        readonly(entry.astype(np.int32)),
        readonly(amount),
        *(readonly(part) for part in (kind.astype(np.int64), a, b, c, least, most)),
    )
    return OwnRows(row[order], variable[order], groups)


def _added_up(pair: Ints, place: Ints, amount: Floats) -> tuple[Ints, Ints, Floats]:
    """Entries by pair and place, with one entry for what several columns add to the same row."""
    order = np.lexsort((place, pair))
    pair, place, amount = pair[order], place[order], amount[order]
    first = np.ones(pair.size, np.bool_)
    first[1:] = (np.diff(pair) != 0) | (np.diff(place) != 0)
    if not first.all():
        amount = np.add.reduceat(amount, np.flatnonzero(first))
        pair, place = pair[first], place[first]
    return pair, place, amount


def _numbers(program: Program, own: _Own) -> list[Floats]:
    """The functions of the rows: their form, and the range of their prices."""
    form, n = own.form, len(own.block.labels)
    unit, mine = program.row_scale[own.block.rows], own.block.variables
    given = (form.kind, form.a, form.b, form.c)
    numbers = [np.array(np.broadcast_to(np.asarray(number, np.float64), n)) for number in given]
    return [*numbers, program.lower[mine] / unit, program.upper[mine] / unit]
