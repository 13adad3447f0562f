"""Programs derived from others: without limits and rows that cannot bind, with soft limits, without values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.program.program import Program, RowBlock, dual_variables
from oasis_alloc.statement.functions.base import BoundFunction
from oasis_alloc.statement.functions.soft import BoundSoft

_MERGED = 0.5  # share of the cells that are left, up to which merging is worth new codes


def with_functions(program: Program, functions: list[BoundFunction]) -> Program:
    """The program with other functions of the same rows."""
    blocks = [replace(block, function=f) for block, f in zip(program.blocks, functions, strict=True)]
    told, row, low, high, limit = dual_variables(blocks, program.row_scale)
    return replace(program, blocks=tuple(told), row=row, lower=low, upper=high, limit=limit)


def without_idle_limits(program: Program, min_totals: Floats, max_totals: Floats) -> Program:
    """The program without the limits that its totals, between `min_totals` and `max_totals` by row, cannot reach.

    Such a limit has no price and affects no tolerance, so it changes nothing.
    """
    lower, upper, _ = program.bands()
    idle_floor, idle_cap = np.isfinite(lower) & (lower <= min_totals), np.isfinite(upper) & (upper >= max_totals)
    if not (idle_floor | idle_cap).any():
        return program
    lower, upper = np.where(idle_floor, -np.inf, lower), np.where(idle_cap, np.inf, upper)
    return with_functions(program, [b.function.with_limits(lower[b.rows], upper[b.rows]) for b in program.blocks])


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
    used = np.unique(arithmetic.indices)
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
    return replace(
        program,
        code=number.astype(np.uint32)[cells],
        segment=np.zeros_like(program.segment),
        n_segments=1,
        n_classes=int(first.size),
        base=tuple(sp.csr_array(matrix[first].T) for matrix in columns),
    )


class _Selected(Sequence[Any]):
    """Some of a sequence of labels, looked up when they are asked for."""

    def __init__(self, labels: Sequence[Any], at: Ints) -> None:
        self._labels, self._at = labels, at

    def __len__(self) -> int:
        return int(self._at.size)

    def __getitem__(self, k: Any) -> Any:
        return self._labels[int(self._at[k])]


def relaxed(program: Program, weights: Floats, min_totals: Floats, max_totals: Floats, loose: Floats) -> Program:
    """The same limits without values: a missed unit costs its row's weight if the limit is hard, else nothing.

    A limit outside the range of its total, `min_totals` to `max_totals`, is moved to the range, so that an impossible
    limit does not hide the others. `loose`, by row, is the amount that may be missed at no cost.
    """
    functions: list[BoundFunction] = []
    for block in program.blocks:
        low, high, _ = block.function.band()
        if block.function.is_constraint:
            low, high = low - loose[block.rows], high + loose[block.rows]
            low, high = np.minimum(low, max_totals[block.rows]), np.maximum(high, min_totals[block.rows])
            functions.append(BoundSoft(low, high, weights[block.rows]))
        else:
            functions.append(BoundSoft(np.full(low.size, -np.inf), np.full(low.size, np.inf), 1.0))
    # in the type of the values, for which kernels are compiled: zeros that nobody writes take no memory
    value: npt.NDArray[Any] = np.zeros(program.code.size, program.value.dtype)
    stream = None if program.stream is None else replace(program.stream, valueless=True)
    rules = None if program.rules is None else program.rules.without_decrements()
    return replace(with_functions(program, functions), value=value, rules=rules, stream=stream)


def softened(program: Program, penalty: Floats, min_totals: Floats, max_totals: Floats) -> Program:
    """The same problem with every hard constraint softened: a missed unit costs its row's `penalty`.

    The part of a limit that no allocation can reach costs nothing, as in `relaxed`.
    """
    functions: list[BoundFunction] = []
    for block in program.blocks:
        low, high, _ = block.function.band()
        if block.function.is_constraint:
            low, high = np.minimum(low, max_totals[block.rows]), np.maximum(high, min_totals[block.rows])
        functions.append(BoundSoft(low, high, penalty[block.rows]) if block.function.is_constraint else block.function)
    return with_functions(program, functions)
