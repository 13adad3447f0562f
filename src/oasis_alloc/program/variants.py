"""Programs derived from others: without limits that cannot bind, with soft limits, without values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.program.idle import idle_limits
from oasis_alloc.program.pair_arrays import PairArrays
from oasis_alloc.program.program import Program, dual_variables
from oasis_alloc.program.slate_rules import KeptColumn
from oasis_alloc.statement.functions.base import BoundFunction
from oasis_alloc.statement.functions.soft import BoundSoft


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
    idle_floor, idle_cap = idle_limits(program, min_totals, max_totals)
    if not (idle_floor | idle_cap).any():
        return program
    lower, upper = np.where(idle_floor, -np.inf, lower), np.where(idle_cap, np.inf, upper)
    return with_functions(program, [b.function.with_limits(lower[b.rows], upper[b.rows]) for b in program.blocks])


def within_reach(program: Program, min_totals: Floats, max_totals: Floats) -> Program:
    """The program with every hard limit that is outside the range of its total moved to the range, as in `relaxed`."""
    functions: list[BoundFunction] = []
    for block in program.blocks:
        low, high, _ = block.function.band()
        low, high = np.minimum(low, max_totals[block.rows]), np.maximum(high, min_totals[block.rows])
        functions.append(block.function.with_limits(low, high) if block.function.is_constraint else block.function)
    return with_functions(program, functions)


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


def only_users(program: Program, users: Ints, indptr: Ints, pairs: PairArrays) -> Program:
    """The program of some users, with these of their pairs in memory; `indptr` says whose they are."""
    rules = program.rules
    if rules is not None:
        given = rules.guard.unit  # empty if the pairs come from files, in users' units
        rules = replace(
            rules,
            size=rules.size[users],
            min_size=rules.min_size[users],
            weight=rules.weight[users],
            guard=KeptColumn(pairs.guard.reshape(-1), given[users] if given.size else np.ones(users.size)),
            target=rules.target[users] if rules.target.size else rules.target,
        )
    return replace(
        program,
        indptr=indptr,
        code=pairs.code,
        value=pairs.value,
        extra=pairs.extra,
        segment=program.segment[users],
        rules=rules,
        origin=None,
        stream=None,
    )
