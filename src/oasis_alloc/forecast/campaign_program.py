"""Programs with a campaign in them: of some users only, with a row that counts the campaign, and without other aims."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from oasis_alloc.common.csr import gather
from oasis_alloc.common.types import AnyInts, Floats, Ints
from oasis_alloc.forecast.quote_base import Found
from oasis_alloc.program.lowering import within_reach
from oasis_alloc.program.program import Program, RowBlock, dual_variables
from oasis_alloc.program.slate_rules import System
from oasis_alloc.program.variants import only_users, with_functions
from oasis_alloc.statement.functions.band import BoundBand
from oasis_alloc.statement.functions.shifted import what_is_left
from oasis_alloc.statement.functions.soft import BoundSoft

Flags = npt.NDArray[np.bool_]

ROW = "quote"  # the name of the campaign's row


class OfUsers(NamedTuple):
    """The program of a campaign's users, with all their pairs."""

    program: Program
    pairs: Ints  # of the whole program
    member: Flags  # those of the campaign
    at: Ints  # where `Found.pairs` are among them


def of_users(program: Program, found: Found) -> OfUsers:
    """The program of a campaign's users."""
    users = found.users
    start, pairs = gather(program.indptr, users)
    before = program.indptr[users] - start[:-1]  # from a pair's number in the program to that among these
    member = np.zeros(pairs.size, np.bool_)
    member[found.mine - np.repeat(before, np.diff(found.begin))] = True
    made = only_users(program, users, start, program.arrays.at(pairs))
    return OfUsers(made, pairs, member, found.pairs - before[found.user])


def with_row(program: Program, member: Flags, unit_column: int, floor: float) -> Program:
    """The program with one more row, the last: the impressions of the pairs `member`, at least `floor`.

    The classes of these pairs are doubled, so that the row is a sum of cells.
    """
    n = program.n_classes
    classes = np.unique(program.code[member])
    place = np.zeros(n, np.int64)
    place[classes] = n + np.arange(classes.size)
    total = n + classes.size
    code: AnyInts = program.code.astype(
        np.uint16 if total <= 1 << 16 and program.code.dtype == np.uint16 else np.uint32
    )
    code[member] = place[program.code[member]]
    class_of = np.concatenate([np.arange(n), classes]).astype(np.int64)
    cell_of = (np.arange(program.n_segments)[:, None] * n + class_of).ravel()
    ours = np.flatnonzero(np.tile(np.arange(total) >= n, program.n_segments))
    base = []
    for k, matrix in enumerate(program.base):
        wide = sp.csr_array(sp.csc_array(matrix)[:, cell_of])
        mine = ours if k == unit_column else ours[:0]
        row = sp.csr_array((np.ones(mine.size), (np.zeros(mine.size, np.int64), mine)), shape=(1, cell_of.size))
        base.append(sp.csr_array(sp.vstack([wide, row])))
    one = sp.csr_array(np.ones((1, 1)))
    arithmetic = sp.csr_array(sp.block_diag([program.arithmetic, one])) if program.n_rows else sp.csr_array(
        sp.hstack([sp.csr_array((1, program.arithmetic.shape[1])), one])
    )  # fmt: skip
    unit = 1.0 if unit_column == 0 else float(np.mean(program.extra[unit_column - 1, member]) or 1.0)
    scale = np.append(program.row_scale, unit)
    rows = slice(program.n_rows, program.n_rows + 1)
    added = RowBlock(ROW, rows, BoundBand(np.array([floor]), np.array([np.inf])), [None], key=ROW)
    blocks, row_of, low, high, limit = dual_variables([*program.blocks, added], scale)
    rules = program.rules
    if rules is not None:
        rules = replace(rules, systems=tuple(_doubled(system, class_of) for system in rules.systems))
    return replace(
        program, code=code, n_classes=total, rules=rules, blocks=tuple(blocks), base=tuple(base),
        arithmetic=arithmetic, row_scale=scale, row=row_of, lower=low, upper=high, limit=limit,
    )  # fmt: skip


def _doubled(system: System, class_of: Ints) -> System:
    start, places = gather(system.start, class_of)
    return replace(system, start=start, of=system.of[places])


def beside_others(program: Program, others: Floats, own: Floats) -> Program:
    """The program of some users next to others, whose totals stay: `others` by row.

    Limits are what the others leave, and never less than what the users have, `own`.
    """
    functions = []
    for block in program.blocks:
        left = what_is_left(block.function, others[block.rows], nonnegative=False)
        if left.is_constraint:
            low, high, _ = left.band()
            left = left.with_limits(np.minimum(low, own[block.rows]), np.maximum(high, own[block.rows]))
        functions.append(left)
    changed = with_functions(program, functions)
    return within_reach(changed) if any(block.function.uses_range for block in changed.blocks) else changed


def counting_only(program: Program, member: Flags, units: Floats) -> Program:
    """The program that maximizes the impressions of some pairs, under the same constraints and rules."""
    functions = [
        block.function
        if block.function.is_constraint
        else BoundSoft(np.full(len(block.labels), -np.inf), np.full(len(block.labels), np.inf), 1.0)
        for block in program.blocks
    ]
    value = np.zeros(program.n_pairs, program.value.dtype)
    value[member] = units[member]
    rules = None if program.rules is None else program.rules.without_decrements()
    return replace(with_functions(program, functions), value=value, rules=rules)
