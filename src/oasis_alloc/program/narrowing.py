"""The part of a program that a solve needs: rows that can have a price, and one row for rows of the same price.

A cap of 1 per person and campaign is a row for every such pair, and few of them can bind. The reach of a campaign's
persons counts each once, and most of them have one candidate of it: there the function is linear and its price known,
so that all these rows are one. Where few rows are left, many cells add the same to each, and become one cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.program.program import Program, RowBlock, dual_variables
from oasis_alloc.statement.functions.soft import BoundSoft

_MERGED = 0.5  # share of the cells that are left, up to which merging is worth new codes
_ROUNDING = 1e-12  # of a total: sums in another order


@dataclass(frozen=True, eq=False)
class Narrowing:
    """A program of fewer rows than the whole one, of the same pairs and with the same best allocations."""

    whole: Program
    program: Program
    rows: Ints  # the whole program's row of each row, the first of those that became one
    part: Ints  # (whole.n_rows,) the row that a row is in, -1 for those without a price

    @classmethod
    def of(cls, whole: Program, max_totals: Floats, few: float) -> Narrowing | None:
        """Leave out rows without a price, and put those of a known one together; None where more than `few` are left.

        `few` is a share of the rows.
        """
        rows, same = priced_rows(whole), rows_of_one_price(whole, max_totals)
        first, joined = _numbered(same[rows], whole.n_rows)  # the first of those of a price has one itself
        if first.size > few * whole.n_rows:
            return None
        part = np.full(whole.n_rows, -1)
        part[rows] = joined
        return cls(whole, with_joined_rows(with_rows(whole, rows), joined), first, part)

    def prices_of_whole(self, prices: Floats) -> Floats:
        """Prices of all rows: what has none is 0."""
        return np.where(self.part >= 0, np.append(prices, 0.0)[self.part], 0.0)

    def sums(self, of_whole: Floats) -> Floats:
        """Numbers by row of the whole program, added up where rows became one."""
        inside = self.part >= 0
        return np.bincount(self.part[inside], of_whole[inside], self.rows.size).astype(np.float64)

    def variables(self, of_whole: Floats) -> Floats:
        """Dual variables of the program, from those of the whole one."""
        if self.program.row.size == self.whole.row.size:
            return of_whole
        return self.program.variables(self.whole.prices(of_whole)[self.rows])

    def variables_of_whole(self, variables: Floats) -> Floats:
        """Dual variables of the whole program, from those of this one."""
        if self.program.row.size == self.whole.row.size:
            return variables
        return self.whole.variables(self.prices_of_whole(self.program.prices(variables)))


def rows_of_one_price(program: Program, max_totals: Floats) -> Ints:
    """(n_rows,) the first row of the same function that has the same known price; the row itself where there is none.

    A soft floor that no total exceeds is linear: each unit is worth the penalty, whatever else is shown.
    """
    group = np.arange(program.n_rows)
    for block in program.blocks:
        if isinstance(block.function, BoundSoft) and np.ndim(block.function.penalty) == 0:
            lower, upper, _ = block.function.band()
            most = max_totals[block.rows]
            linear = np.isfinite(lower) & np.isinf(upper) & (lower >= most - _ROUNDING * np.abs(most))
            own = np.flatnonzero(linear) + block.rows.start
            if own.size > 1:
                group[own] = own[0]
    return group


def with_joined_rows(program: Program, joined: Ints) -> Program:
    """The program in which rows of the same number in `joined` are one row: their sum, with the price that is known."""
    size = np.bincount(joined)
    if size.size == program.n_rows:
        return program
    _, first = np.unique(joined, return_index=True)
    sums = sp.csr_array((np.ones(joined.size), (joined, np.arange(joined.size))), shape=(first.size, joined.size))
    scale = np.asarray(sums @ program.row_scale) / size
    blocks: list[RowBlock] = []
    for block in program.blocks:
        start, stop = np.searchsorted(first, [block.rows.start, block.rows.stop]).tolist()
        function, mine = block.function, first[start:stop] - block.rows.start
        if isinstance(function, BoundSoft) and mine.size < len(block.labels):
            lower, upper, _ = function.band()
            total = np.bincount(joined[block.rows] - start, np.where(np.isfinite(lower), lower, 0.0), mine.size)
            known = size[start:stop] > 1
            lower, upper = np.where(known, total, lower[mine]), upper[mine]
            function = replace(function, lower=lower, upper=upper, linear=known)
        labels = _Selected(block.labels, mine)
        blocks.append(replace(block, rows=slice(start, stop), function=function, labels=labels))
    blocks, row, low, high, limit = dual_variables(blocks, scale)
    arithmetic, base = _with_joined_groups(sp.csr_array(sums @ program.arithmetic), program.base)
    return replace(
        program,
        blocks=tuple(blocks),
        base=base,
        arithmetic=arithmetic,
        row_scale=scale,
        row=row,
        lower=low,
        upper=high,
        limit=limit,
    )


def _with_joined_groups(
    arithmetic: sp.csr_array, base: tuple[sp.csr_array, ...]
) -> tuple[sp.csr_array, tuple[sp.csr_array, ...]]:
    """The arithmetic and the groups under it, with one group for all of a column in one row alone, equally often."""
    by_group, n_columns = sp.csc_array(arithmetic), len(base)
    column = np.zeros(arithmetic.shape[1], np.int64)
    for k, matrix in enumerate(base):
        column[np.diff(matrix.indptr) > 0] = k
    alone = np.flatnonzero(np.diff(by_group.indptr) == 1)
    at = by_group.indptr[alone]
    found, same = _numbered(by_group.indices[at] * n_columns + column[alone], arithmetic.shape[0] * n_columns)
    head = np.empty(found.size, np.int64)
    head[same[::-1]] = alone[::-1]  # the first group of each
    equal = by_group.data[at] == by_group.data[by_group.indptr[head]][same]
    leader = np.arange(arithmetic.shape[1])
    leader[alone[equal]] = head[same[equal]]
    first, number = _numbered(leader, leader.size)
    joins = sp.csr_array((np.ones(number.size), (number, np.arange(number.size))), shape=(first.size, number.size))
    return sp.csr_array(by_group[:, first]), tuple(sp.csr_array(joins @ matrix) for matrix in base)


def priced_rows(program: Program) -> Ints:
    """The rows that can have a price, or that the objective is made of; the others are hard limits that nothing meets.

    A cap of 1 per person and campaign is a row for every such pair, and few of them can bind.
    """
    needed = ~program.hard
    needed[program.row] = True
    return np.flatnonzero(needed)


def with_rows(program: Program, rows: Ints) -> Program:
    """The program of some of its rows, ascending, all of `priced_rows` among them; its dual variables stay the same."""
    blocks: list[RowBlock] = []
    for block in program.blocks:
        first, last = np.searchsorted(rows, [block.rows.start, block.rows.stop]).tolist()
        mine = rows[first:last] - block.rows.start
        function = block.function
        if mine.size < len(block.labels):  # of a constraint: what else there is keeps all rows
            lower, upper, _ = function.band()
            function = function.with_limits(lower[mine], upper[mine])
        labels = _Selected(block.labels, mine)
        blocks.append(replace(block, rows=slice(first, last), function=function, labels=labels))
    arithmetic = sp.csr_array(program.arithmetic[rows])
    used, _ = _numbered(arithmetic.indices, arithmetic.shape[1])
    number = np.full(program.n_rows, -1)
    number[rows] = np.arange(rows.size)
    return replace(
        program,
        blocks=tuple(blocks),
        base=tuple(sp.csr_array(matrix[used]) for matrix in program.base),
        arithmetic=sp.csr_array(arithmetic[:, used]),
        row_scale=program.row_scale[rows],
        row=number[program.row],
    )


def with_merged_cells(program: Program) -> Program:
    """The program with one cell for all cells that add the same to every row; the same program where few are alike.

    Prices are tables by cell. Where most fine rows have been left out, most cells differ in nothing any more.
    """
    if program.rules is not None or program.stream is not None:
        return program
    columns = [sp.csr_array(matrix.T) for matrix in program.base]
    rng = np.random.default_rng(0)  # equal columns give equal sums, and what is equal by chance is seen below
    sums = np.sum([matrix @ (rng.random(program.arithmetic.shape[1]) + 0.5) for matrix in columns], axis=0)
    _, first, number = np.unique(sums, return_index=True, return_inverse=True)
    if first.size > _MERGED * program.n_cells:
        return program
    if any(abs(matrix[first][number] - matrix).max() > 0.0 for matrix in columns if matrix.nnz):
        return program
    cells = program.code
    if program.n_segments > 1:
        cells = np.repeat(program.segment.astype(np.int64), np.diff(program.indptr)) * program.n_classes + program.code
    kind = program.code.dtype  # kernels are compiled for it already
    return replace(
        program,
        code=number.astype(kind if first.size <= np.iinfo(kind).max else np.uint32)[cells],
        segment=np.zeros_like(program.segment),
        n_segments=1,
        n_classes=int(first.size),
        base=tuple(sp.csr_array(matrix[first].T) for matrix in columns),
    )


def _numbered(keys: npt.NDArray[Any], below: int) -> tuple[Ints, Ints]:
    """(the different keys, ascending; the place of each key among them) of keys 0 <= key < `below`, without sorting."""
    there = np.zeros(below, np.bool_)
    there[keys] = True
    return np.flatnonzero(there), (np.cumsum(there) - 1)[keys]


class _Selected(Sequence[Any]):
    """Some of a sequence of labels, looked up when they are asked for."""

    def __init__(self, labels: Sequence[Any], at: Ints) -> None:
        self._labels, self._at = labels, at

    def __len__(self) -> int:
        return int(self._at.size)

    def __getitem__(self, k: Any) -> Any:
        return self._labels[int(self._at[k])]
